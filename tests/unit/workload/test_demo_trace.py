"""The synthetic trace that the demonstration replays."""

from __future__ import annotations

import gzip
import runpy
from pathlib import Path

import numpy as np
import pytest

from fedsim.workload.traces.reading import read_azure

SCENARIOS = Path(__file__).resolve().parents[3] / "scenarios"
TRACE = SCENARIOS / "traces" / "synthetic_code.csv.gz"


def test_script_reproduces_the_file():
    """The committed trace is what its script writes, byte for byte."""
    script = runpy.run_path(str(SCENARIOS / "make_demo_trace.py"))

    assert gzip.decompress(TRACE.read_bytes()) == script["content"]()


def test_has_the_published_statistics():
    """Rate, burstiness and sizes are near those of the trace that it stands in for."""
    trace = read_azure(TRACE)
    gaps_s = np.diff(trace.times_s)

    assert len(trace) == 3000
    assert 1 / gaps_s.mean() == pytest.approx(2.57, rel=0.01)
    assert gaps_s.std() / gaps_s.mean() == pytest.approx(3.0, rel=0.03)
    assert trace.prompt_tokens.mean() == pytest.approx(2048, rel=0.01)
    assert trace.output_tokens.mean() == pytest.approx(28, rel=0.02)
    assert np.quantile(trace.prompt_tokens, [0.5, 0.9, 0.99]) == pytest.approx(
        [1469, 5188, 7436], rel=0.01
    )
    assert np.quantile(trace.output_tokens, [0.5, 0.9, 0.99]) == pytest.approx(
        [13, 55, 252], rel=0.01
    )


def test_is_labelled():
    """Both the script and the folder say that the trace is synthetic."""
    assert "SYNTHETIC" in (SCENARIOS / "make_demo_trace.py").read_text()
    assert "**synthetic**" in (TRACE.parent / "README.md").read_text()
