"""What a measure knows of itself: unit, scale, bounds, direction, and how to compute it."""

from __future__ import annotations

import math

import pytest

from fedsim.results.measures import MEASURES
from fedsim.results.summary import GROUPINGS
from tests.fake_world import FakeWorld


def test_measures_of_successes() -> None:
    """Latencies, token times, waits, caches and preemptions are of successful requests alone."""
    of_successes = {name for name, measure in MEASURES.items() if measure.successes_only}

    assert {"ttft_p50_s", "tpot_p50_s", "cache_hit_share", "queue_wait_mean_s"} < of_successes
    assert not of_successes & {"attempts_per_request", "goodput_share", "cost_usd_per_hour"}


def test_titles_carry_units() -> None:
    """A heading with its unit is short; shares are read in percent and differ by points."""
    assert MEASURES["latency_p999_s"].title == "p99.9 s"
    assert MEASURES["queue_wait_p99_s"].title == "wait p99 s"
    share = MEASURES["goodput_share"]
    assert (share.title, share.scale, share.difference_unit) == ("goodput %", 100.0, "points")
    assert MEASURES["requests"].title == "requests"


def test_titles_and_places_differ() -> None:
    """No two measures look alike in a table, and none contends for another's place."""
    titles = [measure.title for measure in MEASURES.values()]
    places = [measure.place for measure in MEASURES.values() if measure.place is not None]

    assert len(set(titles)) == len(titles)
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("by", [None, *GROUPINGS])
def test_values_lie_within_bounds(by: str | None) -> None:
    """No measure of any group leaves its bounds."""
    run = FakeWorld(duration_s=100.0).run()
    table = run.summary(by)

    for name, measure in MEASURES.items():
        low, high = measure.bounds
        known = table[name].dropna()
        assert ((known >= low) & (known <= high * (1.0 + 1e-12))).all(), name
        assert math.isfinite(low)
