"""``fedsim study``: the runs of a directory, their commands, and the bundle for others."""

from __future__ import annotations

import json
import shlex
from hashlib import sha256
from zipfile import ZipFile

import pytest
from typer.testing import CliRunner

import fedsim
from fedsim.cli.app import app
from fedsim.errors import ResultsError
from fedsim.studies.cells import Cell, PlannedRun, replication_seed
from fedsim.studies.inventory import Inventory
from fedsim.studies.repeating import study_command
from tests import small_scenario

ROUTER = """\
from fedsim.federation.contracts import RouteTarget
import bundled_helper


class Mine:
    def route(self, request):
        return RouteTarget(bundled_helper.NODE, "west")
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A study of one strategy and one plug-in, in two replications, the last of which is lost."""
    folder = tmp_path_factory.mktemp("study")
    small_scenario.write(folder)
    (folder / "bundled_router.py").write_text(ROUTER)
    (folder / "bundled_helper.py").write_text("NODE = 'west-chat-1'\n")
    found = fedsim.compare(
        fedsim.load(folder / "small.yaml"),
        strategies=["random"],
        routers={"mine": "bundled_router:Mine"},
        replications=2,
        workers=1,
        directory=folder / "study",
    )
    (folder / "study" / "runs" / f"{found.records[-1].id}.json").unlink()
    return folder / "study"


def command(*words):
    """Run fedsim in this process."""
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.fixture
def undrawn(monkeypatch):
    """Leave charts out, which take longer than all else."""
    for name in (
        "results.storage.draw",
        "studies.storage.draw",
        "studies.storage._draw",
        "studies.sweep_plots.SweepPlots.all",
    ):
        monkeypatch.setattr(f"fedsim.{name}", lambda *_: ())


@pytest.mark.usefixtures("undrawn")
def test_each_run_is_listed_with_its_command(place):
    """Key, seed, digest and state; the command gives the digest again; missing is status 1."""
    done = command("study", place, "--json")
    assert done.exit_code == 1
    rows = json.loads(done.stdout)["runs"]
    assert [row["key"]["strategy"] for row in rows] == ["random", "mine"] * 2
    assert [row["state"] for row in rows] == ["done", "done", "done", "missing"]
    for row in rows[1:3]:
        words = shlex.split(row["command"])
        assert words[:2] == ["fedsim", "run"]
        out = place.parent / row["id"]
        again = command(*words[1:], "--json", "--out", out)
        assert json.loads(again.stdout)["digest"] == row["digest"]


def test_the_report_has_every_run(place):
    """The table has a line per run, and the commands come below it."""
    done = command("study", place)
    assert "small: comparison of 4 runs" in done.stdout
    assert "3 done, 1 missing" in done.stdout
    assert done.stdout.count("fedsim run") == 4
    assert "--set federation.router=bundled_router:Mine" in done.stdout


@pytest.mark.usefixtures("undrawn")
def test_the_whole_study_has_a_command(place):
    """It makes a study of the same runs, by the same ids."""
    report = command("study", place)
    assert "Make the study again" in report.stdout
    words = shlex.split(json.loads(command("study", place, "--json").stdout)["command"])
    assert words[:2] == ["fedsim", "compare"]
    out = place.parent / "again"
    done = command(*words[1:], "--out", out, "--workers", 1, "--quiet")
    assert done.exit_code in {0, 1}, done.stderr
    again, first = (json.loads((each / "study.json").read_text()) for each in (out, place))
    assert [each["id"] for each in again["cells"]] == [each["id"] for each in first["cells"]]
    assert again["options"] == first["options"]


@pytest.mark.usefixtures("undrawn")
def test_a_sweep_that_was_given_in_python_has_a_command(place):
    """Its points are in the command, as the scenario does not have them."""
    scenario = fedsim.load(place.parent / "small.yaml", {"duration": "10s"})
    swept = place.parent / "swept"
    grid = {"workload.chat.arrivals.rate": ["2/s", "3/s"]}
    fedsim.sweep(scenario, grid=grid, replications=1, workers=1, directory=swept)
    words = shlex.split(Inventory(swept).command)
    done = command(*words[1:], "--out", place.parent / "reswept", "--workers", 1, "--quiet")
    assert done.exit_code == 0, done.stderr
    again, first = (
        json.loads((each / "study.json").read_text()) for each in (place.parent / "reswept", swept)
    )
    assert [each["id"] for each in again["cells"]] == [each["id"] for each in first["cells"]]


def planned(key, texts, commit=""):
    """Return the first replication of a variant in a study with the seed 3."""
    cell = Cell({"strategy": key}, commit=commit)
    return PlannedRun("id", replication_seed(3, 0), cell, texts)


def test_commands_name_what_was_compared():
    """Routers by name, those of commits, routers alone; and no command where none can."""
    options = {"baseline": "old", "replications": 4, "precision": {}}
    manifest = {"kind": "comparison", "scenario": {"seed": 3}, "options": options}
    new = planned("new", {"federation.router": "routers:Sticky"})
    old = planned("old", {"federation.router": "routers:Sticky"}, commit="c0ffee")
    text = study_command("s.yaml", manifest, [new, old])
    listed = """--set 'compare={"routers": ["routers:Sticky"]}'"""
    both = "--router old=git:c0ffee:routers:Sticky --replications 4 --baseline old --seed 3"
    assert text == f"fedsim compare s.yaml {listed} {both}"
    precise = {"baseline": "Mine", "precision": {"first": 5}}
    mine = planned("Mine", {"federation.strategy": "own:Mine"})
    text = study_command("s.yaml", manifest | {"options": precise}, [mine, new])
    listed = """--set 'compare={"strategies": ["own:Mine"], "replications": 5}'"""
    both = "--router new=routers:Sticky --baseline own:Mine --seed 3"
    assert text == f"fedsim compare s.yaml {listed} {both}"
    assert not study_command("s.yaml", manifest | {"scenario": {"seed": 4}}, [new, old])
    given = planned("new", {"federation.router": "<object routers:Sticky>"})
    assert not study_command("s.yaml", manifest, [given, old])


def test_a_bundle_is_the_same_each_time(place, tmp_path):
    """The archive has the scenario, sources and commands, sorted, without a time of its own."""
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    assert command("study", place, "--bundle", first).stdout == f"{first}\n"
    Inventory(place).bundle(second)
    assert first.read_bytes() == second.read_bytes()
    with ZipFile(first) as archive:
        names = archive.namelist()
        assert names == sorted(names)
        assert {"scenario.yaml", "study.json", "runs.json", "files.json"} <= set(names)
        assert archive.read("plugins/bundled_router.py").decode() == ROUTER
        assert "plugins/bundled_helper.py" in names
        text = archive.read("README.txt").decode()
        assert "from the folder plugins/:\n\n  fedsim compare ../scenario.yaml --set" in text


def test_a_bundle_has_the_hashes_of_files(place, tmp_path):
    """A file that the scenario names is known by its SHA-256; one that is gone is missing."""
    study = Inventory(place)
    trace = tmp_path / "trace.csv"
    trace.write_text("rows")
    named = {"a": str(trace), "b": "/no/such/trace.csv"}
    study._manifest["scenario"] = {**study._manifest["scenario"], "files": named}
    study.bundle(tmp_path / "study.zip")
    with ZipFile(tmp_path / "study.zip") as archive:
        found = json.loads(archive.read("files.json"))
    assert found == {str(trace): sha256(b"rows").hexdigest(), "/no/such/trace.csv": "missing"}


def test_a_bundle_of_other_sources_is_refused(place, tmp_path):
    """What is packed is what was run."""
    helper = place.parent / "bundled_helper.py"
    before = helper.read_text()
    helper.write_text("NODE = 'west-chat-0'\n")
    try:
        with pytest.raises(ResultsError, match="source of bundled_router:Mine has changed"):
            Inventory(place).bundle(tmp_path / "study.zip")
    finally:
        helper.write_text(before)


def test_what_is_no_study_is_refused(tmp_path, place):
    """The message says what is there, and which command fits; the status is 2."""
    fedsim.simulate(fedsim.load(place.parent / "small.yaml")).save(tmp_path / "run", charts=False)
    for path, words in {
        tmp_path / "nothing": "there is no directory",
        tmp_path: "holds no study; name the directory",
        place.parent: f"write for instance {place.parent}/",
        place.parent / "small.yaml": "is a file",
        tmp_path / "run": "holds a run, not a study",
    }.items():
        done = command("study", path)
        assert done.exit_code == 2
        assert words in done.stderr
        assert "--fresh" not in done.stderr
