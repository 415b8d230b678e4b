"""The tail of latency, time to first token and time per output token."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter
from numpy.typing import NDArray

from fedsim.charts.figure import (
    BLUE,
    DASHED,
    FAINT,
    GREY,
    INK,
    blank_chart,
    colours,
    drawn_on,
    new_chart,
    one_panel,
    tidy,
    written,
)

_TITLES = {
    "latency": "How long successful requests take, and how heavy the tail is",
    "ttft": "How long successful requests wait for their first token",
    "tpot": "How long successful requests take for each token after the first",
}
_NAMES = {"latency": "latency", "ttft": "time to first token", "tpot": "time per output token"}
_SHARES = {1.0: "100 %", 0.5: "50 %  p50", 0.1: "10 %  p90", 0.01: "1 %  p99"}
_SHARES |= {0.001: "0.1 %  p99.9", 0.0001: "0.01 %  p99.99", 0.00001: "0.001 %"}
_MOST_POINTS = 600
_MOST_STEPS = 100
_FEWEST = 10
"""A line ends where fewer requests than this take longer: beyond, single requests draw it."""

_MOST_TOGETHER = 4
"""So many lines share axes; of more, each has its own."""

_COLUMNS = 3
_APART = 0.12
"""Names of lines whose ends are closer than this share of the axis stand below each other."""


@dataclass(frozen=True)
class _Group:
    """A line of the chart.

    Attributes:
        name: Its name.
        times_s: The times of its successful requests in ascending order, where known, in seconds.
        success_rate: Share of its requests that succeeded.
        means: Rows of ``means`` that belong to it, where they have a value.
    """

    name: str
    times_s: NDArray[np.float64]
    success_rate: float
    means: pd.DataFrame

    @property
    def facts(self) -> str:
        """Its median, 99th percentile and success rate."""
        if not len(self.times_s):
            return "no tokens" if self.success_rate else "none succeeded"
        p50, p99 = (f"p{100 * share:g} {self._percentile(share)}" for share in (0.5, 0.99))
        rate = f"{written(100.0 * self.success_rate, '%')} succeeded"
        # An interval takes a line of its own.
        return f"{p50}, {p99}\n{rate}" if self.means.empty else f"{p50}\n{p99}, {rate}"

    @cached_property
    def line(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The times of its line in seconds, and the share that takes longer than each."""
        return survival(self.times_s)

    @property
    def end(self) -> tuple[float, float]:
        """Where its line ends: time in seconds, and share."""
        times_s, shares = self.line
        return float(times_s[-1]), float(shares[-1])

    def _percentile(self, share: float) -> str:
        own = self.means[self.means["share"] == share].to_dict("records")
        if own:
            return written(own[0]["mean"], "s", (own[0]["low"], own[0]["high"]))
        if not self.means.empty or not _is_known(share, len(self.times_s)):
            return "–"
        return written(float(np.quantile(self.times_s, share)), "s")


def latency_distribution(
    requests: pd.DataFrame,
    *,
    by: str = "strategy",
    time: str = "latency",
    objectives_s: Mapping[str, float] | None = None,
    means: pd.DataFrame | None = None,
    subtitle: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw the share of requests that take longer than a time, on logarithmic axes.

    Up to four groups have a line each in one panel, named at its end; more have a panel each, with
    all others in grey. A line ends where ten requests take longer. Labels give the success
    rate as well, because a strategy that fails its slow requests has a short tail.

    Args:
        requests: Columns ``outcome``, *by* and that of the time; a row per request.
        by: Column whose values are compared, in the order of its categories.
        time: ``latency``, ``ttft`` or ``tpot``: the column ``<time>_s``.
        objectives_s: Objectives in seconds, by the name of the group that each is for; an empty
            name for all others.
        means: Percentiles as means over replications, drawn as dots with bars of their
            intervals: columns ``group``, ``share`` (0.99 for p99), ``mean``, ``low``, ``high``
            (seconds, NaN where not known) and ``success_rate``. None takes those of *requests*.
        subtitle: Where the numbers come from.
        ax: Axes to draw all groups into, with a legend.
    """
    groups = list(_groups(requests, by, f"{time}_s", means))
    title, name = _TITLES[time], _NAMES[time]
    timed = [group for group in groups if len(group.times_s)]
    if not timed:
        why = "has token times" if time != "latency" and (requests["outcome"] == "ok").any() else ""
        message = f"No request {why or 'succeeded'}, so there is no {name} to show."
        return blank_chart(title, subtitle, message, ax=ax)
    limits = objectives_s or {}
    ends = f"lines end at the {_FEWEST}th slowest request"
    if ax is None and len(groups) > _MOST_TOGETHER:
        return _multiples(title, subtitle, groups, limits, f"{name} (s, logarithmic)", ends)
    axes = one_panel(title, subtitle, 5.0, ax)
    _together(axes, groups, limits, outside=ax is None)
    axes.set_xlabel(f"{name} (s, logarithmic); {ends}", size=9, color=INK)
    axes.set_ylabel("share that takes longer (logarithmic)", size=9, color=INK)
    return drawn_on(axes)


def _groups(
    requests: pd.DataFrame, by: str, column: str, means: pd.DataFrame | None
) -> Iterator[_Group]:
    in_categories = isinstance(requests[by].dtype, pd.CategoricalDtype)
    if means is None:
        names = ["group", "share", "mean", "low", "high", "success_rate"]
        means = pd.DataFrame([], columns=pd.Index(names))
    for name, part in requests.groupby(by, observed=True, sort=in_categories):
        ok = (part["outcome"] == "ok").to_numpy()
        times_s = part[column].to_numpy()[ok]
        own = means[(means["group"] == name).to_numpy(dtype=bool)]
        rate = float(own["success_rate"].iloc[0]) if len(own) else float(ok.mean())
        times_s = np.sort(times_s[~np.isnan(times_s)])
        yield _Group(str(name), times_s, rate, own[own["mean"].notna()])


def survival(times_s: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times, and the share of all that is longer than each, for a line of steps.

    From each time on its share holds. It begins with all, and ends where ten are longer; with all
    of fewer than twenty.

    Args:
        times_s: In ascending order, at least one, in seconds.
    """
    count = len(times_s)
    distinct_s = np.unique(times_s)
    longer = count - np.searchsorted(times_s, distinct_s, side="right")
    kept = longer >= (_FEWEST if count >= 2 * _FEWEST else 1)
    distinct_s, longer = distinct_s[kept], longer[kept]
    if len(longer) > _MOST_POINTS:
        ranks = np.geomspace(longer[-1], longer[0], _MOST_POINTS).round()
        places = np.unique(len(longer) - 1 - np.searchsorted(longer[::-1], ranks))
        distinct_s, longer = distinct_s[places], longer[places]
    return np.append(times_s[:1], distinct_s), np.append(1.0, longer / count)


def _together(
    axes: Axes, groups: Sequence[_Group], objectives_s: Mapping[str, float], *, outside: bool
) -> None:
    """Draw all groups into one panel, each with its name at the end of its line."""
    styles = colours([group.name for group in groups])
    for group in groups:
        text = f"{group.name}: {group.facts}".replace("\n", ", ")
        if len(group.times_s):
            _draw(axes, group, styles[group.name], text)
        else:
            axes.plot([], [], color=styles[group.name][0], label=text)
    timed = [group for group in groups if len(group.times_s)]
    untimed = {group.name for group in groups if not len(group.times_s)}
    objectives = {name: limit for name, limit in objectives_s.items() if name not in untimed}
    _scales(axes, timed, objectives)
    for row, (name, limit_s) in enumerate(objectives.items()):
        several = name in styles and len(objectives) > 1
        _objective(axes, name, limit_s, styles[name][0] if several else INK, row)
    if len(groups) > 1:
        _name_ends(axes, timed)
    look: dict[str, Any] = {"fontsize": 8.0, "frameon": False, "labelcolor": INK}
    if outside:
        handles, _ = axes.get_legend_handles_labels()
        labels = [f"{group.name}\n{group.facts}" for group in groups]
        place: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
        axes.legend(handles, labels, labelspacing=0.9, **place, **look)
    else:
        axes.legend(loc="lower left", **look)


def _name_ends(axes: Axes, groups: Sequence[_Group]) -> None:
    """Write each name below the end of its line, lower where it would meet the one before."""
    low, high = np.log(axes.get_xlim())
    before, rows = -math.inf, 0
    for group in sorted(groups, key=lambda each: each.end):
        place = (math.log(group.end[0]) - low) / (high - low)
        rows = rows + 1 if place - before < _APART else 0
        before = place
        axes.annotate(
            group.name,
            group.end,
            (0, -4 - 10 * rows),
            textcoords="offset points",
            ha="right" if place > 0.5 else "left",
            va="top",
            size=8.0,
            color=INK,
        )


def _multiples(
    title: str,
    subtitle: str,
    groups: Sequence[_Group],
    objectives_s: Mapping[str, float],
    label: str,
    ends: str,
) -> Figure:
    """Draw a panel per group, with the others in grey."""
    rows = math.ceil(len(groups) / _COLUMNS)
    chart = new_chart(title, subtitle, 1.3 + 2.1 * rows)
    panels = list(np.ravel(chart.subplots(rows, _COLUMNS, sharex=True, sharey=True)))
    timed = [group for group in groups if len(group.times_s)]
    for axes, group in zip(panels, groups, strict=False):
        # In a file of vectors these would be most of it, and nobody reads a figure off them.
        others = [np.column_stack(other.line) for other in timed if other is not group]
        axes.add_collection(LineCollection(others, colors=FAINT, linewidths=0.7, rasterized=True))
        if len(group.times_s):
            _draw(axes, group, (BLUE, "-"), group.name)
        limit_s = objectives_s.get(group.name, objectives_s.get(""))
        if limit_s is not None:
            axes.axvline(limit_s, color=INK, linewidth=1.0, linestyle=DASHED)
        axes.set_title(group.name, size=9, weight="bold", color=INK, loc="left", pad=26.0)
        axes.annotate(
            group.facts,
            (0.0, 1.0),
            (0.0, 3.0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="bottom",
            size=7.5,
            color=GREY,
        ).set_in_layout(False)
        _scales(axes, timed, objectives_s, short=True)
        axes.tick_params(labelsize=8.0)
    for place, axes in enumerate(panels):
        axes.set_visible(place < len(groups))
        axes.tick_params(axis="x", labelbottom=place + _COLUMNS >= len(groups))
    dashed = [f"{f'{name} ' * bool(name)}{limit:g} s" for name, limit in objectives_s.items()]
    label += f"; dashed: objective {', '.join(dashed)}" if dashed else ""
    chart.supxlabel(f"{label}; {ends}; grey: the others", size=9, color=INK)
    chart.supylabel("share that takes longer (logarithmic)", size=9, color=INK)
    return drawn_on(chart)


def _objective(axes: Axes, name: str, limit_s: float, colour: str, row: int) -> None:
    """Draw an objective, with a text in a row of its own below the top of the chart."""
    axes.axvline(limit_s, color=colour, linewidth=1.0, linestyle=DASHED)
    axes.annotate(
        f" objective{f' of {name}' if name else ''} {limit_s:g} s ",
        (limit_s, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, -11 * row - 2),
        textcoords="offset points",
        ha="right",
        va="top",
        size=8.0,
        color=colour,
        bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
    )


def _draw(axes: Axes, group: _Group, style: tuple[str, str], label: str) -> None:
    """Draw a line, with dots at its percentiles and the band of their intervals."""
    colour, line = style
    means = group.means
    axes.plot(
        *group.line,
        # Steps that nobody can see would double the points of a file.
        drawstyle="steps-post" if len(group.line[0]) < _MOST_STEPS else "default",
        color=colour,
        linestyle=line,
        linewidth=1.7 if means.empty else 1.1,
        label=label,
    )
    if means.empty:
        marks = [share for share in (0.5, 0.99) if _is_known(share, len(group.times_s))]
        places = np.quantile(group.times_s, marks, method="inverted_cdf")
        axes.plot(places, 1.0 - np.array(marks), "o", color=colour, ms=5, markeredgecolor="white")
        return
    longer = 1.0 - means["share"].to_numpy(dtype=float)
    axes.hlines(longer, means["low"], means["high"], color=colour, linewidth=4.0, alpha=0.3)
    axes.plot(means["mean"], longer, "o", color=colour, markersize=5, markeredgecolor="white")


def _is_known(share: float, count: int) -> bool:
    """Return whether ten of so many requests lie beyond a percentile, as tables demand."""
    return round((1.0 - share) * count, 6) >= _FEWEST


def _scales(
    axes: Axes, groups: Sequence[_Group], objectives_s: Mapping[str, float], *, short: bool = False
) -> None:
    """Set logarithmic scales that hold all lines, their means and objectives."""
    tidy(axes, grid="both")
    axes.set_xscale("log")
    axes.set_yscale("log")
    least = min(group.end[1] for group in groups)
    means = pd.concat([group.means for group in groups])
    least = min([least, *(1.0 - means["share"])])
    axes.set_ylim(max(least, 1e-5) * (0.8 if short else 0.4), 1.25)
    shares = [share for share in _SHARES if share >= max(least, 1e-5) * 0.8]
    axes.yaxis.set_major_locator(FixedLocator(shares))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: _share(share, short)))
    axes.yaxis.set_minor_formatter(NullFormatter())
    # An objective is seen even where all take longer.
    firsts = [float(np.quantile(group.times_s, 0.005)) for group in groups]
    lasts = [group.end[0] for group in groups]
    known = means[["mean", "high"]].to_numpy(dtype=float).ravel()
    limits = list(objectives_s.values())
    left = max(min(*firsts, *limits, math.inf), 1e-6) * 0.9
    axes.set_xlim(left, max(*lasts, *limits, *known[np.isfinite(known)], left * 1.01) * 1.1)
    seconds_axis(axes, sparse=short)


def _share(share: float, short: bool) -> str:
    text = _SHARES.get(share, f"{share:g}")
    return text.split("  ")[0] if short else text


def seconds_axis(axes: Axes, *, sparse: bool = False) -> None:
    """Label a logarithmic axis of seconds at 1, 2 and 5 of every decade that it shows.

    Args:
        axes: The axes, whose limits are set.
        sparse: Whether to label powers of ten alone where there are three or more.
    """
    low, high = axes.get_xlim()
    marks = [
        digit * 10.0**power
        for power in range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        for digit in (1, 2, 5)
    ]
    wide = np.log10(high / low) > (2.0 if sparse else 4.0)
    shown = [mark for mark in marks if low <= mark <= high and (not wide or _is_power(mark))]
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _is_power(mark: float) -> bool:
    return bool(np.isclose(np.log10(mark) % 1.0, 0.0) or np.isclose(np.log10(mark) % 1.0, 1.0))
