"""Saturated fleets are found by what waits, and only where more comes than can be served."""

from __future__ import annotations

import numpy as np

import fedsim
from fedsim.document import MISSING, Table
from fedsim.report.comparison import comparison_report
from fedsim.studies.saturation import LOOKS, grows, in_system


def compared(rate: str, queue_limit: int = 10_000) -> fedsim.Comparison:
    """Compare two strategies on two nodes that serve ten requests per second each."""
    service = {"distribution": "exponential", "mean": "100ms"}
    scenario = fedsim.load(
        {
            "duration": "100s",
            "warmup": "10s",
            "regions": {"home": {}},
            "pools": {
                "chat": {
                    "region": "home",
                    "count": 2,
                    "slots": 1,
                    "queue_limit": queue_limit,
                    "service": service,
                }
            },
            "workload": {"chat": {"arrivals": {"process": "poisson", "rate": rate}}},
        }
    )
    strategies = ["round_robin", "least_connections"]
    return fedsim.compare(scenario, strategies=strategies, replications=4, workers=1)


def test_an_overloaded_fleet_is_saturated():
    """It is named with its rate, and none of its percentiles is shown, though p50 has enough."""
    found = compared("25/s")
    assert list(found.saturated) == ["round_robin", "least_connections"]
    assert all(23.0 < rate < 27.0 for rate in found.saturated.values())
    assert any("round_robin: saturated at 2" in text for text in found.warnings)
    tables = [block for block in comparison_report(found).blocks if isinstance(block, Table)]
    p50 = [column for table in tables for column in table.columns if column.heading == "p50"]
    assert p50
    assert {str(cell) for column in p50 for cell in column.cells} == {MISSING}


def test_a_fleet_that_keeps_up_is_not():
    """At half of what it can serve nothing grows, and nothing is said."""
    found = compared("10/s")
    assert found.saturated == {}
    assert not any("saturated" in text for text in found.warnings)


def test_a_full_queue_does_not_grow():
    """Short queues turn away what is too much: latencies are then those of any window."""
    assert compared("25/s", queue_limit=2).saturated == {}


def test_growth_must_be_shown():
    """A clear rise of all replications is growth; noise, a fall and one replication are not."""
    rng = np.random.default_rng(8)
    noise = rng.normal(10.0, 3.0, size=(10, LOOKS))
    rise = np.arange(LOOKS)
    assert grows(noise + rise)
    assert not grows(noise)
    assert not grows(noise - rise)
    assert not grows(noise[:1] + rise)


def test_requests_in_the_system_are_counted():
    """They are those that arrived by then and have not ended; who never ends stays."""
    found = compared("10/s")
    run = found.run("round_robin")
    requests = run.requests
    counts = in_system(run.tables, run.warmup_s, run.duration_s)
    assert len(counts) == LOOKS
    for at_s, count in zip(np.linspace(10.0, 100.0, LOOKS), counts, strict=True):
        inside = (requests["arrived_s"] <= at_s) & ~(requests["finished_s"] <= at_s)
        assert count == inside.sum()
