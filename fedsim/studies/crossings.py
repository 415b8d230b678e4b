"""Where a measure crosses its limit as a swept value grows, and where two variants change places.

Both are zeros of a curve of means over replications, linear between the values that were swept;
a positive measure without an upper bound is interpolated on a log scale, as times grow by factors.
Intervals are of a bootstrap over whole replications: a draw takes as many replications as there
are, with replacement and the same ones at all points, and finds its own crossing. Percentile
intervals are too narrow for few replications, so that their levels are widened (Hesterberg, What
Teachers Should Know About the Bootstrap, *American Statistician* 69, 2015): Φ(−√(n / (n − 1)) t)
in place of 2.5 %, with t the quantile of Student's t. An interval says how sure the crossing of the
interpolated curve is, and nothing of what lies between two swept values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fedsim.kernel.streams import generator
from fedsim.studies.statistics import CONFIDENCE, estimates, t_quantiles

Floats = NDArray[np.float64]

DRAWS = 2000
"""Number of draws of the bootstrap."""

_STREAM = "study/crossings"

Side = Literal["below", "above", "everywhere", "nowhere", "not measured"]


@dataclass(frozen=True, slots=True)
class Knee:
    """Where a measure leaves its limit.

    Attributes:
        held: On which side of the knee the limit is held: ``below`` or ``above``; or ``everywhere``
            or ``nowhere`` that was swept, without a knee; or ``not measured``.
        at: The knee; NaN without one.
        low: Lower end of its interval; minus infinity where it may lie below all that was
            swept, NaN for one replication.
        high: Upper end, likewise.
        holds: The swept value next to the knee at which the limit is held; NaN without one.
        misses: The one at which it is missed.
    """

    held: Side
    at: float = math.nan
    low: float = math.nan
    high: float = math.nan
    holds: float = math.nan
    misses: float = math.nan


@dataclass(frozen=True, slots=True)
class Crossover:
    """Where one of two variants becomes the better one.

    Attributes:
        first_is_better: Whether the first of the two is better above the crossover.
        at: The crossover.
        low: Lower end of its interval; minus infinity where it may lie below all that was
            swept.
        high: Upper end, likewise.
    """

    first_is_better: bool
    at: float
    low: float
    high: float


def knee(
    x: Floats,
    values: Floats,
    limit: float,
    better: Literal["higher", "lower"],
    *,
    seed: int,
    logarithmic: bool = False,
    confidence: float = CONFIDENCE,
) -> Knee:
    """Return where the mean of a measure leaves its limit.

    The knee lies next to the values at the end where the limit is held: later crossings do not
    count. A point at which no replication has a value misses the limit.

    Args:
        x: The swept values, ascending.
        values: The measure: a row per replication, a column per swept value; NaN for none.
        limit: The limit, which may be reached.
        better: On which side of the limit the measure is to be.
        seed: The study's seed, from which the draws follow.
        logarithmic: Whether to interpolate on a log scale where the measure is positive.
        confidence: The coverage of the interval, above 0 and below 1.
    """
    mean = _means(values, None)
    draws = _means(values, _weights(len(values), seed))
    # Where points have runs of their own number, a draw may have none of a point's.
    curves = np.vstack([mean, np.where(np.isnan(draws), mean, draws)])
    excess = _excess(curves, limit, better, logarithmic)
    held = excess[0] <= 0.0
    if held.all():
        return Knee("everywhere")
    if not (held[0] or held[-1]):
        return Knee("nowhere")
    forwards = bool(held[0])
    if not forwards:
        x, excess, held = x[::-1], excess[:, ::-1], held[::-1]
    at = _first_missed(x, excess, forwards=forwards)
    place = int(np.argmin(held))
    low, high = _interval(at[1:], _fewest(values), confidence)
    side: Side = "below" if forwards else "above"
    return Knee(side, float(at[0]), low, high, float(x[place - 1]), float(x[place]))


def crossovers(
    x: Floats,
    first: Floats,
    second: Floats,
    better: Literal["higher", "lower"],
    *,
    seed: int,
    confidence: float = CONFIDENCE,
) -> list[Crossover]:
    """Return where one of two variants is shown to become better than the other.

    On both sides of a crossover there is a swept value at which the interval of the paired
    difference excludes 0; what chance alone moves to and fro is not reported.

    Args:
        x: The swept values, ascending.
        first: The measure of one variant: a row per replication, a column per swept value.
        second: That of the other, of the same replications.
        better: Which direction is better.
        seed: The study's seed, from which the draws follow.
        confidence: The coverage of intervals, above 0 and below 1.
    """
    gain = (first - second) * (1.0 if better == "higher" else -1.0)
    known = ~np.isnan(gain).all(axis=0)
    x, gain = x[known], gain[:, known]
    if len(gain) < 2:
        return []
    ends = estimates(gain, confidence=confidence)
    shown = np.where(ends.low > 0.0, 1, np.where(ends.high < 0.0, -1, 0))
    mean = _means(gain, None)[0]
    draws = _means(gain, _weights(len(gain), seed))
    draws = np.where(np.isnan(draws), mean, draws)
    found = []
    places = np.flatnonzero(shown)
    for before, after in pairwise(places.tolist()):
        if shown[before] == shown[after]:
            continue
        rising = bool(shown[after] > 0)
        inside = slice(before, after + 1)
        crossings = list(_zeros(x[inside], mean[inside], rising=rising))
        at = (crossings[0] + crossings[-1]) / 2.0
        each = np.array([_nearest(x, curve, at, rising=rising) for curve in draws])
        found.append(Crossover(rising, at, *_interval(each, _fewest(gain), confidence)))
    return found


def _fewest(values: Floats) -> int:
    """Return the number of replications of the swept value that has the fewest, but for none."""
    counts = np.count_nonzero(~np.isnan(values), axis=0)
    return int(counts[counts > 0].min(initial=len(values)))


def _weights(count: int, seed: int) -> Floats:
    """Return how often each draw has each replication: a row per draw."""
    chosen = generator(seed, _STREAM).integers(0, count, size=(DRAWS, count))
    weights = np.zeros((DRAWS, count))
    np.add.at(weights, (np.arange(DRAWS)[:, None], chosen), 1.0)
    return weights


def _means(values: Floats, weights: Floats | None) -> Floats:
    """Return the weighted means over replications that have a value: a row per row of weights."""
    weights = np.ones((1, len(values))) if weights is None else weights
    known = ~np.isnan(values)
    counts = weights @ known.astype(np.float64)
    sums = weights @ np.where(known, values, 0.0)
    return np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0.0)


def _excess(
    curves: Floats, limit: float, better: Literal["higher", "lower"], logarithmic: bool
) -> Floats:
    """Return how far curves are beyond the limit; a positive number misses it."""
    if logarithmic and limit > 0.0 and np.nanmin(curves, initial=np.inf) > 0.0:
        curves, limit = np.log(curves), math.log(limit)
    excess = curves - limit if better == "lower" else limit - curves
    return np.where(np.isnan(excess), np.inf, excess)


def _first_missed(x: Floats, excess: Floats, *, forwards: bool) -> Floats:
    """Return where each curve first exceeds 0; infinite where it lies beyond an end of *x*."""
    beyond = math.inf if forwards else -math.inf
    missed = excess > 0.0
    place = np.maximum(missed.argmax(axis=1), 1)
    rows = np.arange(len(excess))
    before, after = excess[rows, place - 1], excess[rows, place]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(np.isinf(after), 0.0, -before / (after - before))
    at = x[place - 1] + share * (x[place] - x[place - 1])
    at = np.where(missed[:, 0], -beyond, at)
    return np.where(missed.any(axis=1), at, beyond)


def _zeros(x: Floats, curve: Floats, *, rising: bool) -> Iterator[float]:
    """Yield where a curve changes its sign in one direction; in the middle where it rests at 0."""
    places = np.flatnonzero(curve)
    for before, after in pairwise(places.tolist()):
        low, high = float(curve[before]), float(curve[after])
        if (low < 0.0 < high) if rising else (high < 0.0 < low):
            yield float(x[before] - low / (high - low) * (x[after] - x[before]))


def _nearest(x: Floats, curve: Floats, at: float, *, rising: bool) -> float:
    """Return the crossing of a curve next to *at*; infinite for none, on the side to look at."""
    found = list(_zeros(x, curve, rising=rising))
    if found:
        return min(found, key=lambda each: abs(each - at))
    is_past = (float(np.interp(at, x, curve)) > 0.0) == rising
    return -math.inf if is_past else math.inf


def _interval(draws: Floats, count: int, confidence: float) -> tuple[float, float]:
    """Return the ends of the interval of what the draws of *count* replications found."""
    from scipy.special import ndtr

    if count < 2:
        return math.nan, math.nan
    t = float(t_quantiles(count - 1, confidence))
    level = float(ndtr(-math.sqrt(count / (count - 1)) * t))
    low = np.quantile(draws, level, method="lower")
    return float(low), float(np.quantile(draws, 1.0 - level, method="higher"))
