"""What the users of a closed loop send, turn by turn."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.arrival_blocks import Requests
from fedsim.workload.arrivals import ClosedLoop
from fedsim.workload.counts import UNKNOWN
from fedsim.workload.draws import TURN, KeyedDraws
from fedsim.workload.popularity import bounds, pick
from fedsim.workload.reactive import Turn
from fedsim.workload.sizes import SizeDraws
from fedsim.workload.sources import StreamSource

_DRAWN_AT_ONCE = 64
_USERS_DRAWN_BY_THEMSELVES = 1024


class LoopUsers:
    """The users of a closed loop in one run; their turns are drawn some at a time.

    They never leave before arrivals end. Each is at one origin, so that the numbers of users there
    are in proportion to the weights, and belongs to one tenant. Everything else is drawn for every
    turn.

    Args:
        traffic: What they send.
        loop: Their number, and how long they think.
        streams: The random streams of the run.
        until_s: End of the arrivals in seconds.
        answer_s: About how long an answer takes, in seconds.
    """

    def __init__(
        self,
        traffic: Requests,
        loop: ClosedLoop,
        streams: StreamSource,
        until_s: float,
        answer_s: float = 0.0,
    ) -> None:
        def generator(purpose: str) -> np.random.Generator:
            return streams.generator(f"workload/{traffic.name}/{purpose}")

        tenants = traffic.tenants
        self._loop = loop
        self._streams = streams
        self._starts = loop.first_times(generator("arrivals"), until_s, answer_s)
        self._keys = generator("key").integers(0, 2**64, size=loop.users, dtype=np.uint64)
        places = (generator("origin").permutation(loop.users) + 0.5) / loop.users
        self._origins = pick(bounds([weight for _, weight in traffic.origins]), places)
        self._tenants = np.full(loop.users, UNKNOWN)
        if tenants is not None:
            self._tenants = pick(bounds(tenants.shares), KeyedDraws(streams, self._keys)("tenant"))
        own_tokens = () if tenants is None else tenants.tokens
        self._sizes = SizeDraws(traffic.sizes, own_tokens, generator)
        # Who asks for pictures is followed user by user; token counts may be the tenant's own.
        by_user = traffic.sizes.pictures is not None
        self._senders = np.arange(loop.users) if by_user else self._tenants
        # Many users are drawn some together, rather than many turns of one that may never come.
        self._together = min(max(loop.users // _USERS_DRAWN_BY_THEMSELVES, 1), _DRAWN_AT_ONCE)
        self._at_once = _DRAWN_AT_ONCE // self._together
        self._next_turns: dict[int, int] = {}
        self._drawn: dict[int, list[Turn]] = {}
        self._released: set[int] = set()

    def starts(self) -> Iterator[NDArray[np.float64]]:
        """Yield the times of the users' first turns; see ``Users.starts``."""
        return self._starts

    def turns(self, user: int) -> int | None:
        """Return None: a user goes on without end."""
        return None

    def first_turn(self, user: int) -> int:
        """Return 0: what a user sent before is not counted."""
        return 0

    def turn(self, user: int, turn: int) -> Turn:
        """Return turn number *turn* of *user*; see ``Users.turn``."""
        if user in self._released:
            raise LookupError(user)
        if not self._drawn.get(user):
            self._draw(user // self._together)
        return self._drawn[user].pop(0)

    def release(self, user: int) -> None:
        """Forget the turns of *user* that were drawn ahead."""
        self._drawn.pop(user, None)
        self._released.add(user)

    def _draw(self, group: int) -> None:
        """Draw the next turns of all users of a *group*."""
        first = self._next_turns.get(group, 0)
        self._next_turns[group] = first + self._at_once
        begin = group * self._together
        users = np.arange(begin, min(begin + self._together, self._loop.users))
        rows = np.repeat(users, self._at_once)
        turns = np.tile(np.arange(first, first + self._at_once, dtype=np.uint64), len(users))
        keys = self._streams.keyed_words(self._keys[rows], TURN, turns)
        draws = KeyedDraws(self._streams, keys)
        sizes = self._sizes.draw(draws, keys, self._senders[rows])
        drawn = map(
            Turn,
            self._origins[rows].tolist(),
            self._tenants[rows].tolist(),
            sizes.prompt_tokens.tolist(),
            sizes.output_tokens.tolist(),
            keys.tolist(),
            self._streams.service_uniforms(keys, 1).tolist(),
            [None] * len(rows) if sizes.details is None else sizes.details,
            self._loop.think_s.quantiles(draws("think")).tolist(),
        )
        for user, turn in zip(rows.tolist(), drawn, strict=True):
            if user not in self._released:
                self._drawn.setdefault(user, []).append(turn)
