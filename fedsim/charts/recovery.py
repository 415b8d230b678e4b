"""Whether a system recovers from trouble: goodness and load of several runs over time."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from fedsim.charts.faults import fault_intervals, shade
from fedsim.charts.figure import INK, blank_chart, colours, drawn_on, new_panels, tidy

_TITLE = "Who recovers: success and attempts over time"


def recovery(
    requests: Mapping[str, pd.DataFrame],
    attempts: Mapping[str, pd.DataFrame],
    events: pd.DataFrame,
    *,
    end_s: float,
    every_s: float = 15.0,
    title: str = _TITLE,
    subtitle: str = "",
    figure: FigureBase | None = None,
) -> Figure:
    """Draw the success rate of runs over time, and below it the attempts that they made.

    Args:
        requests: By label, columns ``arrived_s`` and ``outcome``; binned by arrival.
        attempts: By the same labels, the column ``started_s``; binned by it.
        events: An events table, for faults that all runs share; see ``fault_intervals``.
        end_s: Right end of the time axis in seconds.
        every_s: Width of the bins in seconds.
        title: What the chart is evidence for.
        subtitle: Where the numbers come from.
        figure: A figure or subfigure to draw into.
    """
    if not any(len(table) for table in requests.values()):
        sentence = "No request arrived, so there is nothing to show."
        return blank_chart(title, subtitle, sentence, figure=figure)
    chart = new_panels(title, subtitle, 4.6, figure)
    above, below = chart.subplots(2, 1, sharex=True, height_ratios=[1.2, 1.0])
    edges_s = every_s * np.arange(math.ceil(end_s / every_s) + 1, dtype=np.float64)
    middles_min = (edges_s[:-1] + 0.5 * every_s) / 60.0
    for label, (colour, line) in colours(list(requests)).items():
        style = {"color": colour, "linestyle": line, "linewidth": 1.8}
        above.plot(middles_min, _success(requests[label], edges_s), label=label, **style)
        below.plot(middles_min, _rate(attempts[label], edges_s), **style)
    _finish(above, below, fault_intervals(events, end_s), end_s)
    return drawn_on(chart)


def _finish(above: Axes, below: Axes, faults: pd.DataFrame, end_s: float) -> None:
    faults = faults.assign(start_s=faults["start_s"] / 60.0, end_s=faults["end_s"] / 60.0)
    for axes in (above, below):
        tidy(axes)
        shade(axes, faults)
        axes.set_ylim(bottom=0.0)
    above.set_ylim(-0.03, 1.03)
    above.yaxis.set_major_formatter(PercentFormatter(1.0))
    above.set_ylabel("success rate", size=9, color=INK)
    above.legend(frameon=False, fontsize=8.5, loc="center left")
    below.set_ylabel("attempts per second", size=9, color=INK)
    below.set_xlim(0.0, end_s / 60.0)
    below.set_xlabel("simulated time (min); shaded: the fault", size=9, color=INK)


def _success(requests: pd.DataFrame, edges_s: NDArray[np.float64]) -> NDArray[np.float64]:
    arrived_s = requests["arrived_s"].to_numpy()
    ok = (requests["outcome"] == "ok").to_numpy(dtype=bool)
    came = np.histogram(arrived_s, edges_s)[0]
    served = np.histogram(arrived_s[ok], edges_s)[0]
    share: NDArray[np.float64] = np.full(len(came), np.nan)
    np.divide(served, came, out=share, where=came > 0)
    return share


def _rate(attempts: pd.DataFrame, edges_s: NDArray[np.float64]) -> NDArray[np.float64]:
    rates: NDArray[np.float64] = np.histogram(attempts["started_s"], edges_s)[0] / np.diff(edges_s)
    return rates
