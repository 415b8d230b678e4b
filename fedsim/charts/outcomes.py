"""How requests ended, and what attempts were for, over time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from numpy.typing import NDArray

from fedsim.charts.faults import fault_intervals, shade
from fedsim.charts.figure import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    blank_chart,
    drawn_on,
    hatch_warmup,
    legend_above,
    new_panels,
    tidy,
    time_axis,
)
from fedsim.charts.timeline import bin_edges_s, bin_width_s

_OUTCOMES = "How requests failed, and when"
_ATTEMPTS = "What retries and hedges cost: attempts and wasted work over time"
_LOOKS = (
    (VERMILLION, ""), (BLUE, "////"), (ORANGE, "...."), (PURPLE, ""), (SKY, "xxxx"), (GREEN, ""),
    (GREY, "////"),
)  # fmt: skip
"""Colours and hatches of kinds, one after the other."""


def outcomes(
    requests: pd.DataFrame,
    events: pd.DataFrame,
    *,
    end_s: float,
    arrivals_end_s: float,
    warmup_s: float = 0.0,
    subtitle: str = "",
    figure: FigureBase | None = None,
) -> Figure:
    """Draw the requests that succeeded per second, and below those that did not, by kind.

    Both are binned by the time of arrival; kinds are stacked, the most frequent below.

    Args:
        requests: Columns ``arrived_s``, ``outcome``.
        events: The events table, for faults; see ``fault_intervals``.
        end_s: Until when faults last that never end, in seconds.
        arrivals_end_s: Right end of the time axis: when arrivals stopped, in seconds.
        warmup_s: What lies before it is hatched, as summaries leave it out.
        subtitle: Where the numbers come from.
        figure: A figure or subfigure to draw into.
    """
    if requests.empty:
        sentence = "No request arrived, so there is nothing to show."
        return blank_chart(_OUTCOMES, subtitle, sentence, figure=figure)
    chart = new_panels(_OUTCOMES, subtitle, 4.6, figure)
    above, below = chart.subplots(2, 1, sharex=True)
    edges_s = bin_edges_s(bin_width_s(arrivals_end_s, len(requests)), arrivals_end_s)
    arrived_s, outcome = requests["arrived_s"].to_numpy(), requests["outcome"].astype(str)
    counts = outcome[outcome != "ok"].value_counts(sort=True)
    ok = _rates(arrived_s[(outcome == "ok").to_numpy()], edges_s)
    above.stairs(ok, edges_s, baseline=None, color=GREEN, linewidth=1.4, label="ok")
    _stack(
        below,
        edges_s,
        {
            f"{kind} ({count:,})": _rates(arrived_s[(outcome == kind).to_numpy()], edges_s)
            for kind, count in counts.items()
        },
    )
    for axes, label in ((above, "successful\nrequests/s"), (below, "failed\nrequests/s")):
        _finish(axes, label)
        shade(axes, fault_intervals(events, end_s))
        hatch_warmup(axes, warmup_s)
    if counts.empty:
        below.text(0.5, 0.5, "none failed", transform=below.transAxes, color=GREY, ha="center")
    _time_axis(below, arrivals_end_s, edges_s, warmup_s)
    return drawn_on(chart)


def attempts(
    table: pd.DataFrame,
    events: pd.DataFrame,
    *,
    end_s: float,
    warmup_s: float = 0.0,
    subtitle: str = "",
    figure: FigureBase | None = None,
) -> Figure:
    """Draw the attempts per second by what they were, and the slots busy with those in vain.

    Args:
        table: Columns ``attempt``, ``hedge``, ``outcome``, ``started_s``, ``queue_wait_s``,
            ``service_s``; a row per attempt.
        events: The events table, for faults; see ``fault_intervals``.
        end_s: Right end of the time axis in seconds.
        warmup_s: What lies before it is hatched, as summaries leave it out.
        subtitle: Where the numbers come from.
        figure: A figure or subfigure to draw into.
    """
    if table.empty:
        sentence = "No request was ever sent to a node."
        return blank_chart(_ATTEMPTS, subtitle, sentence, figure=figure)
    chart = new_panels(_ATTEMPTS, subtitle, 4.6, figure)
    above, below = chart.subplots(2, 1, sharex=True)
    edges_s = bin_edges_s(bin_width_s(end_s, len(table)), end_s)
    started_s, hedge = table["started_s"].to_numpy(), table["hedge"].to_numpy(dtype=bool)
    again = (table["attempt"].to_numpy() > 1) & ~hedge
    parts = {"first": ~again & ~hedge, "retries": again, "hedges": hedge}
    _stack(
        above,
        edges_s,
        {
            f"{name} ({int(rows.sum()):,})": _rates(started_s[rows], edges_s)
            for name, rows in parts.items()
            if rows.any()
        },
        looks=((SKY, ""), (VERMILLION, "////"), (PURPLE, "....")),
    )
    wasted = table[(table["outcome"].astype(str) != "ok").to_numpy()]
    busy = busy_slots(wasted, edges_s)
    all_s = float(table["service_s"].sum())
    share = 100.0 * float(wasted["service_s"].sum()) / all_s if all_s else 0.0
    label = f"in attempts without an answer: {share:.2g} % of all time in slots"
    below.stairs(
        busy, edges_s, fill=True, color=ORANGE, hatch="////", edgecolor="white", label=label
    )
    for axes, words in ((above, "attempts/s"), (below, "slots, mean of bin")):
        _finish(axes, words)
        shade(axes, fault_intervals(events, end_s))
        hatch_warmup(axes, warmup_s)
    _time_axis(below, end_s, edges_s, warmup_s)
    return drawn_on(chart)


def busy_slots(table: pd.DataFrame, edges_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return how many slots attempts held, as the mean over each bin.

    An attempt holds one for its ``service_s``, which begins after its ``queue_wait_s``; the way
    there is left out.
    """
    from fedsim.charts.timeline import area

    held = table[table["service_s"].notna()]
    began_s = (held["started_s"] + held["queue_wait_s"].fillna(0.0)).to_numpy()
    ended_s = began_s + held["service_s"].to_numpy()
    spent = area(np.sort(began_s), edges_s) - area(np.sort(ended_s), edges_s)
    slots: NDArray[np.float64] = np.diff(spent) / np.diff(edges_s)
    return slots


def _rates(times_s: NDArray[np.float64], edges_s: NDArray[np.float64]) -> NDArray[np.float64]:
    rates: NDArray[np.float64] = np.histogram(times_s, edges_s)[0] / np.diff(edges_s)
    return rates


def _stack(
    axes: Axes,
    edges_s: NDArray[np.float64],
    parts: Mapping[str, NDArray[np.float64]],
    looks: tuple[tuple[str, str], ...] = _LOOKS,
) -> None:
    """Draw series on top of each other, each with a colour and a hatch."""
    base = np.zeros(len(edges_s) - 1)
    for place, (name, values) in enumerate(parts.items()):
        colour, hatch = looks[place % len(looks)]
        look: dict[str, Any] = {"facecolor": colour, "hatch": hatch, "edgecolor": "white"}
        axes.stairs(base + values, edges_s, baseline=base, fill=True, label=name, lw=0.0, **look)
        base = base + values


def _finish(axes: Axes, label: str) -> None:
    tidy(axes)
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel(label, size=9, color=INK)
    if axes.get_legend_handles_labels()[0]:
        legend_above(axes, right=True, ncols=5)


def _time_axis(axes: Axes, end_s: float, edges_s: NDArray[np.float64], warmup_s: float) -> None:
    notes = ["hatched: warm-up"] if warmup_s > 0.0 else []
    time_axis(axes, end_s, f"bins of {edges_s[1] - edges_s[0]:g} s", "shaded: faults", *notes)
