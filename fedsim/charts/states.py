"""What each gateway made of each node: health and circuit breaker over time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from fedsim.charts.clock import SIMULATED
from fedsim.charts.faults import fault_intervals, harmful, state_intervals
from fedsim.charts.figure import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    PALE,
    SKY,
    VERMILLION,
    blank_chart,
    drawn_on,
    legend_above,
    one_panel,
    tidy,
)
from fedsim.charts.intervals import merged

_TITLE = "What gateways noticed: node health and circuit breakers against the faults"


class _Look(NamedTuple):
    """How a state is drawn; the hatch is for those who cannot tell the colours apart."""

    words: str
    colour: str
    hatch: str


_HEALTH = {
    "degraded": _Look("degraded", ORANGE, "////"),
    "unhealthy": _Look("unhealthy", VERMILLION, ""),
}
_BREAKER = {
    "half_open": _Look("circuit half-open", SKY, "...."),
    "open": _Look("circuit open", BLUE, ""),
}
_TRUTH = _Look("fault (the truth)", PALE, "")
_MOST_ROWS = 48
_HIGHEST_IN = 7.0


@dataclass(frozen=True, slots=True)
class _Row:
    """A row of the chart.

    Attributes:
        name: What stands before it.
        nodes: The nodes that it shows.
        gateway: The gateway whose view it is; empty for all of them together.
    """

    name: str
    nodes: tuple[str, ...]
    gateway: str = ""


def states(
    events: pd.DataFrame,
    places: pd.DataFrame,
    *,
    end_s: float,
    subtitle: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw a row per node and gateway: health above, breaker below, the true fault behind.

    Only nodes whose state ever changed get a row. Where that would be more than 48 rows, the
    gateways share one, and so do the nodes of a pool that met the same faults; a colour is the
    stronger the more of these pairs agree.

    Args:
        events: The events table: ``time_s``, ``kind``, ``subject``, ``gateway``, ``before``,
            ``after``.
        places: Columns ``node``, ``pool``, ``region``, a row per node, so that the fault of a
            region is shown at its nodes.
        end_s: Right end of the time axis in seconds.
        subtitle: Where the numbers come from.
        ax: Axes to draw into.
    """
    spans = pd.concat(
        [state_intervals(events, kind, end_s).assign(kind=kind) for kind in ("health", "breaker")],
        ignore_index=True,
    )
    spans = spans[spans["state"].isin({*_HEALTH, *_BREAKER})]
    if spans.empty:
        sentence = "No gateway ever found a node degraded or unhealthy, and no circuit opened."
        return blank_chart(_TITLE, subtitle, sentence, ax=ax)
    truths = _truths(spans, places, harmful(fault_intervals(events, end_s)))
    gateways = max(spans["gateway"].nunique(), 1)
    pairs = spans[["subject", "gateway"]].drop_duplicates()
    together = len(pairs) > _MOST_ROWS
    rows = _groups(truths, places) if together else _pairs(list(truths), pairs)
    height_in = min(max(0.9, 0.26 * len(rows)), _HIGHEST_IN)
    axes = one_panel(_TITLE, subtitle, 1.7 + height_in, ax)
    for place, row in enumerate(rows):
        truth = [(start_s, end_s - start_s) for start_s, end_s in truths[row.nodes[0]]]
        axes.broken_barh(truth, (place - 0.5, 1.0), color=_TRUTH.colour, linewidth=0)
        chosen = spans[spans["subject"].isin(row.nodes)]
        if row.gateway:
            chosen = chosen[chosen["gateway"] == row.gateway]
        _bars(axes, place, chosen, len(row.nodes) * (1 if row.gateway else gateways))
    _finish(axes, rows, end_s, together)
    _say_what_is_left_out(axes, len(places) - len(truths), together)
    _legend(axes, set(spans["state"]), any(truths.values()))
    return drawn_on(axes)


def _truths(
    spans: pd.DataFrame, places: pd.DataFrame, faults: pd.DataFrame
) -> dict[str, list[tuple[float, float]]]:
    """Return when each node to show was really at fault, itself, its pool or its region.

    The nodes are those that changed, in their own order.
    """
    changed = set(spans["subject"])
    found = {}
    for node, pool, region in (
        places[["node", "pool", "region"]].astype(str).itertuples(index=False)
    ):
        if node in changed:
            own = faults[faults["subject"].isin([node, pool, region])]
            found[node] = merged(zip(own["start_s"], own["end_s"], strict=True))
    for node in dict.fromkeys(spans["subject"]):
        found.setdefault(str(node), [])
    return found


def _pairs(nodes: list[str], pairs: pd.DataFrame) -> list[_Row]:
    """Return a row per node and gateway; the node is named where it is another one."""
    rows = []
    for node in nodes:
        own = sorted(pairs.loc[pairs["subject"] == node, "gateway"])
        for number, gateway in enumerate(own):
            name = " · ".join(part for part in (node if number == 0 else "", gateway) if part)
            rows.append(_Row(name, (node,), str(gateway)))
    return rows


def _groups(truths: dict[str, list[tuple[float, float]]], places: pd.DataFrame) -> list[_Row]:
    """Return a row per pool and times of faults, for all nodes that have both in common."""
    pool_of = dict(zip(places["node"].astype(str), places["pool"].astype(str), strict=True))
    groups: dict[tuple[object, ...], list[str]] = {}
    for node, truth in truths.items():
        groups.setdefault((pool_of.get(node, node), *truth), []).append(node)
    rows = []
    for key, nodes in groups.items():
        name = nodes[0] if len(nodes) == 1 else f"{len(nodes)} nodes of {key[0]}"
        rows.append(_Row(name if key[1:] else f"{name}, no fault", tuple(nodes)))
    return rows


def _bars(axes: Axes, place: int, spans: pd.DataFrame, pairs: int) -> None:
    """Draw health in the upper half of a row and the breaker in the lower."""
    for offset, looks in ((-0.38, _HEALTH), (0.02, _BREAKER)):
        for state, look in looks.items():
            own = spans[spans["state"] == state]
            parts = shares(zip(own["start_s"], own["end_s"], strict=True), pairs)
            axes.broken_barh(
                [(start_s, end_s - start_s) for start_s, end_s, _ in parts],
                (place + offset, 0.36),
                facecolors=[to_rgba(look.colour, 0.15 + 0.85 * share) for *_, share in parts],
                edgecolor="white",
                hatch=look.hatch,
                linewidth=0,
            )


def shares(spans: Iterable[tuple[float, float]], count: int) -> list[tuple[float, float, float]]:
    """Return when how large a share of *count* is within a span: start, end and share."""
    steps: dict[float, int] = {}
    for start_s, end_s in spans:
        steps[start_s] = steps.get(start_s, 0) + 1
        steps[end_s] = steps.get(end_s, 0) - 1
    found = []
    inside = 0
    times_s = sorted(steps)
    for start_s, end_s in pairwise(times_s):
        inside += steps[start_s]
        if inside:
            found.append((start_s, end_s, min(inside / count, 1.0)))
    return found


def _finish(axes: Axes, rows: list[_Row], end_s: float, together: bool) -> None:
    tidy(axes, grid="x")
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    for place in range(1, len(rows)):
        if not together and rows[place].nodes != rows[place - 1].nodes:
            axes.axhline(place - 0.5, color=GREY, linewidth=0.5)
    axes.tick_params(axis="y", length=0, labelsize=8 if 0.26 * len(rows) <= _HIGHEST_IN else 6.5)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0.0, end_s)
    axes.spines["left"].set_color(GREY)


def _say_what_is_left_out(axes: Axes, unchanged: int, together: bool) -> None:
    label = SIMULATED
    if unchanged > 0:
        is_one = unchanged == 1
        label += f"; {unchanged} other node{' has' if is_one else 's have'} no row: no change"
    if together:
        label += "\nthe stronger a colour, the more gateways and nodes agree"
    axes.set_xlabel(label, size=9, color=INK)


def _legend(axes: Axes, present: set[str], faulty: bool) -> None:
    """Name the states that are drawn."""
    looks = [look for state, look in {**_HEALTH, **_BREAKER}.items() if state in present]
    handles = [
        Patch(facecolor=look.colour, hatch=look.hatch, edgecolor="white", label=look.words)
        for look in [*looks, *([_TRUTH] if faulty else [])]
    ]
    legend_above(axes, handles=handles, handlelength=1.6)
