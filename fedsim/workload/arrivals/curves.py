"""Curves of a rate over time: the factors that multiply it, each with a mean or a base of its own.

A curve is piecewise a product of cosines. It says so itself, by its ``breaks``, its ``levels``
between them and its ``wave``, so that its integral has a closed form.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.checks import not_negative, positive

Floats = NDArray[np.float64]


class Wave(NamedTuple):
    """The factor ``1 + amplitude cos(angular_frequency (t - peak_at_s))``."""

    amplitude: float
    angular_frequency: float
    peak_at_s: float


class Curve(Protocol):
    """A factor that multiplies a rate, as a function of time."""

    @property
    def local(self) -> bool:
        """Whether its time is the local time of an origin, rather than that of the run."""
        ...

    @property
    def wave(self) -> Wave | None:
        """Its smooth part, or None where it is constant between its breaks."""
        ...

    def breaks(self, from_s: float, to_s: float) -> list[float]:
        """Return where its level changes: all such times in [*from_s*, *to_s*), perhaps more."""
        ...

    def levels(self, times_s: Floats) -> Floats:
        """Return its level at each of *times_s*, none of which is a break."""
        ...


@dataclass(frozen=True, slots=True)
class Diurnal:
    """A day: a cosine around 1, with its peak once every period.

    Attributes:
        peak_to_trough: The rate at the peak over that at the trough, 1 to 1,000,000.
        peak_at_s: Local time of the peak in seconds.
        period_s: Length of the day in seconds, > 0.
    """

    local: ClassVar[bool] = True

    peak_to_trough: float
    peak_at_s: float
    period_s: float = 86400.0

    def __post_init__(self) -> None:
        positive("a diurnal curve", period=self.period_s)
        if not 1.0 <= self.peak_to_trough <= 1e6:
            message = (
                f"the peak_to_trough of a diurnal curve must lie between 1 and 1,000,000, not "
                f"{self.peak_to_trough!r}"
            )
            raise ValueError(message)

    @property
    def wave(self) -> Wave:
        """The cosine, with the amplitude that gives this ratio of peak to trough."""
        amplitude = (self.peak_to_trough - 1.0) / (self.peak_to_trough + 1.0)
        return Wave(amplitude, 2.0 * math.pi / self.period_s, self.peak_at_s)

    def breaks(self, from_s: float, to_s: float) -> list[float]:
        """Return no breaks."""
        return []

    def levels(self, times_s: Floats) -> Floats:
        """Return 1 at each of *times_s*."""
        return np.ones_like(times_s)


@dataclass(frozen=True, slots=True)
class Steps:
    """A level that jumps at given times and is constant between them.

    Attributes:
        at_s: Local times of the steps in seconds, ascending from 0 on. The first level holds
            before the first of them too.
        factors: The level from each step on, >= 0, not all 0.
        period_s: After this time in seconds the steps begin again, from 0; it is greater than the
            last of *at_s*. None where the last level stays.

    Raises:
        ValueError: A value is out of its range, or there are not as many levels as steps.
    """

    local: ClassVar[bool] = True

    at_s: tuple[float, ...]
    factors: tuple[float, ...]
    period_s: float | None = None

    def __post_init__(self) -> None:
        if not self.at_s or len(self.at_s) != len(self.factors):
            message = (
                f"steps need a level for each of at least one time, not {len(self.factors)} "
                f"levels for {len(self.at_s)} times"
            )
            raise ValueError(message)
        for at_s, factor in zip(self.at_s, self.factors, strict=True):
            not_negative("a step", time=at_s, level=factor)
        positive("steps", greatest_level=max(self.factors))
        if any(later <= earlier for earlier, later in zip(self.at_s, self.at_s[1:], strict=False)):
            message = f"the times of steps must ascend, not {list(self.at_s)!r}"
            raise ValueError(message)
        if self.period_s is not None and not self.at_s[-1] < self.period_s < math.inf:
            message = (
                f"the period of steps must be greater than their last time, not "
                f"{self.period_s!r} after {self.at_s[-1]!r}"
            )
            raise ValueError(message)

    @property
    def wave(self) -> None:
        """None: it is constant between the steps."""
        return None

    def breaks(self, from_s: float, to_s: float) -> list[float]:
        """Return the times of the steps, in every period from *from_s* to *to_s*."""
        if self.period_s is None:
            return list(self.at_s[1:])
        first, last = math.floor(from_s / self.period_s), math.floor(to_s / self.period_s)
        jumps = (0.0, *self.at_s[1:])
        return [n * self.period_s + at_s for n in range(first, last + 1) for at_s in jumps]

    def levels(self, times_s: Floats) -> Floats:
        """Return the level of the last step before each of *times_s*."""
        if self.period_s is not None:
            times_s = np.mod(times_s, self.period_s)
        place = np.searchsorted(np.array(self.at_s[1:]), times_s, side="right")
        levels: Floats = np.array(self.factors)[place]
        return levels


@dataclass(frozen=True, slots=True)
class Spike:
    """A level that holds for a while, at the same moment everywhere, and is 1 at all other times.

    Attributes:
        at_s: Its start in seconds of the run, >= 0.
        lasts_s: Its length in seconds, > 0.
        factor: The level, >= 0; less than 1 is a dip.
    """

    local: ClassVar[bool] = False

    at_s: float
    lasts_s: float
    factor: float

    def __post_init__(self) -> None:
        positive("a spike", length=self.lasts_s)
        not_negative("a spike", time=self.at_s, factor=self.factor)

    @property
    def wave(self) -> None:
        """None: it is constant between its start and its end."""
        return None

    def breaks(self, from_s: float, to_s: float) -> list[float]:
        """Return its start and its end."""
        return [self.at_s, self.at_s + self.lasts_s]

    def levels(self, times_s: Floats) -> Floats:
        """Return the factor inside the spike, and 1 outside."""
        inside = (times_s >= self.at_s) & (times_s < self.at_s + self.lasts_s)
        return np.where(inside, self.factor, 1.0)
