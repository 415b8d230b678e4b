"""Numbers as people read them."""

from __future__ import annotations

import math

MISSING = "–"


def plain(value: float, digits: int = 3) -> str:
    """Return a number with so many significant digits, and no exponent unless it is tiny."""
    if math.isnan(value):
        return MISSING
    if value == 0.0 or math.isinf(value):
        return f"{value:g}"
    if abs(value) < 1e-4:
        return f"{value:.1e}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


def percent(share: float) -> str:
    """Return a share in percent without the sign, never rounded up to 100 or down to 0."""
    if math.isnan(share):
        return MISSING
    for decimals in (2, 4):
        text = f"{100.0 * share:.{decimals}f}"
        if share in {0.0, 1.0} or float(text) not in {0.0, 100.0}:
            return f"{100.0 * share:g}" if share in {0.0, 1.0} else text
    return "99.9999" if share > 0.5 else "0.0001"


def with_interval(mean: float, half_width: float, *, signed: bool = False) -> str:
    """Return ``mean ± half-width``, to the second significant digit of the half-width.

    Args:
        mean: The mean; NaN gives a dash.
        half_width: Half the width of its interval; NaN leaves it out.
        signed: Whether to write a plus sign too.
    """
    if math.isnan(mean):
        return MISSING
    sign = "+" if signed else ""
    if math.isnan(half_width) or half_width == 0.0:
        text = plain(mean, 4)
        text = f"+{text}" if signed and mean > 0.0 else text
        return text if math.isnan(half_width) else f"{text} ± 0"
    decimals = min(max(0, 1 - math.floor(math.log10(half_width))), 6)
    mean = round(mean, decimals) + 0.0  # no minus before a zero
    return f"{mean:{sign},.{decimals}f} ± {half_width:,.{decimals}f}"


def duration(seconds: float) -> str:
    """Return a duration with its unit, such as ``20min``."""
    from fedsim.scenario.units import DURATION

    return DURATION.format(seconds)
