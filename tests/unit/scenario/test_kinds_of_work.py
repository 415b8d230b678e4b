"""The scenarios of the repository for each kind of work: they are right, and quick to run."""

from __future__ import annotations

import pytest

import fedsim
from fedsim.scenario.capacity import capacity_problems, capacity_table
from fedsim.scenario.load import load
from fedsim.scenario.offered_load import OfferedLoad
from fedsim.scenario.oversized import oversized_problems
from tests.chosen import others_slow
from tests.conftest import ROOT

KINDS = {
    "engine-chat": "engine",
    "speech-recognition": "slots",
    "speech-synthesis": "slots",
    "embeddings": "batches",
    "image-generation": "slots",
}


@pytest.mark.parametrize("name", others_slow(KINDS, ["speech-recognition", "embeddings"]))
def test_scenario_is_as_loaded_as_check_says(name: str):
    """Each can serve its load, and nearly all of its requests are answered in time.

    Those are left out that end with a node, as streams do that have begun.
    """
    scenario = load(ROOT / "scenarios" / f"{name}.yaml")
    rows = capacity_table(OfferedLoad(scenario))

    assert [
        *capacity_problems(OfferedLoad(scenario)),
        *oversized_problems(OfferedLoad(scenario)),
    ] == []
    assert {row.kind for row in rows} == {KINDS[name]}
    assert all(0.3 < row.load < 0.8 for row in rows)
    run = fedsim.simulate(scenario)
    summary = run.summary()
    outcomes = run.in_window["outcome"]
    assert (outcomes == "ok").sum() > 0.999 * (outcomes != "node_unreachable").sum()
    assert summary["goodput_share"]["all"] > 0.97


def test_capacity_of_batches_and_slots_is_what_runs_show():
    """Nodes are as busy in a run as the check says, models and their loading included."""
    for name in ("speech-recognition", "speech-synthesis", "image-generation"):
        scenario = load(ROOT / "scenarios" / f"{name}.yaml")
        (row,) = capacity_table(OfferedLoad(scenario))

        busy = fedsim.simulate(scenario).summary()["utilization_mean"]["all"]

        assert busy == pytest.approx(row.load, rel=0.06), name
