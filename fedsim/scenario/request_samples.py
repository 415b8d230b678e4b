"""A fixed sample of a stream's requests: what a load is computed from before a run.

It is drawn from random streams of its own, so that it is the same for every seed, rate and duration
of the scenario. Only what is recorded, or differs from client to client, is that of the run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedsim.kernel.streams import Streams
from fedsim.scenario.tabulated import tabulated
from fedsim.workload.arrivals import ClosedLoop, Poisson
from fedsim.workload.arrived import is_marked
from fedsim.workload.details import Details
from fedsim.workload.marks import brings_tokens
from fedsim.workload.traffic import Traffic

if TYPE_CHECKING:
    from fedsim.workload.conversations import Sessions

SIZE = 10_000
"""Requests of a sample."""

_SEED = int.from_bytes(b"capacity", "big")
_RUNS = 20
_RARE = Poisson(1e-6)
_EVER_S = 1e15


@dataclass(frozen=True, slots=True)
class RequestSample:
    """Requests of a stream, in arrays of equal length.

    Attributes:
        prompt_tokens: Tokens of the prompts, -1 where unknown.
        output_tokens: Tokens of the answers, -1 where unknown.
        details: What each is beyond its token counts.
        session: The session of each, from 0, where they are turns of conversations.
        after_s: When in its session each comes if answers take no time, in seconds.
        kept: Share of the turns of sessions that fit into the longest context.
    """

    prompt_tokens: NDArray[np.float64]
    output_tokens: NDArray[np.float64]
    details: Sequence[Details | None]
    session: NDArray[np.float64] | None = None
    after_s: NDArray[np.float64] | None = None
    kept: float = 1.0

    def taken(self, rows: NDArray[np.int64]) -> RequestSample:
        """Return some of the requests, in the order of *rows*."""
        return RequestSample(
            self.prompt_tokens[rows],
            self.output_tokens[rows],
            [self.details[row] for row in rows.tolist()],
            None if self.session is None else self.session[rows],
            None if self.after_s is None else self.after_s[rows],
        )


def sample_requests(traffic: Traffic, until_s: float) -> RequestSample:
    """Return requests of a stream, as many as ``SIZE`` where so many ever come.

    Those of a trace are the first that arrive in [0, *until_s*); those of clients are of as many
    runs of that length as it takes. Where nothing arrives, it is one request of the mean sizes.
    """
    traffic = dataclasses.replace(
        traffic,
        sizes=tabulated(traffic.sizes),
        tenants=tabulated(traffic.tenants),
        conversation=tabulated(traffic.conversation),
    )
    if traffic.conversation is not None:
        drawn = dataclasses.replace(traffic, arrivals=_RARE)
        users = drawn.users(Streams(_SEED), _EVER_S, SIZE // 20)
        if TYPE_CHECKING:
            assert isinstance(users, Sessions)
        turns = list(islice(_of_sessions(users), SIZE))
        prompts, outputs, details, session, after_s = zip(*turns, strict=True)
        return RequestSample(
            np.array(prompts, float),
            np.array(outputs, float),
            details,
            np.array(session, float),
            np.array(after_s),
            users.turns_kept / users.turns_drawn,
        )
    rows = list(islice(_rows(traffic, until_s), SIZE))
    if not rows:
        means = traffic.mean_sizes
        rows = [(_known(means.prompt_tokens), _known(means.output_tokens), None)]
    prompts, outputs, details = zip(*rows, strict=True)
    return RequestSample(np.array(prompts, float), np.array(outputs, float), details)


_Row = tuple[float, float, Details | None]


def _rows(traffic: Traffic, until_s: float) -> Iterator[_Row]:
    if isinstance(traffic.arrivals, ClosedLoop):
        yield from _of_loop(traffic, traffic.arrivals)
    elif brings_tokens(traffic.arrivals):
        runs = _RUNS if is_marked(traffic.arrivals) else 1
        for run in range(runs):
            yield from _of_blocks(traffic, Streams(_SEED + run), until_s)
    else:
        # Sizes do not depend on when requests come; who sends them is drawn by their shares.
        drawn = dataclasses.replace(traffic, arrivals=_RARE)
        yield from _of_blocks(drawn, Streams(_SEED), _EVER_S)


def _of_blocks(traffic: Traffic, streams: Streams, until_s: float) -> Iterator[_Row]:
    for block in traffic.blocks(streams, until_s, SIZE):
        details = block.details or [None] * len(block)
        yield from zip(block.prompt_tokens, block.output_tokens, details, strict=True)


def _of_loop(traffic: Traffic, loop: ClosedLoop) -> Iterator[_Row]:
    """Yield as many turns of each user."""
    users = traffic.users(Streams(_SEED), _EVER_S)
    for user in range(min(loop.users, SIZE)):
        for number in range(-(-SIZE // loop.users)):
            turn = users.turn(user, number)
            yield turn.prompt_tokens, turn.output_tokens, turn.details
        users.release(user)


def _of_sessions(users: Sessions) -> Iterator[tuple[float, float, Details | None, int, float]]:
    """Yield all turns of sessions that begin, session by session."""
    first = 0
    for starts in users.starts():
        for user in range(first, first + len(starts)):
            turns = range(users.turns(user)) if users.first_turn(user) == 0 else ()
            after_s = 0.0
            for number in turns:
                turn = users.turn(user, number)
                yield turn.prompt_tokens, turn.output_tokens, turn.details, user, after_s
                after_s += turn.think_s
            users.release(user)
        first += len(starts)


def _known(mean: float) -> float:
    return -1.0 if np.isnan(mean) else max(round(mean), 1.0)
