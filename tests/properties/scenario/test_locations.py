"""Round trips of the catalogue, between any two locations."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from fedsim.scenario.catalogues.locations import location_names, round_trip
from fedsim.scenario.catalogues.tables import CatalogueError

LOCATIONS = st.sampled_from(location_names())


def found(one, other):
    """Return the round trip between two locations, or None."""
    try:
        return round_trip(one, other)
    except CatalogueError:
        return None


@given(LOCATIONS, LOCATIONS)
def test_round_trips_are_the_same_both_ways(one, other):
    """Whichever end is named first, all figures are the same."""
    assert found(one, other) == found(other, one)


@given(LOCATIONS, LOCATIONS)
def test_a_cloud_is_complete(one, other):
    """Any two different locations of a cloud have a round trip, and none of two clouds."""
    same = one.partition("/")[0] == other.partition("/")[0]

    assert one == other or (found(one, other) is not None) == same


def test_percentiles_are_above_medians():
    """No 95th percentile is below its median, and no round trip takes no time."""
    trips = [found(one, other) for one, other in product(location_names(), repeat=2)]
    for trip in trips:
        assert trip is None or 0.0 < trip.p50_s <= (trip.p95_s or trip.p50_s) < 1.0
