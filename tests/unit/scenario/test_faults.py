"""What becomes of each kind of fault that a scenario file describes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fedsim.report.faults import fault_sentence
from fedsim.scenario.load import load
from fedsim.world.faults.config import FaultConfig
from fedsim.world.faults.gray import BlackHole, Errors, Health, Slowdown
from fedsim.world.faults.kind import FaultKind
from fedsim.world.faults.links import BadLink, Partition
from fedsim.world.faults.maintenance import Drain, RollingDeployment
from fedsim.world.faults.stopping import Correlated, Flapping, Outage, Spot

SCENARIO = """
duration: 1min
regions: {us: {}, eu: {}}
network: {between: {us/eu: 80ms}}
pools:
  chat: {region: us, count: 4, service: {distribution: exponential, mean: 1s}}
  far: {region: eu, service: {distribution: exponential, mean: 1s}}
workload:
  chat: {arrivals: {process: poisson, rate: 1/s}}
"""

WHEN = {"at": "5s", "lasts": "1min"}
THEN: dict[str, Any] = {"at_s": 5.0, "lasts_s": 60.0}

CASES: list[tuple[dict[str, Any], FaultKind, dict[str, Any], str]] = [
    (
        {"kind": "outage", "pool": "chat", "share": "25%"},
        Outage(),
        {"pool": "chat", "share": 0.25},
        "outage of 25 % of pool chat",
    ),
    (
        {"kind": "slowdown", "node": "far-0", "factor": 5},
        Slowdown(5.0),
        {"node": "far-0"},
        "slowdown of node far-0, 5 times slower",
    ),
    (
        {"kind": "errors", "node": "far-0", "probability": 0.5, "after": "2s"},
        Errors(0.5, 2.0),
        {"node": "far-0"},
        "errors at node far-0, 50 % of requests, each after 2s",
    ),
    ({"kind": "drain", "region": "us"}, Drain(), {"region": "us"}, "drain of region us"),
    (
        {"kind": "black_hole", "node": "far-0"},
        BlackHole(),
        {"node": "far-0"},
        "black hole of node far-0",
    ),
    (
        {"kind": "partition", "between": ["us", "eu"]},
        Partition(),
        {"ends": ("us", "eu")},
        "partition of us and eu",
    ),
    (
        {"kind": "link", "from": "us/0", "to": "far", "latency": "80ms", "loss": "5%"},
        BadLink(latency_s=0.08, loss=0.05),
        {"ends": ("us/0", "far"), "one_way": True},
        "bad link of us/0 to far",
    ),
    (
        {"kind": "flapping", "node": "far-0", "period": "20s"},
        Flapping(20.0, 0.5),
        {"node": "far-0"},
        "flapping of node far-0, down for 50 % of every 20s",
    ),
    (
        {"kind": "health", "node": "far-0", "says": "well", "lag": "30s"},
        Health("well", 30.0),
        {"node": "far-0"},
        "false health endpoint of node far-0, which reports well, which lags by 30s",
    ),
    (
        {"kind": "spot", "node": "far-0"},
        Spot(120.0),
        {"node": "far-0"},
        "spot reclamation of node far-0, with 2min of notice",
    ),
    (
        {"kind": "correlated", "pools": ["chat", "far"], "group_size": 2},
        Correlated(2),
        {"pools": ("chat", "far")},
        "correlated failure of pools chat, far, in groups of 2",
    ),
    (
        {"kind": "correlated", "region": "us"},
        Correlated(),
        {"region": "us"},
        "correlated failure of region us",
    ),
]


def faults_of(folder: Path, *faults: dict[str, Any]) -> tuple[FaultConfig, ...]:
    """Return the faults of a small scenario."""
    path = folder / "scenario.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    return load(path, {"faults": list(faults)}).world.faults


@pytest.mark.parametrize(("given", "kind", "target", "sentence"), CASES)
def test_scripted(
    tmp_path: Path, given: dict[str, Any], kind: FaultKind, target: dict[str, Any], sentence: str
) -> None:
    """Each kind is built from its keys, and `check` describes it in a sentence."""
    (fault,) = faults_of(tmp_path, given | WHEN)

    assert fault == FaultConfig(kind, **target, **THEN)
    assert fault_sentence(fault) == f"{sentence}, at 5s for 1min"


def test_rolling_deployment(tmp_path: Path) -> None:
    """A deployment ends by itself, and has the pace that the docs give."""
    (fault,) = faults_of(tmp_path, {"kind": "rolling_deployment", "pool": "chat", "at": "5s"})

    rolling = RollingDeployment(batch=1, pause_s=0.0, drain_s=30.0, restart_s=10.0)
    assert fault == FaultConfig(rolling, pool="chat", at_s=5.0)
    assert fault_sentence(fault) == "rolling deployment through pool chat, 1 at a time, at 5s"


def test_at_random(tmp_path: Path) -> None:
    """A distribution gives times their shape, and its mean is the mean."""
    weibull = {"distribution": "weibull", "mean": "6h", "cv": 2}
    (fault,) = faults_of(
        tmp_path, {"kind": "crash", "pool": "chat", "mtbf": weibull, "mttr": "10min"}
    )

    assert fault.mtbf_s == pytest.approx(6 * 3600.0)
    assert fault.up is not None
    assert fault.up.cv == pytest.approx(2.0)
    assert (fault.mttr_s, fault.down) == (600.0, None)
    sentence = "crash of pool chat, each node up 6h and down 10min on average"
    assert fault_sentence(fault) == sentence
