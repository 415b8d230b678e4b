"""A measure over the values of a sweep: lines with bands against one key, a heat map of two."""

from __future__ import annotations

import math
from collections.abc import Sequence
from textwrap import fill
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fedsim.charts.figure import DASHED, GREY, INK, blank_chart, colours, drawn_on, one_panel, tidy

_FACTOR = 20.0
"""A positive measure that grows by more than this factor is drawn on a log scale."""


_ASIDE = 0.07
"""Between texts on an axis, which are 1 apart, points of two lines stand this far apart."""


def curves(
    table: pd.DataFrame,
    *,
    label: str,
    key: str,
    lines: str = "",
    unit: str = "",
    limit: float | None = None,
    title: str = "",
    subtitle: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw a measure against one key of a sweep, a line with a band per combination of the others.

    Args:
        table: Columns ``line`` (what tells a line from others; empty for the only one), ``at`` (the
            key's value, a number or a text), ``mean``, ``low`` and ``high`` (ends of its
            confidence interval, NaN where they are not known), in the order to draw.
        label: The measure in words.
        key: The key in words, with its unit.
        lines: The keys that tell lines apart in words.
        unit: The measure's unit, or empty.
        limit: What the measure is to keep to, or None.
        title: What the chart is evidence for; by default measure and key.
        subtitle: Where the numbers come from.
        ax: Axes to draw into.
    """
    title = title or f"{label[:1].upper()}{label[1:]} against {key}"
    shown = table[np.isfinite(table["mean"].to_numpy(dtype=float))]
    if shown.empty:
        return blank_chart(title, subtitle, f"No point has a value of {label}.", ax=ax)
    names = list(dict.fromkeys(table["line"].astype(str)))
    columns = max(1, min(4, 80 // max(1, *map(len, names))))
    axes = one_panel(title, subtitle, 4.1 + 0.22 * -(-len(names) // columns), ax)
    places = _places(table["at"])
    joined = _are_numbers(list(places))
    for number, (name, (colour, style)) in enumerate(colours(names).items()):
        part = shown[shown["line"].astype(str) == name]
        aside = 0.0 if joined else _ASIDE * (number - (len(names) - 1) / 2.0)
        part = part.assign(x=part["at"].map(places) + aside).sort_values("x")
        _line(axes, part, name, colour, style if joined and len(part) > 1 else "none")
    tidy(axes)
    _key_axis(axes, places, key)
    lowest, highest = float(shown["mean"].min()), float(shown["mean"].max())
    if unit != "%" and 0.0 < lowest * _FACTOR < highest:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
    if limit is not None:
        axes.axhline(limit, color=GREY, linewidth=1.0, linestyle=DASHED)
        axes.annotate(
            f"limit {limit:g} {unit}".rstrip(),
            (0.0, limit),
            xycoords=("axes fraction", "data"),
            xytext=(4, 3),
            textcoords="offset points",
            size=8.5,
            color=GREY,
        )
    axes.set_ylabel(_in_lines(label, unit), size=9, color=INK)
    if names != [""]:
        look = {"fontsize": 8.5, "title_fontsize": 8.5, "frameon": False, "labelcolor": INK}
        where: dict[str, Any] = {"loc": "best"}
        if ax is None:
            where = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.14), "ncols": columns}
        axes.legend(title=lines or None, **(where | look))
    return drawn_on(axes)


def heat_map(
    table: pd.DataFrame,
    *,
    label: str,
    keys: Sequence[str],
    unit: str = "",
    title: str = "",
    subtitle: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw the mean of a measure over two keys of a sweep.

    Args:
        table: Columns ``at`` and ``line`` (values of the two keys, numbers or texts) and ``mean``,
            a row per combination.
        label: The measure in words.
        keys: The two keys in words, with their units: the horizontal one first.
        unit: The measure's unit, or empty.
        title: What the chart is evidence for; by default measure and keys.
        subtitle: Where the numbers come from.
        ax: Axes to draw into.
    """
    title = title or f"{label[:1].upper()}{label[1:]} by {keys[0]} and {keys[1]}"
    if not np.isfinite(table["mean"].to_numpy(dtype=float)).any():
        return blank_chart(title, subtitle, f"No point has a value of {label}.", ax=ax)
    columns, rows = (_ordered(table[name]) for name in ("at", "line"))
    grid = np.full((len(rows), len(columns)), np.nan)
    for at, line, mean in zip(table["at"], table["line"], table["mean"], strict=True):
        grid[rows.index(line), columns.index(at)] = mean
    axes = one_panel(title, subtitle, 1.9 + 0.36 * max(len(rows), 4), ax)
    norm = "log" if unit != "%" and 0.0 < np.nanmin(grid) * _FACTOR < np.nanmax(grid) else "linear"
    origin: Literal["lower", "upper"] = "lower" if _are_numbers(rows) else "upper"
    image = axes.imshow(grid, cmap="cividis", aspect="auto", origin=origin, norm=norm)
    axes.spines[:].set_visible(False)
    for ticks, values in ((axes.set_xticks, columns), (axes.set_yticks, rows)):
        ticks(range(len(values)), [_text(value) for value in values])
    axes.tick_params(colors=GREY, labelsize=8.5, labelcolor=INK, length=0)
    axes.set_xlabel(keys[0], size=9, color=INK)
    axes.set_ylabel(keys[1], size=9, color=INK)
    if len(columns) <= 12:
        _write_values(axes, grid, norm, unit)
    bar = drawn_on(axes).colorbar(image, ax=axes, pad=0.02)
    bar.ax.tick_params(colors=GREY, labelsize=8.5, labelcolor=INK)
    bar.ax.yaxis.set_major_formatter("{x:g}")
    bar.ax.yaxis.set_minor_formatter("{x:g}" if norm == "log" else "")
    bar.outline.set_visible(False)
    bar.set_label(_in_lines(label, unit), size=9, color=INK)
    return drawn_on(axes)


def _in_lines(label: str, unit: str) -> str:
    """Return a label with its unit, in lines that are no longer than an axis."""
    return fill(f"{label} ({unit})" if unit else label, 40)


def _line(axes: Axes, part: pd.DataFrame, name: str, color: str, linestyle: str) -> None:
    """Draw one line with its band; points with bars where there is nothing to join."""
    axes.plot(
        part["x"], part["mean"], linestyle=linestyle, marker="o", ms=4, color=color, label=name
    )
    if linestyle == "none":
        axes.vlines(part["x"], part["low"], part["high"], color=color, linewidth=1.6)
    else:
        ends = (part["low"].fillna(part["mean"]), part["high"].fillna(part["mean"]))
        axes.fill_between(part["x"], *ends, color=color, alpha=0.16, linewidth=0)


def _places(values: pd.Series) -> dict[Any, float]:
    """Return where each value of a key stands: a number at itself, texts one after the other."""
    ordered = _ordered(values)
    if _are_numbers(ordered):
        return {value: float(value) for value in ordered}
    return {value: float(place) for place, value in enumerate(ordered)}


def _key_axis(axes: Axes, places: dict[Any, float], key: str) -> None:
    if not _are_numbers(list(places)):
        axes.set_xticks(list(places.values()), [str(value) for value in places])
    axes.margins(x=0.04)
    axes.set_xlabel(key, size=9, color=INK)


def _ordered(values: pd.Series) -> list[Any]:
    """Return the values, each once: numbers ascending, texts as they come."""
    found = list(dict.fromkeys(values.tolist()))
    return sorted(found) if _are_numbers(found) else found


def _are_numbers(values: Sequence[object]) -> bool:
    return all(isinstance(value, int | float) and not isinstance(value, bool) for value in values)


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _in_field(value: float, unit: str) -> str:
    """Return a value in three digits; a percentage next to 100 in as many as tell it from that."""
    if unit == "%" and 99.0 < value < 100.0:
        return f"{value:.{min(6, -math.floor(math.log10(100.0 - value)))}f}"
    return f"{value:.3g}"


def _write_values(axes: Axes, grid: np.ndarray, norm: str, unit: str) -> None:
    """Write each value into its field, dark on light and light on dark."""
    scaled = np.log(grid) if norm == "log" else grid
    low, high = float(np.nanmin(scaled)), float(np.nanmax(scaled))
    for (row, column), value in np.ndenumerate(grid):
        if np.isfinite(value):
            is_light = scaled[row, column] > low + 0.55 * (high - low)
            colour = INK if is_light else "white"
            text = _in_field(float(value), unit)
            axes.text(column, row, text, ha="center", va="center", size=8.5, color=colour)
