"""Processes whose rate follows curves: days, steps, spikes, and their products."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.arrivals.curves import Curve
from fedsim.workload.arrivals.intensity import Intensity, Zone
from fedsim.workload.arrivals.mmpp import Mmpp
from fedsim.workload.arrivals.process import BLOCK, before
from fedsim.workload.arrivals.renewal import GammaRenewal, Poisson, Regular, WeibullRenewal

Steady = Poisson | GammaRenewal | WeibullRenewal | Regular | Mmpp
"""A process whose expected rate is the same at all times."""


@dataclass(frozen=True, slots=True)
class Modulated:
    """A steady process that runs in a time of its own, faster where the curves are high.

    Its own time at t is the integral of the curves' product up to t, and the n-th arrival comes
    when that integral reaches the time of the n-th arrival of the steady process. So a Poisson
    process becomes exactly the Poisson process with the rate of the curve, the same in law as one
    at the highest rate that is thinned; other processes keep their burstiness, gap by gap, at any
    height of the curve; and the n-th arrival is the same draw at any height.

    Attributes:
        steady: The process; its rate is multiplied by the curves.
        curves: The factors.
        zones: One for all origins, or one for each origin of the stream, in their order, whose
            curves then are averaged by weight.
    """

    steady: Steady
    curves: tuple[Curve, ...]
    zones: tuple[Zone, ...] = (Zone(1.0),)

    @property
    def trace(self) -> None:
        """None: the times are drawn."""
        return None

    def mean_rps(self, until_s: float) -> float:
        """Return the expected number of arrivals in [0, *until_s*) over *until_s*."""
        return self.steady.mean_rps(until_s) * self._intensity(until_s).total / until_s

    def peak_rps(self, until_s: float) -> float:
        """Return the highest value of the curves in [0, *until_s*), times the steady peak."""
        return self.steady.peak_rps(until_s) * self._intensity(until_s).peak

    def times(
        self, rng: np.random.Generator, until_s: float, block_size: int = BLOCK
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the arrival times in [0, *until_s*); see ``ArrivalProcess.times``."""
        intensity = self._intensity(until_s)
        last_s = 0.0
        for own_times in self.steady.times(rng, intensity.total, block_size):
            times_s = np.maximum(intensity.times_s(own_times), last_s)
            last_s = float(times_s[-1])
            block = before(times_s, until_s)
            if len(block):
                yield block

    def origin_shares(
        self, until_s: float
    ) -> Callable[[NDArray[np.float64]], NDArray[np.float64]] | None:
        """Return what gives a row of shares of the origins for each of the times of arrivals.

        None where all origins share a zone, so that their shares are those of their weights.
        """
        return self._intensity(until_s).shares if len(self.zones) > 1 else None

    def _intensity(self, until_s: float) -> Intensity:
        return Intensity(self.curves, self.zones, until_s)
