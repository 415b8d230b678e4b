"""What each gateway made of each node: health and circuit breaker over time."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from fedsim.charts.faults import fault_intervals, harmful, state_intervals
from fedsim.charts.figure import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    PALE,
    SKY,
    VERMILLION,
    Chart,
    blank_chart,
    new_chart,
    tidy,
)
from fedsim.charts.intervals import merged

_TITLE = "What gateways noticed: node health and circuit breakers against the faults"
_HEALTH = {"degraded": ORANGE, "unhealthy": VERMILLION}
_BREAKER = {"half_open": SKY, "open": BLUE}
_MOST_ROWS = 48
_MOST_NODES = 64


def states(
    events: pd.DataFrame,
    places: pd.DataFrame,
    *,
    end_s: float,
    subtitle: str = "",
) -> Chart:
    """Draw a row per node and gateway: health above, breaker below, the true fault behind.

    Only nodes whose state ever changed get a row. Where that would be more than 48 rows, a node's
    gateways share one, and a colour is the stronger the more of them agree.

    Args:
        events: The events table: ``time_s``, ``kind``, ``subject``, ``gateway``, ``before``,
            ``after``.
        places: Columns ``node``, ``pool``, ``region``, a row per node, so that the fault of a
            region is shown at its nodes.
        end_s: Right end of the time axis in seconds.
        subtitle: Where the numbers come from.
    """
    spans = pd.concat(
        [state_intervals(events, kind, end_s).assign(kind=kind) for kind in ("health", "breaker")],
        ignore_index=True,
    )
    spans = spans[spans["state"].isin({*_HEALTH, *_BREAKER})]
    if spans.empty:
        sentence = "No gateway ever found a node degraded or unhealthy, and no circuit opened."
        return blank_chart(_TITLE, subtitle, sentence)
    faults = harmful(fault_intervals(events, end_s))
    nodes, left_out = _nodes(spans, places)
    pairs = spans[["subject", "gateway"]].drop_duplicates()
    together = len(pairs) > _MOST_ROWS
    rows = _rows(nodes, pairs, together)
    chart = new_chart(_TITLE, subtitle, 1.7 + max(0.9, 0.26 * len(rows)))
    axes = chart.add_subplot()
    opacity = 1.0 - 0.1 ** (1.0 / spans["gateway"].nunique()) if together else 1.0
    for place, (node, gateway) in enumerate(rows):
        _background(axes, place, node, faults, places)
        chosen = spans[spans["subject"] == node]
        if gateway:
            chosen = chosen[chosen["gateway"] == gateway]
        _bars(axes, place, chosen, opacity)
    _finish(axes, rows, end_s, together, left_out)
    return chart


def _nodes(spans: pd.DataFrame, places: pd.DataFrame) -> tuple[list[str], int]:
    """Return the nodes to show, in their own order, and how many are left out.

    Those that were longest in a bad state are kept.
    """
    lasted_s = (spans["end_s"] - spans["start_s"]).groupby(spans["subject"]).sum()
    kept = set(lasted_s.sort_values(ascending=False, kind="stable").index[:_MOST_NODES])
    order = [str(node) for node in places["node"]]
    order += [node for node in dict.fromkeys(spans["subject"]) if node not in set(order)]
    return [node for node in order if node in kept], len(lasted_s) - len(kept)


def _rows(nodes: list[str], pairs: pd.DataFrame, together: bool) -> list[tuple[str, str]]:
    """Return node and gateway of each row; no gateway where they share it."""
    if together:
        return [(node, "") for node in nodes]
    return [
        (node, str(gateway))
        for node in nodes
        for gateway in sorted(pairs.loc[pairs["subject"] == node, "gateway"])
    ]


def _background(
    axes: Axes, place: int, node: str, faults: pd.DataFrame, places: pd.DataFrame
) -> None:
    """Draw when something was really wrong with the node, its pool or its region."""
    known = places[places["node"].astype(str) == node]
    names = {node, *known["pool"].astype(str), *known["region"].astype(str)}
    struck = faults[faults["subject"].isin(names)]
    spans = merged(zip(struck["start_s"], struck["end_s"], strict=True))
    bars = [(start_s, end_s - start_s) for start_s, end_s in spans]
    axes.broken_barh(bars, (place - 0.5, 1.0), color=PALE, linewidth=0)


def _bars(axes: Axes, place: int, spans: pd.DataFrame, opacity: float) -> None:
    """Draw health in the upper half of a row and the breaker in the lower."""
    for offset, colours in ((-0.38, _HEALTH), (0.02, _BREAKER)):
        for state, colour in colours.items():
            for part in _layers(spans[spans["state"] == state]):
                axes.broken_barh(
                    part, (place + offset, 0.36), color=colour, alpha=opacity, linewidth=0
                )


def _layers(spans: pd.DataFrame) -> Iterator[list[tuple[float, float]]]:
    """Yield each gateway's spans as starts and widths; drawn over each other they add up."""
    for _, part in spans.groupby("gateway", sort=True):
        starts_s = part["start_s"].tolist()
        yield list(zip(starts_s, (part["end_s"] - part["start_s"]).tolist(), strict=True))


def _row_names(rows: list[tuple[str, str]]) -> list[str]:
    """Return what stands before each row: its gateway, and its node where that is another one."""
    names = []
    before = ""
    for node, gateway in rows:
        names.append(" · ".join(part for part in (node * (node != before), gateway) if part))
        before = node
    return names


def _finish(
    axes: Axes, rows: list[tuple[str, str]], end_s: float, together: bool, left_out: int
) -> None:
    tidy(axes, grid="x")
    axes.set_yticks(range(len(rows)), _row_names(rows))
    for place in range(1, len(rows)):
        if not together and rows[place][0] != rows[place - 1][0]:
            axes.axhline(place - 0.5, color=GREY, linewidth=0.5)
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0.0, end_s)
    label = "simulated time (s)"
    if together:
        label += "; the stronger a colour, the more gateways agree"
    if left_out:
        label += f"; {left_out} more nodes changed and are not shown"
    axes.set_xlabel(label, size=9, color=INK)
    meanings = (
        ("degraded", ORANGE),
        ("unhealthy", VERMILLION),
        ("circuit half-open", SKY),
        ("circuit open", BLUE),
        ("fault (the truth)", PALE),
    )
    axes.legend(
        handles=[Patch(color=colour, label=name) for name, colour in meanings],
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=len(meanings),
        fontsize=8.5,
        frameon=False,
        labelcolor=INK,
        borderaxespad=0.1,
        handlelength=1.2,
    )
    axes.spines["left"].set_color(GREY)
