"""Comparisons of whole runs: common random numbers, plug-ins from anywhere, tables and files."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

import fedsim
from fedsim.errors import ArgumentError, PlugInError, ResultsError, ScenarioError
from fedsim.federation.contracts import NodeId, RegionId, RouteTarget
from fedsim.results.belief import failure_bound
from fedsim.results.measures import MEASURES
from fedsim.results.run import Run
from fedsim.studies.cells import replication_seed
from fedsim.studies.statistics import estimate, paired_difference
from tests import small_scenario


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the small scenario and its routers."""
    place = tmp_path_factory.mktemp("scenario")
    small_scenario.write_routers(place, "small_routers")
    small_scenario.write(place)
    return place


@pytest.fixture(scope="module")
def scenario(folder):
    """The small scenario: two strategies, three replications."""
    return fedsim.load(folder / "small.yaml")


@pytest.fixture(scope="module")
def comparison(scenario):
    """The comparison that the small scenario asks for."""
    return fedsim.compare(scenario, workers=1)


def test_workers_change_nothing(scenario):
    """One process, two, or any executor: equal digests and tables, plug-ins of files included."""
    routers = {"first": "small_routers:FirstNode"}
    comparison = fedsim.compare(scenario, routers=routers, workers=1)
    with ThreadPoolExecutor(2) as executor:
        others = [
            fedsim.compare(scenario, routers=routers, workers=2),
            fedsim.compare(scenario, routers=routers, executor=executor),
        ]
    for other in others:
        assert other.digests == comparison.digests
        pd.testing.assert_frame_equal(other.replications, comparison.replications)
        pd.testing.assert_frame_equal(other.summary(), comparison.summary())
        assert other.warnings == comparison.warnings


def test_replications_have_seeds_of_their_own(scenario, comparison):
    """A replication is the run with its seed, by itself; studies of other seeds share none."""
    assert comparison.seeds == tuple(replication_seed(3, number) for number in range(3))
    assert len({*comparison.seeds, *(replication_seed(4, number) for number in range(3))}) == 6
    assert all(0 <= seed < 2**53 for seed in comparison.seeds)
    alone = fedsim.simulate(scenario, seed=comparison.seeds[1], strategy="least_connections")
    assert comparison.digests["least_connections"][1] == alone.digest
    rows = comparison.replications
    row = rows[(rows["strategy"] == "least_connections") & (rows["replication"] == 1)].iloc[0]
    assert row["seed"] == alone.seed
    assert row["goodput_share"] == alone.summary()["goodput_share"].iloc[0]


def test_seeds_can_be_given(scenario):
    """With seeds of one's own, there is a replication for each."""
    found = fedsim.compare(scenario, strategies=["random"], seeds=[8, 5], workers=1)
    assert found.seeds == (8, 5)
    assert found.digests["random"][1] == fedsim.simulate(scenario, seed=5, strategy="random").digest


def test_strategies_meet_the_same_requests(comparison):
    """What arrives, when and from where is the same for all strategies of a replication."""
    first, second = (comparison.runs[name].requests for name in comparison.strategies)
    columns = ["request_id", "stream", "origin", "arrived_s"]
    pd.testing.assert_frame_equal(first[columns], second[columns])
    assert len(set(map(tuple, comparison.digests.values()))) == 2


def test_summary_is_mean_and_interval_of_the_replications(comparison):
    """The ranked table is what the statistics give of the replications, best goodput first."""
    summary = comparison.summary()
    assert list(summary["rank"]) == [1, 2]
    assert summary["goodput_share"].is_monotonic_decreasing
    rows = comparison.replications
    for name in comparison.strategies:
        chosen = rows[(rows["strategy"] == name) & (rows["by"] == "all")]
        withheld = comparison.withheld.set_index("strategy").loc[name, "measure"].tolist()
        assert withheld == ["latency_p999_s", "queue_wait_p999_s"]
        for measure in (each for each in MEASURES if each not in withheld):
            expected = estimate(chosen[measure], MEASURES[measure].bounds)
            found = [summary.loc[name, measure + end] for end in ("", "_low", "_high")]
            ends = [expected.mean, expected.low, expected.high]
            if measure in {"success_rate", "goodput_share"} and expected.mean == 1.0:
                ends[1] = 1.0 - failure_bound(chosen["requests"].sum())
            assert found == pytest.approx(ends, nan_ok=True)


def test_differences_are_paired(comparison):
    """A difference is the mean over seeds of strategy minus baseline, and has a verdict."""
    rows = comparison.replications
    rows = rows[rows["by"] == "all"].set_index(["strategy", "seed"])["latency_p99_s"]
    paired = paired_difference(rows["least_connections"], rows["round_robin"], (0.0, math.inf))
    expected = paired.absolute
    found = comparison.differences("latency_p99_s").loc["least_connections"]
    ends = (expected.mean, expected.low, expected.high)
    assert tuple(found[["difference", "low", "high"]]) == ends
    assert (found["relative"], found["narrowed"]) == (paired.relative.mean, paired.narrowed)
    turned = comparison.differences("latency_p99_s", baseline="least_connections")
    assert turned.loc["round_robin", "difference"] == pytest.approx(-expected.mean)
    assert comparison.baseline == "round_robin"
    with pytest.raises(ResultsError, match="'nobody' was not compared"):
        comparison.differences("latency_p99_s", baseline="nobody")
    with pytest.raises(ResultsError, match="there is no measure 'p99'"):
        comparison.differences("p99")


def test_no_worse_by_a_margin(comparison):
    """A large margin is met, a tiny one is not shown, and both say what they rest on."""
    wide = comparison.no_worse("latency_mean_s", 50.0).loc["least_connections"]
    narrow = comparison.no_worse("latency_mean_s", 1e-9).loc["least_connections"]
    assert wide["no_worse"]
    assert not narrow["equal"]
    paired = comparison.differences("latency_mean_s").loc["least_connections"]
    assert wide["difference"] == paired["relative"]
    assert paired["relative_low"] < wide["low"] < wide["high"] < paired["relative_high"]
    share = comparison.no_worse("goodput_share", 0.5).loc["least_connections"]
    assert share["difference"] == comparison.differences("goodput_share")["difference"].iloc[0]
    with pytest.raises(ResultsError, match="neither more nor less"):
        comparison.no_worse("utilization_mean", 0.1)
    with pytest.raises(ArgumentError, match="margin is a number above 0, not 0"):
        comparison.no_worse("latency_mean_s", 0)


def test_precision_adds_replications(scenario):
    """Replications are added in rounds up to the most, which is said, and none where it is met."""
    asked = {"study.precision.latency_mean": "0.01%", "study.max_replications": 8}
    asked |= {"study.replications": 2, "compare.replications": None}
    names = ["round_robin", "least_connections"]
    found = fedsim.compare(scenario.changed(asked), strategies=names, workers=1)
    assert len(found.seeds) == 8
    assert not found.reached.enough
    assert any("do not give the precision asked for: latency_mean_s ±" in w for w in found.warnings)
    width = found.reached.half_widths["latency_mean_s"]
    sides = [
        max(
            row["latency_mean_s_high"] / row["latency_mean_s"] - 1.0,
            1.0 - row["latency_mean_s_low"] / row["latency_mean_s"],
        )
        for _, row in found.summary().iterrows()
    ]
    assert width == pytest.approx(max(sides))
    easy = asked | {"study.precision.latency_mean": "90%"}
    enough = fedsim.compare(scenario.changed(easy), strategies=names, workers=1)
    assert len(enough.seeds) == 7
    assert enough.reached.enough
    fixed = fedsim.compare(scenario.changed(asked), strategies=names, replications=2, workers=1)
    assert len(fixed.seeds) == 2
    assert fixed.digests["round_robin"] == found.digests["round_robin"][:2]


def test_holm_decides_verdicts(comparison):
    """With one other strategy the adjusted p-value is the plain one."""
    table = comparison.differences("latency_mean_s")
    assert (table["p"] == table["p_holm"]).all()
    excludes = (table["low"] > 0.0) | (table["high"] < 0.0)
    assert ((table["p"] < 0.05) == excludes).all()


def test_groups_add_up(comparison):
    """Requests by stream and by origin are those of the whole."""
    whole = comparison.summary()["requests"]
    for by in ("stream", "origin"):
        table = comparison.by(by)
        assert table.index.names == ["group", "strategy"]
        pd.testing.assert_series_equal(
            table.groupby("strategy")["requests"].sum(), whole, check_like=True
        )
    with pytest.raises(ResultsError, match="cannot be grouped by 'tenant'"):
        comparison.by("tenant")


def test_outcomes_cover_every_request(comparison):
    """The outcomes of a run add up to the rows of its requests table."""
    outcomes = comparison.outcomes
    assert outcomes.index.names == ["strategy", "replication"]
    for name, run in comparison.runs.items():
        assert outcomes.loc[(name, 0)].sum() == len(run.requests)
    assert (outcomes.groupby("replication").sum().sum(axis=1) % 2 == 0).all()


def test_objectives_count_the_replications_that_held_them(comparison):
    """Each strategy and part of the objective says in how many replications it was held."""
    table = comparison.objectives.set_index(["strategy", "objective"])
    assert len(table) == 4
    rows = comparison.replications
    rows = rows[(rows["by"] == "all") & (rows["strategy"] == "round_robin")]
    held = table.loc[("round_robin", "latency_p99_s"), "held"]
    assert held == (rows["latency_p99_s"] <= 5.0).sum()
    assert (table["replications"] == 3).all()


def test_objectives_by_stream_say_where_there_are_no_tokens(scenario):
    """A bound on the tokens of a stream without any is held by no strategy, and says why."""
    slo = {"success_rate": "1%", "streams": {"chat": {"ttft_p99": "1s", "success_rate": "2%"}}}
    found = fedsim.compare(scenario.changed({"slo": slo}), replications=1, workers=1)
    table = found.objectives[found.objectives["strategy"] == "round_robin"]

    assert list(table["key"]) == ["ttft_p99", "success_rate"]
    assert list(table["stream"]) == ["chat", "chat"]
    assert list(table["missing"]) == ["no tokens", ""]
    assert list(table["held"]) == [0, 1]
    assert found.holding == []


def test_one_replication_says_that_it_has_no_intervals(scenario):
    """With one seed there are means, no intervals, no verdicts, and a warning."""
    single = fedsim.compare(scenario, replications=1, workers=1)
    assert np.isnan(single.summary()["goodput_share_low"]).all()
    assert set(single.differences("goodput_share")["verdict"]) <= {"no difference shown"}
    assert single.warnings[0].startswith("One replication gives no confidence intervals")


def test_no_success_is_no_latency(scenario):
    """A router that finds no node leaves latencies missing, and is ranked last with a warning."""

    class Refuses:
        async def route(self, request):
            from fedsim.federation.contracts import NoCapacity

            raise NoCapacity(request.capability)

    found = fedsim.compare(scenario, routers={"refuses": Refuses}, replications=2, workers=1)
    assert found.ranking()[-1] == "refuses"
    assert found.summary()["latency_p99_s"].isna()["refuses"]
    assert found.summary().loc["refuses", "success_rate"] == 0.0
    assert found.differences("latency_p99_s").loc["refuses", "verdict"] == "not measured"
    assert any("no request succeeded in 2 of 2" in text for text in found.warnings)
    assert "refuses" not in found.comparable("latency_p99_s")
    for draw in (found.plot.latency, found.plot.ranking, found.plot.differences):
        draw()


def test_routers_of_files_are_found(folder, scenario):
    """A router next to the scenario is found by its text."""
    found = fedsim.compare(
        scenario,
        strategies=[],
        routers={"first": "small_routers:FirstNode", "again": "small_routers:FirstNode"},
        replications=1,
        workers=1,
    )
    assert found.digests["first"] == found.digests["again"]
    assert set(found.runs["first"].attempts["node"].dropna()) == {"east-chat-0"}
    assert "router: small_routers:FirstNode" in found.runs["first"].scenario_yaml
    again = fedsim.load(_written(folder, found.runs["first"].scenario_yaml))
    assert fedsim.simulate(again).digest == found.digests["first"][0]


def _written(folder, text):
    path = folder / "resolved.yaml"
    path.write_text(text, encoding="utf-8")
    return path


SCRIPT = """
import fedsim
from fedsim.federation.contracts import NodeId, RegionId, RouteTarget

class Mine:
    def __init__(self, context):
        self.catalog = context.catalog

    def route(self, request):
        return RouteTarget("west-chat-1", "west")

class Broken(Mine):
    def route(self, request):
        return look_up(request)

def look_up(request):
    raise KeyError(request.request_id)

scenario = fedsim.load({path!r})
for router in (Mine, Broken):
    routers = {{"mine": router}}
    found = fedsim.compare(scenario, strategies=[], routers=routers, replications=2, workers=2)
    print(found.digests["mine"])
"""


def test_classes_of_an_unguarded_script_travel_to_workers(folder):
    """Routers of ``__main__`` run in two workers, and the script is not run again in them.

    The parent raises the PlugInError of one itself, with the plug-in's own line in a note.
    """
    script = folder / "study.py"
    script.write_text(SCRIPT.format(path=str(folder / "small.yaml")), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert re.fullmatch(r"\('[0-9a-f]+', '[0-9a-f]+'\)\n", done.stdout), done.stderr
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert "PlugInError: plug-in __main__:Broken, request chat-0" in done.stderr
    assert re.search(r"study.py\", line \d+, in look_up", done.stderr)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_failing_plugin_stops_the_comparison(scenario, workers):
    """The error of a first replication is raised, whether it comes from a worker or not."""
    with pytest.raises(PlugInError) as caught:
        fedsim.compare(scenario, routers={"r": "small_routers:Raises"}, workers=workers)
    assert caught.value.plugin == "small_routers:Raises"
    assert re.fullmatch(r"chat-\d+", caught.value.request_id or "")
    assert caught.value.time_s is not None
    assert "KeyError: 'the tenth request'" in "\n".join(caught.value.__notes__)


def test_wrong_arguments_get_a_remedy(scenario):
    """Numbers and names that make no sense are refused before anything runs."""
    with pytest.raises(ArgumentError, match="whole number of 1 or more, not 0"):
        fedsim.compare(scenario, replications=0)
    with pytest.raises(ScenarioError, match="Did you mean round_robin"):
        fedsim.compare(scenario, baseline="round_robbin")


def test_runs_are_kept_as_asked(scenario, comparison):
    """The first run of each strategy is kept, or all of them; others say how to keep them."""
    assert list(comparison.runs) == ["round_robin", "least_connections"]
    with pytest.raises(ResultsError, match='keep="all"'):
        comparison.run("round_robin", 1)
    everything = fedsim.compare(scenario, replications=2, workers=1, keep="all")
    assert everything.run("round_robin", 1).seed == everything.seeds[1]
    assert len(everything.kept) == 4


def test_the_directory_holds_everything(scenario, comparison, tmp_path):
    """What was compared can be read back from its directory without fedsim, and with it."""
    place = comparison.save(tmp_path / "study")
    assert sorted(path.name for path in place.iterdir()) == [
        "charts",
        "comparison.parquet",
        "failed",
        "replications.parquet",
        "runs",
        "scenario.yaml",
        "study.json",
        "summary.json",
    ]
    assert sorted(path.stem for path in (place / "charts").iterdir()) == [
        "differences-goodput_share",
        "differences-latency_p99_s",
        "latency",
        "ranking-goodput_share",
        "ranking-latency_p99_s",
    ]
    rows = pd.read_parquet(place / "replications.parquet")
    pd.testing.assert_frame_equal(rows, comparison.replications)
    long = pd.read_parquet(place / "comparison.parquet").set_index(["strategy", "measure"])
    best = (comparison.ranking()[0], "goodput_share")
    assert long.loc[best, "mean"] == comparison.summary()["goodput_share"].iloc[0]
    run = Run.load(place / "runs" / "round_robin")
    assert run.digest == comparison.digests["round_robin"][0]
    study = json.loads((place / "study.json").read_text())
    assert study["kind"] == "comparison"
    assert study["cells"][0]["key"] == {"strategy": "round_robin"}
    for cell in study["cells"]:
        record = json.loads((place / "runs" / f"{cell['id']}.json").read_text())
        assert (
            record["digest"] == comparison.digests[record["key"]["strategy"]][record["replication"]]
        )
    summary = json.loads((place / "summary.json").read_text())
    assert [row["strategy"] for row in summary["ranking"]] == comparison.ranking()
    assert fedsim.load(place / "scenario.yaml").world == scenario.world
    comparison.save(place, charts=False)
    assert not (place / "charts").exists(), "a directory of ours is replaced as a whole"


def test_a_directory_of_somebody_else_is_refused(comparison, tmp_path):
    """Files that fedsim did not write are never removed."""
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ResultsError, match="choose another name"):
        comparison.save(tmp_path)
    assert (tmp_path / "thesis.txt").exists()


def test_names_become_folders(scenario, tmp_path):
    """The name of a plug-in is no path, and two names never share a folder."""

    class Last:
        def route(self, request):
            return RouteTarget(NodeId("west-chat-1"), RegionId("west"))

    routers = {"../up": "small_routers:FirstNode", "..:up": Last}
    found = fedsim.compare(scenario, strategies=[], routers=routers, replications=1, workers=1)
    place = found.save(tmp_path / "study", charts=False)
    assert sum(path.is_dir() for path in (place / "runs").iterdir()) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["study"]


def test_one_strategy_alone_is_compared_with_nothing(scenario, tmp_path):
    """It is run, ranked, written and printed; there are no differences, and no charts of them."""
    alone = fedsim.compare(scenario, strategies=["random"], replications=2, workers=1)

    assert alone.ranking() == ["random"]
    assert alone.differences("goodput_share").empty
    charts = {chart.name for chart in (alone.save(tmp_path / "out") / "charts").iterdir()}
    assert "latency.png" in charts
    assert not any(name.startswith("differences") for name in charts)
