"""In which unit a column of times is, inferred from its name and from the size of its values."""

from __future__ import annotations

import math
from collections.abc import Mapping

UNITS: Mapping[str, float] = {
    "s": 1.0,
    "seconds": 1.0,
    "sec": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "ns": 1e-9,
}
"""What a column's name may end in after ``_``, and what one of its numbers is in seconds."""

_EPOCHS = ((1e17, 1e-9), (1e14, 1e-6), (1e11, 1e-3))
"""From which number on a time since 1970 is no longer one in a larger unit: years from 1973 on."""


def split_unit(name: str) -> tuple[str, str | None]:
    """Return a column's name without its unit, and the unit, None where it has none."""
    stem, _, unit = name.rpartition("_")
    return (stem, unit.lower()) if stem and unit.lower() in UNITS else (name, None)


def time_unit_s(name: str, value: float) -> float:
    """Return what one of the numbers of a column of times is in seconds.

    The name says so, such as ``timestamp_ms``; where it does not, numbers that would be times since
    1970 only in a smaller unit are in that one, as 1,767,225,600,000 is in milliseconds.

    Args:
        name: Name of the column.
        value: One of its numbers, such as the first.
    """
    _, unit = split_unit(name.strip())
    if unit is not None:
        return UNITS[unit]
    if math.isfinite(value):
        for least, unit_s in _EPOCHS:
            if abs(value) >= least:
                return unit_s
    return 1.0
