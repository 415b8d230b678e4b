"""How many requests a figure needs before it is worth believing."""

from __future__ import annotations

import math
import re
from typing import Literal

from fedsim.results.slo import percentile_share

Belief = Literal["none", "few", "enough"]
"""What a percentile rests on: too few requests to be shown, few observations, or enough."""

_SHOWN, _COMPARED = 10.0, 100.0
"""Requests beyond a percentile, on average, from which it is shown, and from which compared."""

_PERCENTILE = re.compile(r"_(p\d{2,})(?:_s)?$")


def percentile_of(name: str) -> float | None:
    """Return the share of a measure or bound that is a percentile, such as 0.99; None for others.

    Args:
        name: Its name, such as ``latency_p99_s`` or ``ttft_p99``.
    """
    match = _PERCENTILE.search(name)
    return percentile_share(match[1]) if match else None


def belief(requests: float, share: float) -> Belief:
    """Return what a percentile rests on.

    It is shown from 10 / (1 − share) requests, of which 10 are beyond it, and compared from ten
    times as many. With fewer than 3 / (1 − share) even the slowest request is no 95 % upper bound.

    Args:
        requests: The number of requests that have the value, over all replications.
        share: The percentile as a share, at least 0 and below 1.
    """
    if requests < needed(share):
        return "none"
    return "few" if requests < needed(share, compared=True) else "enough"


def needed(share: float, *, compared: bool = False) -> int:
    """Return the number of requests from which a percentile is shown, or compared."""
    least = _COMPARED if compared else _SHOWN
    return math.ceil(round(least / (1.0 - share), 6))


def failure_bound(requests: float, confidence: float = 0.95) -> float:
    """Return the highest share of failures that fits *requests* of which none failed.

    It solves (1 − share)^requests = 1 − confidence, and is about 3 / *requests* for 95 % (the rule
    of three). Failures are taken to be independent.

    Args:
        requests: The number of requests, over all replications; > 0.
        confidence: The confidence of the bound, above 0 and below 1.
    """
    return -math.expm1(math.log1p(-confidence) / requests)
