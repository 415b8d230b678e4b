"""Means over replications with their confidence intervals, and paired differences.

A replication is one run with one seed. Runs with different seeds are independent and identically
distributed, so the mean of a measure over n of them has a Student-t interval with n − 1 degrees of
freedom (Law, *Simulation Modeling and Analysis*, section 9.4.1). Two variants that ran on the same
seeds met the same requests and faults: their difference is taken seed by seed, which removes what
both have in common (section 11.2, common random numbers). A percentile is a measure like any
other: the mean over replications of each replication's percentile.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

CONFIDENCE = 0.95
"""The coverage of every interval."""

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

``better`` and ``worse``: the interval excludes zero, and the measure has a good direction.
``higher`` and ``lower``: it excludes zero, and the measure has none. ``no difference shown``: the
interval holds zero, or one replication gives no interval; it does not say that there is no
difference. ``not comparable``: the difference is one of the latency of successful requests, and
comes with a difference in the success rate the other way. ``not measured``: no replication has a
value of both.
"""


@dataclass(frozen=True, slots=True)
class Estimates:
    """Means over replications, as parallel arrays of any shape.

    Attributes:
        mean: Mean over the replications that have a value, NaN where none has.
        half_width: Half the width of the 95 % confidence interval, NaN where fewer than two
            replications have a value.
        count: Number of replications that have a value.
    """

    mean: NDArray[np.float64]
    half_width: NDArray[np.float64]
    count: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Estimate:
    """One mean over replications; see ``Estimates``."""

    mean: float
    half_width: float
    count: int

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.mean - self.half_width

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.mean + self.half_width


def estimates(values: ArrayLike) -> Estimates:
    """Return the mean of *values* over the first axis, with its interval.

    Args:
        values: A replication along the first axis; NaN where it has no value.
    """
    found = np.asarray(values, dtype=np.float64)
    known = ~np.isnan(found)
    count = known.sum(axis=0)
    filled = np.where(known, found, 0.0)
    mean = _divide(filled.sum(axis=0), count)
    squares = np.where(known, found - mean, 0.0) ** 2
    error = np.sqrt(_divide(_divide(squares.sum(axis=0), count - 1), count))
    half_width = t_quantiles(count - 1) * error
    # Equal values have no spread, whatever the rounding of their mean says.
    low = np.where(known, found, np.inf).min(axis=0, initial=np.inf)
    high = np.where(known, found, -np.inf).max(axis=0, initial=-np.inf)
    equal = (low == high) & (count > 1)
    return Estimates(
        np.where(equal, low, mean), np.where(equal, 0.0, half_width), np.asarray(count)
    )


def estimate(values: ArrayLike) -> Estimate:
    """Return the mean of one measure over replications, with its interval."""
    found = estimates(np.asarray(values, dtype=np.float64).reshape(-1))
    return Estimate(float(found.mean), float(found.half_width), int(found.count))


def paired_difference(values: ArrayLike, baseline: ArrayLike) -> Estimate:
    """Return the mean of *values* minus *baseline*, replication by replication.

    Args:
        values: One measure of one variant, a value per replication.
        baseline: The same of another, on the same seeds in the same order. A replication counts
            where both have a value.
    """
    return estimate(np.asarray(values, dtype=np.float64) - np.asarray(baseline, dtype=np.float64))


def verdict(difference: Estimate, better: Literal["higher", "lower"] | None) -> Verdict:
    """Return what a difference shows.

    Args:
        difference: Variant minus baseline.
        better: Which direction of the measure is an improvement, or None for neither.
    """
    if not difference.count:
        return "not measured"
    # A NaN half-width compares as false: one replication shows nothing.
    if not abs(difference.mean) > difference.half_width:
        return "no difference shown"
    direction: Literal["higher", "lower"] = "higher" if difference.mean > 0.0 else "lower"
    if better is None:
        return direction
    return "better" if direction == better else "worse"


def t_quantiles(degrees: ArrayLike) -> NDArray[np.float64]:
    """Return the two-sided 95 % quantiles of Student's t, NaN for fewer than one degree.

    Args:
        degrees: Degrees of freedom.
    """
    from scipy.special import stdtrit

    freedom = np.asarray(degrees, dtype=np.float64)
    known = np.where(freedom >= 1.0, freedom, math.nan)
    return np.asarray(stdtrit(known, (1.0 + CONFIDENCE) / 2.0), dtype=np.float64)


def _divide(parts: ArrayLike, counts: ArrayLike) -> NDArray[np.float64]:
    """Return parts over counts, NaN where the count is not positive."""
    numerator = np.asarray(parts, dtype=np.float64)
    denominator = np.asarray(counts, dtype=np.float64)
    known = denominator > 0.0
    return np.where(known, numerator / np.where(known, denominator, 1.0), math.nan)
