"""Intervals made from the events table: when a fault lasted, and when a state was held."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.patches import Patch

from fedsim.charts.figure import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    legend_above,
    new_panels,
    tidy,
)
from fedsim.charts.intervals import (
    HARMLESS,
    FaultSpan,
    StateSpan,
    fault_spans,
    merged,
    state_spans,
)

_LOOKS = {
    "down": (VERMILLION, ""),
    "slow": (ORANGE, "////"),
    "errors": (PURPLE, "...."),
    "draining": (SKY, "////"),
    "rolling": (GREY, ""),
    "black": (INK, ""),
    "cut": (BLUE, ""),
    "link": (BLUE, "////"),
    "health": (GREEN, "...."),
}
"""Colours and hatches by the first word of a state."""

MOST_LANES = 8
"""Faults are drawn by subject for at most so many; the rest share a lane."""


def fault_intervals(events: pd.DataFrame, end_s: float) -> pd.DataFrame:
    """Return when each fault began and ended.

    Args:
        events: Columns ``time_s``, ``kind``, ``subject``, ``before``, ``after``; rows whose kind
            is ``fault`` count. A fault is over when its subject leaves the state that it entered;
            one that strikes twice at once is over when both are.
        end_s: End of those that never end, in seconds.

    Returns:
        Columns ``subject``, ``label`` (such as ``down`` or ``slow x5``), ``start_s``, ``end_s``,
        in the order of start.
    """
    faults = events[events["kind"] == "fault"]
    columns = (faults[name].tolist() for name in ("time_s", "subject", "before", "after"))
    spans = fault_spans(_texts(zip(*columns, strict=True)), end_s)
    table = pd.DataFrame(spans, columns=pd.Index(FaultSpan._fields))
    return table.astype({"start_s": "float64", "end_s": "float64"})


def _texts(rows: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Yield rows without what is missing: None."""
    for row in rows:
        yield tuple(None if pd.isna(value) else value for value in row)


def state_intervals(events: pd.DataFrame, kind: str, end_s: float) -> pd.DataFrame:
    """Return how long each gateway held each view of a node.

    Args:
        events: Columns ``time_s``, ``kind``, ``subject``, ``gateway``, ``after``, in the order of
            time.
        kind: ``health`` or ``breaker``.
        end_s: End of the states that were never left, in seconds.

    Returns:
        Columns ``gateway``, ``subject``, ``state``, ``start_s``, ``end_s``; what was before the
        first change of a gateway and node is not in it.
    """
    chosen = events[events["kind"] == kind]
    texts = (chosen[name].astype("str").tolist() for name in ("gateway", "subject", "after"))
    spans = state_spans(zip(chosen["time_s"].tolist(), *texts, strict=True), end_s)
    table = pd.DataFrame(spans, columns=pd.Index(StateSpan._fields))
    return table.astype({"start_s": "float64", "end_s": "float64"})


def harmful(faults: pd.DataFrame) -> pd.DataFrame:
    """Return the faults in which something is wrong with the subject itself."""
    return faults[~faults["label"].isin(HARMLESS)]


def shade(axes: Axes, faults: pd.DataFrame) -> None:
    """Shade the times at which anything was wrong."""
    faults = harmful(faults)
    for start_s, end_s in merged(zip(faults["start_s"], faults["end_s"], strict=True)):
        axes.axvspan(start_s, end_s, color=VERMILLION, alpha=0.09, linewidth=0, zorder=0.5)


def lanes(faults: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Return the faults by subject; past ``MOST_LANES`` subjects, the rarest share the last."""
    lasted_s = (faults["end_s"] - faults["start_s"]).groupby(faults["subject"]).sum()
    order = lasted_s.sort_values(ascending=False, kind="stable").index
    alone = len(order) if len(order) <= MOST_LANES else MOST_LANES - 1
    named = {str(subject) for subject in order[:alone]}
    starts_s = faults.groupby("subject")["start_s"].min()
    found = [
        (str(subject), faults[faults["subject"] == subject])
        for subject in sorted(named, key=lambda name: (starts_s[name], _natural(name)))
    ]
    if len(order) > alone:
        rest = faults[~faults["subject"].isin(named)]
        found.append((f"{len(order) - alone} others", rest))
    return found


def _natural(name: str) -> list[tuple[str, int]]:
    """Return what sorts us-2 before us-10."""
    return [(text, int(digits or 0)) for text, digits in re.findall(r"(\D*)(\d*)", name)]


def draw_lanes(axes: Axes, faults: pd.DataFrame) -> None:
    """Draw a bar per fault, a lane per subject; what happened is written next to its last bar.

    Where different faults of a subject overlap, they share the height of its lane.
    """
    found = lanes(faults)
    words = dict.fromkeys(str(label).split(" ")[0] for label in faults["label"])
    for place, (_, part) in enumerate(found):
        by_label = {
            str(label): merged(zip(group["start_s"], group["end_s"], strict=True))
            for label, group in part.groupby("label", sort=False)
        }
        together = merged(span for spans in by_label.values() for span in spans)
        rows = len(by_label) if _length_s(together) < _length_s(*by_label.values()) else 1
        for row, (label, spans) in enumerate(by_label.items()):
            low = place - 0.36 + 0.72 / rows * (row % rows)
            axes.broken_barh(
                [(start_s, end_s - start_s) for start_s, end_s in spans],
                (low, 0.72 / rows),
                **_look(label.split(" ")[0]),
            )
        _name_lane(axes, place, ", ".join(by_label), together, float(faults["end_s"].max()))
    tidy(axes, grid="x")
    axes.set_yticks(range(len(found)), [name for name, _ in found])
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.tick_params(axis="x", length=0, labelbottom=False)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_ylabel("faults", size=9, color=INK)
    handles = [Patch(**_look(word), label=word) for word in words]
    legend_above(axes, handles=handles, right=True, handlelength=1.6)


def panels_below_faults(
    title: str,
    subtitle: str,
    heights: Sequence[float],
    margin_in: float,
    faults: pd.DataFrame,
    figure: FigureBase | None,
) -> tuple[FigureBase, list[Axes]]:
    """Return a chart of panels over one time axis, below lanes of the faults if there are any.

    Args:
        title: What the chart shows.
        subtitle: Where the numbers come from.
        heights: The height of each panel in inches.
        margin_in: What the title and the axis need besides, in inches.
        faults: What ``fault_intervals`` gives.
        figure: A figure or subfigure to draw into.
    """
    strip_in = 0.22 * len(lanes(faults)) + 0.12 if len(faults) else 0.0
    chart = new_panels(title, subtitle, sum(heights) + margin_in + strip_in, figure)
    rows = [strip_in, *heights] if strip_in else list(heights)
    panels = list(np.atleast_1d(chart.subplots(len(rows), 1, sharex=True, height_ratios=rows)))
    if strip_in:
        draw_lanes(panels.pop(0), faults)
    return chart, panels


def _look(word: str) -> dict[str, Any]:
    """Return how a fault is drawn, by the first word of its state."""
    colour, hatch = _LOOKS.get(word, (INK, ""))
    return {"facecolor": colour, "hatch": hatch, "edgecolor": "white", "linewidth": 0}


def _length_s(*unions: list[tuple[float, float]]) -> float:
    return sum(end_s - start_s for spans in unions for start_s, end_s in spans)


def _name_lane(
    axes: Axes, place: int, text: str, spans: list[tuple[float, float]], end_s: float
) -> None:
    """Write *text* behind the last of *spans*, or before it where there is more room."""
    before_s = spans[-2][1] if len(spans) > 1 else 0.0
    start_s, last_s = spans[-1]
    left = last_s > 0.7 * end_s and start_s - before_s > 0.3 * end_s
    axes.annotate(
        text,
        (start_s if left else last_s, place),
        (-3.0 if left else 3.0, 0.0),
        textcoords="offset points",
        ha="right" if left else "left",
        va="center",
        size=7.5,
        color=INK,
        clip_on=True,
    )
