"""Numeric inversion of a monotone function."""

from __future__ import annotations

import math
from collections.abc import Callable


def root(
    increasing: Callable[[float], float], low: float, high: float, what: str, value: float
) -> float:
    """Return where a continuous increasing function crosses 0, by bisection of the logarithm.

    Args:
        increasing: The function; it is called about 60 times.
        low: Lower end of the search, > 0.
        high: Upper end, > *low*.
        what: What the caller was given, for the message, such as ``the cv``.
        value: Its value, for the message.

    Raises:
        ValueError: The function has no root between *low* and *high*.
    """
    if increasing(low) > 0.0 or increasing(high) < 0.0:
        message = f"{what} {value!r} is out of the range that this distribution can have"
        raise ValueError(message)
    while True:
        middle = math.sqrt(low) * math.sqrt(high)
        if not low < middle < high:
            return high
        if increasing(middle) < 0.0:
            low = middle
        else:
            high = middle
