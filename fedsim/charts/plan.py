"""What fleets cost against how far they are from the limit of their objective."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fedsim.charts.figure import (
    GREEN,
    GREY,
    INK,
    ORANGE,
    VERMILLION,
    Chart,
    blank_chart,
    new_chart,
    tidy,
)

_LOOKS = {
    "held": ("held in every case", GREEN, "o"),
    "not decided": ("not decided", ORANGE, "D"),
    "violated": ("violated", VERMILLION, "x"),
}
_HIGHEST = 5.0
"""Fleets further above the limit than this factor are drawn at the top."""


def costs(
    table: pd.DataFrame,
    *,
    label: str,
    title: str,
    subtitle: str = "",
    bound: float | None = None,
) -> Chart:
    """Draw the fleets that were run: what each costs, and its worst measure against the limit.

    Args:
        table: Columns ``cost``; ``share`` (the measure that decides, as a share of its limit) with
            the ends ``low`` and ``high`` of its interval; ``verdict``, one of ``held``,
            ``not decided`` and ``violated``; ``name``, empty but for fleets to be named.
        label: What the costs are, with their unit.
        title: What the chart is evidence for.
        subtitle: Where the numbers come from.
        bound: The cost below which the mean capacity cannot suffice, or None.
    """
    shown = table[np.isfinite(table["share"].to_numpy(dtype=float))]
    if shown.empty:
        return blank_chart(title, subtitle, "No fleet was run.")
    chart = new_chart(title, subtitle, 4.6)
    axes = chart.add_subplot()
    top = min(max(1.3, float(shown["share"].max()) * 1.1), _HIGHEST)
    for verdict, (words, color, marker) in _LOOKS.items():
        part = shown[shown["verdict"] == verdict]
        if part.empty:
            continue
        share = part["share"].clip(upper=top * 0.985)
        ends = (part["low"].fillna(part["share"]).clip(upper=top), part["high"].clip(upper=top))
        axes.vlines(part["cost"], *ends, color=color, linewidth=1.4, alpha=0.55)
        count = f"{words} ({len(part)})"
        axes.scatter(part["cost"], share, s=34, color=color, marker=marker, label=count, zorder=3)
    if bound is not None and np.isfinite(bound):
        axes.axvline(bound, color=GREY, linewidth=1.0, linestyle=":")
        axes.annotate(
            "mean capacity suffices from here",
            (bound, 0.02),
            xycoords=("data", "axes fraction"),
            xytext=(4, 2),
            textcoords="offset points",
            size=8.5,
            color=GREY,
        )
    axes.axhline(1.0, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
    for row in shown[shown["name"] != ""].to_dict("records"):
        axes.annotate(
            row["name"],
            (row["cost"], min(row["share"], top)),
            xytext=(8, -12),
            textcoords="offset points",
            size=9,
            color=INK,
        )
    tidy(axes)
    axes.set_ylim(0.0, top)
    axes.yaxis.set_major_formatter(lambda value, _: f"{100.0 * value:g} %")
    axes.set_xlabel(label, size=9, color=INK)
    axes.set_ylabel("measure that decides, share of its limit", size=9, color=INK)
    chart.legend(loc="outside lower center", ncols=3, fontsize=8.5, frameon=False, labelcolor=INK)
    return chart
