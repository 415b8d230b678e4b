"""The highest traffic that a fleet holds: by hand, with growth, files, and the command."""

from __future__ import annotations

import json
import math
import re
import shlex
from copy import copy
from dataclasses import replace
from shutil import copytree

import pytest
from typer.testing import CliRunner

import fedsim
from fedsim.cli.app import app
from fedsim.document import markdown
from fedsim.errors import ScenarioError
from fedsim.report.headroom import headroom_report
from fedsim.studies.plan.headroom import _Climb, traffic_in_words
from fedsim.studies.plan.search import BudgetSpent, Found, Verdict
from fedsim.studies.plan.verdict import Judgment
from tests.reading import answer_of, check_page

SCENARIO = """\
name: line
seed: 5
duration: 24s
warmup: 4s
regions: {us: {}, eu: {}}
network: {between: {us/eu: 60ms}}
pools:
  us-a: {region: us, count: 2, NODE}
  eu-a: {region: eu, count: 1, NODE}
workload: {chat: {arrivals: {process: constant, rate: 1/s}}}
federation: {strategy: least_connections}
slo: {latency_p90: 1s, success_rate: 75%}
plan:
  vary: {pools.us-a.count: [1, 2]}
  minimize: nodes
  replications: 4
  growth: 10%/month
"""
NODE = "slots: 1, queue_limit: 40, service: {distribution: constant, value: 400ms}"
"""A node serves 2.5 requests per second, three of them 7.5; without us, one serves 2.5."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the scenario."""
    place = tmp_path_factory.mktemp("headroom")
    (place / "line.yaml").write_text(SCENARIO.replace("NODE", NODE), encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def headroom(folder):
    """The headroom of it, in a directory."""
    return fedsim.headroom(fedsim.load(folder / "line.yaml"), directory=folder / "out", workers=1)


def test_agrees_with_capacity_by_hand(headroom):
    """Constant arrivals and services queue for nothing below capacity, and soon do above it.

    Above it the queue grows by the excess: 90 % of the way through 24 s it makes requests wait
    600 ms at 7.5 · (1 + 0.6 / 21.2) = 7.71 requests per second.
    """
    assert headroom.status == "found"
    assert 7.4 < headroom.held <= headroom.violated < 7.9
    assert headroom.violated / headroom.held < 1.02


@pytest.mark.slow
def test_survives_a_region_with_what_is_left(folder):
    """Without the two nodes of us a third of the capacity is left, and without eu two thirds."""
    scenario = fedsim.load(folder / "line.yaml", {"plan.survive": ["any_region"]})
    found = fedsim.headroom(scenario, workers=1)
    assert 2.4 < found.held <= found.violated < 2.7
    table = found.evaluations
    assert table[table["factor"] == found.violated]["case"].tolist() == ["us absent"]


def test_says_what_has_no_effect_and_what_is_not_bounded(headroom):
    """It judges windows, whatever the study estimates; refused requests look fast."""
    steady = headroom.scenario.changed({"study": {"steady_state": True}, "slo.success_rate": None})
    warned = copy(headroom)
    warned.scenario = steady
    report = markdown(headroom_report(warned))
    assert "study.steady_state has no effect on a headroom" in report
    assert "Add success_rate or goodput to slo" in report
    assert headroom.warnings == []


def test_growth_in_months(headroom):
    """1.1 ** 21 = 7.40 and 1.1 ** 22 = 8.14 times the traffic."""
    assert headroom.months == math.floor(math.log(headroom.held) / math.log(1.1)) == 21
    assert "lasts 21 months" in markdown(headroom_report(headroom))


def test_opens_as_it_was(headroom, folder):
    """Nothing is run again, and the tables are the same."""
    headroom.save(folder / "out")
    opened = fedsim.open(folder / "out")
    assert isinstance(opened, fedsim.Headroom)
    assert opened.evaluations.equals(headroom.evaluations)
    assert markdown(headroom_report(opened)) == markdown(headroom_report(headroom))
    saved = json.loads((folder / "out" / "summary.json").read_text(encoding="utf-8"))
    assert saved["held"] == headroom.held


def test_has_a_page(headroom, tmp_path):
    """It begins with how much the fleet holds; the command asks again."""
    text = headroom.report(tmp_path).read_text(encoding="utf-8")
    read = check_page(text)

    assert answer_of(text) == f"The fleet holds {headroom.held:.3g} times its traffic."
    assert any(each.startswith("fedsim plan scenario.yaml --headroom ") for each in read.texts)


def test_command_says_what_is_held_and_what_is_wrong(folder):
    """0 found, 1 at no traffic, 2 input, 4 budget; without a plan the normal case is judged."""
    run = CliRunner().invoke
    command = ["plan", str(folder / "line.yaml"), "--headroom", "--workers", "1"]
    done = run(app, [*command, "--out", str(folder / "out")])
    assert done.exit_code == 0, done.output
    assert "times its traffic" in done.output
    budget = ["--out", str(folder / "spent"), "--set", "plan.budget.runs=5"]
    assert run(app, [*command, *budget]).exit_code == 4
    never = ["--out", str(folder / "never"), "--set", "slo.latency_p90=300ms"]
    assert run(app, [*command, *never]).exit_code == 1
    assert run(app, [*command, "--set", "plan.growth=5"]).exit_code == 2
    listed = run(app, [*command, "--ledger"])
    assert (listed.exit_code, "--ledger lists fleets" in listed.output) == (2, True)
    assert run(app, [*command, "--set", "plan=null", "--set", "slo=null"]).exit_code == 2


def test_no_node_is_no_headroom(folder):
    """Where a case leaves no node for a stream, nothing is run."""
    changes = {"pools.eu-a.count": 0, "plan.survive": ["any_region"]}
    found = fedsim.headroom(fedsim.load(folder / "line.yaml", changes), workers=1)
    assert (found.status, len(found.records)) == ("none", 0)
    assert "no node may serve chat with us absent" in markdown(headroom_report(found))


def test_needs_an_objective(folder):
    """Without one there is nothing to hold."""
    path = folder / "none.yaml"
    text = SCENARIO.replace("NODE", NODE).split("plan:")[0].replace("slo:", "#")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ScenarioError, match="no objective"):
        fedsim.headroom(fedsim.load(path))


def test_says_what_each_stream_is_at_a_factor(folder):
    """Rates and users are scaled, users to whole ones."""
    loop = {
        "process": "closed_loop",
        "users": 10,
        "think": {"distribution": "constant", "value": "1s"},
    }
    changes = {"workload.jobs": {"arrivals": loop}}
    scenario = fedsim.load(folder / "line.yaml", changes)
    assert traffic_in_words(scenario, 1.26) == "chat 1.26 req/s, jobs 13 users"


class _Curve:
    """A fleet whose excess is known: held below one factor, violated above another."""

    def __init__(self, held, violated, *, half_width=0.0, budget=1000):
        self.held, self.violated, self.half_width = held, violated, half_width
        self.budget = budget
        self.asked = []

    def __call__(self, factor):
        if len(self.asked) == self.budget:
            raise BudgetSpent
        self.asked.append(factor)
        verdict: Verdict = "violated" if factor > self.violated else "not decided"
        if self.held(factor):
            verdict = "held"
        excess = factor / self.violated - 1.0
        ends = (excess - self.half_width, excess + self.half_width)
        return Found(verdict, "all nodes up", Judgment("open", 8, "p95", "m", 1, 1, excess, *ends))


def test_finds_both_ends_to_a_hundredth():
    """The held end from below and the violated end from above, without a half-width."""
    curve = _Curve(lambda factor: factor <= 3.33, 3.6)
    looks = _Climb(curve, 4.0).run()
    assert looks.status == "found"
    assert 3.33 / 1.01 <= looks.held <= 3.33
    assert 3.6 <= looks.violated <= 3.6 * 1.01


def test_steps_below_the_half_width_are_not_bisected():
    """Where two ends differ by less than the noise, nothing between them is looked at."""
    fine, coarse = (_Curve(lambda factor: factor <= 3.33, 3.6, half_width=w) for w in (0.0, 0.3))
    for curve in (fine, coarse):
        _Climb(curve, 4.0).run()
    assert len(coarse.asked) < len(fine.asked) / 2


def test_takes_the_lowest_traffic_that_fails():
    """What holds again above, as larger batches may, is not taken for the answer."""
    curve = _Curve(lambda factor: factor <= 1.5 or 2.1 < factor <= 3.4, 3.6)
    assert 1.5 / 1.01 <= _Climb(curve, 4.0).run().held <= 1.5


@pytest.mark.parametrize(("held", "status"), [(0.0, "none"), (1e9, "more"), (0.3, "found")])
def test_ends_where_nothing_or_everything_is_held(held, status):
    """It ends at 1/64 and at 8 times the mean capacity, and finds what is far below it."""
    curve = _Curve(lambda factor: factor <= held, 1.5 * held + 1e-9)
    assert _Climb(curve, 4.0).run().status == status


def test_too_few_requests_at_low_traffic_tell_nothing():
    """What is not decided below all that is held does not end the search."""
    curve = _Curve(lambda factor: 2.0 < factor <= 3.33, 3.6)
    assert 3.33 / 1.01 <= _Climb(curve, 4.0).run().held <= 3.33


def test_traffic_at_which_a_run_fails_is_not_held():
    """It ends what is held, and what is shown to be violated is looked for above it."""
    curve = _Curve(lambda factor: factor <= 3.33, 3.6)

    def failing(factor):
        found = curve(factor)
        return replace(found, verdict="failed") if 2.1 < factor < 2.9 else found

    looks = _Climb(failing, 4.0).run()
    assert 2.1 / 1.01 <= looks.held <= 2.1
    assert 3.6 <= looks.violated <= 3.6 * 1.01


def test_budget_keeps_what_is_known():
    """A search that runs out of runs says so."""
    looks = _Climb(_Curve(lambda factor: factor <= 3.33, 3.6, budget=4), 4.0).run()
    assert (looks.status, len(looks.found)) == ("budget", 4)


def test_budget_below_one_round_says_how_many_runs_one_has(folder):
    """Nothing was spent, so that it does not say so."""
    scenario = fedsim.load(folder / "line.yaml", {"plan.budget.runs": 1})
    text = markdown(headroom_report(fedsim.headroom(scenario, workers=1)))
    assert "line: the budget of 1 run is less than one round of 4 runs" in text
    assert "Give plan.budget at least 4 runs" in text
    assert "spent" not in text


@pytest.mark.parametrize("removes", ["all", "one"])
def test_missing_runs_are_no_end_of_the_search(headroom, folder, tmp_path, removes):
    """What is known is no answer; the command that is printed gives the same headroom again."""
    place = tmp_path / "copy"
    copytree(folder / "out", place)
    runs = sorted((place / "runs").iterdir())
    removed = runs if removes == "all" else runs[-1:]
    for each in removed:
        each.unlink()
    opened = fedsim.open(place)
    assert isinstance(opened, fedsim.Headroom)
    assert opened.status == "unfinished"
    text = markdown(headroom_report(opened))
    assert text.startswith("# line: the search is not finished")
    assert f"{len(removed)} of {len(runs)} runs are missing: the search is not finished" in text
    assert "Raise plan.budget" not in text
    assert "lasts" not in text
    line = re.search(r"repeat (fedsim plan .* --out \S+)\. ", text)
    assert line is not None
    assert answer_of(opened.report(tmp_path).read_text("utf-8")) == "The search is not finished."
    if removes == "all":
        return
    done = CliRunner().invoke(app, [*shlex.split(line[1])[1:], "--workers", "1", "--json"])
    assert (done.exit_code, json.loads(done.stdout)["held"]) == (0, headroom.held)
