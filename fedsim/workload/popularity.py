"""Popularity: how requests spread over things of unequal demand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def zipf_shares(count: int, exponent: float) -> NDArray[np.float64]:
    """Return the share of each of *count* things, the i-th from 1 proportional to i**-exponent.

    Args:
        count: Number of things, >= 1.
        exponent: Zipf's exponent, >= 0; 0 gives all the same share.
    """
    weights = np.arange(1, count + 1, dtype=np.float64) ** -exponent
    return weights / math.fsum(weights)


def bounds(weights: Sequence[float] | NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the upper ends of intervals in [0, 1] whose lengths are the shares of *weights*."""
    sums = np.cumsum(weights)
    ends: NDArray[np.float64] = sums / sums[-1]
    return ends


def pick(ends: NDArray[np.float64], uniforms: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return for each of *uniforms* the number of the interval that it lies in; see ``bounds``."""
    return np.searchsorted(ends, uniforms, side="right").astype(np.int64, copy=False)


def pick_each(shares: NDArray[np.float64], uniforms: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return for each of *uniforms* the number that it picks by the shares in its own row."""
    ends = np.cumsum(shares, axis=1)
    picked: NDArray[np.int64] = np.sum(ends <= (uniforms * ends[:, -1])[:, None], axis=1)
    return picked
