"""The Markov-modulated Poisson process: traffic that changes between calm and busy by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.arrivals.process import BLOCK, before
from fedsim.workload.checks import not_negative, positive

Floats = NDArray[np.float64]

_PHASES = 1024
"""Phases drawn at once."""


@dataclass(frozen=True, slots=True)
class Mmpp:
    """A Poisson process whose rate is that of a hidden state, which changes now and then.

    The states take turns in the order in which they are given, and each lasts for an exponential
    time. The process is in equilibrium from the start: a state is the first one with the
    probability with which it is found at any other time.

    Attributes:
        rates_rps: Arrival rate in each state in requests per second, >= 0, not all 0.
        sojourns_s: Mean time that each state lasts in seconds, > 0.

    Raises:
        ValueError: There are fewer than two states, the two are not equally long, or a value is
            out of its range.
    """

    rates_rps: tuple[float, ...]
    sojourns_s: tuple[float, ...]

    def __post_init__(self) -> None:
        owner = "an mmpp"
        if len(self.rates_rps) < 2 or len(self.rates_rps) != len(self.sojourns_s):
            message = (
                f"{owner} needs a rate and a sojourn for each of at least two states, not "
                f"{len(self.rates_rps)} rates and {len(self.sojourns_s)} sojourns"
            )
            raise ValueError(message)
        for rate_rps, sojourn_s in zip(self.rates_rps, self.sojourns_s, strict=True):
            not_negative(owner, rate=rate_rps)
            positive(owner, sojourn=sojourn_s)
        positive(owner, greatest_rate=max(self.rates_rps))

    @property
    def trace(self) -> None:
        """None: the times are drawn."""
        return None

    def mean_rps(self, until_s: float) -> float:
        """Return the rates weighted by the times that the states last, whatever *until_s*."""
        expected = sum(r * s for r, s in zip(self.rates_rps, self.sojourns_s, strict=True))
        return expected / sum(self.sojourns_s)

    def peak_rps(self, until_s: float) -> float:
        """Return the rate of the busiest state, whatever *until_s*."""
        return max(self.rates_rps)

    def times(
        self, rng: np.random.Generator, until_s: float, block_size: int = BLOCK
    ) -> Iterator[Floats]:
        """Yield the arrival times in [0, *until_s*); see ``ArrivalProcess.times``.

        A Poisson process of rate 1 runs in the time that the expected number of arrivals is, and
        every of its points is mapped to the moment at which that number is reached.
        """
        counts_rng, phases_rng = rng.spawn(2)
        counts = _unit_poisson(counts_rng, block_size)
        pending = next(counts)
        for phases in self._phases(phases_rng, until_s):
            while (inside := int(np.searchsorted(pending, phases.end, side="left"))) > 0:
                block = before(phases.times_s(pending[:inside]), until_s)
                if len(block):
                    yield block
                pending = pending[inside:] if inside < len(pending) else next(counts)

    def _phases(self, rng: np.random.Generator, until_s: float) -> Iterator[_Phases]:
        """Yield the sequence of phases up to *until_s*, always as many at once."""
        states = len(self.rates_rps)
        shares = np.cumsum(self.sojourns_s) / sum(self.sojourns_s)
        first = min(int(np.searchsorted(shares, rng.random(), side="right")), states - 1)
        start_s = start = 0.0
        while start_s < until_s:
            state = np.arange(first, first + _PHASES) % states
            rates_rps = np.asarray(self.rates_rps)[state]
            lasts_s = rng.standard_exponential(_PHASES) * np.asarray(self.sojourns_s)[state]
            bounds_s = np.cumsum(np.concatenate(((start_s,), lasts_s)))
            bounds = np.cumsum(np.concatenate(((start,), lasts_s * rates_rps)))
            yield _Phases(bounds_s, bounds, rates_rps)
            start_s, start = float(bounds_s[-1]), float(bounds[-1])
            first = (first + _PHASES) % states


@dataclass(frozen=True, slots=True)
class _Phases:
    """Consecutive phases of constant rate.

    Attributes:
        bounds_s: Their starts and the end of the last, in seconds.
        bounds: The expected number of arrivals up to each of these.
        rates_rps: Their rates.
    """

    bounds_s: Floats
    bounds: Floats
    rates_rps: Floats

    @property
    def end(self) -> float:
        """The expected number of arrivals up to the end of the last phase."""
        return float(self.bounds[-1])

    def times_s(self, counts: Floats) -> Floats:
        """Return when the expected number of arrivals reaches each of *counts*."""
        # Where a phase has rate 0, the last one that begins with that number is the next busy one.
        place = np.searchsorted(self.bounds, counts, side="right") - 1
        times_s = self.bounds_s[place] + (counts - self.bounds[place]) / self.rates_rps[place]
        return np.minimum(times_s, self.bounds_s[place + 1])


def _unit_poisson(rng: np.random.Generator, block_size: int) -> Iterator[Floats]:
    """Yield the points of a Poisson process of rate 1, without end, in blocks of that size."""
    last = 0.0
    while True:
        gaps = rng.standard_exponential(block_size)
        gaps[0] += last
        points = np.cumsum(gaps)
        last = float(points[-1])
        yield points
