"""What strategies cost against how well they serve."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fedsim.charts.figure import (
    BLUE,
    FAINT,
    INK,
    SKY,
    blank_chart,
    drawn_on,
    legend_above,
    one_panel,
    tidy,
)

_TITLE = "What serving well costs: cost against goodput"


def cost_goodput(
    table: pd.DataFrame, *, cost: str, confidence: float = 0.95, subtitle: str = "",
    ax: Axes | None = None,
) -> Figure:  # fmt: skip
    """Draw a point per strategy, with its intervals; those that no other beats in both are filled.

    Args:
        table: Columns ``strategy``; ``cost`` and ``goodput`` (%) with their ends ``cost_low``,
            ``cost_high``, ``goodput_low`` and ``goodput_high``, NaN where they are not known.
        cost: The cost in words, with its unit.
        confidence: The coverage of the intervals.
        subtitle: Where the numbers come from.
        ax: Axes to draw into.
    """
    shown = table[np.isfinite(table[["cost", "goodput"]].to_numpy(dtype=float)).all(axis=1)]
    if shown.empty:
        sentence = "No strategy has both a cost and a goodput: give pools a cost."
        return blank_chart(_TITLE, subtitle, sentence, ax=ax)
    axes = one_panel(_TITLE, subtitle, 4.6, ax)
    best = unbeaten(shown)
    axes.hlines(shown["goodput"], shown["cost_low"], shown["cost_high"], color=SKY, linewidth=1.0)
    axes.vlines(shown["cost"], shown["goodput_low"], shown["goodput_high"], color=SKY, lw=1.0)
    for rows, face, label in (
        (shown[best], BLUE, "none is both cheaper and better"),
        (shown[~best], "white", "another is cheaper and better"),
    ):
        if len(rows):
            places = (rows["cost"], rows["goodput"])
            axes.scatter(*places, s=42.0, facecolor=face, edgecolor=BLUE, zorder=3, label=label)
    axes.margins(0.08)
    low, high = axes.get_ylim()
    axes.set_ylim(low, min(high, 100.0 + 0.05 * (100.0 - low)))
    _name(axes, shown)
    tidy(axes, grid="both")
    bars = f"; bars: {100.0 * confidence:g} % intervals" if shown["cost_low"].notna().any() else ""
    axes.set_xlabel(f"{cost}; lower is better{bars}", size=9, color=INK)
    axes.set_ylabel("goodput (%); higher is better", size=9, color=INK)
    legend_above(axes)
    return drawn_on(axes)


def unbeaten(table: pd.DataFrame) -> np.ndarray:
    """Return which rows no other beats: as cheap and as good, and better in one of the two."""
    cost, good = table["cost"].to_numpy(dtype=float), table["goodput"].to_numpy(dtype=float)
    no_worse = (cost <= cost[:, None]) & (good >= good[:, None])
    better = (cost < cost[:, None]) | (good > good[:, None])
    return np.asarray(~(no_worse & better).any(axis=1))


def _name(axes: Axes, table: pd.DataFrame) -> None:
    """Write the names to the right of the axes, the best on top, with a line to each point."""
    low, high = axes.get_ylim()
    before = math.inf
    for row in table.sort_values("goodput", ascending=False, kind="stable").to_dict("records"):
        before = min((row["goodput"] - low) / (high - low), before - 0.05)
        axes.annotate(
            str(row["strategy"]),
            (row["cost"], row["goodput"]),
            (1.03, before),
            textcoords="axes fraction",
            arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.7, "relpos": (0.0, 0.5)},
            annotation_clip=False,
            va="center",
            size=8.0,
            color=INK,
        )
