"""What a user's own health checker knows reaches every strategy, and what it lacks is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import fedsim
from fedsim.cli import app
from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import HealthState, NodeHealth, NodeId
from tests.contract.plugin_world import module

CHECKER = """
from fedsim.federation.contracts import HealthState, NodeHealth

class Silent:
    async def check_node(self, node_id):
        return self.get_cached_health(node_id)

    def get_cached_health(self, node_id):
        return NodeHealth(node_id, HealthState.HEALTHY, 0.0, 0.0, 0, None, 0, 0.0)

    async def start_monitoring(self, interval_s):
        pass

    async def stop_monitoring(self):
        pass
"""


class Partial:
    """A checker that knows of node w-0 that it is slow, full and degraded, and nothing else."""

    def __init__(self, context: GatewayContext) -> None:
        self.clock = context.clock

    async def check_node(self, node_id: NodeId) -> NodeHealth | None:
        """Return what is known."""
        return self.get_cached_health(node_id)

    def get_cached_health(self, node_id: NodeId) -> NodeHealth | None:
        """Tell it."""
        ill = node_id == "w-0"
        return NodeHealth(
            node_id,
            HealthState.DEGRADED if ill else HealthState.HEALTHY,
            9.0 if ill else 0.1,
            9.0,
            10 if ill else 100,
            None,
            50 if ill else 0,
            self.clock.now(),
            running=50 if ill else 0,
            kv_usage=0.99 if ill else 0.01,
            samples=20,
        )

    async def start_monitoring(self, interval_s: float) -> None:
        """Know already."""

    async def stop_monitoring(self) -> None:
        """Go on knowing."""


def scene(path: Path, **federation: Any) -> fedsim.Scenario:
    """Return four nodes that are hardly busy."""
    service = {"distribution": "exponential", "mean": "200ms"}
    text = {
        "duration": "1min",
        "warmup": "0s",
        "regions": {"lab": {}},
        "network": {"within_region": "1ms"},
        "pools": {"w": {"region": "lab", "count": 4, "slots": 8, "service": service}},
        "workload": {"chat": {"arrivals": {"process": "poisson", "rate": "10/s"}}},
        "federation": {"policies": {}, **federation},
    }
    (path / "scene.yaml").write_text(json.dumps(text))
    return fedsim.load(path / "scene.yaml")


@pytest.mark.parametrize(
    "strategy",
    ["least_latency", "join_shortest_queue", "least_kv_cache", "cost_capped", "envoy_priority"],
)
def test_what_a_checker_tells_is_gone_by(tmp_path: Path, strategy: str) -> None:
    """Latency, queue, cache and verdict of a foreign checker steer our strategies as ours do."""
    run = fedsim.simulate(scene(tmp_path, strategy=strategy), health=Partial)

    assert "w-0" not in set(run.attempts["node"])
    assert not any("never reported" in warning for warning in run.warnings)


@pytest.mark.parametrize(
    ("strategy", "lost"),
    [
        ("least_latency", "never reported a latency, so least_latency chose by requests in flight"),
        (
            "join_shortest_queue",
            "never reported the load of a node, so join_shortest_queue treated all nodes",
        ),
        ("round_robin", None),
    ],
)
def test_what_a_checker_never_told_is_said(tmp_path: Path, strategy: str, lost: str | None) -> None:
    """A strategy that goes without what it goes by is a warning of the run."""
    run = fedsim.simulate(
        scene(tmp_path, strategy=strategy, health=f"{module(tmp_path, CHECKER)}:Silent")
    )
    told = [warning for warning in run.warnings if "never reported" in warning]

    assert len(told) == (lost is not None)
    assert lost is None or lost in told[0]


def test_what_a_plug_in_lacks_is_said(tmp_path: Path) -> None:
    """Check and runs name the methods that a checker lacks, and what is lost, once."""
    found = scene(tmp_path, health=f"{module(tmp_path, CHECKER)}:Silent")
    warned = fedsim.simulate(found).warnings
    assert len([each for each in warned if "has no report_success" in each]) == 1
    result = CliRunner().invoke(app, ["check", str(tmp_path / "scene.yaml"), "--json"])

    assert result.exit_code == 0, result.output
    warnings = json.loads(result.stdout)["warnings"]
    assert [each for each in warnings if "has no report_success" in each]
    assert [each for each in warnings if "has no report_failure" in each]


ROUTER = """
class First:
    def __init__(self, context):
        self.catalog = context.catalog
        self.route_excluding = self._again

    async def route(self, request):
        from fedsim.federation.contracts import RouteTarget

        return RouteTarget(*(await self.catalog.find_by_capability(request.capability))[0])

    async def _again(self, request, excluded):
        return await self.route(request)


class Forgetful(First):
    def __init__(self, context):
        self.catalog = context.catalog
"""


@pytest.mark.parametrize(("name", "lacks"), [("First", False), ("Forgetful", True)])
def test_a_run_asks_the_object(tmp_path: Path, name: str, lacks: bool) -> None:
    """A method that a constructor sets counts; requests that fail early hide no retry."""
    router = f"{module(tmp_path, ROUTER)}:{name}"
    errors = {"kind": "errors", "node": "w-0", "probability": 1, "at": "10s", "lasts": "20s"}
    found = scene(tmp_path, router=router).changed({"faults": [errors]})
    run = fedsim.simulate(found)

    assert (run.requests["outcome"] == "circuit_open").sum() > (run.attempts["attempt"] > 1).sum()
    assert any("has no route_excluding" in warning for warning in run.warnings) == lacks


def test_check_asks_for_no_retries_where_there_are_none(tmp_path: Path) -> None:
    """What matters to retries alone is no loss where no request is sent again."""
    router = f"{module(tmp_path, ROUTER)}:Forgetful"
    for retries, lacks in (({"limit": 1}, True), ("off", False), ({"limit": 0}, False)):
        scene(tmp_path, router=router, retries=retries)
        result = CliRunner().invoke(app, ["check", str(tmp_path / "scene.yaml"), "--json"])
        assert ("has no route_excluding" in result.stdout) == lacks, retries


def test_promising_changes_changes_no_decision(tmp_path: Path) -> None:
    """A checker that announces its changes, of which there are none, makes the same decisions."""

    class Silent(Partial):
        pass

    class Announcing(Partial):
        announces = True

        def subscribe(self, on_change: object) -> None:
            """Announce nothing: nothing changes."""

    errors = {"kind": "errors", "node": "w-1", "probability": 0.5, "at": "10s", "lasts": "20s"}
    found = scene(tmp_path, strategy="round_robin").changed({"faults": [errors]})
    asked, announced = (fedsim.simulate(found, health=each) for each in (Silent, Announcing))

    assert (asked.events["kind"] == "breaker").any()
    assert asked.attempts.equals(announced.attempts)
