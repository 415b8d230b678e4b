"""How busy each node was, and when."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure, FigureBase
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from fedsim.charts.figure import (
    GREY,
    INK,
    blank_chart,
    drawn_on,
    hatch_warmup,
    legend_above,
    new_panels,
    tidy,
    time_axis,
)

_TITLE = "Where the load went: how much of each node was in use"
_MOST_COLUMNS = 160
_DOWN = "#E8A273"
_MOST_NAMES = 40
"""More nodes are named by their pools alone, and sorted within them."""

_ROW_IN, _LOWEST_IN, _HIGHEST_IN = 0.2, 1.6, 6.0


def utilization(
    nodes: pd.DataFrame,
    *,
    end_s: float,
    warmup_s: float = 0.0,
    subtitle: str = "",
    figure: FigureBase | None = None,
) -> Figure:
    """Draw a heat map of nodes over time, with each node's mean next to it.

    Of an engine, which is in steps nearly always, it shows how much of its batch is in use, and a
    second heat map its key-value cache. Times at which a node was down are orange and hatched.
    Nodes stand in the order of the table's categories, with a line between pools; more than 40
    stand pool by pool, those longest down first, then the busiest.

    Args:
        nodes: Columns ``time_s``, ``node``, ``pool``, ``region``, ``up``, ``utilization``, and for
            engines ``running``, ``slots`` and ``kv_used_tokens``; a row per node and sample.
        end_s: Right end of the time axis in seconds.
        warmup_s: What lies before it is hatched, as summaries leave it out.
        subtitle: Where the numbers come from.
        figure: A figure or subfigure to draw into.
    """
    if nodes.empty:
        sentence = "No node was sampled, so there is nothing to show."
        return blank_chart(_TITLE, subtitle, sentence, figure=figure)
    nodes = nodes.assign(
        node=nodes["node"].astype(str), pool=nodes["pool"].astype(str), busy=_busy(nodes)
    )
    names = _order(nodes)
    tokens = "kv_used_tokens" in nodes and bool(nodes["kv_used_tokens"].notna().any())
    height_in = min(max(_LOWEST_IN, _ROW_IN * len(names)), _HIGHEST_IN)
    rows = 2 if tokens else 1
    chart = new_panels(_TITLE, subtitle, 1.2 + (height_in + 0.35) * rows, figure)
    grid = chart.subplots(rows, 2, sharey=True, squeeze=False, width_ratios=[6.0, 1.0])
    edges_s = _edges_s(nodes, end_s)
    label = "share in use" + ("\n(engine: share of its batch)" if tokens else "")
    _panel(chart, list(grid[0]), nodes, names, edges_s, "busy", label, height_in)
    if tokens:
        cache = nodes.assign(cache=nodes["kv_used_tokens"].astype(float) / 1000.0)
        label = "key-value cache in use\n(thousand tokens)"
        _panel(chart, list(grid[1]), cache, names, edges_s, "cache", label, height_in)
    for axes in grid[:, 0]:
        axes.set_xlim(0.0, end_s)
        hatch_warmup(axes, warmup_s, over=True)
    time_axis(grid[-1, 0], end_s, *(["hatched grey: warm-up"] if warmup_s > 0.0 else []))
    if not nodes["up"].all():
        _legend(grid[0, 0])
    return drawn_on(chart)


def _busy(nodes: pd.DataFrame) -> pd.Series:
    """Return the share of each node in use; of an engine that of its batch."""
    if not {"running", "slots", "kv_used_tokens"} <= set(nodes.columns):
        return nodes["utilization"]
    batch = nodes["running"].astype(float) / nodes["slots"].astype(float)
    return nodes["utilization"].where(nodes["kv_used_tokens"].isna(), batch)


def _order(nodes: pd.DataFrame) -> list[str]:
    """Return the nodes as they stand; many are sorted within their pools."""
    codes = nodes.sort_values("node", kind="stable")
    names = [str(name) for name in dict.fromkeys(nodes["node"])]
    if len(names) <= _MOST_NAMES:
        return names
    pools = list(dict.fromkeys(nodes["pool"]))
    facts = codes.groupby("node").agg(
        pool=("pool", "first"), up=("up", "mean"), busy=("busy", "mean")
    )
    facts = facts.loc[names].assign(place=[pools.index(pool) for pool in facts.loc[names, "pool"]])
    order = facts.sort_values(["place", "up", "busy"], ascending=[True, True, False], kind="stable")
    return [str(name) for name in order.index]


def _panel(
    chart: FigureBase,
    panels: list[Axes],
    nodes: pd.DataFrame,
    names: list[str],
    edges_s: NDArray[np.float64],
    column: str,
    label: str,
    height_in: float,
) -> None:
    """Draw a heat map of a column of the nodes, their means, and the scale of its colours."""
    axes, means = panels
    values, down = _grid(nodes, names, edges_s, column)
    edges = np.arange(len(names) + 1) - 0.5
    share = column == "busy"
    most = 1.0 if share else max(float(np.nanmax(values, initial=0.0)), 1e-9)
    colours = colormaps["Blues" if share else "Greens"]
    axes.set_facecolor("white")
    image = axes.pcolormesh(
        edges_s, edges, values, cmap=colours, vmin=0.0, vmax=most, rasterized=True
    )
    # Only hatching needs vectors; where nothing was down there is no cell.
    axes.pcolor(
        edges_s,
        edges,
        np.ma.masked_invalid(np.where(down, 1.0, np.nan)),
        cmap=ListedColormap([_DOWN]),
        hatch="xxxx",
        edgecolor="#C9743A",
        linewidth=0,
    )
    tidy(axes, grid=None)
    _name_rows(axes, nodes, names, height_in)
    mean = nodes[column].where(nodes["up"], 0.0).groupby(nodes["node"]).mean().reindex(names)
    means.barh(range(len(names)), mean, height=0.8, color="#8FB4CF" if share else "#9CCB9A")
    tidy(means, grid="x")
    means.set_xlim(0.0, most)
    means.tick_params(axis="y", length=0, labelleft=False)
    means.set_xlabel("mean, down = 0", size=9, color=INK)
    bar = chart.colorbar(image, ax=panels, location="right", fraction=0.04, pad=0.02)
    bar.set_label(label, size=9, color=INK)
    bar.ax.tick_params(labelsize=8.5, colors=GREY, labelcolor=INK)
    if share:
        means.set_xticks([0.0, 0.5, 1.0])
        means.xaxis.set_major_formatter(PercentFormatter(1.0))
        bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0))


def _legend(axes: Axes) -> None:
    legend_above(
        axes, handles=[Patch(facecolor=_DOWN, edgecolor="#C9743A", hatch="xxxx", label="down")]
    )


def _edges_s(nodes: pd.DataFrame, end_s: float) -> NDArray[np.float64]:
    """Return the edges of the columns: a sample each, or several where there are many."""
    times_s = np.unique(nodes["time_s"].to_numpy())
    gap_s = float(np.diff(times_s).min()) if len(times_s) > 1 else max(end_s, 1.0)
    span_s = max(end_s, float(times_s[-1]) + gap_s)
    each = max(1, math.ceil(span_s / gap_s / _MOST_COLUMNS))
    return np.arange(0.0, span_s + 0.5 * gap_s * each, gap_s * each)


def _grid(
    nodes: pd.DataFrame, names: list[str], edges_s: NDArray[np.float64], column: str
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the mean of a column by node and time, NaN where unknown or down, and where down."""
    row = pd.Index(names).get_indexer(pd.Index(nodes["node"]))
    place = np.clip(np.digitize(nodes["time_s"].to_numpy(), edges_s) - 1, 0, len(edges_s) - 2)
    shape = (len(names), len(edges_s) - 1)
    place = np.ravel_multi_index((row, place), shape)
    size = shape[0] * shape[1]
    up = nodes["up"].to_numpy(dtype=bool)
    values = nodes[column].to_numpy(dtype=float)
    known = up & ~np.isnan(values)
    samples = np.bincount(place, minlength=size)
    up_samples = np.bincount(place[up], minlength=size)
    counted = np.bincount(place[known], minlength=size)
    total = np.bincount(place[known], values[known], minlength=size)
    down = 2 * up_samples < samples
    mean = np.divide(total, counted, out=np.full(size, np.nan), where=(counted > 0) & ~down)
    return mean.reshape(shape), down.reshape(shape)


def _name_rows(axes: Axes, nodes: pd.DataFrame, names: list[str], height_in: float) -> None:
    """Name every node, or every pool where the nodes are too many, and part the pools."""
    pool_of = nodes.drop_duplicates("node").set_index("node")["pool"]
    pool = [str(pool_of[name]) for name in names]
    starts = [place for place in range(len(names)) if place == 0 or pool[place] != pool[place - 1]]
    for start in starts[1:]:
        axes.axhline(start - 0.5, color=INK, linewidth=0.8)
    axes.set_ylim(len(names) - 0.5, -0.5)
    if len(names) <= _MOST_NAMES:
        axes.set_yticks(range(len(names)), names)
        axes.tick_params(axis="y", labelsize=8 if height_in >= _ROW_IN * len(names) else 7)
        return
    ends = [*starts[1:], len(names)]
    middles = [(start + end - 1) / 2 for start, end in zip(starts, ends, strict=True)]
    texts = [f"{pool[start]}\n{end - start} nodes" for start, end in zip(starts, ends, strict=True)]
    axes.set_yticks(middles, texts)
