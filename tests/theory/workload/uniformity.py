"""Tests of uniformity and independence, with the limiting distributions of their statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, kolmogorov

P_LEAST = 1e-4
"""A sound source fails a test once in ten thousand; fixed seeds make sure that none does."""

Z_MOST = 3.9
"""The same for a standard normal statistic, on both sides."""

Floats = NDArray[np.float64]


def ks_p(values: Floats) -> float:
    """Return the p-value of Kolmogorov and Smirnov's test against the uniform distribution."""
    ordered, count = np.sort(values), len(values)
    above = np.arange(1, count + 1) / count - ordered
    below = ordered - np.arange(count) / count
    return float(kolmogorov(np.sqrt(count) * max(above.max(), below.max())))


def chi_square_p(counts: NDArray[Any], shares: Floats | None = None) -> float:
    """Return the p-value of the chi-square test that the cells have these shares, or equal ones."""
    expected = counts.sum() * (1.0 / counts.size if shares is None else shares)
    return float(chdtrc(counts.size - 1, ((counts - expected) ** 2 / expected).sum()))


def joint_p(one: Floats, other: Floats, cells: int = 32) -> float:
    """Return the p-value of the chi-square test that pairs fill the unit square evenly."""
    counts, _, _ = np.histogram2d(one, other, bins=cells, range=[[0, 1], [0, 1]])
    return chi_square_p(counts)


def correlation_z(one: Floats, other: Floats) -> float:
    """Return the correlation of two samples, in standard errors of independent ones."""
    return float(np.corrcoef(one, other)[0, 1] * np.sqrt(len(one)))
