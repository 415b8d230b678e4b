"""Strategies against each other: a ranking, and differences from a baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from fedsim.charts.figure import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    VERMILLION,
    Chart,
    blank_chart,
    new_chart,
    tidy,
)

_VERDICTS = {
    "better": GREEN,
    "worse": VERMILLION,
    "higher": BLUE,
    "lower": ORANGE,
    "not comparable": PURPLE,
    "no difference shown": GREY,
}


def ranking(
    means: pd.DataFrame,
    *,
    label: str,
    unit: str = "",
    better: str | None = "lower",
    objective: float | None = None,
    confidence: float = 0.95,
    subtitle: str = "",
) -> Chart:
    """Draw the mean of a measure for each strategy, with its confidence interval, best on top.

    Args:
        means: Columns ``strategy``, ``mean``, ``low``, ``high``: a row per strategy, with the ends
            of the confidence interval, NaN where it is not known.
        label: The measure in words.
        unit: Its unit, or empty.
        better: ``lower`` or ``higher``, or None, which keeps the table's order.
        objective: The limit that the scenario sets, in the unit of the means, or None.
        confidence: The coverage of the intervals.
        subtitle: Where the numbers come from.
    """
    title = f"Which strategy does best: {label}"
    table = means[np.isfinite(means["mean"].to_numpy(dtype=float))]
    if table.empty:
        return blank_chart(title, subtitle, f"No strategy has a value of {label}.")
    if better is not None:
        ascending = better == "lower"
        table = table.sort_values("mean", ascending=ascending, kind="stable")
    chart = new_chart(title, subtitle, 1.35 + 0.36 * len(table))
    axes = chart.add_subplot()
    for place, row in enumerate(table.to_dict("records")):
        _interval(axes, place, row["mean"], row["low"], row["high"], BLUE, unit)
    if objective is not None:
        axes.axvline(objective, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
    _rows(axes, table["strategy"].astype(str).tolist())
    if unit == "%":  # the room at the right is for figures, and no share exceeds the whole
        low, high = axes.get_xlim()
        axes.set_xticks([tick for tick in axes.get_xticks() if low <= tick <= min(high, 100.0)])
    direction = {"lower": "; lower is better", "higher": "; higher is better"}.get(better or "", "")
    quantity = f"{label} ({unit})" if unit else label
    axes.set_xlabel(f"{quantity}{direction}", size=9, color=INK)
    entries: list[tuple[str, str | None]] = [
        (f"mean and {100.0 * confidence:g} % confidence interval", BLUE)
    ]
    if objective is not None:
        entries.append((f"objective {objective:g} {unit}".rstrip(), None))
    _legend(axes, entries)
    return chart


def differences(
    table: pd.DataFrame,
    *,
    baseline: str,
    label: str,
    unit: str = "",
    subtitle: str = "",
) -> Chart:
    """Draw each strategy's paired difference from a baseline, with its confidence interval.

    Args:
        table: Columns ``strategy``, ``difference`` (strategy minus baseline, mean over seeds that
            both have run), ``low``, ``high`` (confidence interval) and ``verdict``
            (``better``, ``worse`` or ``no difference shown``).
        baseline: The strategy that the others are set against.
        label: The measure in words.
        unit: Its unit, or empty.
        subtitle: Where the numbers come from.
    """
    title = f"Better or worse than {baseline}: {label}"
    shown = table[np.isfinite(table["difference"].to_numpy(dtype=float))]
    if shown.empty:
        return blank_chart(title, subtitle, f"There is no difference in {label} to show.")
    chart = new_chart(title, subtitle, 1.35 + 0.36 * len(shown))
    axes = chart.add_subplot()
    for place, row in enumerate(shown.to_dict("records")):
        colour = _VERDICTS.get(str(row["verdict"]), GREY)
        _interval(
            axes, place, row["difference"], row["low"], row["high"], colour, unit, signed=True
        )
    axes.axvline(0.0, color=INK, linewidth=1.0)
    _rows(axes, shown["strategy"].astype(str).tolist())
    quantity = f"difference in {label}" + (f" ({unit})" if unit else "")
    axes.set_xlabel(f"{quantity}, same seeds, strategy − {baseline}", size=9, color=INK)
    present = [item for item in _VERDICTS.items() if item[0] in set(shown["verdict"].astype(str))]
    _legend(axes, present)
    return chart


def _interval(
    axes: Axes,
    place: int,
    value: float,
    low: float,
    high: float,
    colour: str,
    unit: str,
    *,
    signed: bool = False,
) -> None:
    """Draw one value with its interval, and write it next to the interval."""
    known = math.isfinite(low) and math.isfinite(high)
    if known:
        axes.plot([low, high], [place, place], color=colour, linewidth=2.2, solid_capstyle="butt")
    axes.plot([value], [place], "o", color=colour, markersize=6.5, markeredgecolor="white")
    form = "+.3g" if signed else ".4g"
    text = format(value, form)
    sides = (value - low, high - value)
    if known and max(sides) > 1.1 * min(sides):
        text += f" [{low:{form}}, {high:{form}}]"
    elif known:
        text += f" ± {(high - low) / 2:.2g}"
    axes.annotate(
        f"{text} {unit}".rstrip().replace("-", "−"),
        (high if known else value, place),
        xytext=(7, 0),
        textcoords="offset points",
        va="center",
        size=8.5,
        color=INK,
    )


def _rows(axes: Axes, names: list[str]) -> None:
    tidy(axes, grid="x")
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0, labelsize=9)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.margins(x=0.05)
    low, high = axes.get_xlim()
    axes.set_xlim(low, high + 0.22 * (high - low))


def _legend(axes: Axes, entries: Sequence[tuple[str, str | None]]) -> None:
    """Name the colours; an entry without one is the dashed line of the objective."""
    handles = [
        Line2D([], [], color=INK, linewidth=1.0, linestyle=(0, (4, 3)), label=name)
        if colour is None
        else Line2D(
            [], [], color=colour, marker="o", markeredgecolor="white", linewidth=2.2, label=name
        )
        for name, colour in entries
    ]
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=max(len(handles), 1),
        fontsize=8.5,
        frameon=False,
        labelcolor=INK,
        borderaxespad=0.1,
    )
