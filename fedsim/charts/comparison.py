"""Strategies against each other: a ranking, and differences from a baseline."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fedsim.charts.figure import (
    BLUE,
    DASHED,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    VERMILLION,
    blank_chart,
    drawn_on,
    legend_above,
    one_panel,
    tidy,
    written,
)


@dataclass(frozen=True, slots=True)
class _Look:
    """How a row is drawn: a colour, and a shape for those who cannot tell the colours apart."""

    colour: str
    marker: str = "o"
    filled: bool = True


_VERDICTS = {
    "better": _Look(GREEN, "^"),
    "worse": _Look(VERMILLION, "v"),
    "higher": _Look(BLUE, "^"),
    "lower": _Look(ORANGE, "v"),
    "not comparable": _Look(PURPLE, "X"),
    "no difference shown": _Look(GREY),
}
_FIRST = "the best, and those not shown to differ from it"
_OTHER = "worse than the best"
_FAILS = "fails more requests: its times do not compare"
_ALONE = "mean"
_RANKED = {
    _FIRST: _Look(BLUE),
    _OTHER: _Look(GREY, filled=False),
    _FAILS: _Look(PURPLE, "X"),
    _ALONE: _Look(BLUE),
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
    ax: Axes | None = None,
) -> Figure:
    """Draw the mean of a measure for each strategy, with its confidence interval, best on top.

    Args:
        means: Columns ``strategy``, ``mean``, ``low``, ``high``: a row per strategy, with the ends
            of the confidence interval, NaN where it is not known. Where it has them, the flags
            ``tied`` (not shown to differ from the best) and ``fails_more`` (its value is that of
            successful requests, and more of its requests fail; it stands below the others).
        label: The measure in words.
        unit: Its unit, or empty.
        better: ``lower`` or ``higher``, or None, which keeps the table's order.
        objective: The limit that the scenario sets, in the unit of the means, or None.
        confidence: The coverage of the intervals.
        subtitle: Where the numbers come from.
        ax: Axes to draw into.
    """
    title = f"Which strategy does best: {label}"
    table = means[np.isfinite(means["mean"].to_numpy(dtype=float))]
    if table.empty:
        return blank_chart(title, subtitle, f"No strategy has a value of {label}.", ax=ax)
    fails = table.get("fails_more", pd.Series(False, index=table.index)).astype(bool)
    table = table.assign(fails_more=fails)
    if better is not None:
        order, ascending = ["fails_more", "mean"], [True, better == "lower"]
        table = table.sort_values(order, ascending=ascending, kind="stable")
    kinds = [_kind(row) for row in table.to_dict("records")]
    if len(table) > 1 and {_FIRST} == set(kinds):
        title = f"No strategy is shown to be the best: {label}"
    axes = one_panel(title, subtitle, 1.35 + 0.36 * len(table), ax)
    rows = zip(table.to_dict("records"), kinds, strict=True)
    for place, (row, kind) in enumerate(rows):
        _interval(axes, place, row["mean"], row["low"], row["high"], _RANKED[kind], unit)
    if objective is not None:
        axes.axvline(objective, color=INK, linewidth=1.0, linestyle=DASHED, zorder=0.9)
    _rows(axes, table["strategy"].astype(str).tolist())
    if unit == "%":  # the room at the right is for figures, and no share exceeds the whole
        low, high = axes.get_xlim()
        axes.set_xticks([tick for tick in axes.get_xticks() if low <= tick <= min(high, 100.0)])
        axes.set_xlim(low, high)
    direction = {"lower": "; lower is better", "higher": "; higher is better"}.get(better or "", "")
    quantity = f"{label} ({unit})" if unit else label
    interval = f"; bars: {100.0 * confidence:g} % intervals"
    axes.set_xlabel(f"{quantity}{direction}{interval}", size=9, color=INK)
    present = [(name, look) for name, look in _RANKED.items() if name in kinds]
    _legend(axes, present, None if objective is None else f"objective {objective:g} {unit}")
    return drawn_on(axes)


def _kind(row: dict[Any, Any]) -> str:
    """Return what a row of the ranking is."""
    if row["fails_more"]:
        return _FAILS
    if "tied" not in row:
        return _ALONE
    return _FIRST if row["tied"] else _OTHER


def differences(
    table: pd.DataFrame,
    *,
    baseline: str,
    label: str,
    unit: str = "",
    subtitle: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw each strategy's paired difference from a baseline, with its confidence interval.

    Args:
        table: Columns ``strategy``, ``difference`` (strategy minus baseline, mean over seeds that
            both have run), ``low``, ``high`` (confidence interval) and ``verdict``
            (``better``, ``worse`` or ``no difference shown``).
        baseline: The strategy that the others are set against.
        label: The measure in words.
        unit: Its unit, or empty.
        subtitle: Where the numbers come from.
        ax: Axes to draw into.
    """
    title = f"Better or worse than {baseline}: {label}"
    shown = table[np.isfinite(table["difference"].to_numpy(dtype=float))]
    if shown.empty:
        sentence = f"There is no difference in {label} to show."
        return blank_chart(title, subtitle, sentence, ax=ax)
    axes = one_panel(title, subtitle, 1.35 + 0.36 * len(shown), ax)
    for place, row in enumerate(shown.to_dict("records")):
        look = _VERDICTS.get(str(row["verdict"]), _Look(GREY))
        _interval(axes, place, row["difference"], row["low"], row["high"], look, unit, signed=True)
    axes.axvline(0.0, color=INK, linewidth=1.0, zorder=0.9)
    _rows(axes, shown["strategy"].astype(str).tolist())
    quantity = f"difference in {label}" + (f" ({unit})" if unit else "")
    axes.set_xlabel(f"{quantity}, same seeds, strategy − {baseline}", size=9, color=INK)
    present = [item for item in _VERDICTS.items() if item[0] in set(shown["verdict"].astype(str))]
    _legend(axes, present)
    return drawn_on(axes)


def _interval(
    axes: Axes,
    place: int,
    value: float,
    low: float,
    high: float,
    look: _Look,
    unit: str,
    *,
    signed: bool = False,
) -> None:
    """Draw one value with its interval, and write it next to the interval."""
    known = math.isfinite(low) and math.isfinite(high)
    if known:
        ends, row = [low, high], [place, place]
        axes.plot(ends, row, color=look.colour, linewidth=2.2, solid_capstyle="butt")
    axes.plot([value], [place], linestyle="none", **_marker(look))
    axes.annotate(
        written(value, unit, (low, high), signed=signed),
        (high if known else value, place),
        xytext=(7, 0),
        textcoords="offset points",
        va="center",
        size=8.5,
        color=INK,
        # Above the lines of zero and of the objective, which would strike it through.
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
    )


def _marker(look: _Look) -> dict[str, Any]:
    """Return the options of a line's marker."""
    face, edge = (look.colour, "white") if look.filled else ("white", look.colour)
    return {
        "marker": look.marker,
        "color": look.colour,
        "markersize": 7.0,
        "markerfacecolor": face,
        "markeredgecolor": edge,
    }


def _rows(axes: Axes, names: list[str]) -> None:
    tidy(axes, grid="x")
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0, labelsize=9)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.margins(x=0.05)
    low, high = axes.get_xlim()
    axes.set_xlim(low, high + 0.22 * (high - low))


def _legend(axes: Axes, entries: Sequence[tuple[str, _Look]], limit: str | None = None) -> None:
    """Name the colours and shapes, and the dashed line of a limit."""
    handles = [Line2D([], [], linewidth=2.2, label=name, **_marker(look)) for name, look in entries]
    if limit is not None:
        line = Line2D([], [], color=INK, linewidth=1.0, linestyle=DASHED, label=limit.rstrip())
        handles.append(line)
    legend_above(axes, handles=handles, ncols=2 if len(handles) > 2 else 3)
