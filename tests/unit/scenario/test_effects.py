"""What a scenario says and what has no effect is told before and after the run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import fedsim
from fedsim.federation.strategies.registry import STRATEGIES
from fedsim.scenario.effects import without_effect


def load(path: Path, *faults: dict[str, Any], **federation: Any) -> fedsim.Scenario:
    """Return two nodes in ``lab``, and the regions ``empty`` and ``far`` without any."""
    text = {
        "duration": "20s",
        "regions": {"lab": {}, "empty": {}, "far": {}},
        "network": {"within_region": "1ms", "between": {"lab/far": "9ms", "lab/empty": "9ms"}},
        "pools": {
            "w": {
                "region": "lab",
                "count": 2,
                "service": {"distribution": "constant", "value": "100ms"},
            }
        },
        "workload": {
            "chat": {"arrivals": {"process": "poisson", "rate": "8/s"}, "origins": {"lab": 1}}
        },
        "faults": list(faults),
        "federation": {"policies": {}, "health": {"interval": "1s"}, **federation},
    }
    (path / "s.yaml").write_text(json.dumps(text))
    return fedsim.load(path / "s.yaml")


TIMES = {"at": "5s", "lasts": "5s"}
EXTRAS: dict[str, dict[str, Any]] = {
    "slowdown": {"factor": 2},
    "errors": {"probability": 1},
    "flapping": {"period": "2s"},
    "health": {"says": "ill"},
}
KINDS = (
    "outage",
    "crash",
    "slowdown",
    "errors",
    "drain",
    "black_hole",
    "flapping",
    "health",
    "spot",
    "correlated",
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_of_no_nodes(tmp_path: Path, kind: str) -> None:
    """A fault on a region without nodes strikes nothing, whatever its kind; one on lab does."""
    fault = {"kind": kind, **TIMES, **EXTRAS.get(kind, {})}

    (told,) = without_effect(load(tmp_path, fault | {"region": "empty"}))
    assert told.startswith(f"faults[0], {kind} of empty, strikes nothing: there are no nodes.")
    assert without_effect(load(tmp_path, fault | {"region": "lab"})) == []


@pytest.mark.parametrize("kind", [*KINDS, "rolling_deployment", "partition", "link"])
def test_a_fault_after_the_end(tmp_path: Path, kind: str) -> None:
    """A fault that begins when no more requests come strikes nothing."""
    fault: dict[str, Any] = {"kind": kind, "at": "20s", "lasts": "5s", **EXTRAS.get(kind, {})}
    if kind == "rolling_deployment":
        del fault["lasts"]
    if kind in {"partition", "link"}:
        fault |= {"between": ["lab/0", "w"]} | ({"loss": 0.5} if kind == "link" else {})
    else:
        fault |= {"region": "lab"}

    (told,) = without_effect(load(tmp_path, fault))
    assert told.endswith("strikes nothing: it begins at 20s, and arrivals end at 20s.")
    assert without_effect(load(tmp_path, fault | {"at": "19s"})) == []


def test_a_fault_that_mostly_does_not_come(tmp_path: Path) -> None:
    """Two nodes that fail once in ten hours hardly ever do so in 20 s."""
    fault = {"kind": "crash", "pool": "w", "mtbf": "10h", "mttr": "1min"}

    (told,) = without_effect(load(tmp_path, fault))
    assert "is expected 0.0011 times in 20s" in told


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "errors", "pool": "w", "probability": 0, **TIMES},
        {"kind": "slowdown", "pool": "w", "factor": 1, **TIMES},
    ],
    ids=lambda fault: fault["kind"],
)
def test_a_fault_that_changes_nothing(tmp_path: Path, fault: dict[str, Any]) -> None:
    """Errors with probability 0 and a slowdown by 1 are none."""
    (told,) = without_effect(load(tmp_path, fault))
    assert "changes nothing" in told


def test_a_health_endpoint_that_nobody_asks(tmp_path: Path) -> None:
    """Without health checks it does not matter what the endpoint says."""
    fault = {"kind": "health", "pool": "w", "says": "ill", **TIMES}

    (told,) = without_effect(load(tmp_path, fault, health="off"))
    assert told.endswith("health checks are off, so no gateway asks the health endpoint.")


def test_gateways_without_requests(tmp_path: Path) -> None:
    """A gateway that no stream comes to is named, and so is a fault of its link."""
    fault = {"kind": "partition", "between": ["far/0", "w"], **TIMES}

    found = without_effect(load(tmp_path, fault, gateways={"lab": 1, "far": 1}))
    assert [told.partition(":")[0] for told in found] == [
        "faults[0], partition of far/0 <> w, strikes probes alone",
        "The gateways in far have no requests",
    ]


def test_they_are_warnings_of_the_run(tmp_path: Path) -> None:
    """What has no effect is among what a user should know before trusting the numbers."""
    scenario = load(tmp_path, {"kind": "outage", "region": "empty", **TIMES})

    assert fedsim.simulate(scenario).warnings == without_effect(scenario)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_late_telemetry(tmp_path: Path, strategy: str) -> None:
    """A delay is said to have no effect exactly where it changes no decision."""
    prompt, late = (
        load(tmp_path, strategy=strategy),
        load(tmp_path, strategy=strategy, health={"interval": "1s", "delay": "3s"}),
    )
    told = any("health.delay has no effect" in note for note in without_effect(late))

    assert told == (not STRATEGIES[strategy].telemetry)
    if told:
        assert fedsim.simulate(prompt).digest == fedsim.simulate(late).digest


def test_deadlines_of_streams_without_streams(tmp_path: Path) -> None:
    """A deadline of streams that is given where nothing is streamed has no effect; none is said."""
    scenario = load(tmp_path)
    assert without_effect(scenario) == []
    (told,) = without_effect(scenario.changed({"federation.timeout": {"first_token": "1s"}}))
    assert told.startswith("federation.timeout.first_token has no effect: no stream is streamed.")


def test_a_choice_of_gateways_that_makes_no_difference(tmp_path: Path) -> None:
    """One gateway in each region, or tenants that no stream has, leave nothing to choose by."""
    scenario = load(tmp_path)
    (told,) = without_effect(scenario.changed({"federation.gateway_choice": "turn"}))
    assert told.endswith("no region has two gateways.")
    several: dict[str, object] = {"federation.gateways": {"lab": 2}}
    assert without_effect(scenario.changed(several | {"federation.gateway_choice": "turn"})) == []
    (told,) = without_effect(scenario.changed(several | {"federation.gateway_choice": "tenant"}))
    assert "no stream has tenants" in told


def test_objectives_that_cannot_be_judged(tmp_path: Path) -> None:
    """Token times of streams without tokens, bounds that all replace, goodput without a limit."""
    scenario = load(tmp_path)

    def said(slo: Mapping[str, object]) -> list[str]:
        return without_effect(scenario.changed({"slo": slo}))

    assert said({"latency_p99": "1s", "goodput": "90%", "every": "5s"}) == []
    for slo, path in (
        ({"tpot_p99": "1s"}, "slo.tpot_p99"),
        ({"streams": {"chat": {"ttft_p50": "1s"}}}, "slo.streams.chat.ttft_p50"),
    ):
        (found,) = said(slo)
        assert found.startswith(
            f"{path} cannot be judged, and counts as not held: requests of chat"
        )
    (found,) = said({"latency_p99": "1s", "streams": {"chat": {"latency_p99": "2s"}}})
    assert found.startswith("slo.latency_p99 has no effect: every stream has one of its own.")
    (found,) = said({"goodput": "90%"})
    assert found.startswith("slo.goodput says no more than success_rate, but for max_latency")
