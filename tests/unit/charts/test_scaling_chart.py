"""The chart of scaling shows what was paid for, ordered, ready and needed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from fedsim.charts.scaling import scaling

TOTALS = pd.DataFrame({
    "node": ["chat-0", "chat-1", "chat-2", "old-0"], "pool": ["chat", "chat", "chat", "old"],
    "slots": [2, 2, 2, 2], "paid_s": [100.0, 60.0, 0.0, 100.0],
})  # fmt: skip
EVENTS = pd.DataFrame(
    [
        (20.0, "scaler", "chat", "1", "2"),
        (20.0, "presence", "chat-1", "absent", "starting"),
        (30.0, "presence", "chat-1", "starting", "ready"),
        (70.0, "scaler", "chat", "2", "1"),
        (70.0, "presence", "chat-1", "ready", "draining"),
        (80.0, "presence", "chat-1", "draining", "absent"),
    ],
    columns=pd.Index(["time_s", "kind", "subject", "before", "after"]),
)
ATTEMPTS = pd.DataFrame({
    "node": ["chat-0", "chat-1", "chat-0", "old-0"],
    "started_s": [0.0, 40.0, 50.0, 0.0], "finished_s": [100.0, 60.0, np.nan, 100.0],
})  # fmt: skip


def points(line: Any) -> list[tuple[float, float]]:
    """Return the points of a line."""
    return [(float(x), float(y)) for x, y in line.get_xydata()]


class TestScaling:
    def test_lines_are_what_happened(self):
        """A step for each change, and the mean in flight by the two slots of a node."""
        chart = scaling(EVENTS, ATTEMPTS, TOTALS, end_s=100.0)
        (axes,) = chart.axes
        ordered, ready = axes.lines
        assert points(ordered) == [(0, 1), (20, 2), (70, 1), (100, 1)]
        steps = dict(points(ready))
        assert steps == {0.0: 1, 20.0: 1, 30.0: 2, 70.0: 1, 80.0: 1, 100.0: 1}
        (needed,) = [patch for patch in axes.patches if hasattr(patch, "get_data")]
        values, edges_s, _ = needed.get_data()
        at = {
            time_s: values[np.searchsorted(edges_s, time_s) - 1]
            for time_s in (10.0, 45.0, 55.0, 90.0)
        }
        assert at == {10.0: 0.5, 45.0: 1.0, 55.0: 1.5, 90.0: 1.0}
        assert axes.get_ylabel() == "chat: nodes"
        assert axes.get_xlabel() == "simulated time (s)"

    def test_without_a_scaler_it_says_so(self):
        """In a sentence."""
        chart = scaling(EVENTS.iloc[:0], ATTEMPTS, TOTALS, end_s=100.0)
        assert any("No scaler changed anything" in text.get_text() for text in chart.texts)
