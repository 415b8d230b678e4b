"""Renewal processes: arrivals with independent gaps of one distribution."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.arrivals.process import BLOCK, before
from fedsim.workload.checks import positive


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
    def trace(self) -> None:
        """None: the times are drawn."""
        return None

    def mean_rps(self, until_s: float) -> float:
        """Return the rate, whatever *until_s*."""
        return self.rate_rps

    def peak_rps(self, until_s: float) -> float:
        """Return the rate, whatever *until_s*."""
        return self.rate_rps

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
            block = before(times_s, until_s)
            if len(block):
                yield block
