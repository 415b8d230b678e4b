"""What fleets cost against how far they are from the limit of their objective."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fedsim.charts.figure import (
    DASHED,
    GREEN,
    GREY,
    INK,
    ORANGE,
    VERMILLION,
    blank_chart,
    colours,
    drawn_on,
    legend_above,
    one_panel,
    tidy,
)

_LOOKS = {
    "held": ("held in every case", GREEN, "o"),
    "not decided": ("not decided", ORANGE, "D"),
    "violated": ("violated", VERMILLION, "x"),
}
_MARKERS = ("o", "s", "D", "^", "v", "P")
_HIGHEST = 2.5
"""Fleets further above the limit than this factor are drawn at the top, as triangles."""


def costs(
    table: pd.DataFrame,
    *,
    label: str,
    title: str,
    subtitle: str = "",
    bound: float | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Draw the fleets that were run: what each costs, and its worst measure against the limit.

    Args:
        table: Columns ``cost``; ``share`` (the measure that decides, as a share of its limit) with
            the ends ``low`` and ``high`` of its interval; ``verdict``, one of ``held``,
            ``not decided`` and ``violated``; ``name``, empty but for fleets to be named.
        label: What the costs are, with their unit.
        title: What the chart is evidence for.
        subtitle: Where the numbers come from.
        bound: The cost below which the mean capacity cannot suffice, or None.
        ax: Axes to draw into.
    """
    shown = table[np.isfinite(table["share"].to_numpy(dtype=float))]
    if shown.empty:
        return blank_chart(title, subtitle, "No fleet was run.", ax=ax)
    axes = one_panel(title, subtitle, 4.6, ax)
    top = min(max(1.3, float(shown["share"].max()) * 1.1), _HIGHEST)
    middle = (float(shown["cost"].min()) + float(shown["cost"].max())) / 2.0
    for verdict in _LOOKS:
        _fleets(axes, shown[shown["verdict"] == verdict], verdict, top)
    axes.axhline(1.0, color=INK, linewidth=1.0, linestyle=DASHED)
    axes.annotate(
        "limit",
        (0.0, 1.0),
        xycoords=("axes fraction", "data"),
        xytext=(4, 3),
        textcoords="offset points",
        size=8.5,
        color=INK,
    )
    if bound is not None and np.isfinite(bound):
        axes.axvline(bound, color=GREY, linewidth=1.0, linestyle=":")
        _beside(axes, "mean capacity suffices from here", (bound, 0.06), bound > middle, GREY)
    for row in shown[shown["name"] != ""].to_dict("records"):
        place = (row["cost"], min(row["share"], top))
        # Below it, since the next cheaper fleets are to its left.
        _beside(axes, row["name"], place, row["cost"] > middle, INK, below=True)
    tidy(axes)
    axes.set_ylim(0.0, top)
    axes.yaxis.set_major_formatter(lambda value, _: f"{100.0 * value:g} %")
    axes.set_xlabel(label, size=9, color=INK)
    above = f"\n(▲ above {100.0 * top:g} %)" if (shown["share"] > top).any() else ""
    axes.set_ylabel(f"measure that decides, share of its limit{above}", size=9, color=INK)
    legend_above(axes)
    return drawn_on(axes)


def nodes(table: pd.DataFrame, *, subtitle: str = "", ax: Axes | None = None) -> Figure:
    """Draw the fleets that were run: their nodes, and the measure that binds against its limit.

    Args:
        table: Columns ``nodes``; ``share`` (the measure that decides, as a share of its limit);
            ``bound``, that measure in words; ``held``, whether the fleet holds the objective.
        subtitle: Where the numbers come from.
        ax: Axes to draw into.
    """
    title = "How many nodes the objective takes, and which of its bounds decides"
    shown = table[np.isfinite(table["share"].to_numpy(dtype=float))]
    if shown.empty:
        return blank_chart(title, subtitle, "No fleet was run.", ax=ax)
    axes = one_panel(title, subtitle, 4.6, ax)
    top = min(max(1.3, float(shown["share"].max()) * 1.1), _HIGHEST)
    names = list(dict.fromkeys(shown["bound"].astype(str)))
    for place, (name, (colour, _)) in enumerate(colours(names).items()):
        part = shown[(shown["bound"].astype(str) == name).to_numpy()]
        look: dict[str, Any] = {"marker": _MARKERS[place % len(_MARKERS)], "s": 38.0, "zorder": 3}
        faces = [colour if held else "none" for held in part["held"]]
        heights = part["share"].clip(upper=top)
        axes.scatter(part["nodes"], heights, facecolor=faces, edgecolor=colour, **look)
        axes.scatter([], [], color=colour, label=f"{name} ({len(part)})", **look)
    axes.axhline(1.0, color=INK, linewidth=1.0, linestyle=DASHED, label="limit")
    tidy(axes)
    axes.set_ylim(0.0, top * 1.02)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(lambda value, _: f"{100.0 * value:g} %")
    axes.set_xlabel("nodes of the fleet; filled: the objective is held", size=9, color=INK)
    above = f"\n(at the top: {100.0 * top:g} % or more)" if (shown["share"] > top).any() else ""
    axes.set_ylabel(f"bound that decides, share of its limit{above}", size=9, color=INK)
    legend_above(axes, ncols=3)
    return drawn_on(axes)


def _fleets(axes: Axes, part: pd.DataFrame, verdict: str, top: float) -> None:
    """Draw the fleets of a verdict with their intervals; a triangle at *top* for one above it."""
    words, color, marker = _LOOKS[verdict]
    above = part["share"] > top
    inside = part[~above]
    ends = (inside["low"].fillna(inside["share"]), inside["high"].clip(upper=top))
    axes.vlines(inside["cost"], *ends, color=color, linewidth=1.4, alpha=0.55)
    look: dict[str, Any] = {"s": 34.0, "color": color, "zorder": 3}
    if not part.empty:
        label = f"{words} ({len(part)})"
        axes.scatter(inside["cost"], inside["share"], marker=marker, label=label, **look)
    tops = np.full(int(above.sum()), top)
    axes.scatter(part["cost"][above], tops, marker="^", clip_on=False, **look)


def _beside(
    axes: Axes,
    text: str,
    place: tuple[float, float],
    left: bool,
    color: str,
    *,
    below: bool = False,
) -> None:
    """Write a text to the left or the right of a place, or below it and to that side."""
    across, down = (-7, -17) if below else (9, -3)
    axes.annotate(
        text,
        place,
        xytext=(-across if left else across, down),
        textcoords="offset points",
        size=8.5,
        color=color,
        ha="right" if left else "left",
    )
