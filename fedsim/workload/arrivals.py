"""Arrival processes: when requests come.

A process hands out its times in ascending blocks, so that a run of any length needs the memory of
one block and pays the cost of a vectorised draw. The n-th arrival depends on the generator's seed
and n alone: neither the size of the blocks nor the end of the run moves it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.checks import positive
from fedsim.workload.traces import Trace

BLOCK = 4096
"""Arrivals drawn at once: enough to make the fixed cost of a draw negligible."""


class ArrivalProcess(Protocol):
    """When the requests of a stream arrive."""

    @property
    def rate_rps(self) -> float:
        """The mean arrival rate in requests per second."""
        ...

    @property
    def trace(self) -> Trace | None:
        """The trace whose rows the arrivals are, one by one from its first, or None."""
        ...

    def times(
        self, rng: np.random.Generator, until_s: float, block_size: int = BLOCK
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the arrival times in [0, *until_s*) in seconds, in ascending blocks, none empty.

        Args:
            rng: The stream of this process, at its start; nothing else draws from it.
            until_s: End of the arrivals in seconds.
            block_size: Most arrivals in a block, >= 1; it changes no time.
        """
        ...


@dataclass(frozen=True, slots=True)
class Poisson:
    """Arrivals that know nothing of each other: independent exponential gaps.

    Attributes:
        rate_rps: Arrival rate in requests per second, > 0.
    """

    rate_rps: float

    def __post_init__(self) -> None:
        positive("a poisson process", rate=self.rate_rps)

    @property
    def trace(self) -> Trace | None:
        """None: the times are drawn."""
        return None

    def times(
        self, rng: np.random.Generator, until_s: float, block_size: int = BLOCK
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the arrival times in [0, *until_s*); see ``ArrivalProcess.times``."""
        last_s = 0.0
        while last_s < until_s:
            gaps_s = rng.standard_exponential(block_size) / self.rate_rps
            # The sum runs through the blocks in one order, so that their size changes no bit.
            gaps_s[0] += last_s
            times_s = np.cumsum(gaps_s)
            last_s = float(times_s[-1])
            block = _before(times_s, until_s)
            if len(block):
                yield block


@dataclass(frozen=True, slots=True)
class TraceReplay:
    """The arrivals of a published trace, the first of them at 0.

    Attributes:
        trace: The trace; a run that is shorter leaves out its end, a longer one has no more
            arrivals after it.
        speed: How many times as fast as recorded it is replayed, > 0.
    """

    trace: Trace
    speed: float = 1.0

    def __post_init__(self) -> None:
        positive("a trace replay", speed=self.speed)

    @property
    def rate_rps(self) -> float:
        """Requests per second between the first and the last row; 0 for a single one."""
        if len(self.trace) < 2:
            return 0.0
        span_s = self.trace.span_s / self.speed
        return (len(self.trace) - 1) / span_s if span_s > 0.0 else float("inf")

    def times(
        self, rng: np.random.Generator, until_s: float, block_size: int = BLOCK
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the arrival times in [0, *until_s*); see ``ArrivalProcess.times``."""
        times_s = _before(self.trace.times_s / self.speed, until_s)
        for start in range(0, len(times_s), block_size):
            yield times_s[start : start + block_size]


def _before(times_s: NDArray[np.float64], until_s: float) -> NDArray[np.float64]:
    """Return the part of ascending *times_s* that is less than *until_s*."""
    return times_s[: int(np.searchsorted(times_s, until_s, side="left"))]
