"""Slow start: the share of a node that has returned grows with its factor, whatever chooses."""

from __future__ import annotations

from collections import Counter

import pytest

import fedsim
from fedsim.federation.strategies.registry import STRATEGIES
from tests.chosen import others_slow

WINDOW_S = 30.0
SCENARIO = """\
name: slow-start
duration: 110s
warmup: 0s
regions: {lab: {}}
network: {within_region: 1ms}
pools: {w: {region: lab, count: 40, slots: 32, service: {distribution: exponential, mean: 4s}}}
workload: {chat: {arrivals: {process: poisson, rate: 200/s}}}
faults: [{kind: outage, node: w-0, at: 30s, lasts: 30s}]
federation:
  {policies: {}, timeout: {attempt: off, request: off}, health: {interval: 1s, timeout: 1s},
   circuit_breaker: off, slow_start: {}}
"""
TOGETHER = """\
name: together
duration: 300s
regions: {lab: {}}
network: {within_region: 1ms}
pools: {w: {region: lab, count: 20, slots: 8, service: {distribution: exponential, mean: 500ms}}}
workload: {chat: {arrivals: {process: poisson, rate: 80/s}}}
federation: {policies: {health: {}}, slow_start: {}}
faults: [{kind: outage, pool: w, at: 60s, lasts: 60s}]
"""
STALE = {"join_shortest_queue", "prequal"}
"""Strategies that go by reports of the last second, and so do not always want the node."""

QUICK = ("round_robin", "least_connections", "power_of_two", "join_shortest_queue")
STARTING = tuple(name for name, entry in STRATEGIES.items() if entry.slow_start)


def load(tmp_path, text, strategy, **federation):
    """Return the scenario of a text with a strategy and changes of the federation."""
    path = tmp_path / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    changes = {f"federation.{key}": value for key, value in federation.items()}
    return fedsim.load(path, {"federation.strategy": strategy} | changes)


def shares(tmp_path, strategy, seeds, **federation):
    """Return w-0's share over its fair share, by tenths of its slow start."""
    got, fair = [0.0] * 10, 0.0
    for seed in seeds:
        run = fedsim.simulate(load(tmp_path, SCENARIO, strategy, **federation), seed=seed)
        events = run.events.query("subject == 'w-0' and after == 'healthy' and time_s > 60")
        for name, seen in events.groupby("gateway", observed=True):
            attempts, back_s = run.attempts, seen["time_s"].min()
            sent = attempts[(attempts["gateway"] == name) & (attempts["started_s"] >= back_s)]
            ages_s = sent["started_s"] - back_s
            fair += (ages_s < WINDOW_S).sum() / 10 / 40
            for age_s in ages_s[(sent["node"] == "w-0") & (ages_s < WINDOW_S)]:
                got[int(age_s / WINDOW_S * 10)] += 1
    return [count / fair for count in got]


def assert_rising(found, strategy):
    """Check that shares follow the factor, a tenth to 1, as far as the strategy wants the node."""
    assert 0.02 < found[0] < 0.5
    assert sum(found[:3]) < sum(found[7:])
    expected = sum(max(0.1, (tenth + 0.5) / 10) for tenth in range(10))
    if strategy in STALE:
        assert sum(found) < 1.05 * expected
    else:
        assert sum(found) == pytest.approx(expected, rel=0.15)
        assert found[9] > 0.7


@pytest.mark.parametrize("strategy", others_slow(QUICK, ["least_connections"]))
def test_a_node_that_returns_soon(tmp_path, strategy):
    """At first it gets a tenth of its fair share, and at last all of it."""
    assert_rising(shares(tmp_path, strategy, [1, 2]), strategy)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STARTING)
def test_a_node_that_returns(tmp_path, strategy):
    """So it is with every strategy that has a weight or a load."""
    assert_rising(shares(tmp_path, strategy, range(1, 6)), strategy)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["round_robin", "least_connections"])
def test_behind_many_gateways(tmp_path, strategy):
    """Gateways with few requests in flight give it the same together."""
    found = shares(tmp_path, strategy, range(1, 6), gateways={"lab": 8})
    assert_rising(found, strategy)


@pytest.mark.parametrize(
    "strategy",
    [
        "round_robin",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("least_connections", "least_latency", "power_of_two")
        ),
    ],
)
def test_all_return_together(tmp_path, strategy):
    """Once all have returned none has more than 8 % of the requests, and all are served."""
    run = fedsim.simulate(load(tmp_path, TOGETHER, strategy))
    events = run.events.query("time_s > 120")
    back_s = events[events["after"].isin(["healthy", "closed"])]["time_s"].max()
    assert back_s < 160.0
    requests, attempts = run.requests, run.attempts
    served = requests[requests["arrived_s"] > back_s]["outcome"] == "ok"
    assert served.mean() > 0.999
    counts = Counter(attempts[attempts["started_s"] > 120.0]["node"])
    assert len(counts) == 20
    assert max(counts.values()) / counts.total() < 0.08
