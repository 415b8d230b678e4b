"""Plans of whole runs: the answer, what is never one, files, resuming, workers, and the command."""

from __future__ import annotations

import json
from shutil import copytree
from typing import Any

import pytest
from typer.testing import CliRunner

import fedsim
from fedsim.cli.app import app
from fedsim.document import markdown
from fedsim.errors import PlugInError, ScenarioError
from fedsim.report.parts import Saved
from fedsim.report.plan import plan_report
from fedsim.scenario.simulate import simulate
from fedsim.studies.plan.cases import World
from fedsim.studies.plan.findings import find
from fedsim.studies.plan.planning import stored_source
from fedsim.studies.plan.result import Plan
from fedsim.studies.records import Failure
from fedsim.studies.store import Store
from tests.reading import Reader, answer_of, check_page

A, B = "pools.us-a.count", "pools.eu-a.count"

SCENARIO = f"""\
name: two
seed: 5
duration: 24s
warmup: 4s
regions: {{us: {{privacy: internal}}, eu: {{privacy: restricted}}}}
network: {{between: {{us/eu: 60ms}}}}
pools:
  us-a: {{region: us, cost: 2 USD/h, NODE}}
  eu-a: {{region: eu, cost: 3 USD/h, NODE}}
workload: {{chat: {{arrivals: {{process: constant, rate: 3/s}}}}}}
federation: {{strategy: least_connections}}
slo: {{latency_p90: 1500ms, success_rate: 75%}}
plan:
  vary: {{{A}: [1, 2], {B}: [0, 3]}}
  survive: [{{lose: us, settle: 3s}}]
  replications: 4
"""
NODE = "slots: 1, queue_limit: 40, service: {distribution: constant, value: 400ms}"
"""A node serves 2.5 requests per second, and 3 come: once us is lost, eu needs two."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the scenario."""
    place = tmp_path_factory.mktemp("plan")
    (place / "two.yaml").write_text(SCENARIO.replace("NODE", NODE), encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def scenario(folder):
    """The scenario with a plan."""
    return fedsim.load(folder / "two.yaml")


@pytest.fixture(scope="module")
def plan(scenario, folder):
    """The plan, in a directory."""
    return fedsim.plan(scenario, directory=folder / "out", workers=1)


def test_finds_the_cheapest_fleet_that_survives(plan):
    """Two nodes in eu serve all once us is lost, and one more in us makes a second for before."""
    assert plan.status == "found"
    assert plan.best == {A: 1, B: 2}
    assert plan.cases["case"].tolist() == ["all nodes up", "us lost"]
    assert (plan.cases["verdict"] == "held").all()
    assert plan.evaluations["verdict"].value_counts()["not needed"] > 0
    assert plan.runs["validation"] == 8
    table = plan.estimates()
    assert {"as chosen", "us lost, judged after 3s"} == set(table["world"])


def test_judges_a_loss_once_it_has_settled(plan):
    """The loss is at a third of the window; what fails until it has settled is a number."""
    world = World(0, (1, 2), lost="us", settle_s=3.0)
    changes = plan.findings.worlds.changes(world)
    assert changes["faults"][0]["at"] == f"{4 + 20 / 3!r}s"
    assert changes["warmup"] == f"{4 + 20 / 3 + 3!r}s"
    (row,) = plan.cases[plan.cases["case"] == "us lost"].to_dict("records")
    failed = [record.interruption for record in plan.findings.worlds.of(world)]
    assert row["failures"] == pytest.approx(sum(each.requests for each in failed) / 4)


@pytest.mark.usefixtures("drawn")
def test_opens_as_it_was(plan, folder):
    """Nothing is run again, and every table is the same."""
    plan.save(folder / "out")
    opened = fedsim.open(folder / "out")
    assert isinstance(opened, fedsim.Plan)
    for name in ("evaluations", "cases", "cells"):
        assert getattr(opened, name).equals(getattr(plan, name)), name
    assert markdown(plan_report(opened)) == markdown(plan_report(plan))
    saved = json.loads((folder / "out" / "summary.json").read_text(encoding="utf-8"))
    assert saved["best"] == plan.best
    assert (folder / "out" / "charts" / "costs.png").stat().st_size > 10_000


def test_has_a_page(plan, tmp_path):
    """It begins with the answer; the ledger has every fleet, and the command plans again."""
    text = plan.report(tmp_path).read_text(encoding="utf-8")
    read = check_page(text)

    assert answer_of(text).startswith("This is the cheapest of ")
    assert "Every fleet that was looked at" in read.headings
    assert any(each.startswith("fedsim plan scenario.yaml --seed ") for each in read.texts)
    assert any(each.startswith("Closest to its limit: ") for each in read.texts)
    assert Reader(plan._repr_html_()).tags.count("table") == 1


def test_goes_on_where_it_was(scenario, plan, folder, monkeypatch):
    """A plan in the same directory makes no run twice; a copy elsewhere has the same digests."""

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("fedsim.studies.records.simulate", never)
    again = fedsim.plan(scenario, directory=folder / "out", workers=1)
    assert again.cells.equals(plan.cells)


def test_budget_ends_it_with_what_is_known(scenario):
    """No more runs are made than there may be."""
    short = fedsim.plan(scenario, budget=9, workers=1)
    assert (short.status, short.best) == ("budget", None)
    assert sum(short.runs.values()) <= 9
    assert "the budget of 9 runs is spent" in markdown(plan_report(short))


def test_budget_below_one_round_says_how_many_runs_one_has(scenario):
    """Nothing was spent, so that it does not say so."""
    text = markdown(plan_report(fedsim.plan(scenario, budget=1, workers=1)))
    assert "two: the budget of 1 run is less than one round of 4 runs" in text
    assert "Give plan.budget at least 4 runs" in text
    assert "spent" not in text


@pytest.mark.parametrize("phase", ["search", "validation"])
def test_missing_runs_are_no_end_of_the_search(plan, folder, tmp_path, phase):
    """What is known is no answer, but where the search itself is whole."""
    place = tmp_path / "copy"
    copytree(folder / "out", place)
    known = plan.planned if phase == "search" else plan.planned[-8:]
    removed = {place / "runs" / f"{run.id}.json" for run in known[::2]}
    for each in removed:
        each.unlink()
    opened = fedsim.open(place)
    assert isinstance(opened, fedsim.Plan)
    assert opened.status == ("unfinished" if phase == "search" else "found")
    text = markdown(plan_report(opened, Saved(place, "")))
    count = len({run.id for run in plan.planned})
    gap = f"{len(removed)} of {count} runs are missing: the search is not finished; repeat "
    assert f"{gap}fedsim plan {place}/scenario.yaml --seed 5 --out {place}." in text
    assert "budget" not in text
    assert "failed/" not in text
    if phase == "search":
        assert text.startswith("# two: the search is not finished")
        assert opened.best is None
        assert set(opened.evaluations["verdict"]) == {"open"}
        assert answer_of(opened.report(tmp_path).read_text("utf-8")).startswith(gap)


def test_an_interrupted_plan_is_not_finished(scenario, tmp_path, monkeypatch):
    """After Ctrl-C between two runs the directory says which are missing."""
    made: list[Any] = []

    def stops(*args: Any, **how: Any) -> Any:
        made.append(args)
        if len(made) == 3:
            raise KeyboardInterrupt
        return simulate(*args, **how)

    monkeypatch.setattr("fedsim.studies.records.simulate", stops)
    with pytest.raises(KeyboardInterrupt):
        fedsim.plan(scenario, directory=tmp_path / "out", workers=1)
    opened = fedsim.open(tmp_path / "out")
    assert isinstance(opened, fedsim.Plan)
    assert "2 of 4 runs are missing: the search is not finished" in markdown(plan_report(opened))


def test_says_that_the_service_alone_is_too_long(scenario):
    """Eleven nodes and next to no wait: no number of nodes holds the limit."""
    changed = scenario.changed({"slo": {"latency_p90": "300ms"}, B: 0})
    none = fedsim.plan(
        changed, vary={A: range(1, 12)}, survive=[], replications=4, minimize="nodes", workers=1
    )
    assert (none.status, none.best) == ("none", None)
    text = markdown(plan_report(none))
    assert "No number of such nodes holds it" in text
    assert none.runs["search"] <= 8


class TestNeverTheAnswer:
    """A fleet that would be cheaper by breaking what is asked for."""

    def plan(self, scenario, changes):
        """Return the plan of the scenario with changes, without losses."""
        return fedsim.plan(
            scenario.changed(changes),
            vary={A: [0, 2], B: [0, 2]},
            survive=[],
            replications=4,
            workers=1,
        )

    def test_privacy(self, scenario):
        """Restricted data may not go to us, however cheap its nodes are."""
        found = self.plan(scenario, {"workload.chat.qos.privacy": "restricted"})
        assert found.best == {A: 0, B: 2}
        cheaper = found.evaluations[found.evaluations[B] == 0]
        assert (cheaper["verdict"] == "unserved").all()

    def test_residency(self, scenario, tmp_path, monkeypatch):
        """A policy of a user's keeps data in eu: without nodes there, no request is served."""
        (tmp_path / "residency.py").write_text(
            "class StaysIn:\n"
            "    def score(self, candidate, request):\n"
            "        return 1.0\n"
            "    def is_eligible(self, candidate, request):\n"
            "        return candidate.target.region_id == 'eu'\n"
            "    def name(self):\n"
            "        return 'residency'\n",
            encoding="utf-8",
        )
        monkeypatch.syspath_prepend(tmp_path)
        found = self.plan(scenario, {"federation.policies": {"residency:StaysIn": {}}})
        assert found.best == {A: 0, B: 2}
        cheaper = found.evaluations[(found.evaluations[B] == 0) & (found.evaluations[A] > 0)]
        assert (cheaper["verdict"] == "violated").all()

    def test_model(self, scenario):
        """Only eu serves the model."""
        changes = {"pools.eu-a.model": "large", "workload.chat.model": "large"}
        assert self.plan(scenario, changes).best == {A: 0, B: 2}

    def test_capability(self, scenario):
        """Only eu can do it."""
        changes = {"pools.eu-a.capabilities": ["code"], "workload.chat.capability": "code"}
        assert self.plan(scenario, changes).best == {A: 0, B: 2}

    def test_a_router_that_breaks_privacy(self, scenario, tmp_path, monkeypatch):
        """Every attempt that it sends to us counts against the fleet."""
        (tmp_path / "sender.py").write_text(
            "from fedsim.federation.contracts import RouteTarget\n"
            "class Sender:\n"
            "    def __init__(self, context):\n"
            "        self.catalog = context.catalog\n"
            "    async def route(self, request):\n"
            "        nodes = await self.catalog.find_by_capability(request.capability)\n"
            "        return RouteTarget(*nodes[0])\n",
            encoding="utf-8",
        )
        monkeypatch.syspath_prepend(tmp_path)
        changes: dict[str, Any] = {
            "workload.chat.qos.privacy": "restricted",
            "workload.chat.arrivals.rate": "2/s",
            "federation": {"router": "sender:Sender"},
        }
        found = self.plan(scenario, changes)
        assert found.best == {A: 0, B: 1}
        violated = found.evaluations[found.evaluations[A] == 1].iloc[0]
        assert (violated["verdict"], violated["measure"]) == ("violated", "privacy violations")


class TestFailingRuns:
    """A router that raises with some fleets, and one that does with all."""

    @pytest.fixture
    def failing(self, scenario, folder, monkeypatch):
        """Return the scenario with a router that raises where it knows so many nodes."""
        (folder / "failing.py").write_text(
            "from fedsim.federation.contracts import RouteTarget\n"
            "class Failing:\n"
            "    nodes = (2,)\n"
            "    def __init__(self, context):\n"
            "        self.catalog, self.turn = context.catalog, 0\n"
            "    async def route(self, request):\n"
            "        found = await self.catalog.find_by_capability(request.capability)\n"
            "        if len(found) in self.nodes:\n"
            "            raise ValueError(f'no place for {len(found)} nodes')\n"
            "        self.turn += 1\n"
            "        return RouteTarget(*found[self.turn % len(found)])\n"
            "class Hopeless(Failing):\n"
            "    nodes = (1, 2, 3)\n",
            encoding="utf-8",
        )
        monkeypatch.syspath_prepend(folder)

        def made(name):
            router = {"router": f"failing:{name}"}
            fleets = {A: [1, 3], B: {"values": [0]}}
            more = {"vary": fleets, "survive": [], "replications": 4}
            return scenario.changed({"federation": router, "plan": more})

        return made

    def test_are_a_verdict_of_their_fleet(self, failing, folder):
        """The search goes on, and none of them is the answer; what is read again is the same."""
        found = fedsim.plan(failing("Failing"), directory=folder / "failing", workers=1)
        assert found.best == {A: 3, B: 0}
        assert found.evaluations["verdict"].tolist() == ["violated", "failed", "held"]
        assert len(found.failures) == (found.cells["state"] == "failed").sum() == 4
        text = markdown(plan_report(found, ledger=True))
        assert "4 of 16 runs failed, and count as not held. The first: us-a.count 2" in text
        assert "no place for 2 nodes" in text.split("## Every fleet")[1]
        opened = fedsim.open(found.save(folder / "failing", charts=False))
        assert isinstance(opened, Plan)
        assert markdown(plan_report(opened, ledger=True)) == text

    def test_end_it_where_nothing_else_comes(self, failing, folder):
        """Nothing is planned with a router that cannot work."""
        with pytest.raises(PlugInError, match="no place for"):
            fedsim.plan(failing("Hopeless"), directory=folder / "hopeless", workers=1)
        assert not (folder / "hopeless" / "study.json").exists()

    def test_on_fresh_seeds_are_said_of_the_answer(self, scenario, plan, folder):
        """What was found stands, and is not shown to hold on seeds that the search did not use."""
        stored = stored_source(Store.open(folder / "out"))

        def source(cells):
            if cells[0].replication < plan.spec.replications:
                return stored(cells)
            return [Failure("", cell.key, cell.replication, 1, "It is bad.") for cell in cells]

        fresh = Plan(scenario, plan.spec, find(scenario, plan.spec, source), (), wall_s=1.0)
        assert fresh.best == plan.best
        assert "not shown to hold with us lost: a run failed (seed 1): It is bad." in markdown(
            plan_report(fresh)
        )


class TestScaledFleets:
    """A fleet with a scaler costs what it came to, not what it starts with."""

    def plan(self, scenario, nodes, **more):
        """Return the plan of one pool of 2.5 requests/s a node, static or scaled by a schedule.

        From 8 to 14 s of 24 s there are 4 requests per second, else one.
        """
        steps = [("0s", "1/s"), ("8s", "4/s"), ("14s", "1/s")]
        times = [{"at": at, "nodes": many} for at, many in nodes]
        arrivals = {"process": "steps", "steps": [{"at": at, "rate": rate} for at, rate in steps]}
        scaler = {"preset": "schedule", "times": times, "every": "1s", "max": 8}
        start = {"distribution": "constant", "value": "0s"}
        changed = scenario.changed(
            {
                "workload.chat.arrivals": arrivals,
                "pools.us-a.scaler": scaler | {"start": start},
                B: 0,
                "slo.success_rate": "95%",
            }
        )
        fleets = {A: [1, 2], "pools.us-a.scaler.advisory": {"values": ["on", "off"]}}
        return fedsim.plan(changed, vary=fleets, survive=[], replications=4, workers=1, **more)

    def test_is_the_answer_where_it_comes_to_less(self, scenario):
        """A second node for 6 s of 20 s, and its drain, costs less than two nodes throughout."""
        found = self.plan(scenario, [("0s", 1), ("8s", 2), ("14s", 1)])
        assert found.best == {A: 1, "pools.us-a.scaler.advisory": "off"}
        table = found.evaluations.set_index([A, "pools.us-a.scaler.advisory"])
        assert 1.3 * 2.0 <= table.loc[(1, "off"), "cost_usd_per_hour"] < 1.6 * 2.0
        assert table.loc[(1, "on"), "verdict"] == "violated"
        text = markdown(plan_report(found))
        assert "two: 1 us-a, advisory off" in text
        assert "It starts with 1 node, and its scalers pay for 1." in text

    def test_is_not_where_it_comes_to_more(self, scenario):
        """One that starts with a node and goes to six is more expensive than two throughout."""
        found = self.plan(scenario, [("0s", 6)])
        assert found.best == {A: 2, "pools.us-a.scaler.advisory": "on"}
        table = found.evaluations.set_index([A, "pools.us-a.scaler.advisory"])
        assert table.loc[(1, "off"), "verdict"] == "held"
        assert table.loc[(1, "off"), "cost_usd_per_hour"] == pytest.approx(12.0)

    def test_has_no_number_of_slots(self, scenario):
        """They come and go, and no measure has them."""
        with pytest.raises(ScenarioError, match="Minimize cost or nodes"):
            self.plan(scenario, [("0s", 6)], minimize="slots")


def test_says_that_the_strategy_binds(scenario):
    """All requests are of one tenant, whom the hash sends to one node of however many."""
    changed = scenario.changed(
        {
            "federation.strategy": "consistent_hash",
            "workload.chat.tenants": {"one": {"share": 1}},
            "workload.chat.origins": {"us": 1},
            "pools.us-a.queue_limit": "unlimited",
            B: 0,
        }
    )
    none = fedsim.plan(changed, vary={A: [2, 9]}, survive=[], replications=4, workers=1)
    assert (none.status, none.runs["search"]) == ("none", 12)
    assert "the strategy binds" in markdown(plan_report(none))


def test_says_that_the_window_is_too_short(scenario):
    """A mean within the limit is no answer: with bursts, four short windows do not show it."""
    changed = scenario.changed(
        {
            "workload.chat.arrivals": {"process": "gamma", "rate": "3/s", "cv": 4},
            "slo": {"latency_p90": "2s", "success_rate": "75%"},
        }
    )
    short = fedsim.plan(changed, vary={A: [1, 3]}, survive=[], replications=4, workers=1)
    table = short.evaluations
    undecided = table[table["verdict"] == "not decided"]
    assert (undecided["value"] < undecided["limit"]).any()
    if short.best is not None:
        assert short.best[A] > undecided[A].min()
    assert "The window is too short to decide everything" in markdown(plan_report(short))


def test_problems_stand_where_the_file_has_them(folder, scenario):
    """A value that makes no scenario is an error at the value; a box too large is one."""
    with pytest.raises(ScenarioError) as caught:
        fedsim.plan(scenario, vary={"federation.strategy": ["fastest"], A: [1, 2]})
    assert "plan.vary.federation.strategy" in str(caught.value)
    with pytest.raises(ScenarioError, match="more than 200,000"):
        fedsim.plan(scenario, vary={A: [1, 9000], B: [1, 9000]})
    with pytest.raises(ScenarioError, match="settle"):
        fedsim.plan(scenario, survive=[{"lose": "us", "settle": "10min"}])


@pytest.mark.parametrize(
    ("path", "values"), [("slo.latency_p90", ["1s", "2s"]), ("duration", ["20s", "1min"])]
)
def test_what_fleets_are_judged_by_is_no_part_of_one(folder, path, values):
    """Neither the objective nor the window can be varied; the remedy is named."""
    with pytest.raises(ScenarioError) as caught:
        fedsim.load(folder / "two.yaml", {"plan.vary": {A: [1, 2], path: values}})
    assert f"'{path}' is what every fleet is judged by" in str(caught.value)


def test_a_limit_of_gpus_that_no_pool_has_is_refused(folder):
    """Also where no pool has any."""
    with pytest.raises(ScenarioError, match="No pool has the GPU 'zz'"):
        fedsim.load(folder / "two.yaml", {"plan.limits": {"gpus.zz": 1}})


def test_check_says_what_a_lost_region_leaves(folder):
    """Without a simulation: the size of the box, the cost, and capacity against demand."""
    changes = (
        "plan.limits={cost: 12 USD/h, nodes: 4, regions.us.nodes: 2}",
        "plan.growth=5%/month",
    )
    options = [word for each in changes for word in ("--set", each)]
    done = CliRunner().invoke(app, ["check", str(folder / "two.yaml"), *options])
    assert done.exit_code == 0
    assert "8 fleets (2 × 4), 4 replications of each in each case; lowest cost" in done.output
    assert "the fleet of the file costs 5.00 USD/h" in done.output
    assert "at most 12 USD/h, 4 nodes, 2 of regions.us.nodes" in done.output
    assert "traffic grows by 5 % a month" in done.output
    assert "without us, generate: capacity 2.50 req/s for 3.00 req/s" in done.output


def test_command_prints_the_fleet_and_ends_with_a_status(folder, plan):
    """0 found, 1 none feasible, 2 input, 4 budget."""
    run = CliRunner().invoke
    command = ["plan", str(folder / "two.yaml"), "--out", str(folder / "out"), "--workers", "1"]
    done = run(app, [*command, "--ledger"])
    assert done.exit_code == 0, done.output
    assert "two: 1 us-a, 2 eu-a" in done.output
    assert "One node less" in done.output
    listed = json.loads(run(app, [*command, "--ledger", "--json"]).stdout)["ledger"]
    assert [row["verdict"] for row in listed] == plan.evaluations["verdict"].tolist()
    assert "ledger" not in json.loads(run(app, [*command, "--json"]).stdout)
    quiet = run(app, [*command, "--ledger", "--quiet"])
    assert (quiet.exit_code, "--quiet the directory alone" in quiet.output) == (2, True)
    assert run(app, [*command, "--set", "plan.budget.runs=6"]).exit_code == 4
    limited = ["--set", "plan.limits.nodes=1", "--out", str(folder / "none")]
    assert run(app, [*command, *limited]).exit_code == 1
    assert run(app, [*command, "--set", "plan.minimize=speed"]).exit_code == 2
