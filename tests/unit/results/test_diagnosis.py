"""Known defects of routing are found in the tables, and nothing is found where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fedsim
from fedsim.federation.strategies.registry import STRATEGIES
from fedsim.results.diagnosis import findings
from fedsim.results.recorder import Recorder
from fedsim.results.troubles import GRACE_S, troubles, within
from fedsim.studies.cautions import run_warnings
from tests.fake_world import FakeWorld

SCENARIO = Path(__file__).parents[3] / "scenarios" / "defects" / "defects.yaml"

DEFECTS = {
    "ZeroLoads": "All on one node: workers-0 got 100 %",
    "FirstOnTies": "First on ties: whenever several nodes of workers were equally loaded, 100 %",
    "NeverRebalances": "Sticky without rebalancing: 100 %",
    "StaleRates": "Starved node: workers-2 is well and got 0 attempts",
}

STICKY_BY_DESIGN = {"consistent_hash", "maglev", "rendezvous_hash"}
FIRST_BY_DESIGN = {"best_score"}


@pytest.fixture(scope="module")
def scenario() -> fedsim.Scenario:
    """Return the scenario of the defects."""
    return fedsim.load(SCENARIO)


@pytest.mark.parametrize("router", DEFECTS)
def test_each_defect_is_named(scenario: fedsim.Scenario, router: str) -> None:
    """The shipped scenario gives each defect away, and no other, in what fedsim prints."""
    run = fedsim.simulate(scenario, router=f"defective_routers:{router}")

    (found,) = findings(run)
    assert found.startswith(DEFECTS[router])
    assert found in run_warnings(run)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_our_strategies_have_none(scenario: fedsim.Scenario, strategy: str) -> None:
    """On the same load nothing is found but what a strategy does by design."""
    found = findings(fedsim.simulate(scenario, strategy=strategy))

    if strategy in STICKY_BY_DESIGN:
        assert all(each.startswith("Sticky without rebalancing") for each in found)
    elif strategy in FIRST_BY_DESIGN:
        assert found
    else:
        assert found == []


def test_trouble_of_a_pool_is_its_nodes() -> None:
    """Faults of a node, pool or region, and doubts of a gateway, are trouble of the node."""
    names = FakeWorld().names
    node, gateway = names.nodes[0], names.gateways[0]
    name, pool, region = node.name, node.pool, node.region
    told = [
        (10.0, "fault", pool, "", "up", "down"),
        (20.0, "fault", pool, "", "down", "up"),
        (100.0, "fault", region, "", "normal", "slow x5"),
        (110.0, "fault", region, "", "slow x5", "normal"),
        (200.0, "health", name, gateway, "healthy", "degraded"),
        (210.0, "health", name, gateway, "degraded", "healthy"),
        (300.0, "breaker", name, gateway, "closed", "open"),
    ]
    recorder = Recorder(names)
    for time_s, kind, subject, gateway, before, after in told:
        recorder.event(time_s, kind, subject, gateway, before, after, "")

    spans = troubles(recorder.tables().events, names, end_s=400.0)[0]

    assert spans.tolist() == [
        [10.0, 20.0 + GRACE_S],
        [100.0, 110.0 + GRACE_S],
        [200.0, 210.0 + GRACE_S],
        [300.0, 400.0 + GRACE_S],
    ]
    inside = within(np.array([9.0, 10.0, 49.9, 50.0, 150.0, 350.0]), spans)
    assert inside.tolist() == [False, True, True, False, False, True]


def test_without_trouble_nothing_is_within() -> None:
    """A node that was always well has no spans."""
    assert not within(np.array([1.0, 2.0]), np.empty((0, 2))).any()
