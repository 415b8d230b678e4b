"""The retry storm: overloaded for good without a budget of retries, and recovered with one."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

import fedsim
from fedsim.charts.recovery import recovery
from fedsim.results.run import Run

PATH = Path(__file__).resolve().parents[2] / "scenarios" / "retry-storm.yaml"
BUDGET = {"federation.retries.budget": "10%"}
SLOW_S, WELL_S = 300.0, 420.0
SHORT = {"duration": "12min", "drain": "30s"}


@cache
def storm(budget: bool) -> Run:
    """Return the run of the scenario, up to five minutes after the slowdown's end."""
    return fedsim.simulate(fedsim.load(PATH, SHORT | (BUDGET if budget else {})))


def success_rate(run: Run, begin_s: float, end_s: float) -> float:
    """Return the share of the requests of a span of time that were served."""
    requests = run.requests
    there = requests["arrived_s"].between(begin_s, end_s, inclusive="left")
    return float((requests[there]["outcome"] == "ok").mean())


@pytest.mark.parametrize("budget", [False, True])
def test_all_is_well_before(budget: bool):
    """Until the slowdown, retries make no difference."""
    assert success_rate(storm(budget), 60.0, SLOW_S) > 0.99


def test_without_a_budget_it_stays_overloaded():
    """Two to five minutes after the slowdown nearly nobody is served, at four attempts each."""
    run = storm(False)

    assert success_rate(run, WELL_S + 120.0, 720.0) < 0.05
    attempts = run.requests[run.requests["arrived_s"].between(WELL_S + 120.0, 700.0)]["attempts"]
    assert attempts.mean() > 3.5
    assert run.summary()["wasted_share"].iloc[0] > 0.5


def test_with_a_budget_it_recovers():
    """Two minutes after the slowdown all is well again, and retries stay within the budget."""
    run = storm(True)

    assert success_rate(run, WELL_S + 120.0, 720.0) > 0.99
    retries = len(run.attempts) - len(run.requests)
    assert retries <= 0.1 * len(run.requests) + 11 * 76


def test_the_chart():
    """Both runs stand in one chart, with a line each for success and attempts."""
    runs = {"without": storm(False), "with": storm(True)}

    chart = recovery(
        {label: run.requests for label, run in runs.items()},
        {label: run.attempts for label, run in runs.items()},
        storm(True).events,
        end_s=720.0,
    )

    above, below = chart.axes
    success = {line.get_label(): np.asarray(line.get_ydata(), float) for line in above.lines}
    assert list(success) == ["without", "with"]
    assert success["without"][-2] < 0.05
    assert success["with"][-2] > 0.95
    assert len(below.lines) == 2


def test_an_empty_chart():
    """Without requests the chart says so."""
    run = storm(True)
    chart = recovery(
        {"none": run.requests[:0]}, {"none": run.attempts[:0]}, run.events, end_s=720.0
    )

    assert "nothing to show" in chart.texts[-1].get_text()
