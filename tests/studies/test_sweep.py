"""Sweeps of whole runs: pairing, tables, knees in closed form, failures, files and resuming."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from copy import copy
from typing import Any

import numpy as np
import pandas as pd
import pytest

import fedsim
from fedsim.document import Table, markdown
from fedsim.errors import ArgumentError, ResultsError, ScenarioError
from fedsim.report.sweep import sweep_report
from fedsim.studies.swept import Key

RATE, STRATEGY = "workload.talk.arrivals.rate", "federation.strategy"

SCENARIO = f"""\
name: single
seed: 7
duration: 4min
warmup: 20s
regions: {{us: {{}}}}
network: {{within_region: 1us}}
pools:
  chat:
    region: us
    count: 1
    slots: 1
    queue_limit: unlimited
    service: {{distribution: exponential, mean: 100ms}}
workload: {{talk: {{arrivals: {{process: poisson, rate: 1/s}}}}}}
federation: {{circuit_breaker: off}}
slo: {{latency_p99: 2s, success_rate: 99%}}
study: {{replications: 3}}
sweep: {{grid: {{{STRATEGY}: [random, round_robin], {RATE}: [3/s, 6/s, 8/s]}}}}
"""

BAD_ROUTER = """\
class Breaks:
    def __init__(self, context):
        raise ValueError("no node for you")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the scenario of a single server."""
    place = tmp_path_factory.mktemp("sweep")
    (place / "single.yaml").write_text(SCENARIO, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def scenario(folder):
    """An M/M/1 system of 10 requests per second, without network."""
    return fedsim.load(folder / "single.yaml")


@pytest.fixture(scope="module")
def sweep(scenario, folder):
    """The sweep that it asks for."""
    return fedsim.sweep(scenario, directory=folder / "out", workers=1)


def test_shows_the_keys_that_tell_points_apart(sweep):
    """A key that changes with those before it adds nothing to a table."""
    values = {"a": (1, 2, 1), "b": ("x", "x", "y"), "c": (1, 2, 1), "d": (5, 5, 5)}
    listed = copy(sweep)
    listed.keys = {name: Key(name, name, each) for name, each in values.items()}
    assert [key.path for key in listed.telling()] == ["a", "b"]
    assert [key.path for key in listed.telling(listed.keys["a"])] == ["b", "c"]
    assert sweep.telling() == list(sweep.keys.values())


def test_has_a_row_per_point_with_the_key_first(sweep):
    """Rates are numbers, in requests per second; measures come with their intervals."""
    table = sweep.estimates()
    assert list(table.columns[:4]) == [STRATEGY, RATE, "replications", "requests"]
    assert table[RATE].tolist() == [3.0, 6.0, 8.0] * 2
    assert (table["replications"] == 3).all()
    assert (table["latency_mean_s_count"] == 3).all()
    assert (table["latency_mean_s_low"] < table["latency_mean_s"]).all()
    assert (table["latency_mean_s_high"] > table["latency_mean_s"]).all()


def test_points_that_differ_in_the_federation_meet_the_same_requests(sweep):
    """With one node it does not matter who chooses it: equal runs under two strategies."""
    cells = sweep.cells
    assert list(cells.columns[2:]) == ["replication", "seed", "digest", "state", "error"]
    assert set(cells["state"]) == {"done"}
    assert cells["seed"].nunique() == 3
    table = sweep.estimates().set_index([STRATEGY, RATE])
    pd.testing.assert_frame_equal(table.loc["random"], table.loc["round_robin"])


def test_has_a_row_per_group(sweep):
    """The group's column stands after the key."""
    table = sweep.estimates(by="region")
    assert list(table.columns[:4]) == [STRATEGY, RATE, "region", "replications"]
    assert table["requests"].tolist() == sweep.estimates()["requests"].tolist()
    with pytest.raises(ResultsError, match="cannot be grouped by 'x'; choose one of"):
        sweep.estimates(by="x")


def test_a_success_rate_of_1_has_a_bound(sweep):
    """Requests of which none failed leave room for about 3 / n failures, as in a comparison."""
    table = sweep.estimates()
    whole = table[table["success_rate"] == 1.0]
    requests = whole["requests"] * whole["replications"]
    assert len(whole)
    assert whole["success_rate_low"].to_numpy() == pytest.approx(1.0 - 3.0 / requests, abs=1e-4)


def test_knee_is_that_of_a_single_server(scenario):
    """Mean latency 1 / (μ − λ) reaches 300 ms at λ = 10 − 1 / 0.3 = 6.67 requests per second."""
    rates = [f"{rate}/s" for rate in (5, 6, 7, 8)]
    long = scenario.changed({"duration": "15min"})
    found = fedsim.sweep(long, grid={RATE: rates}, replications=4, workers=1)
    (row,) = found.knee("latency_mean_s", limit=0.3).to_dict("records")
    true = 10.0 - 1.0 / 0.3
    assert row["held"] == "below"
    assert (row["holds"], row["misses"]) == (6.0, 7.0)
    assert row["knee"] == pytest.approx(true, abs=0.25)
    assert row["low"] - 0.1 <= true <= row["high"] + 0.1


def test_knee_takes_the_limit_of_the_objective(sweep):
    """A row per combination of the other keys; a key may go by its short name."""
    table = sweep.knee("success_rate", "rate")
    assert table[STRATEGY].tolist() == ["random", "round_robin"]
    assert table["held"].tolist() == ["everywhere"] * 2
    assert table["limit"].tolist() == [0.99] * 2
    with pytest.raises(ResultsError, match="no limit of ttft_p99_s; give one"):
        sweep.knee("ttft_p99_s")
    with pytest.raises(ResultsError, match=r"federation\.strategy is not a number at every point"):
        sweep.knee("success_rate", "strategy")
    with pytest.raises(ResultsError, match="there is no key 'rat'; choose one of"):
        sweep.knee("success_rate", "rat")


def test_names_points_that_are_saturated(scenario):
    """15 requests per second for a server of 10: no percentile is printed."""
    found = fedsim.sweep(scenario, grid={RATE: ["5/s", "15/s"]}, replications=5, workers=1)
    assert found.saturated == (1,)
    assert "1 of 2 points were saturated, the first at rate 15/s" in found.warnings[0]
    (table, *_) = [block for block in sweep_report(found).blocks if isinstance(block, Table)]
    (p99,) = [column for column in table.columns if column.heading == "p99"]
    assert [str(cell) == "–" for cell in p99.cells] == [False, True]


def test_crossover_of_equals_is_not_shown(sweep):
    """The table has its columns, and no row."""
    table = sweep.crossover("latency_p50_s", "rate", "random", "round_robin")
    assert list(table.columns) == ["below", "above", "crossover", "low", "high"]
    assert table.empty
    with pytest.raises(ResultsError, match="not two values of one other key"):
        sweep.crossover("latency_p50_s", "rate", "random", "least_latency")


@pytest.mark.slow
def test_crossover_of_few_fast_and_many_slow_servers(scenario):
    """One fast server is better until its queue outweighs what three slow ones take longer."""
    service = "pools.chat.service.mean"
    points = [
        {"pools.chat.count": count, service: mean, RATE: f"{rate}/s"}
        for count, mean in ((1, "100ms"), (3, "250ms"))
        for rate in (1, 4, 9)
    ]
    long = scenario.changed({"duration": "6min", STRATEGY: "least_connections"})
    found = fedsim.sweep(long, list=points, replications=8, workers=1)
    (row,) = found.crossover("latency_mean_s", RATE, 1, 3).to_dict("records")
    assert (row["below"], row["above"]) == (1, 3)
    assert 4.0 < row["low"] <= row["crossover"] <= row["high"] < 9.0


@pytest.mark.slow
def test_workers_change_nothing(scenario, sweep):
    """Equal digests and equal tables, whatever the number of workers."""
    other = fedsim.sweep(scenario, workers=2)
    pd.testing.assert_frame_equal(other.cells, sweep.cells)
    pd.testing.assert_frame_equal(other.estimates(), sweep.estimates())


def test_goes_on_with_what_its_directory_has(scenario, sweep, folder):
    """Another value adds its runs, and no finished one is repeated."""
    before = {file: file.stat().st_mtime_ns for file in (folder / "out" / "runs").iterdir()}
    grid = {STRATEGY: ["random"], RATE: ["3/s", "4/s"]}
    found = fedsim.sweep(scenario, grid=grid, directory=folder / "out", workers=1)
    after = {file: file.stat().st_mtime_ns for file in (folder / "out" / "runs").iterdir()}
    assert len(after) == len(before) + 3
    assert before.items() <= after.items()
    assert found.cells["digest"][0] == sweep.cells["digest"][0]


def test_failed_run_is_a_row(folder):
    """The others go on; a point without a run has no means."""
    (folder / "bad_routers.py").write_text(BAD_ROUTER, encoding="utf-8")
    scenario = fedsim.load(folder / "single.yaml")
    grid: dict[str, Any] = {"federation.router": [None, "bad_routers:Breaks"], RATE: ["3/s"]}
    found = fedsim.sweep(scenario, grid=grid, replications=2, workers=1)
    cells = found.cells
    assert cells["state"].tolist() == ["done", "failed"] * 2
    assert "no node for you" in cells["error"][1]
    table = found.estimates()
    assert table["replications"].tolist() == [2, 0]
    assert math.isnan(table["latency_p50_s"][1])
    assert found.warnings[0].startswith("2 of 4 runs failed and are left out. The first: router")


def test_python_values_are_checked_as_those_of_a_file(scenario):
    """All at once, before the first run."""
    wrong: Any = [RATE]
    path: Any = "x"
    with pytest.raises(ScenarioError) as caught:
        fedsim.sweep(scenario, grid={RATE: ["3/s", 4], "pools.chat.cont": [1]})
    assert [str(problem) for problem in caught.value.problems] == [
        "sweep.grid.pools.chat.cont.0: There is no key 'cont' here. Did you mean count?",
        f"sweep.grid.{RATE}.1: 4 has no unit. Write 4/s or 4/min.",
    ]
    with pytest.raises(ScenarioError, match="Keep one of them"):
        fedsim.sweep(scenario, grid={RATE: ["3/s"]}, list=[{RATE: "3/s"}])
    with pytest.raises(ScenarioError, match="is not a list"):
        fedsim.sweep(scenario, grid={RATE: "3/s"})
    with pytest.raises(ArgumentError, match="grid is a mapping by path"):
        fedsim.sweep(scenario, grid=wrong)
    with pytest.raises(ArgumentError, match=r"Write fedsim\.sweep\(fedsim\.load\('x'\)\)"):
        fedsim.sweep(path)
    with pytest.raises(ScenarioError, match="There is nothing to sweep"):
        fedsim.sweep(scenario.changed({"sweep": None}))


def test_charts_have_each_point_at_its_place(sweep):
    """The keys may come in any order; lines and fields have the means of their points."""
    means = sweep.estimates().set_index([RATE, STRATEGY])["latency_p50_s"]
    (axes,) = sweep.plot.curves("latency_p50_s").axes
    named = {line.get_label(): line.get_ydata() for line in axes.get_lines()}
    assert list(named["random"]) == means.xs("random", level=STRATEGY).tolist()
    (image,) = sweep.plot.heat_map("latency_p50_s", x="strategy").axes[0].get_images()
    assert np.asarray(image.get_array()).tolist() == means.unstack().to_numpy().tolist()


def test_takes_arrays_and_latin_hypercubes(scenario):
    """Numbers of numpy are numbers; a point of a Latin hypercube has a line of its own."""
    counts = fedsim.sweep(scenario, grid={"pools.chat.count": np.arange(1, 3)}, replications=1)
    assert counts.estimates()["pools.chat.count"].tolist() == [1, 2]
    ranges: dict[str, Any] = {RATE: ["2/s", "6/s"], "pools.chat.count": [1, 3]}
    spread = fedsim.sweep(scenario, latin_hypercube=ranges, points=3, replications=1, workers=1)
    assert sorted(spread.estimates()["pools.chat.count"]) == [1, 2, 3]
    assert spread.plot.curves("latency_p99_s", "rate").axes


def test_saves_a_directory(sweep, tmp_path):
    """Tables and charts are written next to the runs."""
    place = sweep.save(tmp_path / "copy")
    names = {path.name for path in place.iterdir()}
    assert {"study.json", "scenario.yaml", "summary.json", "runs", "charts"} <= names
    pd.testing.assert_frame_equal(pd.read_parquet(place / "cells.parquet"), sweep.cells)
    estimates = pd.read_parquet(place / "estimates.parquet")
    assert estimates.columns.tolist() == sweep.estimates().columns.tolist()
    assert len(list((place / "runs").glob("*.json"))) == 18
    assert {path.name for path in (place / "charts").iterdir()} >= {
        "goodput_share.png",
        "goodput_share-map.png",
        "latency_p99_s.png",
    }
    assert json.loads((place / "study.json").read_text(encoding="utf-8"))["kind"] == "sweep"


def test_is_opened_as_it_was(sweep, tmp_path):
    """Tables and digests come back from the files; a run that is gone is missing."""
    place = sweep.save(tmp_path / "copy", charts=False)
    opened = fedsim.open(place)
    assert isinstance(opened, fedsim.Sweep)
    pd.testing.assert_frame_equal(opened.cells, sweep.cells)
    pd.testing.assert_frame_equal(opened.estimates(), sweep.estimates())
    (place / "runs" / f"{sweep.records[0].id}.json").unlink()
    again = fedsim.open(place)
    assert isinstance(again, fedsim.Sweep)
    assert again.cells["state"].tolist() == ["missing"] + ["done"] * 17


def test_report_has_points_and_knees(sweep):
    """Keys as the file has them, then the measures; the objective's limits."""
    document = sweep_report(sweep)
    tables = [block for block in document.blocks if isinstance(block, Table)]
    assert [column.heading for column in tables[0].columns[:2]] == ["strategy", "rate"]
    assert [str(cell) for cell in tables[0].columns[1].cells[:3]] == ["3/s", "6/s", "8/s"]
    text = markdown(document)
    assert "single: 6 points of strategy, rate" in text
    assert "latency p99 ≤ 2 s held for rate" in text
    assert "mean of a window of 220s, 3 replications, 95 %" in text


def test_command_goes_on_and_says_what_failed(folder):
    """Status 0 with a report, JSON with numbers; 1 where a run failed, with its sentence."""

    def fedsim_sweep(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "fedsim", "sweep", "single.yaml", *arguments],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )

    small = ("--replications", "1", "--workers", "1", "--out", "cli")
    first = fedsim_sweep(*small)
    assert (first.returncode, first.stderr) == (0, "")
    assert "fedsim sweep single.yaml --seed 7 --replications 1 --out cli" in first.stdout
    again = fedsim_sweep(*small, "--json")
    data = json.loads(again.stdout)
    assert [row[RATE] for row in data["estimates"]] == [3.0, 6.0, 8.0] * 2
    assert data["keys"] == {STRATEGY: "", RATE: "req/s"}
    broken = fedsim_sweep(
        *small, "--set", "sweep={list: [{federation.router: bad_routers:Breaks}]}"
    )
    assert broken.returncode == 1
    assert "1 of 1 runs failed and are left out." in broken.stdout
    wrong = fedsim_sweep(*small, "--set", "sweep.grid={pools.chat.count: [-1]}")
    assert wrong.returncode == 2
    assert "sweep.grid.pools.chat.count.0: -1 is too small. Write at least 0." in wrong.stderr


def test_precision_adds_replications_where_they_are_needed(scenario):
    """Each point has its own number of them; a number that is asked for is that of all."""
    asked: dict[str, Any] = {"study.replications": 5}
    asked |= {"study.precision": {"success_rate": "9%", "latency_mean": "50%"}}
    asked |= {"warmup": "5s", "duration": "35s", "study.max_replications": 16}
    rates = {RATE: ["1/s", "9/s"]}
    found = fedsim.sweep(scenario.changed(asked), grid=rates, workers=1)
    assert found.replications == [15, 16]
    assert [each.enough for each in found.reached] == [True, False]
    widths = [each.half_widths["latency_mean_s"] for each in found.reached]
    for row, width in zip(found.estimates().to_dict("records"), widths, strict=True):
        mean = row["latency_mean_s"]
        sides = row["latency_mean_s_high"] / mean - 1.0, 1.0 - row["latency_mean_s_low"] / mean
        assert width == pytest.approx(max(sides))
    assert widths[0] <= 0.5 / 1.5 < widths[1]
    assert any("1 of 2 points do not reach the precision asked for" in w for w in found.warnings)
    assert "15 to 16 replications, 95 %" in found.target
    text = markdown(sweep_report(found))
    assert "15 to 16 replications per point" in text
    assert "Precision: half of the interval" in text
    fixed = fedsim.sweep(scenario.changed(asked), grid=rates, replications=2, workers=1)
    assert fixed.replications == [2, 2]
    assert fixed.reached == ()
    kept = [fixed.cells["digest"].tolist(), found.cells["digest"].tolist()]
    assert kept[0] == kept[1][:4]
