"""Turns: many gateways do not march in step, and retries spread over all nodes."""

from __future__ import annotations

import random
from statistics import fmean, stdev

import pytest

import fedsim
from fedsim.federation.strategies.registry import STRATEGIES
from tests.chance import p_of_even
from tests.chosen import others_slow

NODES = 16
LOAD = 0.8
LOCKSTEP = """\
name: lockstep
duration: 20min
warmup: 2min
regions: {lab: {}}
network: {within_region: 1ms}
pools:
  w: {region: lab, count: 16, slots: 1, queue_limit: unlimited,
      service: {distribution: exponential, mean: 1s}}
workload: {chat: {arrivals: {process: poisson, rate: 12.8/s}}}
federation:
  {strategy: round_robin, policies: {}, timeout: off, retries: off, circuit_breaker: off,
   health: off}
"""
BIAS = """\
name: bias
seed: 3
duration: 6min
warmup: 0s
regions: {lab: {}}
network: {within_region: 1ms, jitter: 0%}
pools: {w: {region: lab, count: 50, slots: 4, service: {distribution: constant, value: 200ms}}}
workload: {chat: {arrivals: {process: poisson, rate: 10/s}}}
faults: [{kind: errors, pool: w, at: 0s, lasts: 6min, probability: 0.1}]
federation:
  {policies: {}, circuit_breaker: off, health: {interval: 5s},
   retries: {limit: 3, budget: off, backoff: 1ms}}
"""
HOT = """\
name: hot
duration: 3min
warmup: 0s
regions: {lab: {}}
network: {within_region: 1ms}
pools:
  w: {region: lab, count: 60, slots: 1, queue_limit: 8,
      service: {distribution: exponential, mean: 1s}}
workload: {chat: {arrivals: {process: poisson, rate: 24/s}, qos: {max_latency: 5s}}}
faults: [{kind: errors, pool: w, at: 1min, lasts: 1min, probability: 0.25}]
federation:
  {strategy: round_robin, policies: {}, circuit_breaker: off, health: off,
   retries: {limit: 3, budget: off, backoff: 1ms}}
"""
HERD = """\
name: herd
duration: 60s
regions: {lab: {}}
network: {within_region: 1ms}
pools: {w: {region: lab, count: 20, slots: 8, service: {distribution: exponential, mean: 500ms}}}
workload: {chat: {arrivals: {process: poisson, rate: 60/s}}}
faults: [{kind: errors, pool: w, at: 0s, lasts: 60s, probability: 0.5}]
federation:
  {policies: {}, circuit_breaker: off, retries: {limit: 3, budget: off}}
"""
TURN_TAKING = (
    "round_robin",
    "least_connections",
    "least_latency",
    "smooth_weighted_round_robin",
    "join_shortest_queue",
    "least_kv_cache",
    "sglang_cache_aware",
    "aibrix_prefix_cache",
    "envoy_zone_aware",
    "envoy_locality_weighted",
    "envoy_load_aware_locality",
    "envoy_priority",
    "cost_capped",
)
"""The strategies of which equal nodes take turns."""

ALL_TO_ONE = {"best_score": "sends everything to the node with the best score, the first of equals"}
"""Strategies that are worse than random behind many gateways, and why."""


def load(tmp_path, text, changes):
    """Return the scenario of a text with changes of its keys."""
    path = tmp_path / "scenario.yaml"
    path.write_text(text, encoding="utf-8")
    return fedsim.load(path, changes)


def mean_waits(tmp_path, seeds, gateways, duration="20min", **federation):
    """Return the mean wait of each seed's requests, in seconds."""
    changes = {f"federation.{key}": value for key, value in federation.items()}
    changes |= {"federation.gateways": {"lab": gateways}, "duration": duration}
    scenario = load(tmp_path, LOCKSTEP, changes)
    waits = []
    for seed in seeds:
        requests = fedsim.simulate(scenario, seed=seed).requests
        counted = requests[(requests["arrived_s"] >= 120.0) & (requests["outcome"] == "ok")]
        waits.append(counted["queue_wait_s"].mean())
    return waits


def wait_in_turns(rng, gateways, duration_s, warmup_s=120.0):
    """Return the mean wait, in seconds, where each gateway sends to every node in turn.

    An independent simulation: requests come at random to any gateway, each of which began with any
    node; a node serves one request after the other, for one second on average.
    """
    turns = [rng.randrange(NODES) for _ in range(gateways)]
    free_s = [0.0] * NODES
    now_s = 0.0
    waits_s: list[float] = []
    while True:
        now_s += rng.expovariate(NODES * LOAD)
        if now_s >= duration_s:
            return fmean(waits_s)
        gateway = rng.randrange(gateways)
        node = turns[gateway]
        turns[gateway] = (node + 1) % NODES
        begins_s = max(now_s, free_s[node])
        free_s[node] = begins_s + rng.expovariate(1.0)
        if now_s >= warmup_s:
            waits_s.append(begins_s - now_s)


class TestManyGateways:
    """Sixteen gateways in front of sixteen nodes that are 80 % busy."""

    def compare(self, tmp_path, gateways, seeds, duration, duration_s):
        """Check the mean wait of round robin against the independent simulation."""
        rng = random.Random(gateways)
        expected = [wait_in_turns(rng, gateways, duration_s) for _ in range(100)]
        found = mean_waits(tmp_path, seeds, gateways, duration)
        error = (stdev(expected) ** 2 * (1 / len(found) + 1 / len(expected))) ** 0.5
        assert abs(fmean(found) - fmean(expected)) < 3.5 * error
        return fmean(found)

    @pytest.mark.parametrize("gateways", others_slow([1, 8, 16], [16]))
    def test_in_turns_soon(self, tmp_path, gateways):
        """Mean waits agree with the independent simulation, within 3.5 standard errors."""
        self.compare(tmp_path, gateways, range(1, 4), "6min", 360.0)

    @pytest.mark.slow
    @pytest.mark.parametrize(("gateways", "about_s"), [(1, 1.88), (8, 2.4), (16, 2.8)])
    def test_in_turns(self, tmp_path, gateways, about_s):
        """Over 20 minutes and ten seeds as well; in step, 16 gateways would make it 7.8 s."""
        found = self.compare(tmp_path, gateways, range(1, 11), "20min", 1200.0)
        assert found == pytest.approx(about_s, rel=0.15)

    def test_dealt_in_turn_they_still_begin_anywhere(self, tmp_path):
        """With ``gateway_choice: turn`` round robin is no better and no worse than in step."""
        waits = mean_waits(tmp_path, range(1, 4), 16, "6min", gateway_choice="turn")
        assert fmean(waits) < 4.5

    @pytest.mark.slow
    @pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name not in ALL_TO_ONE])
    def test_none_is_worse_than_random(self, tmp_path, strategy):
        """Behind 16 gateways no strategy waits longer than 1.15 times what random does."""
        chance = mean_waits(tmp_path, range(1, 6), 16, strategy="random")
        waits = mean_waits(tmp_path, range(1, 6), 16, strategy=strategy)
        more = [wait - 1.15 * by_chance for wait, by_chance in zip(waits, chance, strict=True)]
        assert fmean(more) < 2.132 * stdev(more) / 5**0.5  # the upper limit of t with 95 %

    def test_probes_are_better_than_chance_behind_one_gateway(self, tmp_path):
        """Latencies by the load that requests find tell an idle node from a busy one."""
        chance = mean_waits(tmp_path, range(1, 4), 1, "6min", strategy="random")
        waits = mean_waits(tmp_path, range(1, 4), 1, "6min", strategy="prequal")
        assert fmean(waits) < 0.75 * fmean(chance)

    def test_one_that_is(self, tmp_path):
        """What sends everything to one node is worse, with however many gateways."""
        for strategy in ALL_TO_ONE:
            scenario = load(tmp_path, LOCKSTEP, {"duration": "1min", "warmup": "0s"})
            run = fedsim.simulate(scenario, strategy=strategy)
            assert run.attempts["node"].nunique() == 1


class TestRetries:
    """What fails is tried again by all nodes alike."""

    @pytest.mark.parametrize("strategy", others_slow(TURN_TAKING, TURN_TAKING[:5]))
    def test_spread(self, tmp_path, strategy):
        """Of 400 retries over 50 nodes none gets much more than its 8, as chance would have it."""
        run = fedsim.simulate(load(tmp_path, BIAS, {"federation.strategy": strategy}))
        attempts = run.attempts
        counts = attempts[attempts["attempt"] > 1]["node"].value_counts().to_list()
        counts += [0] * (50 - len(counts))
        assert sum(counts) > 300
        assert max(counts) / sum(counts) < 0.08
        assert p_of_even(counts) > 1e-3

    @pytest.mark.parametrize("strategy", ["round_robin", "least_connections", "envoy_priority"])
    def test_fourth_attempts_spread(self, tmp_path, strategy):
        """Attempts that avoid three nodes spread over the others, whichever these are."""
        run = fedsim.simulate(load(tmp_path, HERD, {"federation.strategy": strategy}))
        attempts = run.attempts
        for number in (2, 3, 4):
            counts = attempts[attempts["attempt"] == number]["node"].value_counts().to_list()
            assert p_of_even(counts + [0] * (20 - len(counts))) > 1e-3

    @pytest.mark.parametrize("seed", [5, 6, 7])
    def test_a_hot_minute(self, tmp_path, seed):
        """A quarter of all attempts fails for a minute: retries do not overload the first nodes."""
        requests = fedsim.simulate(load(tmp_path, HOT, {}), seed=seed).requests
        served = requests[requests["outcome"] == "ok"]
        assert len(served) / len(requests) > 0.9975  # 99.9 %, less three errors of a run
        assert 4.4 < served["latency_s"].quantile(0.99) < 5.6
