"""The package as it is installed: what the wheel holds, and that it works away from its source."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import fedsim

ROOT = Path(__file__).resolve().parents[2]
PROJECT = ROOT / "docs" / "router-project"
AWAY = [
    "tests/contract/test_contracts.py",
    "tests/unit/cli/test_new.py",
    "tests/unit/federation/test_strategies.py",
    "tests/unit/scenario/test_catalogues.py",
    "tests/unit/scenario/test_json_schema.py",
    "tests/unit/testing/test_golden.py",
    "tests/unit/testing/test_scene.py",
]
"""Tests that need files of the package, or much of its code, and none of the repository's."""


def test_the_citation_is_of_this_version():
    """CITATION.cff has the keys that its format asks for, and the facts of the package."""
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= set(citation)
    assert citation["version"] == fedsim.__version__
    assert citation["license"] == project["license"]
    assert [each["name"] for each in citation["authors"]] == [
        each["name"] for each in project["authors"]
    ]
    assert set(citation["keywords"]) <= set(project["keywords"])


def away() -> dict[str, str]:
    """Return an environment in which nothing of the repository is imported by accident."""
    return {key: each for key, each in os.environ.items() if key not in {"PYTHONPATH", "CI"}}


def call(*command: str | Path, folder: Path) -> str:
    """Run a command in a folder, and return what it printed; it has to succeed."""
    done = subprocess.run(
        command, cwd=folder, env=away(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The built wheel; nothing is fetched for it, as the build backend is one of the tools."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "wheel", "--no-deps", "--no-build-isolation"]
    call(*pip, "-w", folder, ROOT, folder=folder)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory):
    """The Python of a fresh environment with the wheel; what it depends on is that of this one."""
    house = tmp_path_factory.mktemp("house") / "venv"
    call(sys.executable, "-m", "venv", house, folder=house.parent)
    found = house / "bin" / "python"
    call(found, "-m", "pip", "--quiet", "install", "--no-deps", wheel, folder=house.parent)
    (packages,) = house.glob("lib/python*/site-packages")
    (packages / "dependencies.pth").write_text(str(Path(pytest.__file__).parents[1]), "utf-8")
    where = call(found, "-c", "import fedsim; print(fedsim.__file__)", folder=house.parent)
    assert Path(where.strip()).is_relative_to(house)
    return found


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package(wheel):
    """Modules, schema, catalogues, templates, styles and py.typed; and nothing else."""
    ours = ROOT / "fedsim"
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in ours.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == expected
    for name in (
        "py.typed",
        "scenario/scenario.schema.json",
        "scenario/catalogues/data/profiles.csv",
        "cli/templates/minimal.yaml",
    ):
        assert f"fedsim/{name}" in names


@pytest.mark.slow
def test_tests_pass_against_the_installed_wheel(python, tmp_path):
    """Tests of files and code of the package, in a folder that has no fedsim."""
    for name in ("tests", "scenarios"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    told = call(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *AWAY, folder=tmp_path)
    assert " passed" in told


@pytest.mark.slow
def test_the_command_is_installed(python, tmp_path):
    """``fedsim new``, ``run`` and ``schema`` work from the environment's own script."""
    command = python.parent / "fedsim"
    call(command, "new", "mine", folder=tmp_path)
    short = ("--set", "duration=10s", "--set", "warmup=1s")
    directory = call(command, "run", "mine.yaml", *short, "--quiet", folder=tmp_path).strip()
    assert (tmp_path / directory / "requests.parquet").exists()
    assert '"$id"' in call(command, "schema", folder=tmp_path)


@pytest.mark.slow
def test_the_small_project_passes(python, tmp_path):
    """The folder that docs/testing.md says to copy: its tests, and its golden file holds."""
    project = tmp_path / "project"
    shutil.copytree(PROJECT, project)
    told = call(python, "-m", "pytest", "-q", "-rA", folder=project)
    for name in ("near.yaml::decisions", "test_router.py::test_random_choice_would_be_worse"):
        assert f"PASSED {name}" in told
