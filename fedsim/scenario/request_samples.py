"""The first requests of a stream, as a sample of all: what a load is computed from before a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from fedsim.kernel.streams import Streams
from fedsim.workload.details import Details
from fedsim.workload.traffic import Traffic

SIZE = 1000
"""Most requests of a sample."""

_TURNS = 16
"""Most turns of one user in a sample."""


@dataclass(frozen=True, slots=True)
class RequestSample:
    """Requests of a stream, in arrays of equal length.

    Attributes:
        prompt_tokens: Tokens of the prompts, -1 where unknown.
        output_tokens: Tokens of the answers, -1 where unknown.
        details: What each is beyond its token counts.
    """

    prompt_tokens: NDArray[np.float64]
    output_tokens: NDArray[np.float64]
    details: Sequence[Details | None]


def sample_requests(traffic: Traffic, seed: int, until_s: float) -> RequestSample:
    """Return the first requests of a stream in [0, *until_s*) of the run with *seed*.

    Where nothing arrives in that time, it is one request of the mean sizes.
    """
    source = _of_users if traffic.is_reactive else _of_blocks
    rows = list(islice(source(traffic, Streams(seed), until_s), SIZE))
    if not rows:
        means = traffic.mean_sizes
        rows = [(_known(means.prompt_tokens), _known(means.output_tokens), None)]
    prompts, outputs, details = zip(*rows, strict=True)
    return RequestSample(np.array(prompts, float), np.array(outputs, float), details)


_Row = tuple[float, float, Details | None]


def _of_blocks(traffic: Traffic, streams: Streams, until_s: float) -> Iterator[_Row]:
    for block in traffic.blocks(streams, until_s, SIZE):
        details = block.details or [None] * len(block)
        yield from zip(block.prompt_tokens, block.output_tokens, details, strict=True)


def _of_users(traffic: Traffic, streams: Streams, until_s: float) -> Iterator[_Row]:
    users = traffic.users(streams, until_s, SIZE)
    first = 0
    for starts in users.starts():
        for user in range(first, first + len(starts)):
            turns = users.turns(user)
            for number in range(_TURNS if turns is None else min(turns, _TURNS)):
                turn = users.turn(user, number)
                yield turn.prompt_tokens, turn.output_tokens, turn.details
            users.release(user)
        first += len(starts)


def _known(mean: float) -> float:
    return -1.0 if np.isnan(mean) else max(round(mean), 1.0)
