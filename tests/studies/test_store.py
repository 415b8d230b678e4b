"""The directory of a study: what it keeps when the study is cut off, and what it refuses."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

import fedsim
from fedsim.cli.output import result_directory
from fedsim.errors import ResultsError
from fedsim.studies.cells import Cell
from fedsim.studies.records import Failure
from fedsim.studies.runset import RunSet
from fedsim.studies.store import Store
from tests import small_scenario


@pytest.fixture
def folder(tmp_path):
    """A folder with the small scenario and its routers."""
    small_scenario.write_routers(tmp_path, "stored_routers")
    small_scenario.write(tmp_path)
    return tmp_path


@pytest.fixture
def scenario(folder):
    """The small scenario: two strategies, three replications."""
    return fedsim.load(folder / "small.yaml")


def times(place):
    """Return when each run's file was written, in nanoseconds, by its name."""
    return {path.name: path.stat().st_mtime_ns for path in (place / "runs").glob("*.json")}


def test_a_study_goes_on_where_it_was(scenario, folder):
    """The same call runs nothing again; another strategy and more replications are added."""
    place = folder / "study"
    first = fedsim.compare(scenario, strategies=["random"], workers=1, directory=place)
    before = times(place)
    assert len(before) == 3
    again = fedsim.compare(scenario, strategies=["random"], workers=1, directory=place)
    assert times(place) == before
    pd.testing.assert_frame_equal(again.replications, first.replications)
    assert again.warnings == first.warnings
    assert again.run("random").digest == first.run("random").digest
    more = fedsim.compare(
        scenario, strategies=["random", "round_robin"], replications=4, workers=1, directory=place
    )
    assert len(times(place)) == 8
    assert before.items() <= times(place).items()
    assert more.digests["random"][:3] == first.digests["random"]
    assert (more.cells["state"] == "done").all()


def test_the_kept_run_of_a_finished_study_is_read_back(scenario, folder):
    """Everything that a comparison offers is there when all of its runs are."""
    place = folder / "study"
    first = fedsim.compare(scenario, workers=1, directory=place)
    again = fedsim.compare(scenario, workers=1, directory=place)
    again.save(place)
    assert (place / "charts" / "latency.png").exists()
    assert (place / "runs" / "round_robin" / "charts").is_dir()
    copied = again.save(folder / "copy", charts=False)
    assert (
        fedsim.Run.load(copied / "runs" / "round_robin").digest == first.run("round_robin").digest
    )


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"duration": "30s"}, 'duration is "40s" there, and "30s" here'),
        ({"pools.east-chat.count": 3}, "pools.east-chat.count is 2 there, and 3 here"),
        ({"seed": 4}, "seed is 3 there, and 4 here"),
        ({"slo": None}, "slo is"),
    ],
)
def test_the_directory_of_another_study_is_refused(scenario, folder, changes, path):
    """The first path that differs is named, and --fresh starts over."""
    place = folder / "study"
    fedsim.compare(scenario, replications=1, workers=1, directory=place)
    other = scenario.changed(changes)
    with pytest.raises(ResultsError, match=path):
        fedsim.compare(other, replications=1, workers=1, directory=place)
    fedsim.compare(other, replications=1, workers=1, directory=place, fresh=True)
    assert len(times(place)) == 2


def test_what_changes_no_run_is_the_same_study(scenario, folder):
    """A description, or what is compared, may differ."""
    place = folder / "study"
    fedsim.compare(scenario, replications=1, workers=1, directory=place)
    before = times(place)
    other = scenario.changed({"description": "Another.", "compare.baseline": "least_connections"})
    found = fedsim.compare(other, replications=1, workers=1, directory=place)
    assert found.baseline == "least_connections"
    assert times(place) == before


def test_a_plugin_that_was_edited_is_another_one(scenario, folder):
    """The source of a plug-in, and of what it imports from next to it, is part of a run's id."""
    (folder / "helper.py").write_text("NODE = 'east-chat-1'\n")
    (folder / "own_router.py").write_text(
        "import helper\n"
        "from fedsim.federation.contracts import RouteTarget\n"
        "class Mine:\n"
        "    def route(self, request):\n"
        "        return RouteTarget(helper.NODE, 'east')\n"
    )
    place = folder / "study"
    compare = partial(
        fedsim.compare,
        scenario,
        strategies=[],
        routers={"mine": "own_router:Mine"},
        replications=1,
        workers=1,
        directory=place,
    )
    compare()
    (folder / "helper.py").write_text("NODE = 'east-chat-0'\n")
    with pytest.raises(ResultsError, match="the source of own_router:Mine is another there"):
        compare()


def test_a_run_directory_is_no_study(scenario, folder):
    """What is not a study's is not added to."""
    fedsim.simulate(scenario).save(folder / "run", charts=False)
    with pytest.raises(ResultsError, match="holds no study"):
        fedsim.compare(scenario, workers=1, directory=folder / "run")
    (folder / "thesis").mkdir()
    (folder / "thesis" / "text").touch()
    with pytest.raises(ResultsError, match="not a directory that fedsim wrote"):
        fedsim.compare(scenario, workers=1, directory=folder / "thesis", fresh=True)
    assert (folder / "thesis" / "text").exists()


def test_one_world_is_run_once(scenario, folder):
    """Two variants that come to the same are one run, which both of them have."""
    place = folder / "study"
    routers = {"one": "stored_routers:FirstNode", "other": "stored_routers:FirstNode"}
    found = fedsim.compare(
        scenario, strategies=[], routers=routers, replications=2, workers=1, directory=place
    )
    assert len(times(place)) == 2
    assert found.digests["one"] == found.digests["other"]
    assert found.run("one").digest == found.run("other").digest


def test_a_study_that_never_began_leaves_its_directory_free(scenario, folder):
    """What a process leaves that is killed before the first run is no hindrance."""
    place = folder / "study"
    place.mkdir()
    (place / ".study.json.17.new").write_text("{")
    fedsim.compare(scenario, replications=1, workers=1, directory=place)
    (place / "study.json").write_text(
        json.dumps(json.loads((place / "study.json").read_text()) | {"cells": []})
    )
    found = fedsim.compare(scenario, replications=1, workers=1, directory=place)
    assert (found.cells["state"] == "done").all()


def test_a_broken_record_is_run_again(scenario, folder):
    """A file that is cut off, or of other measures, counts as none."""
    place = folder / "study"
    first = fedsim.compare(scenario, workers=1, directory=place)
    one, other = sorted((place / "runs").glob("*.json"))[:2]
    one.write_text(one.read_text()[:100])
    data = json.loads(other.read_text())
    data["measures"]["all"]["values"][0].pop()
    other.write_text(json.dumps(data))
    again = fedsim.compare(scenario, workers=1, directory=place)
    pd.testing.assert_frame_equal(again.replications, first.replications)


@pytest.mark.parametrize("damage", ["cut off", "emptied", "removed", "no manifest"])
def test_a_damaged_kept_run_is_run_again(scenario, folder, damage):
    """The study goes on; opened without that, its run says how to make it again."""
    place = folder / "study"
    first = fedsim.compare(
        scenario, strategies=["random"], replications=1, workers=1, directory=place
    )
    kept = place / first.records[0].kept
    path = kept / "attempts.parquet"
    if damage == "removed":
        path.unlink()
    elif damage == "no manifest":
        (kept / "manifest.json").write_text("{")
    else:
        path.write_bytes(path.read_bytes()[: 200 * (damage == "cut off")])
    opened = fedsim.open(place)
    assert isinstance(opened, fedsim.Comparison)
    with pytest.raises(ResultsError, match=r"made it|makes it"):
        opened.run("random").attempts  # noqa: B018
    again = fedsim.compare(
        scenario, strategies=["random"], replications=1, workers=1, directory=place
    )
    assert len(again.run("random").attempts) == len(first.run("random").attempts)


COMPARE = "import sys, fedsim; fedsim.compare(fedsim.load('small.yaml'), replications=20, \
workers=int(sys.argv[1]), directory='study')"


def study(folder, workers):
    """Start a study of forty runs in a process of its own."""
    return subprocess.Popen([sys.executable, "-c", COMPARE, str(workers)], cwd=folder)


@pytest.mark.slow
def test_a_study_that_is_killed_ten_times_is_whole_in_the_end(folder, tmp_path_factory):
    """Its tables are those of one that was not, and no run that was done is done again."""
    draws = random.Random(1)
    known: dict[str, int] = {}
    place = folder / "study"
    for _ in range(10):
        process = study(folder, 1)
        started, count = time.monotonic(), len(known)
        wanted = min(count + draws.randrange(1, 4), 39)
        while len(times(place)) < wanted and time.monotonic() < started + 60.0:
            time.sleep(0.002)
        time.sleep(0.03 * draws.random())
        process.kill()
        process.wait()
        assert known.items() <= times(place).items(), "a run that was done was done again"
        known = times(place)
    scenario = fedsim.load(folder / "small.yaml")
    killed = fedsim.compare(scenario, replications=20, workers=1, directory=place)
    assert known.items() <= times(place).items()
    whole = fedsim.compare(scenario, replications=20, workers=1)
    pd.testing.assert_frame_equal(killed.replications, whole.replications)
    pd.testing.assert_frame_equal(killed.summary(), whole.summary())
    assert killed.digests == whole.digests
    assert killed.warnings == whole.warnings
    assert not [path for path in (place / "runs").iterdir() if path.name.endswith(".lock")]


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")
@pytest.mark.slow
def test_a_worker_that_is_killed_twice_costs_nothing_but_time(folder):
    """The study goes on, and every run is there."""
    process = study(folder, 2)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    place = folder / "study"
    for wanted in (4, 16):
        deadline = time.monotonic() + 60.0
        while len(times(place)) < wanted and time.monotonic() < deadline:
            time.sleep(0.005)
        workers = [int(pid) for pid in children.read_text().split() if _is_worker(pid)]
        os.kill(workers[0], signal.SIGKILL)
    assert process.wait(timeout=120) == 0
    assert len(times(place)) == 40
    assert not list((place / "failed").iterdir())
    scenario = fedsim.load(folder / "small.yaml")
    killed = fedsim.compare(scenario, replications=20, workers=1, directory=place)
    assert killed.digests == fedsim.compare(scenario, replications=20, workers=1).digests


def _is_worker(pid: str) -> bool:
    return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_cell_that_fails_is_a_row(scenario, folder, workers):
    """The others go on; the failure has its message, and is tried again the next time."""
    place = folder / "study"
    (folder / "sometimes.py").write_text(
        "from stored_routers import FirstNode\n"
        "class Sometimes(FirstNode):\n"
        "    def __init__(self, context):\n"
        "        super().__init__(context)\n"
        "        self.fails = context.rng.random() < 0.5\n"
        "    async def route(self, request):\n"
        "        if self.fails:\n"
        "            raise KeyError('today')\n"
        "        return await super().route(request)\n"
    )
    cells = [
        Cell({"router": "sometimes"}, {"federation.router": "sometimes:Sometimes"}, number)
        for number in range(8)
    ]
    with RunSet(scenario, workers=workers) as runs:
        found = list(runs.run(runs.planned(cells)))
    failures = [each for each in found if isinstance(each, Failure)]
    assert 0 < len(failures) < 8
    assert len(found) == 8
    assert "KeyError: 'today'" in "\n".join(failures[0].traceback)
    assert not place.exists()


@pytest.mark.parametrize("workers", [None, pytest.param(2, marks=pytest.mark.slow)])
def test_whatever_runs_the_cells_gives_equal_records(scenario, workers):
    """One process, two, or threads: equal digests, figures and warnings."""
    cells = [
        Cell({"strategy": name}, {"federation.strategy": name}, number)
        for number in range(3)
        for name in ("round_robin", "power_of_two")
    ]

    def found(**how):
        with RunSet(scenario, **how) as runs:
            records = list(runs.run(runs.planned(cells)))
        facts = [each.to_json() for each in sorted(records, key=lambda each: each.id)]
        return [json.dumps({**each, "wall_s": 0, "cpu_s": 0}) for each in facts]

    expected = found(workers=1)
    with ThreadPoolExecutor(2) as executor:
        how = {"workers": workers} if workers else {"executor": executor}
        assert found(**how) == expected
    assert all(len(text) < 50_000 for text in expected)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda manifest: manifest.pop("versions"), "is broken: it has no versions"),
        (lambda manifest: manifest["scenario"].pop("seed"), "is broken: its scenario has no seed"),
        (lambda manifest: manifest.update(cells={}), "is broken: its cells is not a list"),
        (lambda manifest: manifest.update(cells=[{}]), "number 0 of its cells has no asked"),
    ],
)
def test_a_broken_manifest_names_what_it_lacks(scenario, tmp_path, damage, words):
    """It says what, and what to do, which --fresh may refuse."""
    place = Store.begin(tmp_path / "study", "comparison", scenario, {}).directory
    manifest = json.loads((place / "study.json").read_text(encoding="utf-8"))
    damage(manifest)
    (place / "study.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ResultsError, match=words) as caught:
        fedsim.open(place)
    assert str(caught.value).endswith("repeat the study in another directory")


def test_a_broken_scenario_is_not_put_down_to_plugins(scenario, tmp_path):
    """Where they cannot be what is missing, nothing is said of them."""
    place = Store.begin(tmp_path / "study", "comparison", scenario, {}).directory
    (place / "scenario.yaml").write_text("pools: [", encoding="utf-8")
    with pytest.raises(ResultsError, match="Restore the file") as caught:
        fedsim.open(place)
    assert "plug-ins" not in str(caught.value)


def test_a_study_that_replaces_that_of_another_scenario_is_named(
    scenario, tmp_path, monkeypatch, capsys
):
    """Only in a directory that nobody named; more replications are the same scenario."""
    monkeypatch.chdir(tmp_path)
    place = result_directory(None, scenario, "sweep")
    Store.begin(place, "sweep", scenario.changed({"study.replications": 7}), {})
    assert result_directory(None, scenario, "sweep") == place
    assert capsys.readouterr().err == ""
    other = scenario.changed({"compare.baseline": "least_connections"})
    assert result_directory(None, other, "sweep") == place
    assert f"{place}/ holds the result of another scenario" in capsys.readouterr().err
    result_directory(place, other, "sweep")
    assert capsys.readouterr().err == ""
