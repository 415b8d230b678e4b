"""``fedsim explain``: why a request went where it went."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

import fedsim
from fedsim.cli import app
from fedsim.errors import ResultsError
from fedsim.results.rundir import MANIFEST, SCENARIO
from tests import small_scenario
from tests.conftest import ROOT


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """The directory of a run with retries; terminals have 100 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    scenario = fedsim.load(small_scenario.write(tmp_path))
    return fedsim.simulate(scenario).save("a-run", charts=False)


@pytest.fixture
def retried(saved):
    """A request that was tried twice."""
    requests = fedsim.Run.load(saved).requests
    return requests.loc[requests["attempts"] == 2, "request_id"].iloc[0]


def command(*words):
    """Run the command line in this process."""
    return CliRunner().invoke(app, ["explain", *map(str, words)], prog_name="fedsim")


def test_shows_each_decision(saved, retried):
    """Every attempt with its candidates, which fit the terminal, and what came of it."""
    done = command(saved, retried)

    assert done.exit_code == 0, done.output
    run = fedsim.Run.load(saved)
    first, second = run.attempts[run.attempts["request_id"] == retried]["node"]
    assert f"{retried}: ok" in done.stdout
    assert f"chose {first}" in done.stdout
    assert f"chose {second}" in done.stdout
    assert f"{first}: node_unreachable after" in done.stdout
    assert "it was tried before" in done.stdout
    assert "The run was repeated, bit for bit" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 100


def test_json(saved, retried):
    """All that is known, as JSON."""
    data = json.loads(command(saved, retried, "--json").stdout)

    assert data["request"]["request_id"] == retried
    assert [row["attempt"] for row in data["attempts"]] == [1, 2]
    assert sum(row["chosen"] for row in data["decisions"]) == 2
    assert len(data["decisions"]) == 8


def test_says_which_model(tmp_path, monkeypatch):
    """The model that a request asks for stands with its capability."""
    monkeypatch.chdir(tmp_path)
    path = small_scenario.write(tmp_path)
    pool = next(iter(yaml.safe_load(path.read_text())["pools"]))
    changes = {"workload.chat.model": pool}
    saved = fedsim.simulate(fedsim.load(path, changes)).save("by-model", charts=False)

    assert f"asks for generate, model {pool}, at privacy level" in " ".join(
        command(saved, "chat-0").stdout.split()
    )
    assert json.loads(command(saved, "chat-0", "--json").stdout)["model"] == pool


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["a-run", "chat-100000"], "those of chat are chat-0 to chat-"),
        (["a-run", "nothing"], "they are called such as chat-0"),
        (["no-run", "chat-1"], "no-run is not a run directory"),
        (["a-file", "chat-1"], "a-file is not a run directory"),
        (["compared", "chat-1"], "not a run's; see those in compared/runs"),
    ],
)
def test_wrong_words_are_answered(saved, words, answer):
    """What does not exist is named with what does; status 2."""
    Path("a-file").touch()
    Path("compared").mkdir()
    Path("compared", MANIFEST).write_text('{"format": 2, "kind": "comparison"}')

    done = command(*words)

    assert done.exit_code == 2
    assert answer in done.stderr
    assert "Traceback" not in done.stderr


def test_another_run_is_not_explained(saved, retried):
    """When the scenario does not give the same run any more, that is said."""
    path = saved / SCENARIO
    path.write_text(path.read_text().replace("seed: 3", "seed: 4"))

    done = command(saved, retried)

    assert done.exit_code == 2
    assert "cannot be repeated" in done.stderr


class TestRecorded:
    """``record: {decisions: on}``."""

    @pytest.fixture
    def pair(self, tmp_path):
        """A run without the table of decisions, and the same with it."""
        path = small_scenario.write(tmp_path)
        return [
            fedsim.simulate(fedsim.load(path, {"record.decisions": word})) for word in ("off", "on")
        ]

    def test_changes_nothing(self, pair):
        """A run is the same, bit for bit, whether its decisions are recorded or not."""
        assert pair[0].digest == pair[1].digest

    def test_has_every_candidate_of_every_attempt(self, pair):
        """The chosen candidates are the attempts, in their order, by gateway and node."""
        decisions, attempts = pair[1].decisions, pair[1].attempts
        chosen = decisions[decisions["chosen"]]

        made = len(decisions.drop_duplicates(["request_id", "time_s"]))
        assert len(decisions) == 4 * made
        columns = ["request_id", "attempt", "gateway", "node", "region"]
        assert chosen[columns].astype("str").to_numpy().tolist() == (
            attempts[columns].astype("str").to_numpy().tolist()
        )
        assert (chosen["time_s"].to_numpy() == attempts["started_s"].to_numpy()).all()
        assert chosen["eligible"].all()

    def test_own_requests_and_all_requests(self, pair):
        """A gateway knows what it sent; the truth is at least that, but for what is on its way."""
        run = pair[1]
        row = run.decisions[run.decisions["chosen"]].iloc[200]
        attempts = run.attempts[run.attempts["started_s"] < row["time_s"]]
        under_way = attempts[~(attempts["finished_s"] <= row["time_s"])]
        mine = under_way[
            (under_way["node"] == row["node"]) & (under_way["gateway"] == row["gateway"])
        ]

        assert row["in_flight"] == len(mine)
        assert row["actual_depth"] <= len(under_way[under_way["node"] == row["node"]])

    def test_is_saved_and_explained_without_a_repetition(self, pair, tmp_path):
        """The table travels with the run, and is what an explanation is made from."""
        directory = pair[1].save(tmp_path / "recorded", charts=False)
        request_id = pair[1].requests["request_id"].iloc[7]

        found = fedsim.explain(directory, request_id)

        assert not found.repeated
        assert fedsim.Run.load(directory).decisions.equals(pair[1].decisions)
        assert (found.decisions["request_id"] == request_id).all()
        assert fedsim.explain(pair[1], request_id).decisions.equals(found.decisions)

    def test_without_it_says_how_to_get_it(self, pair):
        """Asking for what was not recorded names the key."""
        with pytest.raises(ResultsError, match=r"record: \{decisions: on\}"):
            _ = pair[0].decisions
        with pytest.raises(ResultsError, match=r"record: \{decisions: on\}"):
            fedsim.explain(pair[0], "chat-1")


def test_a_foreign_router_is_explained_by_what_the_gateway_knew(tmp_path, monkeypatch):
    """Of a router of somebody else's the choice and the gateway's knowledge are shown."""
    monkeypatch.chdir(tmp_path)
    path = small_scenario.write(tmp_path)
    (tmp_path / "routers.py").write_text(small_scenario.ROUTERS)
    scenario = fedsim.load(path, {"federation.router": "routers:FirstNode"})
    directory = fedsim.simulate(scenario).save("a-run", charts=False)

    done = command(directory, "chat-20")

    assert done.exit_code == 0, done.output
    assert "chose east-chat-0" in done.stdout
    found = fedsim.explain(directory, "chat-20").decisions
    assert found["eligible"].isna().all()
    assert found["total_score"].isna().all()
    assert (found["health"] == "healthy").any()


@pytest.fixture(scope="module")
def starved(tmp_path_factory):
    """The directory of a run that starves a node, on the clock of an incident."""
    changes = {"duration": "2min", "start": "2026-11-03T14:05Z"}
    scenario = fedsim.load(ROOT / "scenarios" / "defects" / "defects.yaml", changes)
    run = fedsim.simulate(scenario, router="defective_routers:StaleRates")
    return run.save(tmp_path_factory.mktemp("starved") / "run", charts=False)


@pytest.mark.parametrize("name", ["1", "starved-node", "Starved"])
def test_a_finding_is_explained(starved, name, monkeypatch):
    """By number or name: what it is, how nodes compare, rows that show it, and what to do."""
    monkeypatch.setenv("COLUMNS", "120")
    done = command(starved, name)

    assert done.exit_code == 0, done.output
    assert "Finding 1: Starved node" in done.stdout
    assert "workers-2" in done.stdout
    assert "Evidence: attempts that the node got (10 of" in done.stdout
    assert "14:05:2" in done.stdout
    assert "What to do" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 120


def test_a_finding_as_json(starved):
    """All rows of its evidence."""
    (found,) = json.loads(command(starved, "1", "--json").stdout)

    assert found["finding"] == "Starved node"
    by_node = {row["node"]: row["attempts"] for row in found["nodes"]}
    assert len(found["attempts"]) == by_node["workers-2"] > 10
    assert {row["node"] for row in found["attempts"]} == {"workers-2"}


@pytest.mark.parametrize("name", ["2", "first-on-ties"])
def test_a_finding_that_there_is_not(starved, name):
    """The error names those that there are."""
    done = command(starved, name)

    assert done.exit_code == 2
    assert "it has 1 (Starved node)" in done.stderr


def test_a_run_without_findings(saved):
    """It says so."""
    done = command(saved, "1")

    assert done.exit_code == 2
    assert "it has none at all" in done.stderr
