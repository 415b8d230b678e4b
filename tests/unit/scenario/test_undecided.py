"""Objectives that a study cannot decide are known before it runs."""

from __future__ import annotations

import pytest

import fedsim
from fedsim.scenario.offered_load import OfferedLoad
from fedsim.scenario.undecided import undecided_notes

SERVICE = {"distribution": "exponential", "mean": "1s"}


def notes(**changes) -> list[str]:
    """Return the notes on 100 s of one request per second, of which 10 s are warm-up."""
    scenario = {
        "duration": "100s",
        "warmup": "10s",
        "regions": {"home": {}},
        "pools": {"chat": {"region": "home", "slots": 8, "service": SERVICE}},
        "workload": {"chat": {"arrivals": {"process": "poisson", "rate": "1/s"}}},
    }
    return undecided_notes(OfferedLoad(fedsim.load(scenario | changes)))


def test_too_few_requests_for_a_percentile():
    """The note says how many there are, how many are needed, and how many replications do."""
    assert notes(slo={"latency_p99": "5s", "latency_p95": "5s", "success_rate": "99%"}) == [
        "latency p99 ≤ 5 s cannot be decided: 10 replications have about 900 requests after the "
        "warm-up, and this percentile needs 1,000. Write study: {replications: 12}, or a longer "
        "duration."
    ]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"slo": {"latency_p99": "5s"}, "study": {"replications": 12}},
        {"slo": {"latency_p99": "5s"}, "compare": {"replications": 12}},
        {"slo": {"latency_p99": "5s"}, "duration": "2min"},
    ],
)
def test_enough_requests(changes):
    """Without percentiles, or with enough requests over all replications, there is no note."""
    assert notes(**changes) == []


def test_a_stream_has_its_own_requests():
    """The bound of a stream rests on its requests alone, and is named with it."""
    (note,) = notes(
        slo={"latency_p99": "5s", "streams": {"rare": {"latency_p99": "9s"}}},
        workload={
            "chat": {"arrivals": {"process": "poisson", "rate": "2/s"}},
            "rare": {"arrivals": {"process": "poisson", "rate": "0.1/s"}},
        },
    )
    assert note.startswith("latency p99 of rare ≤ 9 s cannot be decided: 10 replications have")
    assert "about 90 requests" in note
