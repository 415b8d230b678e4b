"""Round trips between the regions of public clouds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from fedsim.scenario.catalogues.tables import CatalogueError, Source, rows, scaled, sources, unknown

PROVIDERS = ("azure", "aws")
"""The clouds."""


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A round trip between two locations, the same in both directions.

    Attributes:
        p50_s: Its median in seconds.
        p95_s: Its 95th percentile in seconds, or None where it is not published.
        source: Where the figures come from.
    """

    p50_s: float
    p95_s: float | None
    source: Source

    @property
    def jitter(self) -> float | None:
        """The 95th percentile over the median, minus one."""
        return None if self.p95_s is None else self.p95_s / self.p50_s - 1.0


def location_names() -> list[str]:
    """Return the names of all locations, as ``provider/region``."""
    return [f"{provider}/{row['ms']}" for provider in PROVIDERS for row in _table(provider, "p50")]


def check_location(name: str) -> None:
    """Check that *name* is a location.

    Raises:
        CatalogueError: It is not.
    """
    known = location_names()
    if name not in known:
        failure = unknown("location", name, known, "locations")
        raise failure


def round_trip(one: str, other: str) -> RoundTrip:
    """Return the round trip between two locations, or inside one.

    Raises:
        CatalogueError: A location is unknown, or no source measured between the two.
    """
    for name in (one, other):
        check_location(name)
    provider, _, region = one.partition("/")
    other_provider, _, other_region = other.partition("/")
    pair = frozenset((region, other_region))
    p50_s = _round_trips_s(provider, "p50").get(pair) if provider == other_provider else None
    if p50_s is None:
        raise _not_measured(one, other)
    percentiles = _round_trips_s(provider, "p95") if provider == "azure" else {}
    return RoundTrip(p50_s, percentiles.get(pair), sources()[f"{provider}-round-trips"])


def _not_measured(one: str, other: str) -> CatalogueError:
    if one == other:
        message = f"The catalogue has no round trip inside {one}."
    else:
        message = f"The catalogue has no round trip between {one} and {other}."
    return CatalogueError(message, "Give it in the scenario.")


@cache
def _round_trips_s(provider: str, percentile: str) -> dict[frozenset[str], float]:
    return {
        frozenset((row["ms"], other)): scaled(ms, -3)
        for row in _table(provider, percentile)
        for other, ms in row.items()
        if other != "ms" and ms
    }


@cache
def _table(provider: str, percentile: str) -> list[dict[str, str]]:
    return rows(f"{provider}_{percentile}")
