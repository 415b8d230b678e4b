"""Plans against Erlang's formulas: the number of slots of an M/M/c queue for a percentile.

Published numbers are of sojourn times at a service of 1 s, and of waits; the others follow from the
same formulas.
"""

from __future__ import annotations

import math
from heapq import heapreplace

import numpy as np
import pytest

import fedsim
from fedsim.kernel.streams import generator
from fedsim.studies.plan.box import Box, Choice, Point
from fedsim.studies.plan.cases import NORMAL
from fedsim.studies.plan.search import Search
from fedsim.studies.plan.verdict import Series, judged
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


def lengths_s(rate: float, slots: int) -> tuple[float, float]:
    """Return a warm-up and a window in which the queue with a slot less is stationary.

    Its relaxation time is 1 / (√slots − √rate)²: at 101 slots and 100 requests per second, seven
    minutes. A window of 50,000 requests from an empty queue would hold a limit that the stationary
    queue does not.
    """
    fewer = slots - 1 if slots - 1 > rate else slots
    relaxation_s = 1.0 / (math.sqrt(fewer) - math.sqrt(rate)) ** 2
    return max(0.02 * REQUESTS / rate, 3.0 * relaxation_s), max(
        REQUESTS / rate, 10.0 * relaxation_s
    )


def queue(time: str, rate: float, percentile: int, limit_s: float) -> fedsim.Scenario:
    """Return an M/M/c queue with an objective."""
    slots = slots_for(time, rate, 1.0 - percentile / 100.0, limit_s)
    warmup_s, window_s = lengths_s(rate, slots)
    return fedsim.load(
        {
            "name": "erlang",
            "seed": 11,
            "duration": f"{warmup_s + window_s}s",
            "warmup": f"{warmup_s}s",
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


LOADS = [*(each[:4] for each in KNOWN), *OWN]


class Recursion:
    """Worlds of one pool whose times are those of the recursion of Kiefer and Wolfowitz."""

    def __init__(self, time, rate, percentile, limit_s, lengths_s, replications):
        self.before, self.count = (round(rate * each) for each in lengths_s)
        self.time, self.rate, self.limit_s = time, rate, limit_s
        self.percentile, self.replications = percentile, replications
        self.known = {}

    def value(self, slots, replication):
        """Return the percentile of the requests after the warm-up."""
        draws = generator(replication, "erlang")
        count = self.before + self.count
        arrived_s = np.cumsum(draws.exponential(1.0 / self.rate, count)).tolist()
        services_s = draws.exponential(1.0, count).tolist()
        free_s = [0.0] * slots
        times_s = []
        for arrival_s, service_s in zip(arrived_s, services_s, strict=True):
            begin_s = max(arrival_s, free_s[0])
            heapreplace(free_s, begin_s + service_s)
            wait_s = begin_s - arrival_s
            times_s.append(wait_s if self.time == "queue_wait" else wait_s + service_s)
        return float(np.percentile(times_s[self.before :], self.percentile))

    def judge(self, rule, replications):
        """Return the judgment after so many replications."""
        (slots,) = rule.world.counts
        values = self.known.setdefault(slots, [])
        values += [self.value(slots, n) for n in range(len(values), replications)]
        share, counts = self.percentile / 100.0, np.full(len(values), self.count)
        series = Series("it", "s", np.array(values), self.limit_s, False, counts, share)
        return judged([series], len(values), self.replications, 0.05)

    def worse(self, one, other):
        """Return that nothing is known."""
        return False


def searched(time, rate, percentile, limit_s, most, lengths_s, replications=10):
    """Return the number of slots that the search finds, or None, and the oracle."""
    ones = np.ones(1, dtype=int)
    choice = Choice({}, ones.astype(float), ones, {}, ("slot",), np.ones((1, 1), dtype=bool))
    box = Box(["one"], ["us"], ["chat"], [range(1, most + 1)], [choice], "nodes")
    oracle = Recursion(time, rate, percentile, limit_s, lengths_s, replications)
    start = Point(0, (math.ceil(rate),))
    found = Search(box, [NORMAL], oracle, replications, start=start).run()
    return None if found.best is None else box.point(found.best).counts[0], oracle


@pytest.mark.slow
@pytest.mark.parametrize(("time", "rate", "percentile", "limit_s"), LOADS)
def test_search_finds_erlangs_number(time, rate, percentile, limit_s):
    """Of the same queue by its recursion, which is faster than a world: all loads."""
    share = 1.0 - percentile / 100.0
    slots = slots_for(time, rate, share, limit_s)
    lengths = lengths_s(rate, slots)
    best, oracle = searched(time, rate, percentile, limit_s, 2 * slots, lengths)
    found = oracle.judge(NORMAL.rule(0, (slots,), ["us"]), oracle.replications)
    margin = 1.0 - percentile_s(time, rate, slots, share) / limit_s
    width = found.high - found.excess
    print(f"{time} {rate} p{percentile}: {best} of {slots}, {margin=:.3f} {width=:.3f}")
    assert best in ({slots} if margin > width else {slots, slots + 1})


def test_search_says_that_no_fleet_can():
    """Services take longer than the limit: one look at the largest is enough."""
    best, oracle = searched("latency", 1.0, 95, 2.0, 300, (100.0, 5000.0))
    assert best is None
    assert len(oracle.known) <= 2


@pytest.mark.slow
@pytest.mark.parametrize(("time", "rate", "percentile", "limit_s"), LOADS)
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
    scenario = queue("latency", 30.0, 95, 4.0).changed(
        {"duration": "200s", "warmup": "5s", "slo": {"latency_p95": "2s"}}
    )
    plan = fedsim.plan(scenario, vary={SLOTS: [1, 500]}, minimize="slots", replications=4)
    assert (plan.status, plan.best) == ("none", None)
    assert plan.runs["search"] <= 8
