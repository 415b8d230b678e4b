"""The commands: exit status, output, JSON, and what they write."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

import fedsim
import fedsim.scenario.simulate
from fedsim.cli import app
from fedsim.errors import DeadlockError, InternalError
from fedsim.results.measures import MEASURES
from fedsim.results.run import Run
from fedsim.studies.cells import replication_seed
from fedsim.studies.comparison import Comparison
from tests import small_scenario

SHORT = "duration=8s"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory with the small scenario; terminals have 80 columns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    small_scenario.write(tmp_path)
    return tmp_path


def fedsim_command(*words: str):
    """Run the command line in this process, on the small scenario if it is a short one."""
    return CliRunner().invoke(app, list(words), prog_name="fedsim")


def short(command: str, *words: str):
    """Run a command on the small scenario made shorter still."""
    shorten = ["--set", SHORT, "--set", "warmup=1s", "--set", "faults=[]"]
    return fedsim_command(command, "small.yaml", *shorten, *words)


def test_report_writes_a_page(folder):
    """``--report`` writes it with the run and says so; ``fedsim report`` writes the same again."""
    done = short("run", "--report", "--out", "r")
    page = folder / "r" / "report.html"
    text = page.read_text(encoding="utf-8")
    assert "report.html: this report as a page, with its charts" in done.stdout

    again = fedsim_command("report", "r", "-o", "again.html")
    assert (again.exit_code, again.stdout) == (0, "again.html\n"), again.output
    assert Path("again.html").read_text(encoding="utf-8") == text
    page.unlink()
    assert fedsim_command("report", "r").stdout == "r/report.html\n"
    assert page.read_text(encoding="utf-8") == text


def test_no_report_of_what_is_no_result(folder):
    """Status 2, and a sentence that says what is missing."""
    for words in (("report", "."), ("report", "nowhere")):
        done = fedsim_command(*words)
        assert done.exit_code == 2
        assert "is not a run directory" in done.stderr
    assert not list(folder.glob("*.html"))


class TestRun:
    """``fedsim run``."""

    def test_prints_and_writes_a_run(self, folder):
        """Status 0, tables by stream and origin, the directory, and the command to repeat it."""
        done = short("run")
        assert done.exit_code == 0, done.output
        assert "small: least_latency, seed 3" in done.stdout
        assert re.search(r"^  latency p99 +≤ 5 s +[\d.]+ s +held$", done.stdout, re.MULTILINE)
        assert re.search(r"^  west +\d+", done.stdout, re.MULTILINE)
        assert "Written to runs/small-run-3/\n  - *.parquet: tables" in done.stdout
        assert done.stderr == ""
        run = Run.load(folder / "runs" / "small-run-3")
        assert sorted(path.name for path in (folder / "runs/small-run-3/charts").iterdir()) == [
            "latency.png",
            "states.png",
            "timeline.png",
            "utilization.png",
        ]
        again = shlex.split(done.stdout.partition("Repeat with\n")[2])
        assert again[0] == "fedsim"
        repeated = fedsim_command(*again[1:], "--json")
        assert json.loads(repeated.stdout)["digest"] == run.digest

    def test_a_missed_objective_is_status_1(self, folder):
        """The run is written and printed all the same, and the objective is said to be missed."""
        done = short("run", "--set", "slo.latency_p99=10ms", "--out", "mine")
        assert done.exit_code == 1
        assert re.search(r"latency p99 +≤ 0.01 s +[\d.]+ s +missed$", done.stdout, re.MULTILINE)
        assert (folder / "mine" / "requests.parquet").exists()

    def test_json_is_all_that_is_printed(self, folder):
        """The JSON has the summary, its groups, objective and warnings, NaN as null."""
        done = short("run", "--json", "--seed", "11")
        found = json.loads(done.stdout)
        assert set(found) == {
            "scenario",
            "strategy",
            "seed",
            "digest",
            "summary",
            "by",
            "outcomes",
            "objective",
            "warnings",
            "directory",
            "repeat",
        }
        assert found["seed"] == 11
        assert list(found["summary"]) == list(MEASURES)
        assert found["summary"]["ttft_p50_s"] is None
        assert [row["origin"] for row in found["by"]["origin"]] == ["east", "west"]
        assert found["objective"][0]["held"] is True
        assert sum(found["outcomes"].values()) >= found["summary"]["requests"]
        assert found["directory"] == "runs/small-run-11"

    def test_quiet_prints_the_directory_alone(self, folder):
        """A script can take the directory from the output."""
        done = short("run", "--quiet", "--out", "here")
        assert (done.stdout, done.stderr) == ("here\n", "")
        assert (folder / "here" / "manifest.json").exists()

    def test_no_line_is_wider_than_the_terminal(self, folder):
        """On 80 columns only the command that repeats the run may be longer."""
        done = short("run")
        assert all(len(line) <= 80 for line in done.stdout.splitlines()[:-1])
        assert not any(line.endswith(" ") for line in done.stdout.splitlines())

    def test_an_overload_is_a_warning(self, folder):
        """A load that can never be served is run, and said."""
        done = short("run", "--set", "workload.chat.arrivals.rate=200/s", "--seed", "5")
        assert done.exit_code in {0, 1}
        assert "Warnings" in done.stdout
        assert "The load of generate can never be served" in done.stdout.replace("\n    ", " ")


class TestInput:
    """What is wrong with the input is said in full, without a traceback, with status 2."""

    def test_all_problems_come_at_once_with_their_places(self, folder):
        """Every problem has file, line and column."""
        text = small_scenario.TEXT.replace("40s", "40").replace("seed: 3", "sede: 3")
        small_scenario.write(folder, text)
        for command in ("run", "compare", "check"):
            done = fedsim_command(command, "small.yaml")
            assert done.exit_code == 2
            assert done.stdout == ""
            assert "Traceback" not in done.stderr
            assert re.search(
                r"^small\.yaml:2:1: sede: .*Did you mean seed", done.stderr, re.MULTILINE
            )
            assert re.search(r"^small\.yaml:3:11: duration: .*unit", done.stderr, re.MULTILINE)
        assert not (folder / "runs").exists()

    def test_overrides_are_named(self, folder):
        """All overrides that are wrong are reported, as such."""
        done = fedsim_command("run", "small.yaml", "--set", "seed", "--set", "x")
        assert done.exit_code == 2
        assert done.stderr.count("is not of the form PATH=VALUE") == 2

    def test_a_missing_file_is_named(self, folder):
        """A scenario that is not there is a problem like any other."""
        done = fedsim_command("check", "nothing.yaml")
        assert done.exit_code == 2
        assert "nothing.yaml: The file cannot be read" in done.stderr

    def test_a_directory_of_somebody_else_is_refused_before_the_run(self, folder, monkeypatch):
        """Nothing is simulated when the result could not be written."""
        (folder / "work").mkdir()
        (folder / "work" / "manifest.json").write_text('{"name": "an app"}')
        monkeypatch.setattr(fedsim.scenario.simulate, "simulate", None)
        done = fedsim_command("run", "small.yaml", "--out", "work")
        assert done.exit_code == 2
        assert "work exists and is not a directory that fedsim wrote" in done.stderr
        assert (folder / "work" / "manifest.json").exists()

    def test_a_plugin_that_raises_is_shown_with_its_own_lines(self, folder):
        """Plug-in, request, time and the lines of the user's file, and none of ours."""
        small_scenario.write_routers(folder, "command_routers")
        for words in (
            ["run", "small.yaml", "--set", "federation.router=command_routers:Raises"],
            ["compare", "small.yaml", "--router", "command_routers:Raises", "--workers", "1"],
        ):
            done = fedsim_command(*words)
            assert done.exit_code == 2
            first = done.stderr.splitlines()[0]
            assert re.match(
                r"plug-in command_routers:Raises, request chat-\d+, simulated time \d", first
            )
            assert f'File "{folder / "command_routers.py"}"' in done.stderr
            assert 'raise KeyError("the tenth request")' in done.stderr
            assert "fedsim/world" not in done.stderr

    def test_a_plugin_that_does_not_exist_is_found_by_check(self, folder):
        """``check`` imports the plug-ins that a scenario names."""
        done = fedsim_command("check", "small.yaml", "--set", "federation.router=no_such:Router")
        assert done.exit_code == 2
        assert "plug-in no_such:Router: importing no_such failed" in done.stderr


class TestFailures:
    """Failures of fedsim and of the user's patience."""

    @pytest.mark.parametrize(
        ("error", "status", "text"),
        [
            (
                InternalError("the tables are wrong"),
                3,
                "This is a bug in fedsim, not in your input: the ta",
            ),
            (ZeroDivisionError("division by zero"), 3, "Please report it, with the scenario"),
            (DeadlockError("tasks wait"), 2, "tasks wait"),
            (KeyboardInterrupt(), 130, "Interrupted; nothing was written.\n"),
        ],
    )
    def test_status_by_error(self, folder, monkeypatch, error, status, text):
        """Each kind of failure has its status and its message on standard error."""

        def fail(*args, **kwargs):
            raise error

        monkeypatch.setattr(fedsim.scenario.simulate, "simulate", fail)
        done = fedsim_command("run", "small.yaml")
        assert done.exit_code == status
        assert text in done.stderr
        assert ("Traceback" in done.stderr) == isinstance(error, ZeroDivisionError)


class TestCheck:
    """``fedsim check``."""

    def test_says_what_the_scenario_contains(self, folder):
        """Regions, streams, pools with their load, federation and faults."""
        done = fedsim_command("check", "small.yaml")
        assert done.exit_code == 0
        for text in (
            "40s of arrivals, 5s of it warm-up",
            "east    restricted",
            "chat     12.0        12.0  generate    no",
            "east-chat  east        2",
            "strategy least_latency",
            "deadlines: request 10min, attempt 1min",
            "outage of node east-chat-0, at 15s for 10s",
            "Inputs: ",
            "Scenario is valid. With all nodes up, the fleet can serve this load.",
        ):
            assert text in done.stdout
        assert all(len(line) <= 80 for line in done.stdout.splitlines())

    def test_a_load_that_can_never_be_served_is_status_2(self, folder):
        """The problem stands on standard error with its place and a remedy."""
        done = fedsim_command("check", "small.yaml", "--set", "pools.west-chat.count=1", "--set",
                              "workload.chat.arrivals.rate=99/s")  # fmt: skip
        assert done.exit_code == 2
        assert "The load of generate can never be served" in done.stderr
        assert "Lower the rate, or add nodes" in done.stderr
        assert "Scenario is valid" not in done.stdout

    def test_json(self, folder):
        """The JSON holds the loads, the resolved scenario and the problems."""
        found = json.loads(fedsim_command("check", "small.yaml", "--json").stdout)
        assert [pool["pool"] for pool in found["pools"]] == ["east-chat", "west-chat"]
        assert found["pools"][0]["load"] == pytest.approx(found["capabilities"][0]["load"])
        assert found["problems"] == []
        assert found["resolved"]["drain"]

    def test_quiet_is_silent(self, folder):
        """With --quiet the status alone answers."""
        assert fedsim_command("check", "small.yaml", "--quiet").output == ""


class TestCompare:
    """``fedsim compare``."""

    def test_an_objective_that_no_strategy_holds_is_status_1(self, folder):
        """The comparison is written and printed all the same, and says so."""
        options = ("--workers", "1", "--replications", "1", "--out", "missed")
        done = short("compare", *options, "--set", "slo.latency_p99=10ms")
        assert done.exit_code == 1
        assert "No strategy held the whole objective in every replication." in done.stdout
        assert (folder / "missed" / "summary.json").exists()

    def test_prints_and_writes_a_comparison(self, folder):
        """Ranking, differences with verdicts, groups, outcomes, directory and command."""
        done = short("compare", "--workers", "1", "--replications", "2")
        assert done.exit_code == 0, done.output
        for pattern in (
            r"small: 2 strategies",
            r"2 replications per strategy, on the same requests and faults \(seed 3;",
            r"     1  (round_robin|least_connections) +\d",
            r"Differences from round_robin, paired by seed",
            r"  least_connections .*(better|worse|no difference shown)",
            r"Goodput by region of origin, % .*\n  strategy +east +west",
            r"  strategy +latency p99 ≤ 5 s .*\n  .* \d of 2",
            r"  strategy +ok",
            r"Written to runs/small-compare-3/",
            r"Repeat with\n  fedsim compare small.yaml --seed 3 --set .* --replications 2",
            rf"One run of it, .*\n  fedsim run .*scenario.yaml --seed {replication_seed(3, 0)}",
        ):
            assert re.search(pattern, done.stdout), pattern
        lines = done.stdout.splitlines()
        assert all(len(line) <= 80 for line in lines if not line.startswith("  fedsim "))
        assert (folder / "runs/small-compare-3/replications.parquet").exists()

    def test_a_matrix_of_scenarios(self, folder, monkeypatch):
        """Several scenarios are shown as a matrix, and each has a folder of its own."""
        monkeypatch.setattr(Comparison, "save", lambda _, to: to)  # is tested with one scenario
        text = (folder / "small.yaml").read_text("utf-8")
        (folder / "other.yaml").write_text(text.replace("name: small", "name: other"), "utf-8")
        words = ("other.yaml", "--workers", "1", "--replications", "1", "--out", "both")
        done = short("compare", *words, "--markdown", "report.md")
        assert done.exit_code == 0, done.output
        assert done.stdout.startswith(
            "2 scenarios: 2 strategies\n  - small (1 replication, seed 3)"
        )
        assert done.stdout.endswith("Written to both/small/\nWritten to both/other/\n")
        written = (folder / "report.md").read_text("utf-8")
        assert "| other | " in written
        assert "# 2 scenarios: 2 strategies" in written
        found = json.loads(short("compare", *words, "--json").stdout)["comparisons"]
        assert [each["scenario"] for each in found] == ["small", "other"]
        command = shlex.split(written.partition("```shell\n")[2].partition("\n")[0])
        assert fedsim_command(*command[1:], "--quiet").stdout == "both/small\nboth/other\n"
        assert (folder / "report.md").read_text("utf-8") == written

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (("small.yaml",), "two scenarios are called 'small'"),
            (("--markdown", "none/report.md"), "there is no folder none; make it first"),
        ],
    )
    def test_what_cannot_be_written_is_said_before_running(self, folder, words, message):
        """Status 2, and nothing is run or written."""
        done = short("compare", *words)
        assert done.exit_code == 2
        assert message in done.stderr
        assert not (folder / "runs").exists()

    def test_json(self, folder):
        """The JSON is the directory's summary, with the directory and the command."""
        done = short("compare", "--workers", "1", "--replications", "1", "--json", "--out", "c")
        found = json.loads(done.stdout)
        written = json.loads((folder / "c" / "summary.json").read_text())
        assert {key: found[key] for key in written} == written
        assert set(found) - set(written) == {"directory", "repeat"}
        assert found["differences"]["goodput_share"][0]["strategy"] == "least_connections"
        assert found["seeds"] == [replication_seed(3, 0)]

    def test_routers_and_baseline(self, folder):
        """Routers join the strategies, and any of them can be the baseline."""
        small_scenario.write_routers(folder, "compared_routers")
        router = "compared_routers:FirstNode"
        done = short(
            "compare", "--workers", "1", "--replications", "1", "--json", "--router", router,
            "--baseline", router,
        )  # fmt: skip
        found = json.loads(done.stdout)
        assert found["baseline"] == router
        assert f"--router {router} --baseline {router}" in found["repeat"]
        wrong = short("compare", "--baseline", "round_robbin")
        assert wrong.exit_code == 2
        assert "Did you mean round_robin?" in wrong.stderr


def python(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own."""
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, cwd=cwd, timeout=60, check=False
    )


def test_the_module_is_the_command():
    """``python -m fedsim`` knows its version and its commands."""
    assert python("-m", "fedsim", "--version").stdout == f"fedsim {fedsim.__version__}\n"
    done = python("-m", "fedsim", "--help")
    assert done.returncode == 0
    for command in ("run", "compare", "check"):
        assert f"│ {command} " in done.stdout
    assert python("-m", "fedsim", "rnu").returncode == 2


def test_help_imports_no_heavy_library():
    """What costs seconds to import is imported where it is used."""
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from fedsim.cli import app\n"
        "assert CliRunner().invoke(app, ['compare', '--help']).exit_code == 0\n"
        "print(sorted(sys.modules))"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    heavy = {"pandas", "numpy", "pyarrow", "matplotlib", "scipy", "simpy", "yaml"}
    assert heavy.isdisjoint(eval(done.stdout))


def test_check_imports_no_tables_or_charts(folder):
    """``check`` answers in a fraction of a second: no pandas, pyarrow, matplotlib or scipy."""
    code = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from fedsim.cli import app\n"
        "assert CliRunner().invoke(app, ['check', 'small.yaml']).exit_code == 0\n"
        "print(sorted(sys.modules))"
    )
    done = python("-c", code, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert {"pandas", "pyarrow", "matplotlib", "scipy"}.isdisjoint(eval(done.stdout))


@pytest.mark.skipif(os.name != "posix", reason="signals of a process group")
def test_ctrl_c_ends_everything_with_one_line(folder):
    """An interrupt of the terminal's group ends the workers, says how to go on, and is 130."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fedsim", "compare", "small.yaml", "--workers", "2", "--set",
         "duration=1h", "--set", "warmup=1s"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 30.0
    while len(children.read_text().split()) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    place = "runs/small-compare-3"
    assert err.startswith(f"Interrupted; {place} keeps the runs that are done. Go on with:\n")
    assert err.endswith(f"--out {place}\n")
    deadline = time.monotonic() + 10.0  # the tracker of Python's own resources goes last
    while _lives(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _lives(process.pid)
    assert (folder / place / "study.json").exists()


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
