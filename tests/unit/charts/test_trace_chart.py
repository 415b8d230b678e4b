"""The chart of a trace shows what the trace says."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from matplotlib.patches import StepPatch

from fedsim.charts.trace import trace_overview


def trace_of(times_s: list[float]) -> pd.DataFrame:
    """Return a trace with growing prompts and answers of one length."""
    count = len(times_s)
    columns = {"time_s": times_s, "prompt_tokens": range(count), "output_tokens": [5] * count}
    return pd.DataFrame(columns)


@pytest.mark.parametrize("span_s", [0.5, 100.0, 3_600.0, 90_000.0, 2_000_000.0])
def test_rate_counts_every_request(span_s: float):
    """Windows have a round length, are all full, and together hold all but the last few."""
    times_s = np.linspace(0.0, span_s, 5_000)
    chart = trace_overview(trace_of(times_s.tolist()), subtitle="a.csv")
    chart.savefig(BytesIO())
    [steps] = [each for each in chart.axes[0].patches if isinstance(each, StepPatch)]
    rates, edges, _ = steps.get_data()

    assert 50 <= len(rates) <= 240
    assert rates == pytest.approx(5_000 / span_s, rel=0.1)
    assert np.diff(edges) == pytest.approx(edges[1] - edges[0])
    assert "a.csv" in [text.get_text() for text in chart.texts]


def test_gaps_and_sizes_are_complementary_distributions():
    """Curves fall from all requests to the last one."""
    times_s = np.cumsum(np.random.default_rng(1).standard_exponential(20_000))
    chart = trace_overview(trace_of(times_s.tolist()))
    for axes in chart.axes[1:]:
        shares = np.asarray(axes.lines[0].get_ydata())

        assert shares[0] == 1.0
        assert np.all(np.diff(shares) < 0.0)
        assert shares[-1] == pytest.approx(1.0 / 20_000, rel=0.01)


@pytest.mark.parametrize("times_s", [[0.0], [0.0, 0.0]])
def test_one_time(times_s: list[float]):
    """Where there is no span there is a sentence."""
    texts = [text.get_text() for text in trace_overview(trace_of(times_s)).texts]

    assert "All requests come at one time." in texts
