"""Commands, options and values that other tools have get a hint of what fedsim has."""

from __future__ import annotations

import re

import pytest
from typer.testing import CliRunner

from fedsim.cli import app

FILE = "scenarios/minimal.yaml"
SEVERAL = "--set 'compare.strategies=[round_robin, least_latency]'"


def printed(*arguments):
    """Return what a command that fails prints, as a single line without its frame."""
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 2
    return re.sub(r"[\s│]+", " ", done.stderr)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["run", FILE, "--strategy", "random"], "Write --set federation.strategy=NAME."),
        (["check", FILE, "--strategy=random"], "Write --set federation.strategy=NAME."),
        (["run", FILE, "--strategies", "random"], "fedsim compare runs several"),
        (["compare", FILE, "--strategy", "random"], SEVERAL),
        (["compare", FILE, "--strategies", "random"], SEVERAL),
        (["explain", "runs/x", "chat-1", "--strategy", "x"], "made with --set federation.strategy"),
        (["run", FILE, "--sed", "3"], "--seed"),
        (["simulate", FILE], "Did you mean 'run'?"),
        (["validate", FILE], "Did you mean 'check'?"),
        (["chek", FILE], "Did you mean 'check'"),
        (["frobnicate"], "No such command 'frobnicate'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_commands_and_options(arguments, hint):
    """A usage error says what there is instead."""
    assert hint in printed(*arguments)


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ("federation.strategy=p2c", "Did you mean power_of_two?"),
        ("federation.strategy=round-robin", "Did you mean round_robin?"),
        ("federation.strategy=rr", "Did you mean round_robin?"),
        ("pools.chat.weight=60%", "Write a plain number: 60% is 0.6."),
        ("pools.chat.count=60%", "Write a plain number, without a unit."),
        ("slo.success_rate=0.99", "Write 99%."),
        ("duration=1h30m", "Write 90min."),
        ("duration=1h 30min 5s", "Write 5405s."),
        ("duration=1h30x", "there is no unit 'h30x'"),
        ("record=on", "Write {} for all defaults"),
        ("federation.outliers=on", "Write {} for all defaults"),
    ],
)
def test_values(change, hint):
    """An error of a value says what to write for what was likely meant."""
    assert hint in printed("check", FILE, "--set", change)


@pytest.mark.parametrize(("separator", "word"), [(";", "semicolons"), ("\t", "tabs")])
def test_other_separators(separator, word, tmp_path):
    """A trace or a log whose columns are not separated by commas says how to convert it."""
    path = tmp_path / "requests.csv"
    path.write_text("time,prompt\n0.5,3\n1.5,4\n".replace(",", separator), encoding="utf-8")

    for command in ("trace", "calibrate"):
        text = printed(command, str(path))
        assert f"requests.csv:1: The columns are separated by {word}, not by commas." in text
        assert f"sep={separator!r}" in text
