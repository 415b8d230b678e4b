"""Charts of sweeps: lines and bands, text axes, heat maps, and what has no value."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pandas as pd

from fedsim.charts.sweep import curves, heat_map


def table(at=(1.0, 2.0, 4.0), lines=("a", "b"), factor=1.0):
    """Return means of 1, 2, … with intervals of a tenth."""
    rows = [
        (line, x, mean := factor**n * (n + 1.0), 0.9 * mean, 1.1 * mean)
        for line in lines
        for n, x in enumerate(at)
    ]
    return pd.DataFrame(rows, columns=["line", "at", "mean", "low", "high"])


def test_curves_has_a_line_and_a_band_for_each_combination():
    """Numbers stand where they are, the limit is a line."""
    chart = curves(
        table(), label="latency", key="rate (req/s)", lines="strategy", unit="s", limit=2.5
    )
    chart.savefig(BytesIO())
    (axes,) = chart.axes
    named = {line.get_label(): line for line in axes.get_lines()}
    assert np.asarray(named["a"].get_xdata()).tolist() == [1.0, 2.0, 4.0]
    assert np.asarray(named["b"].get_ydata()).tolist() == [1.0, 2.0, 3.0]
    assert len(axes.collections) == 2
    assert axes.get_ylabel() == "latency (s)"
    assert axes.get_xlabel() == "rate (req/s)"
    assert "limit 2.5 s" in [text.get_text() for text in axes.texts]
    assert axes.get_yscale() == "linear"
    legend = axes.get_legend()
    assert legend is not None
    assert legend.get_title().get_text() == "strategy"


def test_curves_does_not_join_texts():
    """Strategies stand side by side, points of two lines apart, each with a bar."""
    chart = curves(table(("x", "y")), label="goodput", key="strategy", unit="%")
    (axes,) = chart.axes
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["x", "y"]
    first, second = axes.get_lines()[:2]
    assert first.get_linestyle() == "None"
    ends = [np.asarray(line.get_xdata()).tolist()[0] for line in (first, second)]
    assert ends[0] < 0.0 < ends[1]


def test_curves_is_logarithmic_where_values_grow_by_far():
    """Beyond saturation a latency is a hundred times that before."""
    chart = curves(table(factor=10.0), label="latency", key="rate", unit="s")
    assert chart.axes[0].get_yscale() == "log"


def test_heat_map_has_a_field_for_each_combination():
    """Numbers ascend, and each field has its value."""
    shuffled = table((4.0, 1.0, 2.0))
    chart = heat_map(shuffled, label="latency", keys=["rate (req/s)", "strategy"], unit="s")
    chart.savefig(BytesIO())
    axes = chart.axes[0]
    (image,) = axes.get_images()
    assert image.origin == "upper"  # texts read from the top
    assert np.asarray(image.get_array()).tolist() == [[2.0, 3.0, 1.0]] * 2
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2", "4"]
    assert sorted(text.get_text() for text in axes.texts) == ["1", "1", "2", "2", "3", "3"]


def test_shares_next_to_the_whole_are_told_from_it():
    """A field has three digits, and more where three would say 100 %."""
    points = {"at": [1.0, 2.0, 3.0, 4.0, 5.0], "line": ["a"] * 5}
    shares = pd.DataFrame(points | {"mean": [97.25, 99.5, 99.95, 99.99966, 100.0]})
    chart = heat_map(shares, label="success rate", keys=["rate", "strategy"], unit="%")
    texts = [text.get_text() for text in chart.axes[0].texts]
    assert texts == ["97.2", "99.5", "99.95", "99.9997", "100"]


def test_nothing_to_draw_is_said():
    """A sentence in place of empty axes."""
    nothing = table().assign(mean=np.nan)
    for chart in (
        curves(nothing, label="latency", key="rate"),
        heat_map(nothing, label="latency", keys=["rate", "strategy"]),
    ):
        assert "No point has a value of latency." in [text.get_text() for text in chart.texts]
