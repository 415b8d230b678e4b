"""The project of docs/testing.md: a router, its tests and its workflow, as a user would have it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from fedsim.scenario.load import load
from fedsim.testing.expectations import require_expecting
from fedsim.testing.golden import read

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "docs" / "router-project"


def steps(name: str, job: str) -> list[dict[str, object]]:
    """Return the steps of a workflow."""
    text = (PROJECT / ".github" / "workflows" / name).read_text("utf-8")
    found: list[dict[str, object]] = yaml.safe_load(text)["jobs"][job]["steps"]
    return found


def test_the_pieces_are_whole():
    """The scenario can be tested, its golden file is of its seed, the workflows parse."""
    scenario = require_expecting(load(PROJECT / "near.yaml"))
    assert read(PROJECT / "near.golden").seed == scenario.seed
    assert {"run": "pytest"} in steps("routing.yml", "test")
    assert any("gh pr comment" in str(step.get("run")) for step in steps("compare.yml", "compare"))


@pytest.mark.slow
def test_a_pull_request_is_compared_with_its_target(tmp_path, monkeypatch):
    """The command of the workflow compares both routers, and writes the report that is posted."""
    shutil.copytree(PROJECT, tmp_path, dirs_exist_ok=True)
    git = ["git", "-c", "user.email=a@example.org", "-c", "user.name=a"]
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["commit", "-qm", "Begin"],
        ["update-ref", "refs/remotes/origin/main", "HEAD"],
    ):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    router = tmp_path / "my_router.py"
    changed = router.read_text("utf-8").replace("min(2, len(left))", "1")
    router.write_text(changed, "utf-8")
    (command,) = (
        str(step["run"])
        for step in steps("compare.yml", "compare")
        if str(step.get("run")).startswith("fedsim")
    )
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("GITHUB_BASE_REF", "main")
    command = command.replace("fedsim", f"{sys.executable} -m fedsim", 1)
    subprocess.run(["bash", "-ec", command], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    report = (tmp_path / "report.md").read_text("utf-8")
    header = next(line for line in report.splitlines() if line.startswith("| scenario"))
    assert {"new", "old"} <= set(header.split())
    assert " (b) |" in report
    assert "▼" in report  # one random node is worse than the less busy of two


@pytest.mark.slow
def test_the_shipped_scenarios_hold_what_they_expect(tmp_path, monkeypatch):
    """``fedsim test scenarios/`` passes."""
    monkeypatch.delenv("CI", raising=False)
    command = [sys.executable, "-m", "fedsim", "test", "scenarios", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
