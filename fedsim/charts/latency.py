"""The tail of the latency: who waits longest, and how long."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter
from numpy.typing import NDArray

from fedsim.charts.figure import INK, Chart, blank_chart, colours, new_chart, tidy

_TITLE = "How long successful requests take, and how heavy the tail is"
_SHARES = {1.0: "100 %", 0.5: "50 %  p50", 0.1: "10 %  p90", 0.01: "1 %  p99"}
_SHARES |= {0.001: "0.1 %  p99.9", 0.0001: "0.01 %  p99.99", 0.00001: "0.001 %"}
_MOST_POINTS = 600


def latency_distribution(
    requests: pd.DataFrame,
    *,
    by: str = "strategy",
    objective_s: float | None = None,
    subtitle: str = "",
) -> Chart:
    """Draw the complementary distribution of latency on logarithmic axes, a line per group.

    Dots mark the median and the 99th percentile. The legend gives them in seconds beside the
    success rate, because a strategy that fails its slow requests has a short tail.

    Args:
        requests: Columns ``latency_s``, ``outcome`` and *by*; a row per request.
        by: Column whose values are compared, in the order of its categories.
        objective_s: Latency objective in seconds, or None.
        subtitle: Where the numbers come from.
    """
    groups = list(_groups(requests, by))
    if not any(len(latencies_s) for _, latencies_s, _ in groups):
        return blank_chart(
            _TITLE, subtitle, "No request succeeded, so there is no latency to show."
        )
    chart = new_chart(_TITLE, subtitle, 5.0)
    axes = chart.add_subplot()
    styles = colours([name for name, _, _ in groups])
    least = 1.0
    for name, latencies_s, success_rate in groups:
        if not len(latencies_s):
            axes.plot([], [], color=styles[name][0], label=f"{name}: none succeeded")
            continue
        least = min(least, 1.0 / len(latencies_s))
        _draw(axes, name, latencies_s, success_rate, styles[name])
    shortest_s = min(float(np.quantile(group[1], 0.005)) for group in groups if len(group[1]))
    if objective_s is not None:
        shortest_s = min(shortest_s, objective_s)  # the line is seen even where all take longer
        axes.axvline(objective_s, color=INK, linewidth=1.0, linestyle=(0, (4, 3)))
        axes.annotate(
            f" objective {objective_s:g} s",
            (objective_s, 1.0),
            xycoords=("data", "axes fraction"),
            va="top",
            size=8.5,
            color=INK,
        )
    _scales(axes, max(least, 1e-5), shortest_s)
    return chart


def _groups(requests: pd.DataFrame, by: str) -> Iterator[tuple[str, NDArray[np.float64], float]]:
    """Yield each group's name, its successful latencies in ascending order, and success rate."""
    in_categories = isinstance(requests[by].dtype, pd.CategoricalDtype)
    for name, part in requests.groupby(by, observed=True, sort=in_categories):
        ok = (part["outcome"] == "ok").to_numpy()
        yield str(name), np.sort(part["latency_s"].to_numpy()[ok]), float(ok.mean())


def _draw(
    axes: Axes,
    name: str,
    latencies_s: NDArray[np.float64],
    success_rate: float,
    style: tuple[str, str],
) -> None:
    colour, line = style
    count = len(latencies_s)
    ranks = _ranks(count)
    p50_s, p99_s = np.quantile(latencies_s, [0.5, 0.99])
    label = f"{name}: p50 {p50_s:.3g} s, p99 {p99_s:.3g} s, {_percent(success_rate)} succeeded"
    axes.plot(
        latencies_s[ranks],
        1.0 - ranks / count,
        color=colour,
        linestyle=line,
        linewidth=1.7,
        label=label,
    )
    axes.plot([p50_s, p99_s], [0.5, 0.01], "o", color=colour, markersize=5, markeredgecolor="white")


def _ranks(count: int) -> NDArray[np.intp]:
    """Return enough ranks to draw a line: all of the tail, fewer where ranks lie close."""
    if count <= _MOST_POINTS:
        return np.arange(count)
    above = np.geomspace(1, count, _MOST_POINTS)
    return np.unique(count - np.unique(above.round().astype(np.intp)))


def _scales(axes: Axes, least: float, shortest_s: float) -> None:
    """Set the scales: down to the share *least*, from the latency *shortest_s* on."""
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
    axes.set_xlabel("latency (s, logarithmic)", size=9, color=INK)
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
