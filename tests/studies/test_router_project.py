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


def test_the_pieces_are_whole():
    """The scenario can be tested, its golden file is of its seed, the workflow parses."""
    scenario = require_expecting(load(PROJECT / "near.yaml"))
    assert read(PROJECT / "near.golden").seed == scenario.seed
    workflow = yaml.safe_load((PROJECT / ".github/workflows/routing.yml").read_text("utf-8"))
    assert {"run": "pytest"} in workflow["jobs"]["test"]["steps"]


@pytest.mark.slow
def test_it_passes_in_a_fresh_environment_from_the_wheel(tmp_path, monkeypatch):
    """``pip install`` of the built wheel, then ``pytest``: all pass, and the golden file holds.

    What fedsim depends on is that of this environment; fedsim itself is the wheel's.
    """
    for name in ("PYTHONPATH", "CI"):
        monkeypatch.delenv(name, raising=False)
    pip = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "-w", str(tmp_path)]
    subprocess.run([*pip, str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    house = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(house)], check=True)
    python = house / "bin" / "python"
    subprocess.run([python, "-m", "pip", "--quiet", "install", "--no-deps", wheel], check=True)
    (packages,) = house.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(str(Path(pytest.__file__).parents[1]), "utf-8")
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project)
    done = subprocess.run(
        [python, "-m", "pytest", "-q", "-rA"],
        cwd=project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    for name in ("near.yaml::decisions", "test_router.py::test_random_choice_would_be_worse"):
        assert f"PASSED {name}" in done.stdout
    where = "import fedsim; print(fedsim.__file__)"
    found = subprocess.run(
        [python, "-c", where], cwd=project, capture_output=True, text=True, check=True
    )
    assert Path(found.stdout.strip()).is_relative_to(house)


@pytest.mark.slow
def test_the_shipped_scenarios_hold_what_they_expect(tmp_path, monkeypatch):
    """``fedsim test scenarios/`` passes."""
    monkeypatch.delenv("CI", raising=False)
    command = [sys.executable, "-m", "fedsim", "test", "scenarios", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
