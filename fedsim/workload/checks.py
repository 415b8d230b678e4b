"""Checks of parameters, with messages that say what to write instead."""

from __future__ import annotations

import math


def positive(owner: str, /, **parameters: float) -> None:
    """Check that all *parameters* of *owner* are finite and greater than 0.

    Raises:
        ValueError: One is not; the message names it.
    """
    for name, value in parameters.items():
        if not (math.isfinite(value) and value > 0.0):
            message = f"the {name} of {owner} must be greater than 0 and finite, not {value!r}"
            raise ValueError(message)


def not_negative(owner: str, /, **parameters: float) -> None:
    """Check that all *parameters* of *owner* are finite and at least 0.

    Raises:
        ValueError: One is not; the message names it.
    """
    for name, value in parameters.items():
        if not (math.isfinite(value) and value >= 0.0):
            message = f"the {name} of {owner} must be at least 0 and finite, not {value!r}"
            raise ValueError(message)


def ascending(owner: str, median: float, p99: float) -> None:
    """Check that a median and a 99th percentile are positive, and the latter greater.

    Raises:
        ValueError: They are not.
    """
    positive(owner, median=median, p99=p99)
    if p99 <= median:
        message = (
            f"the p99 of {owner} must be greater than its median, not {p99!r} with a median of "
            f"{median!r}: write a constant where nothing varies"
        )
        raise ValueError(message)
