"""What was saved comes back from its directory, without a run."""

from __future__ import annotations

import json

import pandas as pd
import pytest

import fedsim
from fedsim.errors import ResultsError
from fedsim.report.comparison import comparison_report
from fedsim.results.manifest import json_text
from fedsim.studies.storage import comparison_json
from tests import small_scenario


@pytest.fixture
def folder(tmp_path):
    """A folder with the small scenario and its routers."""
    small_scenario.write_routers(tmp_path, "opened_routers")
    small_scenario.write(tmp_path)
    return tmp_path


@pytest.fixture
def scenario(folder):
    """The small scenario: two strategies, three replications."""
    return fedsim.load(folder / "small.yaml")


def reopened(place):
    """Return the comparison in a directory."""
    found = fedsim.open(place)
    assert isinstance(found, fedsim.Comparison)
    return found


def test_a_run_comes_back(scenario, folder):
    """The directory of a run gives a run."""
    run = fedsim.simulate(scenario)
    run.save(folder / "run", charts=False)
    opened = fedsim.open(folder / "run")
    assert isinstance(opened, fedsim.Run)
    assert opened.digest == run.digest


def test_a_comparison_comes_back_from_its_files(scenario, folder, monkeypatch):
    """Every table, warning and report is what it was, and nothing is run."""
    place = folder / "study"
    first = fedsim.compare(
        scenario,
        strategies=["random", "round_robin"],
        routers={"first": "opened_routers:FirstNode"},
        baseline="round_robin",
        workers=1,
        directory=place,
    )

    def runs(*_: object, **__: object) -> None:
        pytest.fail("a run was made")

    monkeypatch.setattr("fedsim.studies.records.simulate", runs)
    opened = reopened(place)
    assert json_text(comparison_json(opened)) == json_text(comparison_json(first))
    assert opened.strategies == first.strategies
    assert opened.options == first.options
    pd.testing.assert_frame_equal(opened.replications, first.replications)
    pd.testing.assert_frame_equal(opened.cells, first.cells)
    for by in (None, "stream"):
        pd.testing.assert_frame_equal(opened.estimates(by), first.estimates(by))
    assert opened.run("first").digest == first.run("first").digest
    blocks = [comparison_report(each).blocks for each in (opened, first)]
    assert blocks[0][0] == blocks[1][0]
    assert blocks[0][2:] == blocks[1][2:]


def test_how_exact_a_comparison_is_comes_back(scenario, folder):
    """What was reached follows from the records, and so do the looks that were taken."""
    place = folder / "study"
    asked = {"precision": {"latency_mean": "5%"}, "replications": 3, "max_replications": 8}
    precise = scenario.changed({"study": asked, "compare.replications": None, "duration": "15s"})
    first = fedsim.compare(precise, workers=1, directory=place)
    assert first.reached.half_widths
    opened = reopened(place)
    assert opened.reached == first.reached
    assert opened.warnings == first.warnings
    assert opened.options == first.options
    copied = first.save(folder / "copy", charts=False)
    assert reopened(copied).reached == first.reached


def test_the_last_command_says_what_is_compared(scenario, folder):
    """What was asked for before stays in the directory, and is not part of the comparison."""
    place = folder / "study"
    fedsim.compare(scenario, strategies=["random"], workers=1, directory=place)
    last = fedsim.compare(
        scenario, strategies=["round_robin", "random"], seeds=[5], workers=1, directory=place
    )
    opened = reopened(place)
    assert opened.strategies == ("round_robin", "random")
    assert opened.seeds == (5,)
    assert opened.digests == last.digests
    assert len(json.loads((place / "study.json").read_text())["cells"]) == 5


def test_one_run_under_two_names_is_two_cells(scenario, folder):
    """The same router twice is one run, and two strategies of the comparison."""
    place = folder / "study"
    small_scenario.write_routers(folder, "twice_routers")
    routers = {"a": "twice_routers:FirstNode", "b": "twice_routers:FirstNode"}
    first = fedsim.compare(
        scenario, strategies=[], routers=routers, replications=2, workers=1, directory=place
    )
    assert len(list((place / "runs").glob("*.json"))) == 2
    opened = reopened(place)
    assert opened.strategies == ("a", "b")
    assert opened.digests == first.digests


def test_an_interrupted_study_has_what_is_done(scenario, folder):
    """Missing runs are named; a strategy without any run is an error that says how to go on."""
    place = folder / "study"
    first = fedsim.compare(scenario, workers=1, directory=place)
    ids = {(each.key["strategy"], each.replication): each.id for each in first.records}
    (place / "runs" / f"{ids['round_robin', 2]}.json").unlink()
    opened = reopened(place)
    assert opened.cells["state"].tolist().count("missing") == 1
    assert "1 of 6 runs are missing" in opened.warnings[0]
    assert opened.estimates()["replications"].tolist() == [2, 3]
    for number in range(2):
        (place / "runs" / f"{ids['round_robin', number]}.json").unlink()
    with pytest.raises(ResultsError, match="no run of round_robin that is done; go on with"):
        fedsim.open(place)


def test_failures_come_back(scenario, folder):
    """A failed run is a row with its error."""
    place = folder / "study"
    first = fedsim.compare(scenario, workers=1, directory=place)
    lost = first.records[1]
    (place / "runs" / f"{lost.id}.json").unlink()
    failure = {"id": lost.id, "key": lost.key, "replication": 1, "seed": lost.seed}
    text = json.dumps(failure | {"error": "It broke.", "traceback": ["line"]})
    (place / "failed" / f"{lost.id}.json").write_text(text)
    opened = reopened(place)
    assert [each.message for each in opened.failures] == ["It broke."]
    assert opened.failures[0].traceback == ("line",)
    failed = opened.cells[opened.cells["state"] == "failed"]
    assert failed["error"].tolist() == ["It broke."]


def test_what_cannot_be_opened_says_why(scenario, folder):
    """An old comparison, another kind of study, a scenario without its plug-in, no directory."""
    old = folder / "old"
    old.mkdir()
    (old / "manifest.json").write_text(json.dumps({"format": 1, "baseline": "random"}))
    with pytest.raises(ResultsError, match=r"an earlier fedsim.*compare again with --out"):
        fedsim.open(old)
    with pytest.raises(ResultsError, match="is not a run directory"):
        fedsim.open(folder / "nothing")
    place = folder / "study"
    fedsim.compare(scenario, replications=1, workers=1, directory=place)
    study = json.loads((place / "study.json").read_text())
    (place / "study.json").write_text(json.dumps(study | {"kind": "census"}))
    with pytest.raises(ResultsError, match="'census', which this fedsim does not have"):
        fedsim.open(place)
    (place / "study.json").write_text(json.dumps(study))
    (place / "scenario.yaml").write_text("name: broken\n")
    with pytest.raises(ResultsError, match="cannot be read"):
        fedsim.open(place)
