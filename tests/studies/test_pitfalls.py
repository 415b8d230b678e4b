"""The pitfalls of the reference: each shows under ``apr`` and is absent under ``default``."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jsonschema
import pandas as pd
import pytest

import fedsim
from fedsim.results.run import Run
from fedsim.scenario.json_schema import schema
from fedsim.scenario.source import read_document

FOLDER = Path(__file__).resolve().parents[2] / "scenarios" / "pitfalls"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
MIN_S = 60.0


@cache
def runs(number: int) -> tuple[Run, Run]:
    """Return a pitfall's run under apr and the one under default."""
    (path,) = FOLDER.glob(f"{number:02}-*.yaml")
    ours, theirs = ({"federation.preset": preset} for preset in ("default", "apr"))
    return fedsim.simulate(fedsim.load(path, theirs)), fedsim.simulate(fedsim.load(path, ours))


def arrived(run: Run, begin_s: float, end_s: float = float("inf")) -> pd.DataFrame:
    """Return the requests that arrived in a span of time."""
    return run.requests[run.requests["arrived_s"].between(begin_s, end_s, inclusive="left")]


def failed_share(run: Run, begin_s: float, end_s: float = float("inf")) -> float:
    """Return the share of the requests of a span of time that failed."""
    return float((arrived(run, begin_s, end_s)["outcome"] != "ok").mean())


def served_share(run: Run, node: str, begin_s: float, end_s: float = float("inf")) -> float:
    """Return the share of the requests of a span of time that a node was asked last for."""
    return float((arrived(run, begin_s, end_s)["node"] == node).mean())


def changes(run: Run, kind: str, node: str) -> list[str]:
    """Return the states that a node's health or circuit came to, in order."""
    events = run.events
    return list(events[(events["kind"] == kind) & (events["subject"] == node)]["after"])


def test_there_are_ten():
    """Ten scenarios, numbered, all of which say apr and keep to the schema that editors have."""
    assert [name[:2] for name in NAMES] == [f"{number:02}" for number in range(1, 11)]
    keeps_to_the_schema = jsonschema.Draft202012Validator(schema()).validate
    for name in NAMES:
        path = FOLDER / f"{name}.yaml"
        assert fedsim.load(path).federation.preset == "apr"
        keeps_to_the_schema(read_document(path).tree)


@pytest.mark.parametrize("number", range(1, 11))
def test_both_presets_meet_the_same(number: int):
    """Both runs of a pitfall have the same requests and the same faults."""
    theirs, ours = runs(number)
    same = ["request_id", "arrived_s"]
    pd.testing.assert_frame_equal(theirs.requests[same], ours.requests[same])
    struck, hit = (run.events[run.events["kind"] == "fault"] for run in (theirs, ours))
    pd.testing.assert_frame_equal(struck.reset_index(drop=True), hit.reset_index(drop=True))


def test_1_unhealthy_is_absorbing():
    """A minute after the recovery all requests fail, or none does."""
    theirs, ours = runs(1)
    after_s = 3 * MIN_S
    assert failed_share(theirs, after_s) == 1.0
    assert set(arrived(theirs, after_s)["outcome"]) == {"no_capacity"}
    assert failed_share(ours, after_s) == 0.0
    assert changes(theirs, "health", "node-0") == ["healthy", "degraded", "unhealthy"]


def test_2_one_failure_drains_a_node():
    """After one failed attempt a node with nearly half of the requests has none, or its share."""
    theirs, ours = runs(2)
    assert (theirs.attempts["outcome"] != "ok").sum() == 1
    assert served_share(theirs, "node-0", 0.0, MIN_S) > 0.4
    assert served_share(theirs, "node-0", MIN_S + 2.0) == 0.0
    assert changes(theirs, "health", "node-0") == ["healthy", "degraded"]
    assert served_share(ours, "node-0", 2 * MIN_S) == pytest.approx(0.5, abs=0.1)


def test_3_unknown_starves():
    """The node that came up at minute 1 has nothing to do, or half of it all; the cost is waits."""
    theirs, ours = runs(3)
    after_s = 2 * MIN_S
    assert served_share(theirs, "scale-out-0", 0.0) == 0.0
    assert changes(theirs, "health", "scale-out-0") == []
    assert served_share(ours, "scale-out-0", after_s) == pytest.approx(0.5, abs=0.1)
    waits_s = [arrived(run, after_s)["queue_wait_s"].mean() for run in (theirs, ours)]
    assert waits_s[0] > 0.1
    assert waits_s[1] < 0.01


def test_4_a_failure_promotes_a_node():
    """Retries go back to the node that has just failed, mostly, or never."""
    theirs, ours = runs(4)
    shares = []
    for run in (theirs, ours):
        attempts = run.attempts
        retries = attempts["attempt"] > 1
        assert retries.sum() > 80
        before = attempts.groupby("request_id", observed=True)["node"].shift()
        shares.append((attempts["node"] == before)[retries].mean())
    assert shares[0] > 0.8
    assert shares[1] == 0.0


def test_5_the_breaker_is_never_reached():
    """No circuit opens and the node is lost, or one opens, closes and the node is back."""
    theirs, ours = runs(5)
    assert (theirs.attempts["outcome"] != "ok").sum() == 3
    assert changes(theirs, "breaker", "node-0") == []
    assert served_share(theirs, "node-0", 3 * MIN_S) == 0.0
    circuit = changes(ours, "breaker", "node-0")
    assert circuit[:2] == ["open", "half_open"]
    assert circuit[-1] == "closed"
    assert served_share(ours, "node-0", 3 * MIN_S) == pytest.approx(0.5, abs=0.1)


def test_6_latency_lock_out():
    """Seven requests are served and all others fail, or none fails."""
    theirs, ours = runs(6)
    outcomes = theirs.requests["outcome"]
    assert list(outcomes[:7]) == ["ok"] * 7
    assert set(outcomes[7:]) == {"all_nodes_unhealthy"}
    assert failed_share(ours, 0.0) == 0.0


def test_7_slow_models_are_never_healthy():
    """All nodes are degraded from their first answer on, or the slowed one is, from minute 3 on."""
    theirs, ours = runs(7)
    nodes = [f"node-{number}" for number in range(4)]
    assert [changes(theirs, "health", node) for node in nodes] == [["degraded"]] * 4
    degraded = theirs.events[theirs.events["after"] == "degraded"]
    assert degraded["time_s"].max() < 15.0
    assert [changes(ours, "health", node) for node in nodes] == [
        *[["healthy"]] * 3,
        ["healthy", "degraded"],
    ]
    degraded = ours.events[ours.events["after"] == "degraded"]
    assert degraded["time_s"].between(3 * MIN_S, 5 * MIN_S).all()


def busiest_share(run: Run) -> float:
    """Return the share of the busiest node in the requests of a second, on average."""
    requests = arrived(run, MIN_S)
    second = requests["arrived_s"].astype(int)
    counts = requests.groupby([second, "node"], observed=False).size().unstack()
    return float((counts.max(axis=1) / counts.sum(axis=1)).mean())


def test_8_the_herd():
    """The requests of a second go to one node of four, or spread; waits are the cost.

    Twenty requests that are thrown into four nodes leave 41 % in the fullest.
    """
    theirs, ours = runs(8)
    assert busiest_share(theirs) > 0.8
    assert busiest_share(ours) < 0.41
    waits_s = [arrived(run, MIN_S)["queue_wait_s"].mean() for run in (theirs, ours)]
    assert waits_s[0] > 0.2
    assert waits_s[1] < 0.001


def test_9_nodes_that_health_does_not_know():
    """One request in eight fails beside an idle node, or hardly any.

    Where a node fails six of ten and all four attempts go there, 0.6^4 = 13 % of requests fail.
    Where each retry goes to the idle node, it is served, and only a retry that the budget refuses
    leaves a request unserved.
    """
    theirs, ours = runs(9)
    begin_s, end_s = 2 * MIN_S, 6 * MIN_S
    count = len(arrived(theirs, begin_s, end_s))
    share = 0.6**4
    deviation = (share * (1.0 - share) / count) ** 0.5
    assert abs(failed_share(theirs, begin_s, end_s) - share) < 3.5 * deviation
    assert served_share(theirs, "node-1", 0.0) == 0.0
    assert (ours.attempts[ours.attempts["attempt"] > 1]["outcome"] == "ok").all()
    assert (ours.requests[ours.requests["outcome"] != "ok"]["attempts"] == 1).all()
    assert failed_share(ours, begin_s, end_s) < 0.01


def test_10_max_latency_is_not_read():
    """No request is served in time, or nearly all are."""
    theirs, ours = runs(10)
    goodput = [run.summary()["goodput_share"].iloc[0] for run in (theirs, ours)]
    assert goodput[0] == 0.0
    assert goodput[1] > 0.95
