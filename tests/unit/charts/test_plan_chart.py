"""The chart of a plan: every fleet once, the limit, and what is above the top."""

from __future__ import annotations

import pandas as pd

from fedsim.charts.plan import costs

ROWS = [
    {"cost": 4.0, "share": 9.0, "low": 8.0, "high": 10.0, "verdict": "violated", "name": ""},
    {"cost": 6.0, "share": 1.2, "low": 1.1, "high": 1.3, "verdict": "violated", "name": ""},
    {"cost": 7.0, "share": 1.0, "low": 0.9, "high": 1.1, "verdict": "not decided", "name": ""},
    {"cost": 8.0, "share": 0.7, "low": 0.6, "high": 0.8, "verdict": "held", "name": "2 a"},
]


def test_shows_fleets_by_verdict_and_names_the_answer():
    """Legend with counts, axes with units, a triangle for what is far above."""
    chart = costs(pd.DataFrame(ROWS), label="cost (USD/h)", title="The cheapest", bound=5.0)
    (axes,) = chart.axes
    legend = axes.get_legend()
    assert legend is not None
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["held in every case (1)", "not decided (1)", "violated (2)"]
    assert axes.get_xlabel() == "cost (USD/h)"
    assert "▲ above 250 %" in axes.get_ylabel()
    assert {"2 a", "limit", "mean capacity suffices from here"} <= {
        text.get_text() for text in axes.texts
    }


def test_says_that_there_is_nothing_to_draw():
    """A box of which every fleet is left out without a run."""
    chart = costs(pd.DataFrame(ROWS).head(0), label="nodes", title="None")
    assert "No fleet was run." in [text.get_text() for text in chart.texts]
