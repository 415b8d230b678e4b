"""Round trips between regions, from their settings and the catalogue of locations."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from fedsim.scenario.catalogues.locations import RoundTrip, round_trip
from fedsim.scenario.catalogues.tables import CatalogueError
from fedsim.scenario.schema.derived import default_of
from fedsim.scenario.schema.pools import Network, Regions
from fedsim.world.network import NetworkConfig

WITHIN_REGION_S: float = default_of(NetworkConfig, "within_region_s")
"""Round trip inside a region for which there is no figure, in seconds."""

JITTER: float = default_of(NetworkConfig, "jitter")
"""Jitter of round trips for which there is no figure."""


@dataclass(frozen=True, slots=True)
class Found:
    """A round trip that the catalogue supplies.

    Attributes:
        regions: The two regions, or one region twice.
        trip: The round trip.
    """

    regions: tuple[str, str]
    trip: RoundTrip


def found_within(network: Network, regions: Regions) -> list[Found]:
    """Return the round trips inside regions that the catalogue supplies."""
    if network.within_region is not None:
        return []
    return [found for name in regions for found in _found(regions, name, name)]


def found_between(network: Network, regions: Regions) -> list[Found]:
    """Return the round trips between regions that the catalogue supplies."""
    return [
        found
        for one, other in combinations(regions, 2)
        if f"{one}/{other}" not in network.between and f"{other}/{one}" not in network.between
        for found in _found(regions, one, other)
    ]


def _found(regions: Regions, one: str, other: str) -> list[Found]:
    here, there = regions[one].location, regions[other].location
    if here is None or there is None:
        return []
    try:
        return [Found((one, other), round_trip(here, there))]
    except CatalogueError:
        return []


def network_config(network: Network, regions: Regions) -> NetworkConfig:
    """Return the round trips between regions: those that the file gives, then the catalogue's."""
    between: dict[tuple[str, str], float] = {}
    jitter_between: dict[tuple[str, str], float] = {}
    for pair, round_trip_s in network.between.items():
        one, _, other = pair.partition("/")
        between[one, other] = between[other, one] = round_trip_s
    for found in found_between(network, regions):
        one, other = found.regions
        between[one, other] = between[other, one] = found.trip.p50_s
        if network.jitter is None and found.trip.jitter is not None:
            jitter_between[one, other] = jitter_between[other, one] = found.trip.jitter
    return NetworkConfig(
        within_region_s=WITHIN_REGION_S if network.within_region is None else network.within_region,
        between_s=between,
        jitter=JITTER if network.jitter is None else network.jitter,
        within_s={each.regions[0]: each.trip.p50_s for each in found_within(network, regions)},
        jitter_between=jitter_between,
        connect_timeout_s=network.connect_timeout,
    )
