"""The KV cache of an engine: blocks in use, blocks that are free, and blocks kept for prefixes."""

from __future__ import annotations

from collections.abc import Sequence


class _Entry:
    """Content that is in the cache.

    Attributes:
        users: Sequences that use it now.
        blocks: KV blocks that it fills.
    """

    __slots__ = ("blocks", "users")

    def __init__(self, blocks: int) -> None:
        self.users = 1
        self.blocks = blocks


class KvCache:
    """Counts the blocks of a KV cache, and finds prefixes again by the hashes of their content.

    A block is in use, or free, or evictable: it holds content that nobody uses now and that is
    kept until its room is needed, the least recently used first. Blocks without a hash are only
    counted. A hash stands for one or more blocks, as its maker cut the prompt.

    Args:
        blocks: Blocks in all.
        keep: Whether content stays when nobody uses it any more.

    Attributes:
        blocks: Blocks in all.
        available: Blocks that are free or evictable.
        free: Blocks that hold nothing.
    """

    __slots__ = ("_entries", "_evictable", "_keep", "available", "blocks", "free")

    def __init__(self, blocks: int, keep: bool = True) -> None:
        self.blocks = self.available = self.free = blocks
        self._keep = keep
        self._entries: dict[int, _Entry] = {}
        self._evictable: dict[int, None] = {}

    @property
    def used(self) -> int:
        """Blocks in use."""
        return self.blocks - self.available

    def __len__(self) -> int:
        """Return the number of hashes whose content is in the cache."""
        return len(self._entries)

    def hits(self, hashes: Sequence[int], most: int) -> int:
        """Return how many of the first *most* hashes stand in the cache without a gap."""
        entries, count = self._entries, 0
        while count < most and hashes[count] in entries:
            count += 1
        return count

    def available_beside(self, hashes: Sequence[int]) -> int:
        """Return the blocks that would be available if *hashes*, all cached, were in use."""
        entries, evictable = self._entries, self._evictable
        return self.available - sum(entries[each].blocks for each in hashes if each in evictable)

    def allocate(self, blocks: int) -> None:
        """Take *blocks* of the available ones into use, and evict what stands in the way."""
        self.available -= blocks
        self.free -= blocks
        while self.free < 0:
            oldest = next(iter(self._evictable))
            del self._evictable[oldest]
            self.free += self._entries.pop(oldest).blocks

    def use(self, hashes: Sequence[int]) -> None:
        """Take content that is in the cache into use."""
        for each in hashes:
            entry = self._entries[each]
            if not entry.users:
                del self._evictable[each]
                self.available -= entry.blocks
            entry.users += 1

    def keep(self, content: int, blocks: int) -> bool:
        """Have *blocks* that are in use found again by the hash *content*.

        Returns:
            Whether they are; not if the cache keeps nothing or has that content already.
        """
        if not self._keep or content in self._entries:
            return False
        self._entries[content] = _Entry(blocks)
        return True

    def release(self, blocks: int, hashes: Sequence[int] = ()) -> None:
        """Give back *blocks* without a hash, and what *hashes* stand for, the last one first."""
        self.available += blocks
        self.free += blocks
        for each in reversed(hashes):
            entry = self._entries[each]
            entry.users -= 1
            if not entry.users:
                self._evictable[each] = None
                self.available += entry.blocks

    def clear(self) -> None:
        """Lose everything."""
        self.available = self.free = self.blocks
        self._entries.clear()
        self._evictable.clear()
