"""Known defects of routing are found in the tables, and nothing is found where there is none."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fedsim
from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import InferenceRequest, RouteTarget
from fedsim.federation.strategies.registry import STRATEGIES
from fedsim.results.diagnosis import findings
from fedsim.results.evidence import Evidence, evidence_of
from fedsim.results.recorder import Recorder
from fedsim.results.troubles import GRACE_S, troubles, within
from fedsim.studies.cautions import run_warnings
from tests.chosen import others_slow
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
    (evidence,) = evidence_of(run, "1")
    assert evidence.finding.text == found
    EVIDENCE[router](run, evidence)


def on_the_busiest_node(run: fedsim.Run, evidence: Evidence) -> None:
    """The attempts of the window on the node that has the most of them under way."""
    started_s = run.attempts["started_s"]
    inside = (started_s >= run.warmup_s) & (started_s < run.duration_s)
    node = evidence.nodes["under_way"].idxmax()
    assert set(evidence.attempts["node"]) == {node}
    assert len(evidence.attempts) == int((inside & (run.attempts["node"] == node)).sum())


def on_the_starved_node(run: fedsim.Run, evidence: Evidence) -> None:
    """All that it got within the window, which ended when the finding says."""
    assert set(evidence.attempts["node"]) == {"workers-2"}
    assert len(evidence.attempts) == evidence.nodes.loc["workers-2", "attempts"]
    last_s = evidence.attempts["started_s"].max()
    assert f"its last came at {last_s:.0f} s" in evidence.finding.text


def on_the_first_of_equals(run: fedsim.Run, evidence: Evidence) -> None:
    """Of some of them: no node had fewer under way, another had as few, and is listed later."""
    attempts = run.attempts
    ended_s = attempts["finished_s"].fillna(run.end_s)
    for row in evidence.attempts.iloc[::200].itertuples():
        earlier = attempts["started_s"] < row.started_s
        under_way = attempts[earlier & (ended_s > row.started_s)]["node"].value_counts()
        loads = [int(under_way.get(name, 0)) for name in evidence.nodes.index]
        assert loads.count(min(loads)) > 1
        assert evidence.nodes.index[loads.index(min(loads))] == row.node


EVIDENCE = {
    "ZeroLoads": on_the_busiest_node,
    "FirstOnTies": on_the_first_of_equals,
    "NeverRebalances": on_the_busiest_node,
    "StaleRates": on_the_starved_node,
}
"""What has to hold of the evidence for each defect."""


@pytest.mark.parametrize(
    "strategy",
    others_slow(
        STRATEGIES,
        ["best_score", "consistent_hash", "least_connections", "power_of_two", "weighted_random"],
    ),
)
def test_our_strategies_have_none(scenario: fedsim.Scenario, strategy: str) -> None:
    """On the same load nothing is found but what a strategy does by design."""
    found = findings(fedsim.simulate(scenario, strategy=strategy))

    if strategy in STICKY_BY_DESIGN:
        assert all(each.startswith("Sticky without rebalancing") for each in found)
    elif strategy in FIRST_BY_DESIGN:
        assert found
    else:
        assert found == []


def world(**changes: Any) -> dict[str, Any]:
    """Return a scenario of eight nodes that hardly ever wait, with *changes*."""
    return {
        "seed": 4,
        "duration": "5min",
        "warmup": "10s",
        "regions": {"lab": {}},
        "network": {"within_region": "1ms"},
        "pools": {
            "w": {
                "region": "lab",
                "count": 8,
                "slots": 8,
                "service": {"distribution": "exponential", "mean": "200ms"},
            }
        },
        "workload": {"chat": {"arrivals": {"process": "poisson", "rate": "40/s"}}},
        "federation": {"strategy": "least_connections", "policies": {}},
        **changes,
    }


def scenario_of(path: Path, **changes: Any) -> fedsim.Scenario:
    """Return `world` with *changes* as a scenario."""
    (path / "world.yaml").write_text(json.dumps(world(**changes)))
    return fedsim.load(path / "world.yaml")


class LeakyCounts:
    """The fewest in flight; an attempt that ends in an error is never taken off."""

    def __init__(self, context: GatewayContext) -> None:
        self.catalog = context.catalog
        self.counts: dict[str, int] = {}
        self.turn = 0

    async def route(self, request: InferenceRequest) -> RouteTarget:
        """Return the least loaded node, equal ones in turn."""
        nodes = await self.catalog.find_by_capability(request.capability)
        self.turn += 1
        turn = self.turn % len(nodes)
        node, region = min(
            nodes[turn:] + nodes[:turn], key=lambda each: self.counts.get(each[0], 0)
        )
        return RouteTarget(node, region)

    def on_start(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Count an attempt."""
        self.counts[target.node_id] = self.counts.get(target.node_id, 0) + 1

    def on_complete(
        self, target: RouteTarget, request: InferenceRequest, outcome: str, latency_s: float
    ) -> None:
        """Uncount it, but for errors."""
        self.counts[target.node_id] -= outcome == "ok"


def test_a_starved_node_is_named_though_nobody_waits(tmp_path: Path) -> None:
    """A node that a leaked count keeps idle for good costs money, however idle the others are."""
    fault = {"kind": "errors", "node": "w-3", "at": "30s", "lasts": "10s", "probability": 1}
    scenario = scenario_of(tmp_path, faults=[fault])

    (found,) = findings(fedsim.simulate(scenario, router=LeakyCounts))
    assert found.startswith("Starved node: w-3 is well and got 0 attempts")
    assert "and is paid for all the same" in found


@pytest.mark.parametrize(
    "faults",
    [
        [{"kind": "outage", "node": "w-3", "at": "60s", "lasts": "10min"}],
        [{"kind": "drain", "node": "w-3", "at": "60s", "lasts": "10min"}],
        [{"kind": "partition", "between": ["lab/0", "w-3"], "at": "60s", "lasts": "10min"}],
        [{"kind": "errors", "node": "w-3", "at": "60s", "lasts": "5s", "probability": 0.9}],
    ],
    ids=lambda faults: faults[0]["kind"],
)
@pytest.mark.parametrize(
    "strategy",
    others_slow(
        ["least_connections", "finagle_peak_ewma", "envoy_priority"], ["least_connections"]
    ),
)
def test_nobody_is_accused_of_what_a_fault_explains(
    tmp_path: Path, faults: list[dict[str, Any]], strategy: str
) -> None:
    """A node that a fault keeps idle is not starved, and one that is well again is used again."""
    scenario = scenario_of(tmp_path, faults=faults)

    assert findings(fedsim.simulate(scenario, strategy=strategy)) == []


@pytest.mark.parametrize("strategy", ["consistent_hash", "rendezvous_hash", "maglev"])
def test_few_tenants_leave_nodes_idle(tmp_path: Path, strategy: str) -> None:
    """Where tenants stay on their nodes and nobody waits, an idle node is no finding."""
    chat = {"arrivals": {"process": "poisson", "rate": "10/s"}, "tenants": {"count": 6}}
    scenario = scenario_of(tmp_path, workload={"chat": chat})

    assert findings(fedsim.simulate(scenario, strategy=strategy)) == []


def test_health_checks_that_lie(tmp_path: Path) -> None:
    """Nodes that serve well and are called ill are capacity that health checks removed."""
    fault = {"kind": "health", "pool": "w", "says": "ill", "mtbf": "40s", "mttr": "90s"}
    scenario = scenario_of(tmp_path, faults=[fault])

    run = fedsim.simulate(scenario)
    (found,) = findings(run)
    (evidence,) = evidence_of(run, "healthy capacity")
    assert set(evidence.events["kind"]) == {"health"}
    assert len(evidence.events) == int((run.events["kind"] == "health").sum()) > 0
    removed = re.match(
        r"Healthy capacity was removed by health checks: at most (\d) of 8 nodes of w were used at "
        r"(\d+) s",
        found,
    )
    assert removed is not None
    assert int(removed[1]) <= 4


def test_health_checks_that_tell_the_truth(tmp_path: Path) -> None:
    """Nodes that are down, and called ill until probes find them well again, are no finding."""
    fault = {"kind": "outage", "pool": "w", "at": "60s", "lasts": "60s", "share": "75%"}
    scenario = scenario_of(tmp_path, faults=[fault])

    assert findings(fedsim.simulate(scenario)) == []


def test_a_trial_that_never_ends(tmp_path: Path) -> None:
    """A half-open circuit whose trial request is lost for good is named, with node and time."""
    scenario = scenario_of(
        tmp_path,
        faults=[
            {"kind": "errors", "node": "w-0", "at": "60s", "lasts": "20s", "probability": 1},
            {"kind": "link", "from": "w-0", "to": "lab", "at": "80s", "lasts": "30s", "loss": 1.0},
        ],
        federation={
            "strategy": "round_robin",
            "policies": {},
            "health": "off",
            "timeout": "off",
            "retries": {"limit": 3},
        },
    )

    run = fedsim.simulate(scenario)
    (found,) = findings(run)
    (evidence,) = evidence_of(run, "half-open-trial")
    assert set(evidence.attempts["node"]) == {"w-0"}
    assert set(evidence.attempts["outcome"]) == {"unfinished"}
    assert {"open", "half_open"} <= set(evidence.events["after"])
    assert set(evidence.events["subject"]) == {"w-0"}
    assert found.startswith("Half-open trial without an end: the request that lab/0 sent to w-0")


def test_trouble_of_a_pool_is_its_nodes() -> None:
    """Faults of a node, pool or region, and doubts of a gateway, are trouble of the node."""
    names = FakeWorld().names
    node, gateway = names.nodes[0], names.gateways[0]
    name, pool, region = node.name, node.pool, node.region
    reported = [
        (10.0, "fault", pool, "", "up", "down"),
        (20.0, "fault", pool, "", "down", "up"),
        (100.0, "fault", region, "", "normal", "slow x5"),
        (110.0, "fault", region, "", "slow x5", "normal"),
        (200.0, "health", name, gateway, "healthy", "degraded"),
        (210.0, "health", name, gateway, "degraded", "healthy"),
        (300.0, "breaker", name, gateway, "closed", "open"),
    ]
    recorder = Recorder(names)
    names_of_values = ("time_s", "kind", "subject", "gateway", "before", "after")
    for values in reported:
        recorder.event(**dict(zip(names_of_values, values, strict=True)))

    spans = troubles(recorder.tables(), names, end_s=400.0)[0]

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
