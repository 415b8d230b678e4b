"""The intensity that curves give a stream over a run: its value, its integral, and its inverse.

Time is cut into cells, at every break of a curve and 32 times in the shortest period. In a cell
the intensity is a constant plus some cosines, and because a cell is short, a few terms of the
series of sine and cosine give them to the last digit. Everything that is done to an arrival is
addition, multiplication, division or a square root, which come out alike at every place of an
array: so an arrival does not depend on the others that are computed with it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.arrivals.curves import Curve, Wave
from fedsim.workload.checks import not_negative

Floats = NDArray[np.float64]
Places = NDArray[np.intp]

CELLS_PER_PERIOD = 32
"""The phase grows by 2 pi / 32 in a cell, so that the terms left out below are under 1e-17."""

_SINE = tuple((-1.0) ** k / math.factorial(2 * k + 1) for k in range(6))
_COSINE = tuple((-1.0) ** k / math.factorial(2 * k + 2) for k in range(6))
_LAST_STEP = 1e-9
_ROUNDS_MOST = 100
_SAMPLES = 8


@dataclass(frozen=True, slots=True)
class Zone:
    """Origins that share a local time.

    Attributes:
        weight: Their weight, >= 0.
        offset_s: Their local time minus that of the run, in seconds.
    """

    weight: float
    offset_s: float = 0.0

    def __post_init__(self) -> None:
        not_negative("a zone", weight=self.weight, offset=abs(self.offset_s))


class Intensity:
    """The product of curves, each at the local time of its zone, averaged over zones by weight.

    Args:
        curves: The factors.
        zones: The zones, with weights that do not add up to 0.
        until_s: End of the run in seconds, > 0; it changes no value before.
    """

    def __init__(self, curves: Sequence[Curve], zones: Sequence[Zone], until_s: float) -> None:
        self._until_s = until_s
        waves = [curve.wave for curve in curves if curve.wave is not None]
        frequency = sum(wave.angular_frequency for wave in waves)
        bounds_s = _bounds(curves, zones, frequency, until_s)
        self._starts_s, self._ends_s = bounds_s[:-1], bounds_s[1:]
        self._widths_s = self._ends_s - self._starts_s
        middles_s = (self._starts_s + self._ends_s) / 2.0
        total = math.fsum(zone.weight for zone in zones)
        self._zones = [
            _Terms.of(
                _cosines(waves, zone.offset_s),
                self._starts_s,
                zone.weight / total * _levels(curves, zone.offset_s, middles_s),
            )
            for zone in zones
        ]
        self._all = reduce(_Terms.plus, self._zones)
        places = np.arange(len(middles_s))
        _, self._first_values = self._all.integral_and_value(places, np.zeros_like(middles_s))
        masses, self._last_values = self._all.integral_and_value(places, self._widths_s)
        self._before = np.cumsum(np.concatenate(((0.0,), masses)))

    @property
    def total(self) -> float:
        """The integral over the run, in seconds."""
        return float(self.integrals(np.array([self._until_s]))[0])

    @property
    def peak(self) -> float:
        """The highest value in the run, to within a share of 0.0001."""
        places = np.flatnonzero(self._starts_s < self._until_s)
        widths_s = np.minimum(self._ends_s, self._until_s)[places] - self._starts_s[places]
        shares = [number / _SAMPLES for number in range(_SAMPLES + 1)]
        samples = [self._all.integral_and_value(places, share * widths_s)[1] for share in shares]
        return float(np.max(samples))

    def values(self, times_s: Floats) -> Floats:
        """Return the intensity at each of *times_s*, which lie in the run."""
        places = self._places(times_s)
        return self._all.integral_and_value(places, times_s - self._starts_s[places])[1]

    def integrals(self, times_s: Floats) -> Floats:
        """Return its integral from 0 to each of *times_s*, which lie in the run, in seconds."""
        places = self._places(times_s)
        inside, _ = self._all.integral_and_value(places, times_s - self._starts_s[places])
        return self._before[places] + inside

    def shares(self, times_s: Floats) -> Floats:
        """Return a row for each of *times_s*: the share of the intensity that each zone has.

        The times are arrivals, so that the intensity is not 0 there.
        """
        places = self._places(times_s)
        inside_s = times_s - self._starts_s[places]
        values = np.stack([zone.integral_and_value(places, inside_s)[1] for zone in self._zones], 1)
        shares: Floats = values / self.values(times_s)[:, None]
        return shares

    def times_s(self, integrals: Floats) -> Floats:
        """Return when the integral exceeds each of *integrals*; infinity where after the run.

        Args:
            integrals: Ascending values in seconds, >= 0.
        """
        # Of several cells that begin with the same integral, only the last is not empty.
        places = np.searchsorted(self._before, integrals, side="right") - 1
        known = int(np.searchsorted(places, len(self._starts_s), side="left"))
        places, rest = places[:known], (integrals - self._before[places])[:known]
        times_s = np.full(len(integrals), math.inf)
        found_s = self._starts_s[places] + self._solved(places, rest)
        last_s = np.nextafter(self._ends_s[places], -math.inf)
        times_s[:known] = np.minimum(found_s, last_s)
        # Two values that differ in the last digit may come out in the wrong order.
        return np.maximum.accumulate(times_s)

    def _places(self, times_s: Floats) -> Places:
        return np.searchsorted(self._starts_s, times_s, side="right") - 1

    def _solved(self, places: Places, integrals: Floats) -> Floats:
        """Return how far into its cell each is, where the integral inside the cell is given.

        Newton's method from the solution for an intensity that changes linearly in the cell. The
        error after a step is its square times a factor that is less than 1,000 even at the steepest
        day, in widths of the cell: what moves by a billionth of it is where it belongs. Every
        element stops by itself.
        """
        widths_s = self._widths_s[places]
        first, last = self._first_values[places], self._last_values[places]
        slope = (last - first) / widths_s
        root = np.sqrt(np.maximum(first * first + 2.0 * slope * integrals, 0.0))
        inside_s = np.minimum(2.0 * integrals / (first + root), widths_s)
        if not self._all.waves:
            return inside_s
        open_ = np.arange(len(places))
        for _ in range(_ROUNDS_MOST):
            before_s = inside_s[open_]
            reached, value = self._all.integral_and_value(places[open_], before_s)
            after_s = before_s + (integrals[open_] - reached) / value
            inside_s[open_] = after_s = np.clip(after_s, 0.0, widths_s[open_])
            moved = np.abs(after_s - before_s) > _LAST_STEP * widths_s[open_]
            open_ = open_[moved]
            if not len(open_):
                break
        return inside_s


@dataclass(frozen=True, slots=True)
class _Cosine:
    """The real part of ``amplitude exp(i frequency t)``."""

    frequency: float
    amplitude: complex


@dataclass(frozen=True, slots=True)
class _Wave:
    """A cosine in every cell: ``even cos z - odd sin z`` where z is the phase since its start."""

    frequency: float
    even: Floats
    odd: Floats


@dataclass(frozen=True, slots=True)
class _Terms:
    """A constant and some cosines in every cell."""

    constant: Floats
    waves: tuple[_Wave, ...]

    @classmethod
    def of(cls, cosines: Sequence[_Cosine], starts_s: Floats, levels: Floats) -> _Terms:
        """Return *cosines*, the first of which is the constant, times the level of each cell."""
        constant, *others = cosines
        waves: list[_Wave] = []
        for each in others:
            phases = (each.frequency * starts_s).tolist()
            cosine = np.array([math.cos(phase) for phase in phases])
            sine = np.array([math.sin(phase) for phase in phases])
            real, imaginary = each.amplitude.real, each.amplitude.imag
            even = levels * (real * cosine - imaginary * sine)
            odd = levels * (real * sine + imaginary * cosine)
            waves.append(_Wave(each.frequency, even, odd))
        return cls(levels * constant.amplitude.real, tuple(waves))

    def plus(self, other: _Terms) -> _Terms:
        """Return the sum of both, which have the same frequencies."""
        waves = (
            _Wave(one.frequency, one.even + another.even, one.odd + another.odd)
            for one, another in zip(self.waves, other.waves, strict=True)
        )
        return _Terms(self.constant + other.constant, tuple(waves))

    def integral_and_value(self, places: Places, inside_s: Floats) -> tuple[Floats, Floats]:
        """Return the integral since the start of a cell, and the value, so far into it."""
        value = self.constant[places]
        integral = value * inside_s
        for wave in self.waves:
            even, odd = wave.even[places], wave.odd[places]
            phase = wave.frequency * inside_s
            square = phase * phase
            # sin z = z sine, 1 - cos z = z^2 cosine
            sine, cosine = _series(_SINE, square), _series(_COSINE, square)
            integral += inside_s * (even * sine - odd * phase * cosine)
            value += even * (1.0 - square * cosine) - odd * phase * sine
        return integral, value


def _series(coefficients: Sequence[float], square: Floats) -> Floats:
    """Return the polynomial with these *coefficients*, lowest first, by Horner's rule."""
    result = np.full_like(square, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        result *= square
        result += coefficient
    return result


def _cosines(waves: Sequence[Wave], offset_s: float) -> list[_Cosine]:
    """Return the product of *waves* as a sum of cosines, the first of which is the constant."""
    constant = 1.0
    others: list[_Cosine] = []
    for wave in waves:
        frequency = wave.angular_frequency
        turn = frequency * (offset_s - wave.peak_at_s)
        amplitude = wave.amplitude * complex(math.cos(turn), math.sin(turn))
        added = [_Cosine(frequency, constant * amplitude)]
        for each in others:
            half = each.amplitude / 2.0
            difference = each.frequency - frequency
            lower = half * amplitude.conjugate()
            added.append(_Cosine(each.frequency + frequency, half * amplitude))
            if difference == 0.0:
                constant += lower.real
            else:
                added.append(_Cosine(difference, lower))
        others += added
    return [_Cosine(0.0, complex(constant)), *others]


def _bounds(
    curves: Sequence[Curve], zones: Sequence[Zone], frequency: float, until_s: float
) -> Floats:
    """Return the ascending bounds of the cells, from 0 to *until_s* or a little later."""
    end_s, grid_s = until_s, [until_s]
    if frequency > 0.0:
        width_s = 2.0 * math.pi / (CELLS_PER_PERIOD * frequency)
        grid_s = (width_s * np.arange(math.floor(until_s / width_s) + 2)).tolist()
        end_s = grid_s[-1]
    breaks_s = [
        at_s - offset_s
        for curve in curves
        for offset_s in {zone.offset_s if curve.local else 0.0: None for zone in zones}
        for at_s in curve.breaks(offset_s, end_s + offset_s)
    ]
    return np.unique([0.0, *(at_s for at_s in breaks_s if 0.0 < at_s < end_s), *grid_s])


def _levels(curves: Sequence[Curve], offset_s: float, times_s: Floats) -> Floats:
    """Return the product of the levels of *curves* at each of *times_s* of the run."""
    levels = np.ones_like(times_s)
    for curve in curves:
        levels *= curve.levels(times_s + (offset_s if curve.local else 0.0))
    return levels
