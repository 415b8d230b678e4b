"""Times of the wall clock, such as the ``start`` of a scenario: ISO 8601, always with a zone."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from fedsim.scenario.units import UnitError

PATTERN = (
    r"^(19[7-9][0-9]|2[01][0-9]{2})-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]+)?)?"
    r" ?(Z|[+-][0-9]{2}:?[0-9]{2})$"
)
"""What such times match, for the JSON Schema."""

_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
"""Traces count from 1970, and tables count nanoseconds up to 2262; a run goes on for a while."""

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?P<time>[T ][0-9]{2}:[0-9]{2}\S*)?")


def looks_like_one(text: str) -> bool:
    """Return whether a text begins as a date does."""
    return _DATE.match(text) is not None


def parse_instant(value: object) -> datetime:
    """Return the time of a text such as ``2026-11-03T14:05Z``.

    Raises:
        UnitError: It is no such text, has no zone, or is before 1970 or after 2199.
    """
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, str):
        try:
            found = datetime.fromisoformat(value.strip().replace(" Z", "Z").replace(" +", "+"))
        except ValueError:
            raise _not_one(value) from None
    else:
        raise _not_one(value)
    if found.tzinfo is None:
        zoned = found.isoformat(timespec="auto" if found.second else "minutes")
        message = f"{str(value)!r} has no zone, and could be any of 24 hours."
        raise UnitError(
            message, f"Write {zoned}Z if it is UTC, or the offset, as in {zoned}+01:00."
        )
    if not _EARLIEST <= found < _LATEST:
        message = f"{str(value)!r} is not in the years from 1970 to 2199."
        raise UnitError(message, "Correct the year.")
    return found


def format_instant(value: datetime) -> str:
    """Return the text of a time with a zone, which `parse_instant` gives back."""
    return re.sub(r"\+00:00$", "Z", value.isoformat())


def seconds_after(start: datetime, instant: datetime) -> float:
    """Return how many seconds *instant* is after *start*, to the microsecond."""
    return (instant.astimezone(UTC) - start.astimezone(UTC)).total_seconds()


def _not_one(value: object) -> UnitError:
    message = f"{str(value)[:60]!r} is not a date and time."
    return UnitError(message, "Write it as 2026-11-03T14:05Z, with Z for UTC or +01:00.")
