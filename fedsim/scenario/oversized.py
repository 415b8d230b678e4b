"""Whether requests can be too large for the engines that may get them, known before any run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedsim.errors import Problem
from fedsim.scenario.offered_load import OfferedLoad
from fedsim.scenario.request_samples import RequestSample
from fedsim.scenario.source import Place

if TYPE_CHECKING:
    from fedsim.world.engine.config import EngineConfig

_FEW = 0.01
"""A smaller share of requests that do not fit is worth saying, and no reason not to run."""


@dataclass(frozen=True, slots=True)
class Oversized:
    """Requests of a stream that a pool can never serve.

    Attributes:
        share: Their share of the stream's requests.
        problem: What is wrong with them, and what to do.
    """

    share: float
    problem: Problem

    @property
    def is_few(self) -> bool:
        """Whether they are so few that the scenario is worth running as it is."""
        return self.share < _FEW


def oversized(load: OfferedLoad) -> list[Oversized]:
    """Return the requests that can never be served, by stream and pool.

    They are those of the fixed sample, whatever their sizes are drawn from; of a trace, those
    within the run. A run refuses them.
    """
    return list(_found(load))


def oversized_problems(load: OfferedLoad) -> list[Problem]:
    """Return a problem for each stream and pool where more than a few requests do not fit."""
    return [each.problem for each in oversized(load) if not each.is_few]


def _found(load: OfferedLoad) -> Iterator[Oversized]:
    for row in range(len(load.streams)):
        for column, pool in enumerate(load.pools):
            if not load.fits[row, column] or pool.engine is None:
                continue
            sample = load.sample(row)
            count, reason = _refused(pool.engine, sample)
            if count:
                share = count / len(sample.details)
                who = _who(load, row, count, sample)
                message = f"{who} can never be served by the pool {pool.name}: {reason}."
                yield Oversized(share, _problem(load, row, message))


def _refused(config: EngineConfig, sample: RequestSample) -> tuple[int, str | None]:
    """Return how many requests do not fit, and why the largest of them does not."""
    from fedsim.world.engine.engine import Engine

    engine = Engine(config)
    count, largest, why = 0, -1, None
    rows = zip(sample.prompt_tokens.tolist(), sample.output_tokens.tolist(), strict=True)
    for prompt, output in rows:
        size = int(max(prompt, 1)), int(output)
        reason = engine.why_never(*size)
        if reason is not None:
            count += 1
            if sum(size) > largest:
                largest, why = sum(size), reason
    return count, why


def _who(load: OfferedLoad, row: int, count: int, sample: RequestSample) -> str:
    """Return whose they are, and how many: counted in a trace, a share of what is drawn."""
    traffic, total = load.streams[row].traffic, len(sample.details)
    if traffic.arrivals.trace is not None:
        return f"{count:,} of the {total:,} requests of {traffic.name}"
    if count == total:
        return f"The requests of {traffic.name}"
    return f"About {100.0 * count / total:.2g} % of the requests of {traffic.name}"


def _problem(load: OfferedLoad, row: int, message: str) -> Problem:
    stream, places = load.streams[row].traffic.name, load.scenario.places
    remedy = "Give its engine more cache, or the stream another capability."
    traced = load.streams[row].traffic.arrivals.trace is not None
    path = f"workload.{stream}.{'arrivals' if traced else 'tokens'}"
    place = places.get(path, Place(str(load.scenario.path)))
    return Problem(message, remedy, path, place.file, place.line, place.column)
