"""The KV cache of an engine: blocks in use, blocks that are free, and blocks kept for prefixes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence


class Piece:
    """Consecutive blocks of content that stay in the cache when no request uses them any more.

    Attributes:
        blocks: KV blocks of it that are in the cache; its end goes first.
        users: Sequences that use it now.
        account: Where it is found by its hash; None if only its own sequence knows it.
        content: Its hash in that account.
    """

    __slots__ = ("account", "blocks", "content", "users")

    def __init__(self, blocks: int, account: Account | None = None, content: int = 0) -> None:
        self.blocks = blocks
        self.users = 1
        self.account = account
        self.content = content


Account = dict[int, Piece]
"""The pieces of one size, by the hash of their content."""


class KvCache:
    """Counts the blocks of a KV cache, and finds content again.

    A block is in use, or free, or evictable: it belongs to a piece that no request uses now and
    that is kept until its room is needed, the least recently used first. Blocks in use that belong
    to no piece are only counted. A piece that is found by its hash fills one or more blocks, as the
    maker of the hash cut the prompt; hashes of pieces of different sizes have nothing to do with
    each other.

    Args:
        blocks: Blocks in all.

    Attributes:
        blocks: Blocks in all.
        available: Blocks that are free or evictable.
        free: Blocks that hold nothing.
    """

    __slots__ = ("_accounts", "_evictable", "_lost", "available", "blocks", "free")

    def __init__(self, blocks: int) -> None:
        self.blocks = self.available = self.free = blocks
        self._accounts: dict[int, Account] = {}
        self._evictable: OrderedDict[Piece, None] = OrderedDict()
        # What no request finds again, where it was released last: the next of it is added there.
        self._lost: Piece | None = None

    @property
    def used(self) -> int:
        """Blocks in use."""
        return self.blocks - self.available

    def account(self, size: int) -> Account:
        """Return where pieces of *size* blocks are found."""
        return self._accounts.setdefault(size, {})

    def available_beside(self, pieces: Iterable[Piece]) -> int:
        """Return the blocks that would be available if *pieces* were in use."""
        return self.available - sum(piece.blocks for piece in pieces if not piece.users)

    def allocate(self, blocks: int) -> None:
        """Take *blocks* of the available ones into use, and evict what stands in the way."""
        self.available -= blocks
        self.free -= blocks
        evictable = self._evictable
        while self.free < 0:
            oldest = next(iter(evictable))
            if oldest.blocks > -self.free:
                oldest.blocks += self.free
                self.free = 0
                return
            del evictable[oldest]
            self.free += oldest.blocks
            oldest.blocks = 0
            if oldest.account is not None:
                del oldest.account[oldest.content]

    def use(self, pieces: Iterable[Piece]) -> None:
        """Take pieces that are in the cache into use."""
        for piece in pieces:
            if not piece.users:
                del self._evictable[piece]
                self.available -= piece.blocks
            piece.users += 1

    def keep(self, account: Account, content: int, blocks: int) -> Piece | None:
        """Have *blocks* that are in use found again by the hash *content*.

        Returns:
            The piece that they are now, which their sequence uses; None if it is there already, or
            as much of it as somebody uses.
        """
        piece = account.get(content)
        if piece is not None:
            if piece.users or piece.blocks >= blocks:
                return None
            del self._evictable[piece]
            self.free += piece.blocks
        piece = account[content] = Piece(blocks, account, content)
        return piece

    def release(self, blocks: int, pieces: Sequence[Piece] = (), lost: int = 0) -> None:
        """Give back what a sequence has, its end first.

        Args:
            blocks: Blocks that belong to no piece.
            pieces: Its pieces.
            lost: Blocks of content after those pieces that no request will ask for, and that makes
            room
                only in its turn all the same.
        """
        self.available += blocks + lost
        self.free += blocks
        if lost:
            piece = self._lost
            if piece is None or not piece.blocks:
                piece = self._lost = Piece(0)
                self._evictable[piece] = None
            piece.blocks += lost
        for piece in reversed(pieces):
            piece.users -= 1
            if not piece.users:
                self._lost = None
                self._evictable[piece] = None
                self.available += piece.blocks

    def pin(self, contents: Iterable[int], size: int) -> None:
        """Have pieces of *size* blocks found forever, which take none of the cache's own room."""
        account = self.account(size)
        account.update((content, Piece(size, account, content)) for content in contents)

    def clear(self) -> None:
        """Lose everything."""
        self.available = self.free = self.blocks
        for account in self._accounts.values():
            account.clear()
        self._evictable.clear()
        self._lost = None
