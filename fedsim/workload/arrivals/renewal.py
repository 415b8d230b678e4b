"""Renewal processes: arrivals with independent gaps of one distribution.

All of them are in equilibrium from the start, as if they had run forever: time 0 falls somewhere
inside a gap, and the first arrival comes after what is left of it. So the expected number of
arrivals in [0, t) is exactly the rate times t, for every t and however bursty the gaps are. A
process that began with a whole gap after an arrival at 0 would, at a coefficient of variation of 3,
have four arrivals too many (Cox, Renewal Theory, 1962, sections 2.2 and 4.2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.arrivals.process import BLOCK, before
from fedsim.workload.checks import positive
from fedsim.workload.closed_forms import Weibull


class _Steady:
    """What all processes share whose rate is the same at all times."""

    __slots__ = ()

    rate_rps: float

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


@dataclass(frozen=True, slots=True)
class Poisson(_Steady):
    """Arrivals that know nothing of each other: independent exponential gaps.

    Attributes:
        rate_rps: Arrival rate in requests per second, > 0.
    """

    rate_rps: float

    def __post_init__(self) -> None:
        positive("a poisson process", rate=self.rate_rps)

    def times(
        self, rng: np.random.Generator, until_s: float, block_size: int = BLOCK
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the arrival times in [0, *until_s*); see ``ArrivalProcess.times``."""
        return _sums(rng.standard_exponential, None, self.rate_rps, until_s, block_size)


@dataclass(frozen=True, slots=True)
class GammaRenewal(_Steady):
    """Gaps from a gamma distribution: the usual model of bursty traffic to inference services.

    The counts of long windows have an index of dispersion of ``cv ** 2``.

    Attributes:
        rate_rps: Arrival rate in requests per second, > 0.
        cv: Standard deviation over mean of the gaps, > 0: 1 is a Poisson process, less is more
            regular, more is burstier.
    """

    rate_rps: float
    cv: float

    def __post_init__(self) -> None:
        positive("a gamma process", rate=self.rate_rps, cv=self.cv)

    def times(
        self, rng: np.random.Generator, until_s: float, block_size: int = BLOCK
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the arrival times in [0, *until_s*); see ``ArrivalProcess.times``."""
        shape = 1.0 / (self.cv * self.cv)
        # A gap drawn by its length has one unit more of shape; 0 lies evenly inside it.
        rest = rng.random() * rng.standard_gamma(shape + 1.0)
        rate = shape * self.rate_rps
        return _sums(lambda size: rng.standard_gamma(shape, size), rest, rate, until_s, block_size)


@dataclass(frozen=True, slots=True)
class WeibullRenewal(_Steady):
    """Gaps from a Weibull distribution: at the same cv, more very short gaps than a gamma one's.

    The counts of long windows have an index of dispersion of ``cv ** 2``.

    Attributes:
        rate_rps: Arrival rate in requests per second, > 0.
        cv: Standard deviation over mean of the gaps, 0.001 to 1,000; 1 is a Poisson process.
    """

    rate_rps: float
    cv: float
    _gaps: Weibull = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        positive("a weibull process", rate=self.rate_rps, cv=self.cv)
        object.__setattr__(self, "_gaps", Weibull.from_mean_cv(1.0, self.cv))

    def times(
        self, rng: np.random.Generator, until_s: float, block_size: int = BLOCK
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the arrival times in [0, *until_s*); see ``ArrivalProcess.times``."""
        shape = self._gaps.shape
        # A gap drawn by its length, to the power of the shape, is gamma distributed.
        longer = rng.standard_gamma(1.0 + 1.0 / shape) ** (1.0 / shape)
        rest = rng.random() * longer
        rate = self.rate_rps / self._gaps.scale
        return _sums(lambda size: rng.weibull(shape, size), rest, rate, until_s, block_size)


@dataclass(frozen=True, slots=True)
class Regular(_Steady):
    """Arrivals at equal distances, the first after a random share of one.

    Attributes:
        rate_rps: Arrival rate in requests per second, > 0.
    """

    rate_rps: float

    def __post_init__(self) -> None:
        positive("a constant process", rate=self.rate_rps)

    def times(
        self, rng: np.random.Generator, until_s: float, block_size: int = BLOCK
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the arrival times in [0, *until_s*); see ``ArrivalProcess.times``."""
        first = rng.random()
        for start in count(0, block_size):
            numbers = np.arange(start, start + block_size, dtype=np.float64)
            times_s = (numbers + first) / self.rate_rps
            block = before(times_s, until_s)
            if len(block):
                yield block
            if len(block) < block_size:
                return


def _sums(
    draw: Callable[[int], NDArray[np.float64]],
    rest: float | None,
    rate: float,
    until_s: float,
    block_size: int,
) -> Iterator[NDArray[np.float64]]:
    """Yield the sums of gaps that are less than *until_s*, in blocks, none empty.

    Args:
        draw: Draws that many gaps, in a unit of its own.
        rest: What is left of the first gap in that unit; None where gaps have no memory.
        rate: Number of these units in a second.
        until_s: End of the arrivals in seconds.
        block_size: Most arrivals in a block, >= 1.
    """
    last_s = 0.0
    if rest is not None:
        last_s = rest / rate
        if last_s < until_s:
            yield np.array([last_s])
    while last_s < until_s:
        gaps_s = draw(block_size) / rate
        # The sum runs through the blocks in one order, so that their size changes no bit.
        gaps_s[0] += last_s
        times_s = np.cumsum(gaps_s)
        last_s = float(times_s[-1])
        block = before(times_s, until_s)
        if len(block):
            yield block
