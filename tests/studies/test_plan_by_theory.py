"""Plans against Erlang's formulas: the number of slots of an M/M/c queue for a percentile.

Published numbers are of sojourn times at a service of 1 s, and of waits; the others follow from the
same formulas.
"""

from __future__ import annotations

import math

import pytest

import fedsim
from fedsim.studies.queueing import erlang_c, m_m_c_tail

REQUESTS = 50_000
SLOTS = "pools.one.slots"

KNOWN = [
    ("latency", 30.0, 95, 4.0, 32),
    ("latency", 30.0, 99, 5.0, 33),
    ("latency", 60.0, 99, 5.0, 63),
    ("latency", 100.0, 99, 6.0, 102),
    ("queue_wait", 8.0, 90, 0.25, 12),
    ("queue_wait", 30.0, 95, 0.5, 35),
    ("queue_wait", 60.0, 99, 0.1, 75),
]
"""Time, rate, percentile, limit in seconds and the smallest number of slots that hold it."""

OWN = [
    ("latency", 1.0, 90, 4.0),
    ("latency", 2.0, 95, 4.0),
    ("latency", 5.0, 90, 3.0),
    ("latency", 8.0, 99, 6.0),
    ("latency", 12.0, 50, 0.9),
    ("latency", 16.0, 95, 3.5),
    ("latency", 20.0, 99, 5.0),
    ("latency", 45.0, 90, 2.6),
    ("queue_wait", 2.0, 90, 0.3),
    ("queue_wait", 5.0, 95, 0.5),
    ("queue_wait", 12.0, 99, 0.5),
    ("queue_wait", 20.0, 90, 0.1),
    ("queue_wait", 40.0, 95, 0.2),
]
"""The same, without the number."""


def above(time: str, rate: float, slots: int, at_s: float) -> float:
    """Return the probability of a time above *at_s*, where the mean service is 1 s."""
    if slots <= rate:
        return 1.0
    if time == "queue_wait":
        return m_m_c_tail(rate, 1.0, slots, at_s)
    waits, gap = erlang_c(rate, slots), slots - rate
    if math.isclose(gap, 1.0):
        return math.exp(-at_s) * (1.0 + waits * at_s)
    both = (gap * math.exp(-at_s) - math.exp(-gap * at_s)) / (gap - 1.0)
    return (1.0 - waits) * math.exp(-at_s) + waits * both


def percentile_s(time: str, rate: float, slots: int, share: float) -> float:
    """Return a percentile, in seconds."""
    low, high = 0.0, 1e4
    for _ in range(80):
        middle = (low + high) / 2.0
        low, high = (middle, high) if above(time, rate, slots, middle) > share else (low, middle)
    return high


def slots_for(time: str, rate: float, share: float, limit_s: float) -> int:
    """Return the smallest number of slots for which at most a *share* takes longer."""
    slots = math.floor(rate) + 1
    while above(time, rate, slots, limit_s) > share:
        slots += 1
    return slots


def queue(time: str, rate: float, percentile: int, limit_s: float) -> fedsim.Scenario:
    """Return an M/M/c queue with an objective."""
    return fedsim.load(
        {
            "name": "erlang",
            "seed": 11,
            "duration": f"{1.02 * REQUESTS / rate}s",
            "warmup": f"{0.02 * REQUESTS / rate}s",
            "regions": {"us": {}},
            "network": {"within_region": "1us"},
            "pools": {
                "one": {
                    "region": "us",
                    "slots": 1,
                    "queue_limit": "unlimited",
                    "service": {"distribution": "exponential", "mean": "1s"},
                }
            },
            "workload": {"chat": {"arrivals": {"process": "poisson", "rate": f"{rate}/s"}}},
            "federation": {
                "health": "off",
                "circuit_breaker": "off",
                "timeout": "off",
                "retries": "off",
            },
            "record": {"nodes_every": "off"},
            "slo": {f"{time}_p{percentile}": f"{limit_s}s"},
        }
    )


def test_formulas_give_the_published_numbers():
    """Of the numbers of slots that others published."""
    for time, rate, percentile, limit_s, slots in KNOWN:
        assert slots_for(time, rate, 1.0 - percentile / 100.0, limit_s) == slots


@pytest.mark.slow
@pytest.mark.parametrize(
    ("time", "rate", "percentile", "limit_s"), [*(each[:4] for each in KNOWN), *OWN]
)
def test_finds_erlangs_number(time, rate, percentile, limit_s):
    """It is exact where the margin exceeds the half-width, and else at most one more."""
    share = 1.0 - percentile / 100.0
    slots = slots_for(time, rate, share, limit_s)
    plan = fedsim.plan(
        queue(time, rate, percentile, limit_s),
        vary={SLOTS: [1, 2 * slots]},
        minimize="slots",
        replications=4,
    )
    assert plan.best is not None
    margin = 1.0 - percentile_s(time, rate, slots, share) / limit_s
    row = plan.evaluations[plan.evaluations[SLOTS] == slots].iloc[0]
    width = row["high"] - (row["value"] / limit_s - 1.0)
    print(f"{time} {rate} p{percentile}: {plan.best[SLOTS]} of {slots}, {margin=:.3f} {width=:.3f}")
    assert plan.best[SLOTS] in ({slots} if margin > width else {slots, slots + 1})


@pytest.mark.slow
def test_no_fleet_can_where_the_service_alone_is_too_long():
    """95 % of services take up to 3 s, and the limit is 2 s: the largest fleet is looked at."""
    scenario = queue("latency", 30.0, 95, 2.0).changed({"duration": "200s", "warmup": "5s"})
    plan = fedsim.plan(scenario, vary={SLOTS: [1, 500]}, minimize="slots", replications=4)
    assert (plan.status, plan.best) == ("none", None)
    assert plan.runs["search"] <= 8
