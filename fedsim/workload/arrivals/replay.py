"""The arrivals of a recorded trace."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.arrivals.process import BLOCK, before
from fedsim.workload.checks import positive

if TYPE_CHECKING:
    from fedsim.workload.traces.trace import Trace

PEAK_WINDOW_S = 60.0
"""The peak of a trace is its mean rate over the busiest window of this length, in seconds."""


@dataclass(frozen=True, slots=True)
class TraceReplay:
    """The arrivals of a published trace, the first of them at 0.

    Attributes:
        trace: The trace; a run that is shorter leaves out its end, a longer one has no more
            arrivals after it.
        speed: How many times as fast as recorded it is replayed, > 0.
        rate_factor: How many requests there are for each recorded one, > 0; see ``at_rate``.
    """

    trace: Trace
    speed: float = 1.0
    rate_factor: float = 1.0

    def __post_init__(self) -> None:
        positive("a trace replay", speed=self.speed, rate_factor=self.rate_factor)

    def drawn(self, rng: np.random.Generator) -> TraceReplay:
        """Return the replay in which *rng* has drawn what is left out, and where copies come."""
        if self.rate_factor == 1.0:
            return self
        from fedsim.workload.traces.transform import at_rate

        return TraceReplay(at_rate(self.trace, self.rate_factor, rng), self.speed)

    def mean_rps(self, until_s: float) -> float:
        """Return the expected requests in [0, *until_s*) per second of it."""
        recorded = len(before(self.trace.times_s / self.speed, until_s))
        return self.rate_factor * recorded / until_s

    def peak_rps(self, until_s: float) -> float:
        """Return the mean rate of the busiest minute; of all where *until_s* is shorter."""
        times_s = before(self.trace.times_s / self.speed, until_s)
        if len(times_s) == 0:
            return 0.0
        window_s = min(PEAK_WINDOW_S, until_s)
        ends = np.searchsorted(times_s, times_s + window_s, side="left")
        busiest = float(np.max(ends - np.arange(len(times_s))))
        return self.rate_factor * busiest / window_s

    def times(
        self, rng: np.random.Generator, until_s: float, block_size: int = BLOCK
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the arrival times in [0, *until_s*); see ``ArrivalProcess.times``."""
        trace = self.drawn(rng).trace
        times_s = before(trace.times_s / self.speed, until_s)
        for start in range(0, len(times_s), block_size):
            yield times_s[start : start + block_size]
