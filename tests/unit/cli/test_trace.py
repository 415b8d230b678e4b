"""``fedsim trace``: what it prints, how wide, what it draws, and what it refuses."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fedsim.cli import app
from fedsim.workload.describe import describe
from fedsim.workload.traces.trace import Trace


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a trace whose times are quantised and whose prompts share a block."""
    rows = [
        {
            "timestamp": 3000 * (n // 10),
            "input_length": 600,
            "output_length": n,
            "hash_ids": [0, n + 1],
        }
        for n in range(1000)
    ]
    path = tmp_path / "a_trace_with_quite_a_long_name.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def run(*words: object):
    """Run the command on a terminal of 80 columns."""
    runner = CliRunner(env={"COLUMNS": "80"})
    return runner.invoke(app, ["trace", *map(str, words)], prog_name="fedsim")


def test_table(file: Path):
    """The statistics fit 80 columns, and say where times are quantised and prompts alike."""
    done = run(file)

    assert done.exit_code == 0
    assert max(map(len, done.output.splitlines())) <= 80
    text = " ".join(done.output.split())
    assert "1,000 requests in 297 s (5.0 min), format mooncake" in text
    assert "The times are quantized: the 1,000 requests have 100 distinct times, 3 s apart." in text
    assert "2,000 blocks of 512 tokens, 1,001 of them distinct" in text
    assert "finds 49.95 % of them" in text


def test_json(file: Path):
    """The same as data."""
    found = json.loads(run(file, "--json").output)

    assert found["format"] == "mooncake"
    assert found["requests"] == 1000
    assert found["sharing"]["hit_share"] == pytest.approx(0.4995)
    assert found["prompt"] == {"mean": 600, "p50": 600, "p90": 600, "p99": 600, "max": 600}
    assert found["correlation"] is None
    assert list(found["idc"]) == ["1", "10", "60"]


def test_chart(file: Path, tmp_path: Path):
    """A chart is drawn where asked for."""
    picture = tmp_path / "new" / "chart.png"
    done = run(file, "--out", picture)

    assert done.exit_code == 0
    assert f"{picture}: arrivals" in " ".join(done.output.split())
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_columns(tmp_path: Path):
    """One's own columns are named; a single request has a span of 0 and no statistics."""
    path = tmp_path / "own.csv"
    path.write_text("a,b,c\n7,1,2\n")
    done = run(path, "--columns", "time=a,prompt_tokens=b,output_tokens=c")

    assert done.exit_code == 0
    assert "1 requests in 0 s" in done.output
    assert "nan" not in done.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "azur"], "--format: There is no format 'azur'. Did you mean azure?"),
        (["--columns", "tme=a"], "--columns: There is no field 'tme'. Did you mean time?"),
        (["--columns", "time"], "'time' names no column. Write FIELD=COLUMN"),
        (["--format", "azure", "--columns", "time=a"], "The format azure has columns of its own."),
        (["--out", "chart"], "chart is not the name of a picture. Write FILE.png."),
        (["--format", "csv"], "There is no column 'time'."),
    ],
)
def test_refusals(file: Path, words: list[str], message: str):
    """A wrong word is answered with what to write instead."""
    done = run(file, *words)

    assert done.exit_code == 2
    assert message in done.output


def test_a_poisson_process_has_the_statistics_of_one():
    """CV and IDC are 1 but for the draw: their standard errors are about 1/√n and √(2/windows)."""
    count = 100_000
    times_s = np.cumsum(np.random.default_rng(3).standard_exponential(count)) / 20.0
    tokens = np.arange(count)
    found = describe(Trace(times_s - times_s[0], tokens, tokens))

    assert found.gap_cv == pytest.approx(1.0, abs=3.5 / math.sqrt(count))
    for window_s, value in found.idc.items():
        windows = found.span_s / window_s
        assert value == pytest.approx(1.0, abs=3.5 * math.sqrt(2.0 / windows))
    assert found.correlation == pytest.approx(1.0)
    assert found.quantised is None
