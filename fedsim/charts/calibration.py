"""Whether a fitted model predicts what it was not fitted to."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import NDArray

from fedsim.charts.figure import (
    BLUE,
    GREY,
    INK,
    VERMILLION,
    blank_chart,
    colours,
    drawn_on,
    new_panels,
    one_panel,
    tidy,
)
from fedsim.charts.latency import survival

Floats = NDArray[np.float64]

_MOST_POINTS = 4000
_MARKS = {"p50": 50.0, "p90": 90.0, "p99": 99.0}
_FEWEST = 5


def predicted_measured(
    pairs: Mapping[str, tuple[Floats, Floats]],
    *,
    subtitle: str = "",
    figure: FigureBase | None = None,
) -> Figure:
    """Draw predicted against measured times of single requests, a panel per measure.

    A perfect prediction lies on the diagonal; the dotted lines are 20 % off. Crosses mark the
    percentiles.

    Args:
        pairs: Measured and predicted times in seconds, all > 0, by the measure in words.
        subtitle: Where the numbers come from.
        figure: A figure or subfigure to draw into.
    """
    title = "Predicted against measured: requests that the fit has not seen"
    shown = {name: pair for name, pair in pairs.items() if len(pair[0]) >= _FEWEST}
    if not shown:
        sentence = "There are too few requests to compare."
        return blank_chart(title, subtitle, sentence, figure=figure)
    chart = new_panels(title, subtitle, 4.1, figure)
    panels = np.ravel(chart.subplots(1, len(shown)))
    for axes, (name, (measured_s, predicted_s)) in zip(panels, shown.items(), strict=True):
        _panel(axes, name, measured_s, predicted_s)
    panels[0].set_ylabel("predicted (s, logarithmic)", size=9, color=INK)
    panels[0].legend(loc="lower right", fontsize=8, frameon=False, labelcolor=INK)
    return drawn_on(chart)


def _panel(axes: Axes, name: str, measured_s: Floats, predicted_s: Floats) -> None:
    tidy(axes, grid="both")
    error = float(np.mean(np.abs(predicted_s / measured_s - 1.0)))
    axes.set_title(
        f"{name}\nmean error {100.0 * error:.{0 if error >= 1.0 else 1}f} %",
        size=9,
        color=INK,
        loc="left",
    )
    every = max(len(measured_s) // _MOST_POINTS, 1)
    axes.plot(
        measured_s[::every],
        predicted_s[::every],
        ".",
        color=BLUE,
        markersize=3.0,
        alpha=0.35,
        markeredgewidth=0.0,
        rasterized=True,
        label="a request",
    )
    marks = list(_MARKS.values())
    axes.plot(
        np.percentile(measured_s, marks),
        np.percentile(predicted_s, marks),
        "X",
        color=VERMILLION,
        markersize=8.0,
        markeredgecolor="white",
        label=", ".join(_MARKS),
    )
    _diagonal(axes, np.concatenate([measured_s, predicted_s]))
    axes.set_xlabel("measured (s, logarithmic)", size=9, color=INK)


def _diagonal(axes: Axes, times_s: Floats) -> None:
    """Give both axes the same logarithmic scale, and draw the lines of equal and nearly equal."""
    low, high = float(times_s.min()) * 0.85, float(times_s.max()) * 1.18
    ends = np.array([low, high])
    axes.plot(ends, ends, color=INK, linewidth=1.0)
    for factor in (0.8, 1.2):
        label = "20 % off" if factor > 1.0 else None
        axes.plot(ends, ends * factor, color=GREY, linewidth=0.8, linestyle=":", label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal")
    wide = high / low > 30.0
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        if wide:
            axis.set_minor_formatter(NullFormatter())
        else:
            axis.set_minor_formatter(FuncFormatter(_one_two_five))
    axes.tick_params(which="minor", labelsize=8.0, labelcolor=INK, colors=GREY)


def _one_two_five(value: float, _: int) -> str:
    digit = round(value / 10.0 ** np.floor(np.log10(value)))
    return f"{value:g}" if digit in {2, 5} else ""


def service_fit(
    measured_s: Floats,
    families: Mapping[str, Callable[[Floats], Floats]],
    *,
    subtitle: str = "",
    ax: Axes | None = None,
) -> Figure:
    """Draw the share of times that are longer, measured and of fitted distributions.

    Args:
        measured_s: Held-out times in seconds, ascending, > 0.
        families: The share of times below, by family, the best first.
        subtitle: Where the numbers come from.
        ax: Axes to draw into.
    """
    title = "Service times that the fit has not seen, and the distributions that were fitted"
    axes = one_panel(title, subtitle, 4.6, ax)
    tidy(axes, grid="both")
    axes.plot(
        *survival(measured_s), drawstyle="steps-post", color=INK, linewidth=2.2, label="measured"
    )
    times_s = np.geomspace(measured_s[0], measured_s[-1] * 1.5, 400)
    for place, (name, style) in enumerate(colours(list(families)).items()):
        axes.plot(
            times_s,
            1.0 - families[name](times_s),
            color=style[0],
            linestyle=style[1] if place == 0 else "--",
            linewidth=1.8 if place == 0 else 1.0,
            label=f"{name}: best" if place == 0 else name,
        )
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_ylim(0.4 / len(measured_s), 1.4)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(_one_two_five))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100.0 * value:g} %"))
    axes.tick_params(which="minor", labelsize=8.0, labelcolor=INK, colors=GREY)
    axes.set_xlabel("service time (s, logarithmic)", size=9, color=INK)
    axes.set_ylabel("share that takes longer (logarithmic)", size=9, color=INK)
    axes.legend(loc="lower left", fontsize=8.5, frameon=False, labelcolor=INK)
    return drawn_on(axes)
