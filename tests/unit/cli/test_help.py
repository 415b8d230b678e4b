"""Help, completion, colors and the schema: what the command line says of itself."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from pathlib import Path

import jsonschema
import pytest
import typer
import yaml
from typer.testing import CliRunner

from fedsim.cli import app
from fedsim.cli.app import EXAMPLES
from fedsim.cli.hints import Group
from fedsim.cli.progress import progress_bar
from fedsim.cli.terminal import show
from fedsim.document import Document, Heading, Sentence
from fedsim.scenario.json_schema import IDENTITY, schema_text
from fedsim.studies.progress import Progress
from tests import small_scenario

COLOR = re.compile(r"\x1b\[(?:\d+;)*3\d")
"""A sequence that sets one of the eight colors of text."""


def call(*arguments: str, **environment: str):
    """Run the command line in this process."""
    return CliRunner().invoke(app, arguments, prog_name="fedsim", env=environment)


@pytest.mark.parametrize("command", EXAMPLES, ids=lambda each: each.__name__)
def test_every_command_has_an_example_that_it_takes(command):
    """The help ends with the example, whose command and options there are."""
    example = EXAMPLES[command]
    name, *words = shlex.split(example)[1:]
    assert name == command.__name__
    group = typer.main.get_command(app)
    assert isinstance(group, Group)
    group.commands[name].make_context(name, words)
    done = call(name, "--help", COLUMNS="120")
    assert f"Example: {example}" in done.stdout
    first, *_ = (command.__doc__ or "").splitlines()
    assert first in done.stdout


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        (["fedsim", "comp"], {"compare"}),
        (["fedsim", "compare", "--mark"], {"--markdown"}),
        (["fedsim", "new", "mine", "--template", "re"], {"regions"}),
    ],
)
def test_a_shell_completes_commands_options_and_templates(typed, completed):
    """Bash asks for what is typed, by the script that --install-completion installs."""
    last = str(len(typed) - 1)
    asked = {"_FEDSIM_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(typed), "COMP_CWORD": last}
    assert set(call(**asked).stdout.split()) == completed


@pytest.fixture
def no_wishes(monkeypatch):
    """An environment that says nothing of colors."""
    for name in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.parametrize(
    ("wish", "terminal", "colored"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"NO_COLOR": "1"}, True, False),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, False),
        ({"TERM": "dumb"}, True, False),
    ],
    ids=str,
)
def test_colors_are_of_terminals_and_of_those_who_want_them(
    wish, terminal, colored, no_wishes, capsys, monkeypatch
):
    """A report has colors on a terminal, unless NO_COLOR; in a pipe none, unless FORCE_COLOR."""
    for name, value in wish.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    show(Document((Heading("Passed"), Sentence("All is held.", "good"))))
    assert bool(COLOR.search(capsys.readouterr().out)) == colored


def test_the_progress_bar_has_no_colors_where_none_are_wanted(no_wishes, capsys, monkeypatch):
    """The bar is there, in black and white."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress_bar(quiet=False) as report:
        report(Progress(0.5, 2, 1, 0, 1.0))
    told = capsys.readouterr().err
    assert "%" in told
    assert not COLOR.search(told)


class TestSchema:
    """``fedsim schema``."""

    def test_it_is_printed_as_it_is_committed(self):
        """The text of the file, which names itself, and nothing else."""
        done = call("schema")
        assert (done.exit_code, done.stdout) == (0, schema_text())
        assert json.loads(done.stdout)["$id"] == IDENTITY

    def test_a_file_of_it_checks_scenarios(self, tmp_path, monkeypatch):
        """The written file is a schema that takes a scenario and refuses an unknown key."""
        monkeypatch.chdir(tmp_path)
        done = call("schema", "--out", "fedsim.schema.json")
        assert "# yaml-language-server: $schema=fedsim.schema.json" in done.stdout
        written = json.loads(Path("fedsim.schema.json").read_text("utf-8"))
        check = jsonschema.Draft202012Validator(written).validate
        tree = yaml.safe_load(small_scenario.TEXT)
        check(tree)
        with pytest.raises(jsonschema.ValidationError, match="poools"):
            check({**tree, "poools": {}})

    def test_a_file_that_cannot_be_written_is_said(self, tmp_path):
        """Status 2, and the file is named."""
        place = tmp_path / "none" / "s.json"
        done = call("schema", "--out", os.fspath(place))
        assert done.exit_code == 2
        assert str(place) in done.stderr
