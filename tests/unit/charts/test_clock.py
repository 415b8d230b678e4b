"""The clock of an incident: on axes of simulated time, in sentences, and through a saved run."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import pytest

from fedsim.charts.clock import clock_time, put_on_clock
from fedsim.charts.figure import new_chart
from fedsim.results.run import Run
from tests.fake_world import FakeWorld


def start(text: str = "2026-11-03T14:05:00+00:00") -> datetime:
    """Return a time with a zone."""
    return datetime.fromisoformat(text)


def shown(begin: datetime, low_s: float, high_s: float) -> tuple[list[float], list[str], str]:
    """Return ticks, their texts and the label of an axis of simulated time, put on the clock."""
    axes = new_chart("t", "", 2.0).subplots()
    axes.set_xlim(low_s, high_s)
    axes.set_xlabel("simulated time (s); bins of 5 s")
    put_on_clock([axes], begin)
    return (
        list(axes.get_xticks()),
        [t.get_text() for t in axes.get_xticklabels()],
        axes.get_xlabel(),
    )


@pytest.mark.parametrize(
    ("begin", "after_s", "text"),
    [
        (start(), 0.0, "14:05:00 UTC"),
        (start(), 1e12, "after the year 9999"),
        (start(), 72.9, "14:06:12 UTC"),
        (start(), 36_000.0, "2026-11-04 00:05:00 UTC"),
        (start("2026-11-03T23:59:59+05:30"), 0.5, "23:59:59 UTC+05:30"),
    ],
)
def test_clock_times(begin: datetime, after_s: float, text: str):
    """Seconds, the zone, and the date where it is another one."""
    assert clock_time(begin, after_s) == text


def test_ticks_are_at_round_times_of_day():
    """Where the run begins at 14:05:20, its first round minute is after 40 s."""
    times_s, texts, label = shown(start("2026-11-03T14:05:20+01:00"), 0.0, 280.0)

    assert times_s == [40.0, 100.0, 160.0, 220.0, 280.0]
    assert texts == ["14:06", "14:07", "14:08", "14:09", "14:10"]
    assert label == "time (UTC+01:00); simulated time 0 is 2026-11-03 14:05:20; bins of 5 s"


@pytest.mark.parametrize("span_s", [0.5, 7.0, 3600.0, 90_000.0, 3e6])
def test_there_are_a_few_ticks_for_any_span(span_s: float):
    """Two to nine of them, within the axis; those of another day say which."""
    times_s, texts, _ = shown(start(), 0.0, span_s)

    assert 1 <= len(times_s) <= 9
    assert min(times_s) >= 0.0
    assert max(times_s) <= span_s
    assert any("Nov 04" in text for text in texts) is (span_s > 86_400.0 * 0.5 and span_s < 1e6)


def test_other_axes_stay():
    """An axis of latencies is not one of times of day."""
    axes = new_chart("t", "", 2.0).subplots()
    axes.set_xlabel("latency (s)")
    before = list(axes.get_xticks())
    put_on_clock([axes], start())

    assert list(axes.get_xticks()) == before
    assert axes.get_xlabel() == "latency (s)"


def test_charts_over_time_of_a_run(tmp_path: Path):
    """Each has the clock, also of a run that was saved; without a start none does."""
    run = FakeWorld(duration_s=200.0).run(start=start())
    again = Run.load(run.save(tmp_path / "run", charts=False))
    without = FakeWorld(duration_s=200.0).run()

    assert again.start == start()
    for each, count in ((run, 3), (again, 3), (without, 0)):
        charts = [getattr(each.plot, name)() for name in ("timeline", "utilization", "states")]
        labels = [axes.get_xlabel() for chart in charts for axes in chart.axes]
        begin = "time (UTC); simulated time 0 is 2026-11-03 14:05:00"
        assert sum(label.startswith(begin) for label in labels) == count
