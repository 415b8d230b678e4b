"""Where users are at time 0 if they have always been there: what they do is half done.

A gap that time 0 falls into is more likely a long one, in proportion to its length, and what is
left of it is a uniform share (Cox, Renewal Theory, 1962, section 5.4).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.distributions import Distribution
from fedsim.workload.popularity import bounds, pick

Floats = NDArray[np.float64]

POINTS = 2**14
"""How many equally likely values represent a distribution."""


def quantile_grid(distribution: Distribution) -> Floats:
    """Return equally likely values of a distribution, ascending."""
    return distribution.quantiles((np.arange(POINTS) + 0.5) / POINTS)


def rest_of_gaps_s(
    think_s: Distribution, answer_s: float, lengths: Floats, shares: Floats
) -> Floats:
    """Return how long users still have to wait for their next request, in seconds.

    Args:
        think_s: Distribution of the time from an answer to the next request.
        answer_s: Time from a request to its answer.
        lengths: A uniform in (0, 1) for each user, by which the whole of its gap is drawn.
        shares: A uniform in (0, 1) for each, the share of the gap that is left.
    """
    gaps_s = quantile_grid(think_s) + answer_s
    if not gaps_s[-1] > 0.0:
        return np.zeros(len(lengths))
    rest_s: Floats = gaps_s[pick(bounds(gaps_s), lengths)] * shares
    return rest_s
