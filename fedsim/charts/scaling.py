"""How a scaler followed the load: nodes ordered, ready, paid for and needed over time."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from numpy.typing import NDArray

from fedsim.charts.figure import (
    BLUE,
    GREEN,
    INK,
    PALE,
    VERMILLION,
    blank_chart,
    drawn_on,
    legend_above,
    new_panels,
    tidy,
    time_axis,
)
from fedsim.charts.timeline import area

_TITLE = "Did the nodes come in time: nodes ordered, ready and needed"
_MOST_POOLS = 6
_BINS = 200
_PAID = ("starting", "ready", "draining")


def scaling(
    events: pd.DataFrame,
    attempts: pd.DataFrame,
    totals: pd.DataFrame,
    *,
    end_s: float,
    subtitle: str = "",
    figure: FigureBase | None = None,
) -> Figure:
    """Draw a panel for each pool that a scaler has changed.

    Needed are the requests in flight to the pool, as the mean over a bin, by the slots of a node.

    Args:
        events: Columns ``time_s``, ``kind``, ``subject``, ``before``, ``after``; rows whose kind is
            ``scaler`` or ``presence`` count.
        attempts: Columns ``node``, ``started_s``, ``finished_s``.
        totals: Columns ``node``, ``pool``, ``slots``, ``paid_s``.
        end_s: Right end of the time axis in seconds.
        subtitle: Where the numbers come from.
        figure: A figure or subfigure to draw into.
    """
    presence = events[events["kind"] == "presence"]
    decisions = events[events["kind"] == "scaler"]
    pool_of = dict(zip(totals["node"].astype(str), totals["pool"].astype(str), strict=True))
    scaled = {pool_of[str(node)] for node in presence["subject"]}
    scaled |= {str(pool) for pool in decisions["subject"]}
    pools = [pool for pool in dict.fromkeys(pool_of.values()) if pool in scaled]
    if not pools:
        sentence = "No scaler changed anything, so there is nothing to show."
        return blank_chart(_TITLE, subtitle, sentence, figure=figure)
    shown = pools[:_MOST_POOLS]
    chart = new_panels(_TITLE, subtitle, 1.2 + 2.3 * len(shown), figure)
    panels = np.atleast_1d(chart.subplots(len(shown), 1, sharex=True))
    for axes, pool in zip(panels, shown, strict=True):
        rows = totals[totals["pool"].astype(str) == pool]
        nodes = set(rows["node"].astype(str))
        own = presence[presence["subject"].isin(nodes)]
        _draw(axes, own, decisions[decisions["subject"] == pool], rows, end_s)
        sent = attempts[attempts["node"].astype(str).isin(nodes)]
        _needed(axes, sent, float(rows["slots"].iloc[0]), end_s)
        tidy(axes)
        axes.set_ylim(bottom=0.0)
        axes.set_ylabel(f"{pool}: nodes", size=9, color=INK)
    legend_above(panels[0], right=True)
    left_out = len(pools) - len(shown)
    time_axis(panels[-1], end_s, *([f"{left_out} more pools are not shown"] if left_out else []))
    return drawn_on(chart)


def _draw(
    axes: Axes, presence: pd.DataFrame, decisions: pd.DataFrame, rows: pd.DataFrame, end_s: float
) -> None:
    """Draw what is paid for, what is ready, and what the scaler wants."""
    first = presence.drop_duplicates("subject").set_index("subject")["before"]
    before = rows["node"].astype(str).map(first)
    starts = int(((before == "ready") | (before.isna() & (rows["paid_s"] > 0.0))).sum())
    paid = _steps(presence, _PAID, starts, end_s)
    axes.fill_between(*paid, step="post", color=PALE, label="paid for", linewidth=0)
    wanted = np.array([starts, *decisions["after"].astype(float)])
    times_s = np.array([0.0, *decisions["time_s"], end_s])
    axes.step(
        times_s, np.append(wanted, wanted[-1]), where="post", color=BLUE, linewidth=1.2,
        linestyle=(0, (4, 2)), label="ordered",
    )  # fmt: skip
    ready = _steps(presence, ("ready",), starts, end_s)
    axes.step(*ready, where="post", color=GREEN, linewidth=1.6, label="ready")


def _steps(
    presence: pd.DataFrame, states: tuple[str, ...], start: int, end_s: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times, and how many nodes were in one of *states* from each on."""
    after, before = (presence[name].isin(states).astype(int) for name in ("after", "before"))
    times_s = np.array([0.0, *presence["time_s"], end_s])
    counts = start + np.array([0, *np.cumsum(after - before)], dtype=np.float64)
    return times_s, np.append(counts, counts[-1])


def _needed(axes: Axes, attempts: pd.DataFrame, slots: float, end_s: float) -> None:
    """Draw the mean number of requests in flight in each bin, by the slots of a node."""
    edges_s = np.linspace(0.0, end_s, _BINS + 1)
    came_s = np.sort(attempts["started_s"].to_numpy())
    left_s = np.sort(attempts["finished_s"].fillna(end_s).to_numpy())
    spent = area(came_s, edges_s) - area(left_s, edges_s)
    needed = np.diff(spent) / np.diff(edges_s) / slots
    label = "needed (requests in flight / slots)"
    axes.stairs(needed, edges_s, baseline=None, color=VERMILLION, linewidth=1.1, label=label)
