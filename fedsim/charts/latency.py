"""The tail of latency, time to first token and time per output token."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter
from numpy.typing import NDArray

from fedsim.charts.figure import INK, Chart, blank_chart, colours, new_chart, tidy

_TITLES = {
    "latency": "How long successful requests take, and how heavy the tail is",
    "ttft": "How long successful requests wait for their first token",
    "tpot": "How long successful requests take for each token after the first",
}
_NAMES = {"latency": "latency", "ttft": "time to first token", "tpot": "time per output token"}
_SHARES = {1.0: "100 %", 0.5: "50 %  p50", 0.1: "10 %  p90", 0.01: "1 %  p99"}
_SHARES |= {0.001: "0.1 %  p99.9", 0.0001: "0.01 %  p99.99", 0.00001: "0.001 %"}
_MOST_POINTS = 600


@dataclass(frozen=True, slots=True)
class _Group:
    """A line of the chart.

    Attributes:
        name: Its name.
        times_s: The times of its successful requests in ascending order, where known, in seconds.
        success_rate: Share of its requests that succeeded.
    """

    name: str
    times_s: NDArray[np.float64]
    success_rate: float

    @property
    def label(self) -> str:
        """Its line in the legend."""
        if not len(self.times_s):
            return f"{self.name}: {'no tokens' if self.success_rate else 'none succeeded'}"
        p50_s, p99_s = np.quantile(self.times_s, [0.5, 0.99])
        rate = _percent(self.success_rate)
        return f"{self.name}: p50 {p50_s:.3g} s, p99 {p99_s:.3g} s, {rate} succeeded"


def latency_distribution(
    requests: pd.DataFrame,
    *,
    by: str = "strategy",
    time: str = "latency",
    objectives_s: Mapping[str, float] | None = None,
    subtitle: str = "",
) -> Chart:
    """Draw the complementary distribution of a time on logarithmic axes, a line per group.

    Dots mark the median and the 99th percentile. The legend gives them in seconds next to the
    success rate, because a strategy that fails its slow requests has a short tail.

    Args:
        requests: Columns ``outcome``, *by* and that of the time; a row per request.
        by: Column whose values are compared, in the order of its categories.
        time: ``latency``, ``ttft`` or ``tpot``: the column ``<time>_s``.
        objectives_s: Objectives in seconds, by the name of the group that each is for; an empty
            name for all others.
        subtitle: Where the numbers come from.
    """
    groups = list(_groups(requests, by, f"{time}_s"))
    if not any(len(group.times_s) for group in groups):
        why = "has token times" if time != "latency" and (requests["outcome"] == "ok").any() else ""
        message = f"No request {why or 'succeeded'}, so there is no {_NAMES[time]} to show."
        return blank_chart(_TITLES[time], subtitle, message)
    chart = new_chart(_TITLES[time], subtitle, 5.0)
    axes = chart.add_subplot()
    styles = colours([group.name for group in groups])
    shortest_s, least = math.inf, 1.0
    for group in groups:
        if not len(group.times_s):
            axes.plot([], [], color=styles[group.name][0], label=group.label)
            continue
        least = min(least, 1.0 / len(group.times_s))
        shortest_s = min(shortest_s, float(np.quantile(group.times_s, 0.005)))
        _draw(axes, group, styles[group.name])
    untimed = {group.name for group in groups if not len(group.times_s)}
    objectives = {
        name: limit_s for name, limit_s in (objectives_s or {}).items() if name not in untimed
    }
    inks = {
        name: styles[name][0] if name in styles and len(objectives) > 1 else INK
        for name in objectives
    }
    for name, limit_s in objectives.items():
        axes.axvline(limit_s, color=inks[name], linewidth=1.0, linestyle=(0, (4, 3)))
    # An objective is seen even where all take longer.
    _scales(axes, _NAMES[time], max(least, 1e-5), min(shortest_s, *objectives.values(), math.inf))
    for row, (name, limit_s) in enumerate(objectives.items()):
        _objective(axes, name, limit_s, inks[name], row)
    return chart


def _groups(requests: pd.DataFrame, by: str, column: str) -> Iterator[_Group]:
    in_categories = isinstance(requests[by].dtype, pd.CategoricalDtype)
    for name, part in requests.groupby(by, observed=True, sort=in_categories):
        ok = (part["outcome"] == "ok").to_numpy()
        times_s = part[column].to_numpy()[ok]
        yield _Group(str(name), np.sort(times_s[~np.isnan(times_s)]), float(ok.mean()))


def _objective(axes: Axes, name: str, limit_s: float, colour: str, row: int) -> None:
    """Write an objective next to its line, in a row of its own below the top of the chart."""
    low, high = np.log(axes.get_xlim())
    at_right = np.log(limit_s) > low + 0.75 * (high - low)
    axes.annotate(
        f" objective{f' of {name}' if name else ''} {limit_s:g} s ",
        (limit_s, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, -11 * row),
        textcoords="offset points",
        ha="right" if at_right else "left",
        va="top",
        size=8.5,
        color=colour,
    )


def _draw(axes: Axes, group: _Group, style: tuple[str, str]) -> None:
    colour, line = style
    count = len(group.times_s)
    ranks = _ranks(count)
    p50_s, p99_s = np.quantile(group.times_s, [0.5, 0.99])
    axes.plot(
        group.times_s[ranks],
        1.0 - ranks / count,
        color=colour,
        linestyle=line,
        linewidth=1.7,
        label=group.label,
    )
    axes.plot([p50_s, p99_s], [0.5, 0.01], "o", color=colour, markersize=5, markeredgecolor="white")


def _ranks(count: int) -> NDArray[np.intp]:
    """Return enough ranks to draw a line: all of the tail, fewer where ranks lie close."""
    if count <= _MOST_POINTS:
        return np.arange(count)
    above = np.geomspace(1, count, _MOST_POINTS)
    return np.unique(count - np.unique(above.round().astype(np.intp)))


def _scales(axes: Axes, name: str, least: float, shortest_s: float) -> None:
    """Set the scales: down to the share *least*, from the time *shortest_s* on."""
    tidy(axes, grid="both")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(least * 0.8, 1.25)
    shares = [share for share in _SHARES if share >= least * 0.8]
    axes.yaxis.set_major_locator(FixedLocator(shares))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: _SHARES.get(share, f"{share:g}")))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(left=max(shortest_s, 1e-6) * 0.9)
    seconds_axis(axes)
    axes.set_xlabel(f"{name} (s, logarithmic)", size=9, color=INK)
    axes.set_ylabel("share that takes longer (logarithmic)", size=9, color=INK)
    axes.legend(loc="lower left", fontsize=8.5, frameon=False, labelcolor=INK)


def seconds_axis(axes: Axes) -> None:
    """Label a logarithmic axis of seconds at 1, 2 and 5 of every decade that it shows."""
    low, high = axes.get_xlim()
    marks = [
        digit * 10.0**power
        for power in range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        for digit in (1, 2, 5)
    ]
    wide = np.log10(high / low) > 4.0
    shown = [mark for mark in marks if low <= mark <= high and (not wide or _is_power(mark))]
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _is_power(mark: float) -> bool:
    return bool(np.isclose(np.log10(mark) % 1.0, 0.0) or np.isclose(np.log10(mark) % 1.0, 1.0))


def _percent(share: float) -> str:
    """Return a share in percent, never rounded up to 100 %."""
    if share == 1.0:
        return "100 %"
    return f"{min(100.0 * share, 99.99):.4g} %"
