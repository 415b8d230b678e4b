"""What the users of a closed loop send, turn by turn."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.arrivals import ClosedLoop
from fedsim.workload.counts import UNKNOWN
from fedsim.workload.luck import TURN, KeyedLuck
from fedsim.workload.popularity import bounds, pick
from fedsim.workload.reactive import Turn
from fedsim.workload.sizes import SizeDraws
from fedsim.workload.sources import StreamSource

if TYPE_CHECKING:
    from fedsim.workload.traffic import Traffic

_TURNS_AT_ONCE = 64
_TURNS_IN_STORE = 1 << 16


class LoopUsers:
    """The users of a closed loop in one run; their turns are drawn some at a time.

    They never leave before arrivals end. Each is at one origin, so that the numbers of users there
    are in proportion to the weights, and belongs to one tenant. Everything else is drawn for every
    turn anew.

    Args:
        traffic: What they send.
        loop: Their number, and how long they think.
        streams: The random streams of the run.
        until_s: End of the arrivals in seconds.
    """

    def __init__(
        self, traffic: Traffic, loop: ClosedLoop, streams: StreamSource, until_s: float
    ) -> None:
        def generator(purpose: str) -> np.random.Generator:
            return streams.generator(f"workload/{traffic.name}/{purpose}")

        tenants = traffic.tenants
        self._loop = loop
        self._streams = streams
        self._starts = loop.times(generator("arrivals"), until_s)
        self._keys = generator("key").integers(0, 2**64, size=loop.users, dtype=np.uint64)
        places = (generator("origin").permutation(loop.users) + 0.5) / loop.users
        self._origins = pick(bounds([weight for _, weight in traffic.origins]), places)
        self._tenants = np.full(loop.users, UNKNOWN)
        if tenants is not None:
            self._tenants = pick(bounds(tenants.shares), KeyedLuck(streams, self._keys)("tenant"))
        own_tokens = () if tenants is None else tenants.tokens
        self._sizes = SizeDraws(traffic.sizes, own_tokens, generator)
        # Who asks for pictures is followed user by user; token counts may be the tenant's own.
        by_user = traffic.sizes.pictures is not None
        self._senders = np.arange(loop.users) if by_user else self._tenants
        self._at_once = min(_TURNS_AT_ONCE, max(_TURNS_IN_STORE // loop.users, 1))
        self._drawn: dict[int, Iterator[Turn]] = {}

    def starts(self) -> Iterator[NDArray[np.float64]]:
        """Yield the times of the users' first turns; see ``Users.starts``."""
        return self._starts

    def turns(self, user: int) -> int | None:
        """Return None: a user goes on without end."""
        return None

    def turn(self, user: int, turn: int) -> Turn:
        """Return turn number *turn* of *user*; see ``Users.turn``."""
        if turn % self._at_once == 0:
            self._drawn[user] = self._draw(user, turn)
        return next(self._drawn[user])

    def index(self, user: int, turn: int) -> int:
        """Return the number of that request: all first turns, then all second ones, and so on."""
        return turn * self._loop.users + user

    def release(self, user: int) -> None:
        """Forget the turns of *user* that were drawn ahead."""
        self._drawn.pop(user, None)

    def _draw(self, user: int, first: int) -> Iterator[Turn]:
        """Return the turns of *user* from number *first* on that are drawn at once."""
        count = self._at_once
        turns = np.arange(first, first + count, dtype=np.uint64)
        keys = self._streams.keyed_words(self._keys[user : user + 1], TURN, turns)
        luck = KeyedLuck(self._streams, keys)
        sizes = self._sizes.draw(luck, keys, np.full(count, self._senders[user]))
        details = [None] * count if sizes.details is None else sizes.details
        return map(
            Turn,
            [int(self._origins[user])] * count,
            [int(self._tenants[user])] * count,
            sizes.prompt_tokens.tolist(),
            sizes.output_tokens.tolist(),
            keys.tolist(),
            self._streams.service_uniforms(keys, 1).tolist(),
            details,
            self._loop.think_s.quantiles(luck("think")).tolist(),
        )
