"""Means over replications with their confidence intervals, and paired differences.

A replication is one run with one seed. Runs with different seeds are independent and identically
distributed, and what is estimated is the expected value of a measure over a window of this length
and warm-up (a terminating simulation; Law, *Simulation Modeling and Analysis*, section 9.4). A
percentile is a measure like any other: its estimate is the mean over replications of each
replication's percentile, not the percentile of an endless run.

Values over replications are often skewed, which makes Student's t interval cover too rarely. The
interval here corrects for it (Willink, A confidence interval and test for the mean of an asymmetric
distribution, *Communications in Statistics* 34, 2005, after Johnson 1978 and Hall 1992): with n
values of mean m, standard deviation s and third central moment c (both unbiased), and
a = c / (6 √n s³), it is [m − G(t) s/√n, m − G(−t) s/√n], where G(x) = (∛(1 + 6a(x − a)) − 1) / 2a
and t is the quantile of Student's t with n − 1 degrees of freedom. Without skewness G(x) = x.

Two variants that ran on the same seeds met the same requests and faults: their difference is taken
seed by seed, which removes what both have in common (Law, section 11.2, common random numbers).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
"""The coverage of every interval, unless another is asked for."""

UNBOUNDED = (-math.inf, math.inf)

Verdict = Literal[
    "better",
    "worse",
    "higher",
    "lower",
    "no difference shown",
    "not comparable",
    "not measured",
]
"""What a paired difference shows.

``better`` and ``worse``: the difference is shown, and the measure has a good direction. ``higher``
and ``lower``: it is shown, and the measure has none. ``no difference shown``: the interval holds
zero, or would with an allowance for the number of differences, or one replication gives no
interval; it does not say that there is no difference. ``not comparable``: the difference is one of
the latency of successful requests, and comes with a difference in the success rate the other way.
``not measured``: no replication has a value of both.
"""


@dataclass(frozen=True, slots=True)
class Estimates:
    """Means over replications, as parallel arrays of any shape.

    Attributes:
        mean: Mean over the replications that have a value, NaN where none has.
        low: Lower end of the confidence interval, NaN where fewer than two replications have a
            value.
        high: Upper end, likewise. Mean and ends are not equally far apart where values are skewed.
        count: Number of replications that have a value.
    """

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    count: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Estimate:
    """One mean over replications; see ``Estimates``."""

    mean: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Difference:
    """What two variants differ by, over the replications in which both have a value.

    Attributes:
        absolute: Variant minus baseline.
        p: The probability of a difference at least as large, either way, if there is none; below
            1 − confidence exactly where the interval of ``absolute`` excludes 0.
        relative: The same as a share of the baseline, with Fieller's interval of the ratio of the
            two means; NaN where the baseline's mean is 0, and ends without a limit where the
            baseline's mean is not shown to differ from 0.
        narrowed: The factor by which pairing narrowed the interval of the difference:
            √(Var A + Var B) / sd(A − B). Above 1 pairing helped; NaN without any spread.
    """

    absolute: Estimate
    p: float
    relative: Estimate
    narrowed: float


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Whether two variants differ by less than a margin, by two one-sided tests (TOST).

    Attributes:
        difference: Variant minus baseline, relative or absolute as the margin is, with the interval
            of 1 − 2 (1 − confidence), which is 90 % for 95 %.
        p_low: The probability of such a difference if the true one is minus the margin.
        p_high: The same if the true one is the margin.
    """

    difference: Estimate
    p_low: float
    p_high: float

    @property
    def p(self) -> float:
        """The p-value of the two tests together: that the difference is within the margin."""
        return max(self.p_low, self.p_high)


def estimates(
    values: ArrayLike,
    low: ArrayLike = -math.inf,
    high: ArrayLike = math.inf,
    confidence: float = CONFIDENCE,
) -> Estimates:
    """Return the mean of *values* over the first axis, with its interval.

    Args:
        values: A replication along the first axis; NaN where it has no value.
        low: The lowest value that there can be, for all columns or for each.
        high: The highest. Intervals end there.
        confidence: The coverage of the interval, above 0 and below 1.
    """
    found = _Moments(values)
    quantile = t_quantiles(found.count - 1, confidence)
    skew = np.nan_to_num(found.skew)
    # Equal values have no spread, whatever the rounding of their mean says.
    below = np.where(found.equal, 0.0, _stretched(quantile, skew) * found.error)
    above = np.where(found.equal, 0.0, -_stretched(-quantile, skew) * found.error)
    return Estimates(
        found.mean,
        np.maximum(found.mean - below, low),
        np.minimum(found.mean + above, high),
        found.count,
    )


def estimate(
    values: ArrayLike,
    bounds: tuple[float, float] = UNBOUNDED,
    confidence: float = CONFIDENCE,
) -> Estimate:
    """Return the mean of one measure over replications, with its interval.

    Args:
        values: A value per replication; NaN for none.
        bounds: The lowest and the highest value that there can be.
        confidence: The coverage of the interval, above 0 and below 1.
    """
    flat = np.asarray(values, dtype=np.float64).reshape(-1)
    found = estimates(flat, *bounds, confidence)
    return Estimate(float(found.mean), float(found.low), float(found.high), int(found.count))


def paired_difference(
    values: ArrayLike,
    baseline: ArrayLike,
    bounds: tuple[float, float] = UNBOUNDED,
    confidence: float = CONFIDENCE,
) -> Difference:
    """Return the difference of *values* from *baseline*, replication by replication.

    Args:
        values: One measure of one variant, a value per replication.
        baseline: The same of another, on the same seeds in the same order. A replication counts
            where both have a value.
        bounds: The lowest and the highest value that the measure can have.
        confidence: The coverage of the intervals, above 0 and below 1.
    """
    first, second = np.asarray(values, dtype=float), np.asarray(baseline, dtype=float)
    both = ~np.isnan(first) & ~np.isnan(second)
    first, second = first[both], second[both]
    span = bounds[1] - bounds[0]
    absolute = estimate(first - second, (-span, span), confidence)
    below = _below(first - second)
    narrowed = math.nan
    if len(first) > 1 and (spread := float(np.var(first - second, ddof=1))) > 0.0:
        narrowed = math.sqrt(float(np.var(first, ddof=1) + np.var(second, ddof=1)) / spread)
    p = 2.0 * min(below, 1.0 - below)
    return Difference(absolute, p, _ratio(first, second, bounds, confidence), narrowed)


def unpaired_difference(
    values: ArrayLike, baseline: ArrayLike, confidence: float = CONFIDENCE
) -> tuple[Estimate, float]:
    """Return the difference of two means whose runs have nothing in common, and its p-value.

    The interval is Welch's (*Biometrika* 34, 1947): variances may differ, and the degrees of
    freedom are (a + b)² / (a²/(n − 1) + b²/(m − 1)) with a and b the variances of the means.

    Args:
        values: One measure of one variant, a value per replication; NaN for none.
        baseline: The same of another, on other seeds; there may be more or fewer.
        confidence: The coverage of the interval, above 0 and below 1.
    """
    from scipy.special import stdtr

    parts = [np.asarray(each, dtype=float) for each in (values, baseline)]
    first, second = (each[~np.isnan(each)] for each in parts)
    count = min(len(first), len(second))
    if count < 2:
        mean = float(first.mean() - second.mean()) if count else math.nan
        return Estimate(mean, math.nan, math.nan, count), math.nan
    mean = float(first.mean() - second.mean())
    a, b = (float(np.var(each, ddof=1)) / len(each) for each in (first, second))
    if a + b == 0.0:
        return Estimate(mean, mean, mean, count), float(mean == 0.0)
    degrees = (a + b) ** 2 / (a * a / (len(first) - 1) + b * b / (len(second) - 1))
    error = math.sqrt(a + b)
    half = float(t_quantiles(degrees, confidence)) * error
    p = 2.0 * float(stdtr(degrees, -abs(mean) / error))
    return Estimate(mean, mean - half, mean + half, count), p


def equivalence(
    values: ArrayLike,
    baseline: ArrayLike,
    margin: float,
    *,
    relative: bool,
    confidence: float = CONFIDENCE,
) -> Equivalence:
    """Return whether *values* differ from *baseline* by less than a margin.

    Two one-sided tests, that the difference is above −margin and that it is below margin
    (Schuirmann, *Journal of Pharmacokinetics and Biopharmaceutics* 15, 1987). A p-value below
    1 − confidence shows it; a variant is no worse if the one on the bad side does.

    Args:
        values: One measure of one variant, a value per replication.
        baseline: The same of another, on the same seeds in the same order.
        margin: The largest difference that does not matter, > 0.
        relative: Whether the margin is a share of the baseline, rather than in the measure's unit.
        confidence: That of each test, above 0.5 and below 1.
    """
    first, second = np.asarray(values, dtype=float), np.asarray(baseline, dtype=float)
    both = ~np.isnan(first) & ~np.isnan(second)
    first, second = first[both], second[both]
    twice = 2.0 * confidence - 1.0
    if not relative:
        difference = estimate(first - second, confidence=twice)
        below = [_below(first - second + margin), _below(first - second - margin)]
    else:
        difference = _ratio(first, second, UNBOUNDED, twice)
        # Fieller's interval knows no skewness, so neither do its tests.
        rests = [first - (1.0 - margin) * second, first - (1.0 + margin) * second]
        below = [_below(rest, skewed=False) for rest in rests]
    return Equivalence(difference, 1.0 - below[0], below[1])


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return p-values that hold for all of them together (Holm, *Scand. J. Statistics* 6, 1979).

    The i-th smallest of m is multiplied by m − i + 1, and raised to those before it; at most 1.
    Calling those below 5 % significant is wrong anywhere in at most 5 % of studies.

    Args:
        p_values: The p-value of each test; NaN for a test that was not made.
    """
    found = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(found.shape, math.nan)
    order = [place for place in np.argsort(found, kind="stable") if not np.isnan(found[place])]
    largest = 0.0
    for rank, place in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * float(found[place])))
        adjusted[place] = largest
    return adjusted


def chances_of_best(
    scores: ArrayLike, rng: np.random.Generator, draws: int = 10_000
) -> NDArray[np.float64]:
    """Return the probability of each variant to be the best, by a bootstrap of replications.

    Whole replications are drawn again with replacement, so that what variants share in a
    replication stays shared; the result is the share of draws in which a variant's mean is the
    lowest. Variants that are equal in everything share a draw.

    Args:
        scores: What decides, then what decides between equal means, and so on: arrays of a row
            per replication and a column per variant. Lower is better; NaN for no value.
        rng: Draws the replications.
        draws: How many sets of replications are drawn.
    """
    keys = np.asarray(scores, dtype=np.float64)
    count = keys.shape[1]
    times = rng.multinomial(count, np.full(count, 1.0 / count), size=draws).astype(float)
    best = np.ones((draws, keys.shape[2]), dtype=bool)
    for values in keys:
        known = ~np.isnan(values)
        means = _divide(times @ np.where(known, values, 0.0), times @ known.astype(float))
        means = np.where(best & ~np.isnan(means), means, np.inf)
        lowest = means.min(axis=1, keepdims=True)
        # Sums of equal values may differ in their last digits.
        near = means <= lowest + 1e-12 * np.where(np.isinf(lowest), 0.0, np.abs(lowest))
        best &= near
    return np.asarray((best / best.sum(axis=1, keepdims=True)).mean(axis=0))


def _ratio(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    bounds: tuple[float, float],
    confidence: float,
) -> Estimate:
    """Return mean(first) / mean(second) − 1 with Fieller's interval for paired values.

    The interval holds every θ for which the t interval of first − θ second holds 0 (Fieller, Some
    problems in interval estimation, JRSS B 16, 1954): the θ between the roots of
    (y² − t²vyy) θ² − 2 (xy − t²vxy) θ + x² − t²vxx, with v the covariances of the means x and y.
    """
    count = len(first)
    if not count or not second.mean():
        return Estimate(math.nan, math.nan, math.nan, count)
    x, y = float(first.mean()), float(second.mean())
    center = x / y - 1.0
    if count == 1:
        return Estimate(center, math.nan, math.nan, count)
    t = float(t_quantiles(count - 1, confidence))
    (vxx, vxy), (_, vyy) = t * t * np.cov(first, second) / count
    square, linear, constant = y * y - vyy, x * y - vxy, x * x - vxx
    if square <= 0.0:  # the baseline's own interval holds 0, so that no ratio is ruled out
        low, high = -math.inf, math.inf
    else:
        root = math.sqrt(max(linear * linear - square * constant, 0.0))
        low, high = (linear - root) / square - 1.0, (linear + root) / square - 1.0
    if bounds[0] >= 0.0:
        low = max(low, -1.0)
    return Estimate(center, low, high, count)


def verdict(
    difference: Estimate,
    better: Literal["higher", "lower"] | None,
    p: float,
    confidence: float = CONFIDENCE,
) -> Verdict:
    """Return what a difference shows.

    Args:
        difference: Variant minus baseline.
        better: Which direction of the measure is an improvement, or None for neither.
        p: Its p-value, adjusted where there are several differences.
        confidence: The difference is shown where *p* is below 1 − *confidence*.
    """
    if not difference.count:
        return "not measured"
    # NaN compares as false: one replication shows nothing.
    if not p < 1.0 - confidence:
        return "no difference shown"
    direction: Literal["higher", "lower"] = "higher" if difference.mean > 0.0 else "lower"
    if better is None:
        return direction
    return "better" if direction == better else "worse"


def t_quantiles(degrees: ArrayLike, confidence: float = CONFIDENCE) -> NDArray[np.float64]:
    """Return the two-sided quantiles of Student's t, NaN for fewer than one degree.

    Args:
        degrees: Degrees of freedom.
        confidence: The probability between minus the quantile and the quantile.
    """
    from scipy.special import stdtrit

    freedom = np.asarray(degrees, dtype=np.float64)
    known = np.where(freedom >= 1.0, freedom, math.nan)
    return np.asarray(stdtrit(known, (1.0 + confidence) / 2.0), dtype=np.float64)


class _Moments:
    """Mean, standard error and skewness over the first axis, without the values that are NaN."""

    def __init__(self, values: ArrayLike) -> None:
        found = np.asarray(values, dtype=np.float64)
        known = ~np.isnan(found)
        self.count = count = np.asarray(known.sum(axis=0))
        mean = _divide(np.where(known, found, 0.0).sum(axis=0), count)
        from_mean = np.where(known, found - mean, 0.0)
        variance = _divide((from_mean**2).sum(axis=0), count - 1)
        third = _divide(count * (from_mean**3).sum(axis=0), (count - 1) * (count - 2))
        lowest = np.where(known, found, np.inf).min(axis=0, initial=np.inf)
        highest = np.where(known, found, -np.inf).max(axis=0, initial=-np.inf)
        self.equal = (lowest == highest) & (count > 1)
        self.mean = np.where(self.equal, lowest, mean)
        self.error = np.sqrt(_divide(variance, count))
        self.skew = _divide(third, 6.0 * np.sqrt(count) * variance**1.5)
        """Willink's a; NaN for fewer than three values, or without spread."""


def _stretched(x: NDArray[np.float64], a: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Willink's G(x); as 3 (x − a) / (c² + c + 1) with c = ∛(1 + 6a(x − a)), a may be 0."""
    root = np.cbrt(1.0 + 6.0 * a * (x - a))
    return np.asarray(3.0 * (x - a) / (root * root + root + 1.0))


def _below(values: ArrayLike, *, skewed: bool = True) -> float:
    """Return the probability of a mean at most that of *values*, if the true one is 0."""
    from scipy.special import stdtr

    found = _Moments(np.asarray(values, dtype=np.float64).reshape(-1))
    if found.equal:
        return 0.5 if not found.mean else float(found.mean > 0.0)
    a = float(np.nan_to_num(found.skew)) if skewed else 0.0
    y = float(_divide(found.mean, found.error))
    x = a + y + 2.0 * a * y * y + 4.0 / 3.0 * a * a * y**3  # the inverse of G
    return float(stdtr(float(found.count) - 1.0, x))


def _divide(parts: ArrayLike, counts: ArrayLike) -> NDArray[np.float64]:
    """Return parts over counts, NaN where the count is not positive."""
    numerator = np.asarray(parts, dtype=np.float64)
    denominator = np.asarray(counts, dtype=np.float64)
    known = denominator > 0.0
    return np.where(known, numerator / np.where(known, denominator, 1.0), math.nan)
