"""A one-line change in a strategy of ours fails the golden test, which shows both decisions."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import fedsim

SCENARIO = """\
name: near
seed: 7
duration: 20s
warmup: 1s
regions: {lab: {}}
network: {within_region: 1ms}
pools:
  w: {region: lab, count: 4, slots: 2, queue_limit: unlimited,
      service: {distribution: lognormal, median: 250ms, p99: 1s}}
workload: {chat: {arrivals: {process: poisson, rate: 20/s}}}
federation:
  strategy: join_shortest_queue
  health: {interval: 500ms, failure_threshold: 1000}
  circuit_breaker: off
  retries: {limit: 2, backoff: 20ms}
faults:
  - {kind: errors, node: w-1, at: 5s, lasts: 10s, probability: 0.5}
expect: {decisions: golden}
"""
ONE_LINE = {
    "a tie that goes to the first": (
        "federation/strategies/base.py",
        "            index = values.index(best, bisect_left(self.positions, self.turn.place))\n",
        "            index = values.index(best)\n",
    ),
    "a view that is one probe older": (
        "federation/health.py",
        "        record.telemetry_s = at_s\n",
        "        record.telemetry_s = at_s\n"
        "        telemetry, vars(self)[record.node_id] = "
        "vars(self).get(record.node_id, telemetry), telemetry\n",
    ),
    "a retry to the same node": (
        "federation/router.py",
        "        for avoided in (excluded, excluded[-1:]):\n",
        "        for avoided in ((), excluded[-1:]):\n",
    ),
}
"""By what it does: the file in fedsim, a line of it, and what the line becomes."""


def git(folder: Path, *words: str) -> None:
    """Run git in a folder."""
    known = ("-c", "user.email=a@example.org", "-c", "user.name=a")
    subprocess.run(["git", *known, *words], cwd=folder, check=True)


def output_of(folder: Path, *words: str, status: int) -> str:
    """Run ``fedsim test`` with the fedsim of a folder, and return what it printed."""
    env = {key: value for key, value in os.environ.items() if key not in {"CI", "COLUMNS"}}
    done = subprocess.run(
        [sys.executable, "-m", "fedsim", "test", "near.yaml", "--workers", "1", *words],
        cwd=folder,
        env={**env, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A repository in which fedsim is developed, with a scenario and its golden file."""
    folder = tmp_path_factory.mktemp("developed")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(fedsim.__file__).parent, folder / "fedsim", ignore=ignored)
    (folder / "near.yaml").write_text(SCENARIO, encoding="utf-8")
    (folder / ".gitignore").write_text("runs\n__pycache__\n", encoding="utf-8")
    assert "near.golden is written; review the diff" in output_of(folder, "--update", status=1)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "Begin")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("what", ONE_LINE)
def test_a_one_line_change_is_found_and_shown(repository, what):
    """The first decision that differs, its candidates by both codes, and --update accepts."""
    golden = (repository / "near.golden").read_text("utf-8")
    place, line, other = ONE_LINE[what]
    module = repository / "fedsim" / place
    text = module.read_text("utf-8")
    assert text.count(line) == 1
    module.write_text(text.replace(line, other), "utf-8")
    try:
        output = output_of(repository, status=1)
        now, _, then = output.partition("Candidates as expected")
        first = re.search(r"First difference at \S+ s: (\S+), attempt (\d) goes to (\S+); it", now)
        assert first is not None, output
        assert f"was expected at {chosen(then)}." in now
        assert first[3] == chosen(now) != chosen(then)
        assert "By the code of commit" in then
        for report in (now.partition("Candidates as obtained")[2], then.partition("by window")[0]):
            assert {*re.findall(r"^ +(w-\d) ", report, re.MULTILINE)} == {
                "w-0",
                "w-1",
                "w-2",
                "w-3",
            }
        assert f"fedsim explain runs/tests/near/run {first[1]}" in then
        assert "is written; review the diff" in output_of(repository, "--update", status=1)
        assert "0 of " in output_of(repository, status=0)
    finally:
        module.write_text(text, "utf-8")
        (repository / "near.golden").write_text(golden, "utf-8")
    assert (repository / "near.yaml").read_text("utf-8") == SCENARIO


def chosen(report: str) -> str:
    """Return the node that a table of candidates has as chosen."""
    found = re.search(r"(w-\d) +chosen", report)
    assert found is not None, report
    return found[1]
