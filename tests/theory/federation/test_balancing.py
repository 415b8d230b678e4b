"""Strategies that compare loads, against Markov chains and mean fields."""

from __future__ import annotations

import math
from typing import Any

import pytest

from fedsim.studies.queueing import (
    jumps,
    least_busy,
    m_m_c_wait_s,
    mean_field_stay_s,
    two_nodes_stay_s,
)
from fedsim.workload.distributions import Exponential
from tests.chosen import others_slow
from tests.simulated import Federation, run_world, small_world
from tests.theory.federation.balanced import Balancing, jumping_stay_s, only_idle
from tests.theory.replications import Z_MOST

LOAD = 0.7
REPORTED = {"depth": "reported"}
ACTUAL = {"depth": "actual"}
REPLACED = {"replacement": True}

TWO_NODES: list[tuple[str, Any, Any]] = [
    ("random", {}, jumps(0.5)),
    ("power_of_two", {"replacement": True}, jumps(0.25)),
    ("envoy_least_request", {}, jumps(0.25)),
    ("power_of_two", {}, least_busy),
    ("envoy_least_request", {"full_scan": True}, least_busy),
    ("join_idle_queue", {}, only_idle),
]
"""A strategy, its settings, and how likely its rule is to send a request to the busier node."""


def test_the_chain() -> None:
    """Where the busier of two nodes gets half of the requests, each is an M/M/1 queue."""
    assert two_nodes_stay_s(LOAD, jumps(0.5)) == pytest.approx(1.0 / (1.0 - LOAD), rel=1e-3)


@pytest.mark.parametrize(
    ("strategy", "settings", "busier"),
    others_slow(TWO_NODES, TWO_NODES[:1] + TWO_NODES[3:4]),
)
def test_two_nodes(strategy, settings, busier) -> None:
    """Over two nodes, requests stay as long as the stationary Markov chain of both queues says."""
    fleet = Balancing(strategy, 2, LOAD, settings, requests=1_500, warmup_s=150.0)
    seen = fleet.stay_s(1, replications=16)

    expected_s = two_nodes_stay_s(LOAD, busier)
    print(f"{strategy}: {seen.mean:.4f}, theory {expected_s:.4f}, z {seen.z(expected_s):+.2f}")
    assert abs(seen.z(expected_s)) < Z_MOST
    assert seen.half_width < 0.15 * expected_s


def test_more_nodes_come_closer_to_the_mean_field() -> None:
    """The best of two stays longer than in an endless fleet, by less the larger the fleet is."""
    limit_s = mean_field_stay_s(LOAD, 2)
    fleets = [
        Balancing("power_of_two", nodes, LOAD, REPLACED, requests=6_000, warmup_s=30.0)
        for nodes in (2, 8, 64)
    ]
    seen = [fleet.stay_s(1, replications=4) for fleet in fleets]

    excess = [each.mean / limit_s - 1.0 for each in seen]
    print([f"{share:.2%}" for share in excess])
    assert excess[0] > excess[1] > excess[2]
    assert abs(excess[2]) < 0.03


@pytest.mark.slow
@pytest.mark.parametrize("load", [0.7, 0.9])
def test_a_hundred_nodes(load) -> None:
    """A hundred nodes are a little above the mean field, as the chain of their counts is."""
    fleet = Balancing("power_of_two", 100, load, REPLACED, requests=40_000, warmup_s=60.0)
    seen = fleet.stay_s(1, replications=8)
    chain = jumping_stay_s(100, load, seed=1, steps=6_000_000)

    limit_s = mean_field_stay_s(load, 2)
    print(
        f"{load}: {seen.mean:.4f} +- {seen.half_width:.4f}, chain {chain.mean:.4f} +- "
        f"{chain.half_width:.4f}, mean field {limit_s:.4f}"
    )
    error_s = math.hypot(seen.standard_error, chain.standard_error)
    assert abs(seen.mean - chain.mean) < Z_MOST * error_s
    assert seen.half_width < 0.02 * seen.mean
    assert limit_s < chain.mean < 1.03 * limit_s


@pytest.mark.slow
def test_three_choices_are_better_than_two() -> None:
    """Two and three choices come as near to the mean field as the size of the fleet allows."""
    stays_s = {
        choices: Balancing(
            "power_of_two", 32, LOAD, {"choices": choices, **REPLACED}, requests=8_000
        )
        .stay_s(1, replications=4)
        .mean
        for choices in (2, 3)
    }

    for choices, stay_s in stays_s.items():
        assert stay_s == pytest.approx(mean_field_stay_s(LOAD, choices), rel=0.05)


def test_the_shortest_queue_beats_two_choices() -> None:
    """All queues known beat two, and one queue for all nodes beats all queues known."""
    shortest = Balancing("join_shortest_queue", 16, 0.9, ACTUAL, requests=5_000).stay_s(
        1, replications=4
    )
    two = Balancing("power_of_two", 16, 0.9, requests=5_000).stay_s(1, replications=4)

    common_s = 1.0 + m_m_c_wait_s(0.9 * 16, 1.0, 16)
    assert common_s < shortest.mean < 0.85 * two.mean


def test_true_depths_are_those_that_a_single_gateway_counts() -> None:
    """Without a network, joining the shortest queue and least connections choose alike."""
    world = small_world(Exponential(1.0), 3.0, 300.0, nodes=4)
    nodes = [
        run_world(world, Federation(strategy, settings)).requests["node"].tolist()
        for strategy, settings in (("join_shortest_queue", ACTUAL), ("least_connections", {}))
    ]

    assert nodes[0] == nodes[1]


class TestTheHerd:
    """Depths as the last probe reported them: the older, the worse."""

    @staticmethod
    def stay_s(probes_every_s: float) -> float:
        """Return the mean time in the system of 16 nodes at 90 % load."""
        fleet = Balancing("join_shortest_queue", 16, 0.9, REPORTED, probes_every_s, 4_000)
        return fleet.stay_s(1, replications=4).mean

    def test_fresh_reports(self) -> None:
        """Reports a quarter of a service old at most are better than the power of two choices."""
        assert self.stay_s(0.25) < 2.6

    def test_stale_reports(self) -> None:
        """Reports some services old are worse than chance, which is 1 / (1 - load)."""
        chance_s = 1.0 / (1.0 - 0.9)
        assert self.stay_s(1.0) < chance_s < self.stay_s(8.0)
