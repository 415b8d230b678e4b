"""Load and latency over time, with what went wrong shaded."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from numpy.typing import NDArray

from fedsim.charts.faults import fault_intervals, panels_below_faults, shade
from fedsim.charts.figure import (
    BLUE,
    DASHED,
    GREEN,
    INK,
    SKY,
    VERMILLION,
    blank_chart,
    drawn_on,
    hatch_warmup,
    legend_above,
    tidy,
    time_axis,
)

_TITLE = "What happened when: load, requests in the system and latency over time"
_MOST_BINS = 150
_LEAST_PER_BIN = 150
_BROWN, _PINE = "#7A3500", "#00573F"
_OBSERVED = {"requests/s": (INK, _BROWN), "latency (s)": (_BROWN, _PINE)}
"""Darker than what is simulated: requests and failures, upper percentile and median."""
_WIDTHS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)


def timeline(
    requests: pd.DataFrame,
    events: pd.DataFrame,
    *,
    end_s: float,
    arrivals_end_s: float,
    warmup_s: float = 0.0,
    objective_s: float | None = None,
    observed: pd.DataFrame | None = None,
    subtitle: str = "",
    figure: FigureBase | None = None,
) -> Figure:
    """Draw faults, load, requests in the system and latency, one above the other.

    Load and latency are binned by the time of arrival.

    Args:
        requests: Columns ``arrived_s``, ``finished_s``, ``latency_s``, ``outcome``.
        events: The events table, for faults; see ``fault_intervals``.
        end_s: Right end of the time axis in seconds.
        arrivals_end_s: When arrivals stopped, in seconds; the last bin of the load ends there.
        warmup_s: What lies before it is hatched, as summaries leave it out.
        objective_s: Latency objective in seconds, or None.
        observed: What was measured, a row for each part of equal length: ``time_s`` when it
            begins, ``requests``, ``failures``, ``latency_p50_s`` and ``latency_p95_s``. Bins are
            those parts, and the upper percentile is its 95th.
        subtitle: Where the numbers come from.
        figure: A figure or subfigure to draw into.
    """
    if requests.empty:
        sentence = "No request arrived, so there is nothing to show."
        return blank_chart(_TITLE, subtitle, sentence, figure=figure)
    faults = fault_intervals(events, end_s)
    chart, panels = panels_below_faults(_TITLE, subtitle, (1.7, 1.3, 2.0), 1.2, faults, figure)
    width_s = bin_width_s(end_s, len(requests)) if observed is None else _part_s(observed, end_s)
    edges_s, load_edges_s = bin_edges_s(width_s, end_s), bin_edges_s(width_s, arrivals_end_s)
    _load(panels[0], requests, load_edges_s)
    _in_system(panels[1], requests, edges_s)
    _latency(panels[2], requests, edges_s, objective_s, observed is not None)
    if observed is not None:
        _observed(panels[0], panels[2], observed, load_edges_s)
    for axes in panels:
        shade(axes, faults)
        hatch_warmup(axes, warmup_s)
    notes = ["hatched: warm-up, left out of summaries"] if warmup_s > 0.0 else []
    time_axis(panels[-1], end_s, f"bins of {width_s:g} s", *notes)
    return drawn_on(chart)


def bin_width_s(end_s: float, rows: int) -> float:
    """Return a round width that gives at most 150 bins, of some 150 rows each where it can be."""
    return _width_s(end_s, max(min(_MOST_BINS, rows // _LEAST_PER_BIN), 12))


def _width_s(end_s: float, bins: int) -> float:
    """Return a round width that gives at most so many bins."""
    return float(next((width for width in _WIDTHS_S if end_s / width <= bins), end_s / bins))


def bin_edges_s(width_s: float, end_s: float) -> NDArray[np.float64]:
    """Return the edges of bins that end at *end_s*, where the last may be narrower."""
    edges_s = width_s * np.arange(math.ceil(end_s / width_s))
    return np.append(edges_s[edges_s < end_s * (1.0 - 1e-9)], end_s)


def _load(axes: Axes, requests: pd.DataFrame, edges_s: NDArray[np.float64]) -> None:
    """Draw arrivals per second, and those of them that did not succeed."""
    arrived_s = requests["arrived_s"].to_numpy()
    failed = (requests["outcome"] != "ok").to_numpy()
    widths_s = np.diff(edges_s)
    all_rps = np.histogram(arrived_s, edges_s)[0] / widths_s
    failed_rps = np.histogram(arrived_s[failed], edges_s)[0] / widths_s
    axes.stairs(all_rps, edges_s, baseline=None, color=BLUE, linewidth=1.4, label="arrived")
    axes.stairs(
        failed_rps,
        edges_s,
        fill=True,
        color=VERMILLION,
        label=f"of those, {int(failed.sum()):,} not successful",
    )
    axes.set_ylim(0.0, max(float(all_rps.max()) * 1.12, 1e-9))
    _finish(axes, "requests/s")


def _in_system(axes: Axes, requests: pd.DataFrame, edges_s: NDArray[np.float64]) -> None:
    """Draw how many requests had arrived and not finished, as the mean over each bin."""
    came_s = np.sort(requests["arrived_s"].to_numpy())
    left_s = np.sort(requests["finished_s"].dropna().to_numpy())
    present = np.diff(area(came_s, edges_s) - area(left_s, edges_s)) / np.diff(edges_s)
    axes.stairs(present, edges_s, fill=True, color=SKY, alpha=0.35)
    axes.stairs(present, edges_s, baseline=None, color=BLUE, linewidth=1.4, label="in the system")
    axes.set_ylim(0.0, max(float(present.max()) * 1.12, 1.0))
    _finish(axes, "requests")


def area(steps_s: NDArray[np.float64], until_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the integral up to each time of a count that grows by one at each step."""
    sums = np.concatenate([[0.0], np.cumsum(steps_s)])
    count = np.searchsorted(steps_s, until_s, side="right")
    area: NDArray[np.float64] = count * until_s - sums[count]
    return area


def _latency(
    axes: Axes,
    requests: pd.DataFrame,
    edges_s: NDArray[np.float64],
    objective_s: float | None,
    in_parts: bool,
) -> None:
    """Draw median and a high percentile of the successful requests of each bin.

    Without parts that are given, the percentile is that of bins wide enough that ten requests lie
    beyond it; else the 95th of those parts.
    """
    ok = requests[(requests["outcome"] == "ok").to_numpy()]
    arrived_s, latency_s = ok["arrived_s"].to_numpy(), ok["latency_s"].to_numpy()
    upper, wide_edges_s, label = 0.95, edges_s, ""
    if not in_parts:
        wide_s, upper = tail_bins_s(float(edges_s[-1]), len(ok))
        each = len(ok) * wide_s / float(edges_s[-1])
        label = f", bins of {wide_s:g} s of some {each:,.0f} each"
        if wide_s > edges_s[1] - edges_s[0]:
            wide_edges_s = bin_edges_s(wide_s, float(edges_s[-1]))
    for edges, share, colour, more in (
        (wide_edges_s, upper, VERMILLION, label),
        (edges_s, 0.5, GREEN, ""),
    ):
        values = quantiles(arrived_s, latency_s, edges, share)
        text = f"p{100 * share:g} of successful{more}"
        axes.stairs(values, edges, baseline=None, color=colour, linewidth=1.6, label=text)
    if objective_s is not None:
        label = f"objective {objective_s:g} s"
        axes.axhline(objective_s, color=INK, linewidth=1.0, linestyle=DASHED, label=label)
    axes.set_ylim(bottom=0.0)
    _finish(axes, "latency (s)")


def _part_s(observed: pd.DataFrame, end_s: float) -> float:
    """Return the length of the parts of what was observed."""
    begins_s = observed["time_s"].to_numpy()
    return float(begins_s[1] - begins_s[0]) if len(begins_s) > 1 else end_s


def _observed(
    load: Axes, latency: Axes, observed: pd.DataFrame, edges_s: NDArray[np.float64]
) -> None:
    """Draw what was measured, dotted, over what was simulated."""
    widths_s, middle_s = np.diff(edges_s), (edges_s[:-1] + edges_s[1:]) / 2
    rates = {name: observed[name].to_numpy() / widths_s for name in ("requests", "failures")}
    times = {name: observed[f"latency_{name}_s"].to_numpy() for name in ("p95", "p50")}
    panels = ((load, "requests/s", rates), (latency, "latency (s)", times))
    for axes, label, lines in panels:
        highest = axes.get_ylim()[1]
        for (name, values), colour in zip(lines.items(), _OBSERVED[label], strict=True):
            if np.isfinite(values).any():
                highest = max(highest, float(np.nanmax(values)) * 1.12)
                axes.plot(middle_s, values, "o:", color=colour, ms=3, label=f"observed {name}")
        axes.set_ylim(0.0, highest)
        _finish(axes, label)


def tail_bins_s(end_s: float, count: int) -> tuple[float, float]:
    """Return how wide bins are for the highest percentile that a dozen of them show, and that.

    Ten requests of a bin lie beyond the percentile: 1,000 make a p99.

    Args:
        end_s: Until when, in seconds.
        count: How many requests there are.
    """
    share, needed = next(
        (pair for pair in ((0.99, 1000), (0.95, 200)) if count >= 12 * pair[1]), (0.9, 100)
    )
    bins = max(min(_MOST_BINS, count // needed), 12)
    return _width_s(end_s, bins), share


def quantiles(
    times_s: NDArray[np.float64],
    values: NDArray[np.float64],
    edges_s: NDArray[np.float64],
    share: float,
) -> NDArray[np.float64]:
    """Return a quantile of the values of each bin, NaN for an empty one."""
    places = pd.Series(np.digitize(times_s, edges_s) - 1)
    found = pd.Series(values).groupby(places).quantile(share)
    return np.asarray(found.reindex(range(len(edges_s) - 1)), dtype=np.float64)


def _finish(axes: Axes, label: str) -> None:
    tidy(axes)
    axes.set_ylabel(label, size=9, color=INK)
    legend_above(axes, right=True, ncols=5)
