"""How busy each node was, and when."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from numpy.typing import NDArray

from fedsim.charts.figure import GREY, INK, PALE, Chart, blank_chart, new_chart, tidy

_TITLE = "Where the load went: share of the time in which each node was in use"
_MOST_COLUMNS = 160
_DOWN = "#E8A273"
_MOST_NAMES = 96


def utilization(nodes: pd.DataFrame, *, end_s: float, subtitle: str = "") -> Chart:
    """Draw a heat map of nodes over time, with each node's mean next to it.

    Times at which a node was down are orange. Nodes stand in the order of the table's categories,
    with a line between pools.

    Args:
        nodes: Columns ``time_s``, ``node``, ``pool``, ``region``, ``up``, ``utilization``; a row
            per node and sample.
        end_s: Right end of the time axis in seconds.
        subtitle: Where the numbers come from.
    """
    if nodes.empty:
        return blank_chart(_TITLE, subtitle, "No node was sampled, so there is nothing to show.")
    names = list(dict.fromkeys(nodes.sort_values("node", kind="stable")["node"].astype(str)))
    chart = new_chart(_TITLE, subtitle, 1.5 + max(1.6, min(0.2, 13.0 / len(names)) * len(names)))
    axes, means = chart.subplots(1, 2, sharey=True, width_ratios=[6.0, 1.0])
    edges_s = _edges_s(nodes, end_s)
    busy, down = _grid(nodes, names, edges_s)
    rows = np.arange(len(names) + 1) - 0.5
    colours = colormaps["Blues"]
    axes.set_facecolor("white")
    image = axes.pcolormesh(edges_s, rows, busy, cmap=colours, vmin=0.0, vmax=1.0, rasterized=True)
    axes.pcolormesh(edges_s, rows, np.where(down, 1.0, np.nan), cmap=ListedColormap([_DOWN]))
    tidy(axes, grid=None)
    _name_rows(axes, nodes, names)
    axes.set_xlim(0.0, end_s)
    axes.set_xlabel("simulated time (s)", size=9, color=INK)
    _means(means, nodes, names)
    bar = chart.colorbar(image, ax=[axes, means], location="right", fraction=0.04, pad=0.02)
    bar.set_label("share of time in use", size=9, color=INK)
    bar.ax.tick_params(labelsize=8.5, colors=GREY, labelcolor=INK)
    if down.any():
        axes.legend(
            handles=[Patch(color=_DOWN, label="down")],
            loc="lower left",
            bbox_to_anchor=(0.0, 1.0),
            fontsize=8.5,
            frameon=False,
            labelcolor=INK,
            borderaxespad=0.1,
        )
    return chart


def _edges_s(nodes: pd.DataFrame, end_s: float) -> NDArray[np.float64]:
    """Return the edges of the columns: a sample each, or several where there are many."""
    times_s = np.unique(nodes["time_s"].to_numpy())
    gap_s = float(np.diff(times_s).min()) if len(times_s) > 1 else max(end_s, 1.0)
    span_s = max(end_s, float(times_s[-1]) + gap_s)
    each = max(1, math.ceil(span_s / gap_s / _MOST_COLUMNS))
    return np.arange(0.0, span_s + 0.5 * gap_s * each, gap_s * each)


def _grid(
    nodes: pd.DataFrame, names: list[str], edges_s: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return mean utilization by node and column, NaN where unknown or down, and where down."""
    row = pd.Index(names).get_indexer(pd.Index(nodes["node"].astype(str)))
    column = np.clip(np.digitize(nodes["time_s"].to_numpy(), edges_s) - 1, 0, len(edges_s) - 2)
    shape = (len(names), len(edges_s) - 1)
    place = np.ravel_multi_index((row, column), shape)
    size = shape[0] * shape[1]
    up = nodes["up"].to_numpy(dtype=bool)
    samples = np.bincount(place, minlength=size)
    up_samples = np.bincount(place[up], minlength=size)
    busy = np.bincount(place[up], nodes["utilization"].to_numpy()[up], minlength=size)
    down = 2 * up_samples < samples
    mean = np.divide(busy, up_samples, out=np.full(size, np.nan), where=(up_samples > 0) & ~down)
    return mean.reshape(shape), down.reshape(shape)


def _name_rows(axes: Axes, nodes: pd.DataFrame, names: list[str]) -> None:
    """Name every node, or every pool where the nodes are too many, and part the pools."""
    pools = nodes.drop_duplicates("node").set_index(nodes["node"].drop_duplicates().astype(str))
    pool = [str(pools["pool"][name]) for name in names]
    starts = [place for place in range(len(names)) if place == 0 or pool[place] != pool[place - 1]]
    for start in starts[1:]:
        axes.axhline(start - 0.5, color=INK, linewidth=0.8)
    axes.set_ylim(len(names) - 0.5, -0.5)
    if len(names) <= _MOST_NAMES:
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(axis="y", labelsize=8 if len(names) <= 48 else 6.5)
    else:
        ends = [*starts[1:], len(names)]
        middles = [(start + end - 1) / 2 for start, end in zip(starts, ends, strict=True)]
        axes.set_yticks(middles, [pool[start] for start in starts])


def _means(axes: Axes, nodes: pd.DataFrame, names: list[str]) -> None:
    """Draw the mean of each node's samples; down counts as idle."""
    node = nodes["node"].astype(str)
    mean = nodes["utilization"].where(nodes["up"], 0.0).groupby(node).mean().reindex(names)
    axes.barh(range(len(names)), mean, height=0.7, color=PALE)
    axes.plot(mean, range(len(names)), "o", markersize=3.5, color=INK)
    tidy(axes, grid="x")
    axes.set_xlim(0.0, 1.0)
    axes.set_xticks([0.0, 0.5, 1.0])
    axes.tick_params(axis="y", length=0, labelleft=False)
    axes.set_xlabel("mean of samples", size=9, color=INK)
