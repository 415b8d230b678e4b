"""Durations as the reference measures them: whole nanoseconds, averaged in whole milliseconds."""

from __future__ import annotations

NS_PER_S = 1_000_000_000
_NS_PER_MS = 1_000_000


def nanoseconds(seconds: float) -> int:
    """Return *seconds* in the nearest whole nanoseconds, which a difference of floats is not."""
    return round(seconds * NS_PER_S)


def milliseconds(seconds: float) -> int:
    """Return *seconds* in whole milliseconds, truncated."""
    return nanoseconds(seconds) // _NS_PER_MS
