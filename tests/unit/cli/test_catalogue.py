"""``fedsim catalogue``: what it lists, how wide, and what it says to a wrong word."""

from __future__ import annotations

import json
import re

import pytest
from typer.testing import CliRunner

from fedsim.cli import app
from tests import small_scenario


def run(*words: str):
    """Run the command line on a terminal of 80 columns."""
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, list(words), prog_name="fedsim")


def catalogue(*words: str):
    """Run the command."""
    return run("catalogue", *words)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["gpus"],
        ["gpus", "a100"],
        ["prices"],
        ["locations"],
        ["locations", "azure/East US"],
        ["failures"],
    ],
)
def test_fits_a_terminal(words):
    """No line is wider than 80 columns, and no name is cut."""
    done = catalogue(*words)

    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "…" not in done.stdout


def test_says_what_figures_are_worth():
    """Sources stand next to the figures, and estimates are called that."""
    done = catalogue("gpus", "llama-3.1-8b/bf16")

    assert "llama-3.1-8b/bf16/h100_sxm/tp1" in done.stdout
    assert "llama-3.1-70b" not in done.stdout
    assert "derived: NVIDIA aiconfigurator-core 0.12.0" in done.stdout
    assert "estimated: aiconfigurator-core 0.12.0: its roofline" in done.stdout


@pytest.mark.parametrize("table", ["gpus", "prices", "locations", "failures"])
def test_json(table):
    """Rows as plain values, each with a label and a source."""
    rows = json.loads(catalogue(table, "--json").stdout)

    assert len(rows) > 4
    assert all(row["name"] and row["source"] for row in rows)
    assert {row["label"] for row in rows} <= {"measured", "derived", "estimated"}


def test_round_trips_from_a_location():
    """The name of a location shows the way to all others, nearest first."""
    rows = json.loads(catalogue("locations", "azure/West Europe", "--json").stdout)

    assert len(rows) == 22
    times_s = [row["p50_s"] for row in rows]
    assert times_s == sorted(times_s)


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["gpu"], "There is no table 'gpu'. Did you mean gpus?"),
        (["prices", "aws/p5.48xlrge"], "Did you mean aws/p5.48xlarge?"),
        (["prices", "abacus"], "See fedsim catalogue prices for all."),
    ],
)
def test_a_wrong_word_is_answered(words, answer):
    """Status 2, and what may have been meant."""
    done = catalogue(*words)

    assert done.exit_code == 2
    assert answer in done.stderr


def test_check_counts_figures(tmp_path):
    """The check says how many figures are whose, and lists them as JSON."""
    small_scenario.write(tmp_path)
    check = ["check", str(tmp_path / "small.yaml")]

    assert re.search(r"^Inputs: \d+ .*, \d+ user-supplied\.$", run(*check).stdout, re.MULTILINE)
    figures = json.loads(run(*check, "--json").stdout)["figures"]
    assert {"path", "value", "label", "source"} == set(figures[0])
