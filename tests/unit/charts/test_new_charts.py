"""Charts of outcomes, attempts, regions, costs and nodes show what their tables say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch

from fedsim.charts.outcomes import attempts, busy_slots, outcomes
from fedsim.charts.plan import nodes
from fedsim.charts.regions import flows, regions, served_by
from fedsim.charts.tradeoff import cost_goodput, unbeaten
from fedsim.results.run import Run
from tests.fake_world import FakeWorld

NOTHING = pd.DataFrame(columns=["time_s", "kind", "subject", "before", "after"])
"""No events."""


@pytest.fixture(scope="module")
def run() -> Run:
    """A run with an outage and a slow node."""
    return FakeWorld(duration_s=100.0).run()


def steps(axes: Axes) -> dict[str, Any]:
    """Return the steps drawn on axes by their labels without what follows the name."""
    return {
        str(each.get_label()).split(" (")[0].split(":")[0]: each.get_data()
        for each in axes.patches
        if isinstance(each, StepPatch)
    }


@pytest.mark.parametrize("name", ["outcomes", "attempts", "regions", "flows"])
def test_of_a_run(run: Run, name: str) -> None:
    """Each has headings, a unit or scale, and something to read off; none for an empty run."""
    chart = getattr(run.plot, name)()
    empty = getattr(FakeWorld(duration_s=0.0, warmup_s=0.0, outage_s=None).run().plot, name)()

    assert "made-up · round_robin · seed 1 · n = " in chart.texts[1].get_text()
    assert any(axes.has_data() for axes in chart.axes)
    assert not empty.axes
    assert empty.texts[-1].get_text().endswith(".")


def test_outcomes_add_up() -> None:
    """Steps times their widths are the requests of each kind, stacked."""
    kinds = ["ok", "ok", "timeout", "ok", "no_capacity", "timeout"]
    requests = pd.DataFrame({"arrived_s": np.arange(600) / 10.0, "outcome": kinds * 100})

    above, below = outcomes(requests, NOTHING, end_s=61.0, arrivals_end_s=60.0).axes
    counts = requests["outcome"].value_counts()

    ok = steps(above)["ok"]
    assert (ok.values * np.diff(ok.edges)).sum() == pytest.approx(counts["ok"])
    failed = steps(below)
    assert set(failed) == set(counts.index) - {"ok"}
    for kind, drawn in failed.items():
        heights = drawn.values - drawn.baseline
        assert (heights * np.diff(drawn.edges)).sum() == pytest.approx(counts[kind])


def test_slots_of_failed_attempts() -> None:
    """An attempt holds a slot from the end of its wait; integrals are its time in service."""
    table = pd.DataFrame(
        {"started_s": [0.0, 3.0, 5.0], "queue_wait_s": [1.0, np.nan, 0.0],
         "service_s": [4.0, 2.0, np.nan]}
    )  # fmt: skip

    slots = busy_slots(table, np.array([0.0, 2.0, 4.0, 10.0]))

    assert slots == pytest.approx([0.5, 1.5, 2.0 / 6.0])


def test_attempts_by_what_they_were() -> None:
    """A second attempt is a retry, unless it is a hedge; the share is of the time in slots."""
    table = pd.DataFrame(
        {"attempt": [1, 2, 1, 2], "hedge": [False, False, False, True],
         "outcome": ["timeout", "ok", "cancelled", "ok"], "started_s": [1.0, 2.0, 3.0, 4.0],
         "queue_wait_s": 0.0, "service_s": [3.0, 1.0, 1.0, 5.0]}
    )  # fmt: skip

    chart = attempts(table, NOTHING, end_s=12.0)

    labels = [text.get_text() for axes in chart.axes for text in legend(axes)]
    assert labels[:3] == ["first (2)", "retries (1)", "hedges (1)"]
    assert labels[3].endswith("40 % of all time in slots")


def test_goodput_of_regions() -> None:
    """A line is the share of the good ones of each bin; a bin without requests has none."""
    requests = pd.DataFrame(
        {"arrived_s": [0.5, 0.6, 5.0, 11.5], "origin": ["us", "us", "eu", "us"],
         "good": [True, False, True, True]}
    )  # fmt: skip

    chart = regions(requests, NOTHING, end_s=12.0, arrivals_end_s=12.0)

    drawn = steps(chart.axes[-1])
    us = drawn["us"].values
    assert (us[0], us[-1]) == (0.5, 1.0)
    assert np.isnan(us[1:-1]).all()
    assert np.nanmax(drawn["eu"].values) == 1.0


def test_who_serves_whom() -> None:
    """Rows are regions of origin, columns those that answered, and the last what none did."""
    places = pd.CategoricalDtype(["us", "eu"])
    requests = pd.DataFrame(
        {"origin": ["us", "us", "eu", "eu"], "region": ["us", "eu", "us", None],
         "outcome": ["ok", "ok", "ok", "no_capacity"]}
    ).astype({"origin": places, "region": places})  # fmt: skip

    counts = served_by(requests)

    assert counts.to_numpy().tolist() == [[1, 1, 0], [1, 0, 1]]
    assert list(counts.columns) == ["us", "eu", "not answered"]
    written = [text.get_text() for text in flows(requests).axes[0].texts]
    assert written == ["50.00 %\n1", "50.00 %\n1", "–", "50.00 %\n1", "–", "50.00 %\n1"]


def test_unbeaten() -> None:
    """A strategy is beaten by one that is no worse in both, and better in one."""
    table = pd.DataFrame({"cost": [1.0, 2.0, 2.0, 3.0], "goodput": [90.0, 95.0, 90.0, 95.0]})

    assert unbeaten(table).tolist() == [True, True, False, False]
    equal = pd.DataFrame({"cost": [1.0, 1.0], "goodput": [90.0, 90.0]})
    assert unbeaten(equal).tolist() == [True, True]


def test_cost_against_goodput() -> None:
    """Every strategy with both is named; without prices there is a sentence."""
    ends = ("cost_low", "cost_high", "goodput_low", "goodput_high")
    table = pd.DataFrame({"strategy": ["a", "b"], "cost": [1.0, 2.0], "goodput": [99.0, 98.0]})
    table = table.assign(**dict.fromkeys(ends, np.nan))

    chart = cost_goodput(table, cost="cost (USD)")

    assert [text.get_text() for text in chart.axes[0].texts] == ["a", "b"]
    assert not cost_goodput(table.assign(cost=np.nan), cost="cost (USD)").axes


def test_nodes_by_the_bound_that_decides() -> None:
    """Each bound has its shape; fleets that hold are filled, and those far above stay in sight."""
    rows = {"nodes": [4, 5, 6], "share": [9.0, 1.1, 0.8], "bound": ["p99", "p99", "goodput"]}

    axes = nodes(pd.DataFrame(rows | {"held": [False, False, True]})).axes[0]

    assert [text.get_text() for text in legend(axes)] == ["p99 (2)", "goodput (1)", "limit"]
    points: Any = [each for each in axes.collections if np.asarray(each.get_offsets()).size]
    assert np.asarray(points[0].get_offsets()).tolist() == [[4.0, 2.5], [5.0, 1.1]]
    assert points[0].get_facecolor()[:, 3].tolist() == [0.0, 0.0]
    assert points[1].get_facecolor()[:, 3].tolist() == [1.0]


def legend(axes: Axes) -> list[Any]:
    """Return the texts of a legend."""
    found = axes.get_legend()
    return [] if found is None else found.get_texts()


def test_figures_that_are_given(run: Run) -> None:
    """They go into a figure or axes as the others do."""
    figure = Figure()
    left, right = np.ravel(np.array(figure.subfigures(1, 2), dtype=object))

    assert run.plot.outcomes(figure=left) is figure
    assert len(left.axes) == 2
    assert not right.axes
    assert run.plot.flows(ax=right.subplots()) is figure


def test_nothing_failed() -> None:
    """The lower panel says so."""
    requests = pd.DataFrame({"arrived_s": [1.0, 2.0], "outcome": "ok"})

    chart = outcomes(requests, NOTHING, end_s=3.0, arrivals_end_s=3.0)

    assert chart.axes[1].texts[0].get_text() == "none failed"
