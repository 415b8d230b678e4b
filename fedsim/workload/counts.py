"""Whole numbers drawn from distributions of any values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.distributions import Distribution

UNKNOWN = -1
"""A token count or a tenant that a stream does not have."""

TOKENS_MAX = 2**31 - 1
"""Most tokens that a draw can give; a heavier tail is cut there."""


def token_counts(
    distribution: Distribution | None, uniforms: NDArray[np.float64], least: int = 1
) -> NDArray[np.int64]:
    """Return the quantiles at *uniforms*, rounded to whole numbers, at least *least*.

    Args:
        distribution: What is drawn from, or None for as many unknowns.
        uniforms: Shares in (0, 1).
        least: The least count.
    """
    if distribution is None:
        return np.full(len(uniforms), UNKNOWN, dtype=np.int64)
    drawn = np.rint(distribution.quantiles(uniforms))
    return np.clip(drawn, least, TOKENS_MAX).astype(np.int64)
