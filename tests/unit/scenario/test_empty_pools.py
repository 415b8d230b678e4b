"""A pool of no nodes: everything is as if the pool were not there."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

import fedsim
from fedsim.document import markdown
from fedsim.errors import ScenarioError
from fedsim.report.check import check_report
from fedsim.scenario.capacity import capability_table, capacity_problems, capacity_table
from fedsim.scenario.effects import without_effect
from fedsim.scenario.offered_load import OfferedLoad

SERVICE = {"distribution": "exponential", "mean": "200ms"}
TREE: dict[str, Any] = {
    "name": "two-pools",
    "duration": "20s",
    "regions": {"us": {}, "eu": {}},
    "network": {"between": {"us/eu": "80ms"}},
    "pools": {
        "near": {"region": "us", "count": 2, "slots": 2, "cost": "2 USD/h", "service": SERVICE},
        # An engine would have the stream's answers streamed, and its figures counted.
        "far": {
            "region": "eu",
            "count": 2,
            "model": "near",
            "cost": "3 USD/h",
            "engine": {"profile": "llama-3.1-8b/bf16/h100_sxm/tp1"},
        },
    },
    "workload": {
        "chat": {
            "origins": {"us": 1},
            "arrivals": {"process": "poisson", "rate": "8/s"},
            "tokens": {
                "prompt": {"distribution": "constant", "value": 300},
                "output": {"distribution": "constant", "value": 20},
            },
        }
    },
    "federation": {"strategy": "least_connections"},
    "slo": {"latency_p50": "1s"},
}
WITHOUT = deepcopy(TREE)
del WITHOUT["pools"]["far"]
STRUCK: dict[str, dict[str, Any]] = {
    "far": {"kind": "outage", "pool": "far"},
    "far-1": {"kind": "slowdown", "node": "far-1", "factor": 2},
    "eu": {"kind": "errors", "region": "eu", "probability": 1},
    "near-7": {"kind": "crash", "node": "near-7"},
    "us <> far": {"kind": "partition", "between": ["us", "far"]},
    "us/0 <> far-0": {"kind": "link", "between": ["us/0", "far-0"], "loss": 1},
}


def test_runs_as_without_it() -> None:
    """Decisions, tables and all that reports say are those of the scenario without the pool."""
    scenarios = fedsim.load(TREE, {"pools.far.count": 0}), fedsim.load(WITHOUT)
    run, other = (fedsim.simulate(each) for each in scenarios)

    assert len(run.requests) > 100
    assert run.digest == other.digest
    assert run.summary().equals(other.summary())
    assert run.nodes["node"].unique().tolist() == ["near-0", "near-1"]
    assert run.warnings == other.warnings
    assert scenarios[0].figures == scenarios[1].figures


def test_has_no_capacity() -> None:
    """What check computes is that of the scenario without the pool; the report names the pool."""
    empty = OfferedLoad(fedsim.load(TREE, {"pools.far.count": 0}))
    other = OfferedLoad(fedsim.load(WITHOUT))

    for table in (capacity_table, capability_table, capacity_problems):
        assert table(empty) == table(other)
    said, expected = (markdown(check_report(each, [], served=True)) for each in (empty, other))
    assert said.replace("- far: no nodes, for its count is 0\n", "") == expected
    assert said != expected


def test_faults_of_what_is_absent_strike_nothing() -> None:
    """They are no mistake: the run is as without them, and each is noted once."""
    times = {"at": "5s", "lasts": "5s"}
    faults = [fault | times for fault in STRUCK.values()]
    scenario = fedsim.load(TREE | {"faults": faults}, {"pools.far.count": 0})

    assert [text.partition(" strikes nothing: ")[0] for text in without_effect(scenario)] == [
        f"faults[{number}], {fault['kind']} of {subject},"
        for number, (subject, fault) in enumerate(STRUCK.items())
    ]
    assert fedsim.simulate(scenario).digest == fedsim.simulate(fedsim.load(WITHOUT)).digest
    present = fedsim.load(TREE | {"faults": faults}, {"pools.near.count": 8})
    assert without_effect(present) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pools.near.count": 0}, "There are no nodes: every pool has count: 0."),
        ({"workload.chat.capability": "code", "pools.near.capabilities": ["embed"]}, "with nodes"),
        ({"workload.chat.model": "far", "pools.far.model": "far"}, "No pool serves the model"),
        ({"pools.far.slots": 3}, "A pool with an engine has no slots"),
    ],
)
def test_serves_no_request(changes: dict[str, Any], message: str) -> None:
    """A stream that no other pool can serve is an error, and so is a mistake in the pool itself."""
    tree = deepcopy(TREE)
    tree["pools"]["far"]["capabilities"] = ["code", "generate"]
    with pytest.raises(ScenarioError) as raised:
        fedsim.load(tree, {"pools.far.count": 0, **changes})

    (problem,) = raised.value.problems
    assert message in problem.message


def test_needs_no_round_trip() -> None:
    """A region without nodes and gateways is no distance away; with nodes it has to be known."""
    tree = {key: value for key, value in TREE.items() if key != "network"}
    assert fedsim.load(tree, {"pools.far.count": 0}).world.pools[0].name == "near"
    with pytest.raises(ScenarioError, match="The round trip between us and eu"):
        fedsim.load(tree)
