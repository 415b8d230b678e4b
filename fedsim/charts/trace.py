"""A recorded trace: when its requests come, how far apart, and how large they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter
from numpy.typing import NDArray

from fedsim.charts.figure import (
    BLUE,
    GREY,
    INK,
    VERMILLION,
    blank_chart,
    drawn_on,
    new_panels,
    tidy,
)

_TITLE = "When requests come, how far apart, and how large they are"
_SHARES = {1.0: "100 %", 0.1: "10 %", 0.01: "1 %", 0.001: "0.1 %", 0.0001: "0.01 %"}
_WINDOWS = 240
_MOST_POINTS = 500
_LEAST = 1e-4


def trace_overview(
    requests: pd.DataFrame, *, subtitle: str = "", figure: FigureBase | None = None
) -> Figure:
    """Draw the rate over time, the gaps against those of a Poisson process, and the sizes.

    Args:
        requests: Columns ``time_s``, ascending, ``prompt_tokens`` and ``output_tokens``; a row per
            request.
        subtitle: Where the requests come from.
        figure: A figure or subfigure to draw into.
    """
    times_s = requests["time_s"].to_numpy(dtype=np.float64)
    if len(times_s) < 2 or times_s[-1] == times_s[0]:
        return blank_chart(_TITLE, subtitle, "All requests come at one time.", figure=figure)
    chart = new_panels(_TITLE, subtitle, 5.6, figure)
    grid = chart.add_gridspec(2, 2)
    _rate(chart.add_subplot(grid[0, :]), times_s)
    _gaps(chart.add_subplot(grid[1, 0]), np.diff(times_s))
    _sizes(chart.add_subplot(grid[1, 1]), requests)
    return drawn_on(chart)


def _rate(axes: Axes, times_s: NDArray[np.float64]) -> None:
    tidy(axes)
    first_s, last_s = float(times_s[0]), float(times_s[-1])
    window_s = _window_s((last_s - first_s) / _WINDOWS)
    edges_s = np.arange(first_s, last_s + window_s, window_s)
    counts = np.histogram(times_s, edges_s)[0]
    full = counts[:-1] if len(counts) > 1 else counts
    unit_s, unit = _unit(last_s - first_s)
    axes.stairs(full / window_s, edges_s[: len(full) + 1] / unit_s, color=BLUE, fill=True)
    mean_rps = len(times_s) / (last_s - first_s)
    axes.axhline(mean_rps, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
    axes.annotate(
        f"mean {mean_rps:.3g} /s ",
        (1.0, mean_rps),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        size=8.5,
        color=INK,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.0},
    )
    axes.set_xlim(first_s / unit_s, last_s / unit_s)
    axes.set_ylim(bottom=0.0)
    axes.set_xlabel(f"time ({unit})", size=9, color=INK)
    axes.set_ylabel(f"requests per second\nin windows of {window_s:g} s", size=9, color=INK)


def _gaps(axes: Axes, gaps_s: NDArray[np.float64]) -> None:
    _survival_axes(axes)
    mean_s = float(gaps_s.mean())
    values, shares = _survival(gaps_s)
    axes.plot(values, shares, color=BLUE, linewidth=1.7, label="recorded")
    most_s = -np.log(max(_LEAST, 1.0 / len(gaps_s))) * mean_s
    poisson_s = np.geomspace(mean_s / 1000.0, most_s, 200)
    poisson = np.exp(-poisson_s / mean_s)
    axes.plot(poisson_s, poisson, color=GREY, linestyle="--", linewidth=1.2, label="Poisson")
    axes.set_xlim(left=mean_s / 1000.0)
    axes.set_xlabel("time between requests (s, logarithmic)", size=9, color=INK)
    axes.set_ylabel("share of longer gaps", size=9, color=INK)
    axes.legend(frameon=False, fontsize=8.5, loc="lower left")


def _sizes(axes: Axes, requests: pd.DataFrame) -> None:
    _survival_axes(axes)
    for column, colour, label in (
        ("prompt_tokens", BLUE, "prompt"),
        ("output_tokens", VERMILLION, "answer"),
    ):
        tokens = requests[column].to_numpy(dtype=np.float64)
        values, shares = _survival(np.maximum(tokens, 1.0))
        axes.plot(
            values,
            shares,
            color=colour,
            linewidth=1.7,
            label=f"{label}: p50 {np.median(tokens):,.0f}, p99 {np.percentile(tokens, 99):,.0f}",
        )
    axes.set_xlabel("tokens (logarithmic)", size=9, color=INK)
    axes.set_ylabel("share of larger requests", size=9, color=INK)
    axes.legend(frameon=False, fontsize=8.5, loc="lower left")


def _survival(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return points of the complementary distribution, close to each other in both tails."""
    ordered = np.sort(values)
    count = len(ordered)
    ranks = np.arange(count)
    if count > _MOST_POINTS:
        above = np.geomspace(1, count, _MOST_POINTS).round().astype(np.int64)
        even = np.linspace(0, count - 1, _MOST_POINTS).astype(np.int64)
        ranks = np.unique(np.concatenate((count - above, even)))
    return ordered[ranks], 1.0 - ranks / count


def _survival_axes(axes: Axes) -> None:
    tidy(axes, grid="both")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(_LEAST * 0.8, 1.25)
    axes.yaxis.set_major_locator(FixedLocator(list(_SHARES)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: _SHARES.get(share, f"{share:g}")))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.15g}"))


def _window_s(least_s: float) -> float:
    """Return a round length of at least *least_s*, in seconds."""
    round_s = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200)
    if least_s <= 1.0:
        power = 10.0 ** np.floor(np.log10(least_s))
        return float(power * next(step for step in (1, 2, 5, 10) if step * power >= least_s))
    return float(
        next((each for each in round_s if each >= least_s), np.ceil(least_s / 86400) * 86400)
    )


def _unit(span_s: float) -> tuple[float, str]:
    """Return the unit of a time axis in seconds, and its name."""
    if span_s > 3 * 86400.0:
        return 86400.0, "days"
    if span_s > 3 * 3600.0:
        return 3600.0, "h"
    return (60.0, "min") if span_s > 300.0 else (1.0, "s")
