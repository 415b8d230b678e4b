"""``fedsim new``: every template is a scenario that runs, and nothing is overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

import fedsim
from fedsim.cli import app, new


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def call(*arguments):
    """Return what ``fedsim new`` came to."""
    return CliRunner().invoke(app, ["new", *arguments])


def test_every_template_is_listed():
    """The table and the folder have the same templates."""
    folder = Path(new.__file__).parent / "templates"
    assert {path.stem for path in folder.iterdir()} == set(new.TEMPLATES)


@pytest.mark.parametrize("template", new.TEMPLATES)
def test_every_template_checks_and_runs(template):
    """What is written has no mistake, no warning and comments, and a run of it succeeds."""
    done = call("mine", "--template", template)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "fedsim check mine.yaml" in done.stdout
    assert Path("mine.yaml").read_text(encoding="utf-8").startswith("# ")

    checked = CliRunner().invoke(app, ["check", "mine.yaml"])
    assert checked.exit_code == 0
    assert "Warnings" not in checked.stdout

    run = fedsim.simulate(fedsim.load("mine.yaml"))
    assert run.name == "mine"
    assert run.summary()["success_rate"].iloc[0] > 0.9
    assert run.verdicts()


@pytest.mark.parametrize("name", ["mine", "mine.yaml"])
def test_nothing_is_overwritten(name):
    """A file of that name stays as it is, and the message says so."""
    Path("mine.yaml").write_text("precious", encoding="utf-8")
    done = call(name)

    assert done.exit_code == 2
    assert "exists, and is not overwritten" in done.stderr
    assert Path("mine.yaml").read_text(encoding="utf-8") == "precious"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mine", "--template", "region"], "Did you mean regions?"),
        (["mine", "--template", "xyz"], "Write one of minimal, regions, engine, comparison."),
        (["my service"], "Use letters, digits, - and _"),
        (["nowhere/mine"], "in a folder that exists"),
    ],
)
def test_mistakes(arguments, message):
    """They end with status 2 and a remedy, and write nothing."""
    done = call(*arguments)

    assert done.exit_code == 2
    assert message in done.stderr
    assert not list(Path().iterdir())
