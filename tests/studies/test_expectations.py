"""``fedsim test``: expectations held and failed, golden files, reports for people and machines."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from typer.testing import CliRunner

from fedsim.cli import app
from tests import small_scenario

ROUTER = '''\
from fedsim.federation.contracts import RouteTarget


class Turns:
    """Takes nodes in turn, beginning with the first."""

    def __init__(self, context):
        self.catalog, self.turn = context.catalog, 0

    async def route(self, request):
        nodes = await self.catalog.find_by_capability(request.capability)
        self.turn += 1
        return RouteTarget(*nodes[self.turn % len(nodes)])
'''
EXPECT = """\
federation: {router: turning_routers:Turns, retries: off, circuit_breaker: off}
expect:
  decisions: golden
"""
BASE = small_scenario.TEXT.replace("duration: 40s", "duration: 10s").replace(
    "warmup: 5s", "warmup: 1s"
)
NO_FAULTS = re.sub(r"faults:\n.*\n", "", BASE)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory, outside of continuous integration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)
    return tmp_path


def run_test(*words: str, status: int):
    """Run ``fedsim test`` in this process, and return what it printed."""
    done = CliRunner().invoke(app, ["test", *words, "--workers", "1"], prog_name="fedsim")
    assert done.exit_code == status, done.output
    return done.output


def as_json(path: str, status: int):
    """Run ``fedsim test --json``, and return what it printed on standard output."""
    words = ["test", path, "--json", "--workers", "1"]
    done = CliRunner().invoke(app, words, prog_name="fedsim")
    assert done.exit_code == status, done.output
    return json.loads(done.stdout)


def found(pattern: str, text: str) -> str:
    """Return the first group of a pattern that is in *text*."""
    match = re.search(pattern, text)
    assert match is not None, text
    return match[1]


def expecting(folder: Path, expect: str, text: str = NO_FAULTS) -> Path:
    """Write a scenario with *expect* and return its path."""
    return small_scenario.write(folder, text + expect)


class TestGolden:
    """``decisions: golden``."""

    @pytest.fixture
    def scenario(self, folder):
        """A scenario with a router of its own, in a module of a name of its own."""
        name = f"turning_{folder.name.replace('-', '_')}"
        (folder / f"{name}.py").write_text(ROUTER, encoding="utf-8")
        return expecting(folder, EXPECT.replace("turning_routers", name))

    def test_a_missing_file_fails_and_writes_nothing(self, scenario, monkeypatch):
        """Without --update nothing is written; under CI not even with it."""
        output = run_test("small.yaml", status=1)
        assert "small.golden does not exist. Write it with: fedsim test --update" in output
        assert not Path("small.golden").exists()
        for value in ("true", "1"):
            monkeypatch.setenv("CI", value)
            assert "CI is set" in run_test("small.yaml", "--update", status=1)
            assert not Path("small.golden").exists()
        for value in ("", "0", "false"):
            monkeypatch.setenv("CI", value)
            Path("small.golden").unlink(missing_ok=True)
            run_test("small.yaml", "--update", status=1)
            assert Path("small.golden").exists()

    def test_update_writes_fails_once_and_passes(self, scenario):
        """The first run with --update says what to review; all later ones pass, with it or not."""
        output = run_test("small.yaml", "--update", status=1)
        assert "small.golden is written; review the diff." in output
        written = Path("small.golden").read_text(encoding="utf-8")
        for words in ([], ["--update"]):
            assert "0 of " in run_test("small.yaml", *words, status=0)
        assert Path("small.golden").read_text(encoding="utf-8") == written
        assert scenario.read_text(encoding="utf-8").endswith("decisions: golden\n")

    def test_the_first_difference_is_named_with_its_candidates(self, scenario, folder):
        """A tie that goes elsewhere: request, time, nodes, tables, windows and both commands."""
        run_test("small.yaml", "--update", status=1)
        lines = Path("small.golden").read_text(encoding="utf-8").splitlines()
        place = next(n for n, line in enumerate(lines) if line.startswith("    64 "))
        letter = "1" if lines[place].endswith("0") else "0"
        changed = [*lines[:place], lines[place][:-1] + letter, *lines[place + 1 :]]
        text = "\n".join(changed).replace("seed: 3", "seed: 4") + "\n"
        text = re.sub(r"platform: .*", "platform: sparc64 Solaris", text)
        Path("small.golden").write_text(text, encoding="utf-8")
        output = run_test("small.yaml", status=1)
        flat = " ".join(output.split())
        assert "written on another platform (sparc64 Solaris; here" in flat
        assert "The file is of seed 4, the scenario has 3." in flat
        last = 64 + len(lines[place].split()[2]) - 1
        assert re.search(r"1 of \d+ attempts differ", output)
        assert f"chat-{last}, attempt 1 goes to " in output
        assert re.search(r"east-chat-\d +(eligible|–), expected", output)
        assert "Candidates as expected" in output
        assert f"fedsim explain runs/tests/small/run chat-{last}" in output
        assert "fedsim test --update small.yaml" in output
        obtained = Path("runs/tests/small/small.golden").read_text(encoding="utf-8")
        assert obtained.splitlines() == lines
        count = int(found(r"1 of (\d+)", output))
        run_test("small.yaml", "--tolerance", str(10_000 / count + 0.01), status=0)
        run_test("small.yaml", "--tolerance", str(10_000 / count - 0.01), status=1)

    def test_an_equal_run_passes_whatever_the_header_says(self, scenario):
        """A golden file of another platform or version passes where the decisions are equal."""
        run_test("small.yaml", "--update", status=1)
        text = Path("small.golden").read_text(encoding="utf-8")
        other = re.sub(r"fedsim: .*\nplatform: .*", "fedsim: 0.0.1\nplatform: sparc64", text)
        Path("small.golden").write_text(other, encoding="utf-8")
        run_test("small.yaml", status=0)

    @pytest.mark.slow
    def test_the_candidates_of_then_come_from_the_commit(self, scenario, folder):
        """Where the file is committed, the router of its commit shows what it decided on."""
        for words in (
            ["init", "-q"],
            ["config", "user.email", "a@example.org"],
            ["config", "user.name", "a"],
        ):
            subprocess.run(["git", *words], check=True)
        run_test("small.yaml", "--update", status=1)
        subprocess.run(["git", "add", "*.py", "small.yaml", "small.golden"], check=True)
        subprocess.run(["git", "commit", "-qm", "Begin"], check=True)
        module = next(folder.glob("turning_*.py"))
        module.write_text(ROUTER.replace("self.turn % len", "(self.turn + 1) % len"), "utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "fedsim", "test", "small.yaml", "--workers", "1"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1, done.stderr
        parts = done.stdout.partition("Candidates as expected")
        now, then = (found(r"(\S+) +chosen", part) for part in (parts[0], parts[2]))
        assert now != then
        assert re.search(rf"{then} +(eligible|–), expected", parts[0])

    def test_a_saturated_run_is_refused(self, scenario):
        """Decisions of a fleet that cannot keep up are worth no file."""
        text = scenario.read_text(encoding="utf-8").replace("rate: 12/s", "rate: 80/s")
        scenario.write_text(text.replace("queue_limit: 4", "queue_limit: unlimited"), "utf-8")
        assert "saturated" in run_test("small.yaml", "--update", status=1)
        assert not Path("small.golden").exists()

    def test_an_objective_that_is_missed_is_not_written(self, folder):
        """--update writes nothing while the objective of the same scenario is not held."""
        expect = "expect: {slo: held, decisions: golden, replications: 2}\n"
        expecting(folder, expect, NO_FAULTS.replace("latency_p99: 5s", "latency_p50: 1ms"))
        assert "Not written: the objective is not held" in run_test(
            "small.yaml", "--update", status=1
        )
        assert not Path("small.golden").exists()


class TestExpectations:
    """Objectives, comparisons and measures."""

    EXPECT = """\
federation: {strategy: least_connections}
expect:
  replications: 3
  slo: held
  best: least_connections
  no_worse: {than: round_robin, measure: success_rate, margin: 20%}
  measures: {privacy_violations: "= 0", attempts_per_request: "<= 3", success_rate: ">= 40%"}
"""

    def test_all_are_held(self, folder):
        """A row for each, in a table of at most 120 columns; JSON and JUnit say the same."""
        expecting(folder, self.EXPECT.replace("latency_p99: 5s", "latency_p90: 5s"))
        words = ["small.yaml", "--junit", "junit.xml"]
        text = (folder / "small.yaml").read_text(encoding="utf-8")
        (folder / "small.yaml").write_text(text.replace("latency_p99", "latency_p90"), "utf-8")
        output = run_test(*words, status=0)
        assert output.startswith("Passed\n7 expectations of small: 7 held, 0 not")
        assert max(map(len, output.splitlines())) <= 120
        told = as_json("small.yaml", status=0)
        rows = told["scenarios"][0]["expectations"]
        assert [row["expectation"] for row in rows] == [
            "slo",
            "slo",
            "best",
            "no_worse",
            "measures",
            "measures",
            "measures",
        ]
        assert all(row["verdict"] == "held" for row in rows)
        assert rows[0]["low"] <= rows[0]["mean"] <= rows[0]["high"] <= 5.0
        suite = ET.parse("junit.xml").getroot()[0]
        assert (suite.get("tests"), suite.get("failures")) == ("7", "0")

    def test_runs_are_found_again(self, folder, monkeypatch):
        """A second test of the same scenario simulates nothing."""
        expecting(folder, self.EXPECT)
        first = as_json("small.yaml", status=1)
        monkeypatch.setattr("fedsim.studies.records.simulate", None)
        again = as_json("small.yaml", status=1)
        for each in (first, again):
            del each["scenarios"][0]["wall_s"]
        assert first == again

    def test_each_failure_says_why(self, folder):
        """What is missed, by how much, and the command of the first run; JUnit has it as well."""
        expect = """\
federation: {strategy: round_robin}
expect:
  replications: 2
  slo: held
  no_worse: {than: least_connections, measure: latency_mean_s, margin: 0.1%}
  measures: {attempts_per_request: "= 7", latency_mean_s: "<= 1ms"}
"""
        expecting(folder, expect)
        output = run_test("small.yaml", "--junit", "junit.xml", status=1)
        assert "requests succeeded; this percentile needs 1,000." in output
        assert "It differs in 2 of 2 replications, to 1.0" in output
        assert re.search(r"measures: latency mean ≤ 0.001 s. The mean is 0\.\d+ s", output)
        assert re.search(r"fedsim run small.yaml --seed \d+", output)
        assert "latency p99 ≤ 5 s cannot be decided" in output
        failures = ET.parse("junit.xml").getroot().iter("failure")
        assert len(list(failures)) >= 3

    def test_a_known_failure_passes_until_it_does_not_fail(self, folder):
        """What fails as it is known to passes; once everything is held the test fails."""
        expect = """\
expect:
  replications: 2
  measures: {attempts_per_request: "= 7"}
  known_failure: https://example.org/issues/1
"""
        expecting(folder, expect)
        assert "1 known to fail" in run_test("small.yaml", status=0)
        expecting(folder, expect.replace('"= 7"', '"<= 7"'))
        output = " ".join(run_test("small.yaml", status=1).split())
        assert "Everything is held. Remove known_failure from the scenario." in output

    def test_best_names_who_is_better(self, folder):
        """Random choice among unequal nodes is shown to be worse than least connections."""
        expect = """\
expect: {replications: 5, best: random}
"""
        text = NO_FAULTS.replace("rate: 12/s", "rate: 20/s").replace("round_robin", "random")
        expecting(folder, expect, text.replace("duration: 10s", "duration: 20s"))
        output = run_test("small.yaml", status=1)
        assert re.search(r"least_connections is better in goodput by \+", output)

    @pytest.mark.parametrize(
        ("expect", "message"),
        [
            ("expect: {best: least_latency}\n", "expect.best: 'least_latency' is not among"),
            (
                "expect: {no_worse: {than: round_robin, measure: success_rate, margin: 1%}}\n",
                "expect.no_worse.than: round_robin is what the scenario runs itself.",
            ),
            ("", "small.yaml: Nothing is expected here. Add expect"),
        ],
    )
    def test_what_cannot_be_tested_is_said_before_running(self, folder, expect, message):
        """Status 2 with place and remedy, and nothing is run or written."""
        expecting(folder, "federation: {strategy: round_robin}\n" + expect)
        assert message in run_test("small.yaml", status=2)
        assert not Path("runs").exists()

    def test_folders_are_searched(self, folder):
        """Of a folder those files are tested that expect something; none is an error."""
        assert "No scenario here has an expect." in run_test(str(folder), status=2)
        (folder / "deep").mkdir()
        expecting(folder / "deep", 'expect: {replications: 1, measures: {requests: ">= 1"}}\n')
        small_scenario.write(folder)
        output = run_test(".", status=1)
        assert "1 expectation of small" in output
