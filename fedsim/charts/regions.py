"""Regions: how well each was served over time, and which of them served it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import PercentFormatter

from fedsim.charts.faults import fault_intervals, panels_below_faults, shade
from fedsim.charts.figure import (
    GREY,
    INK,
    blank_chart,
    colours,
    drawn_on,
    hatch_warmup,
    legend_above,
    one_panel,
    tidy,
    time_axis,
    written,
)
from fedsim.charts.timeline import bin_edges_s, bin_width_s

_GOODPUT = "Whom a fault hurts: goodput by region of origin over time"
_SERVED = "Who serves whom: where the requests of each region were answered"
_ELSE = "not answered"


def regions(
    requests: pd.DataFrame,
    events: pd.DataFrame,
    *,
    end_s: float,
    arrivals_end_s: float,
    warmup_s: float = 0.0,
    subtitle: str = "",
    figure: FigureBase | None = None,
) -> Figure:
    """Draw the share of each region's requests that were served within the objective, over time.

    Requests are binned by arrival; a bin without one of a region has no value of it.

    Args:
        requests: Columns ``arrived_s``, ``origin`` and ``good`` (served within the objective).
        events: The events table, for faults; see ``fault_intervals``.
        end_s: Until when faults last that never end, in seconds.
        arrivals_end_s: Right end of the time axis: when arrivals stopped, in seconds.
        warmup_s: What lies before it is hatched, as summaries leave it out.
        subtitle: Where the numbers come from.
        figure: A figure or subfigure to draw into.
    """
    if requests.empty:
        sentence = "No request arrived, so there is nothing to show."
        return blank_chart(_GOODPUT, subtitle, sentence, figure=figure)
    faults = fault_intervals(events, end_s)
    faults = faults[faults["start_s"] < arrivals_end_s]
    chart, (axes,) = panels_below_faults(_GOODPUT, subtitle, (2.6,), 1.0, faults, figure)
    names = [str(name) for name in dict.fromkeys(requests["origin"].astype(str))]
    names.sort(key=list(_names(requests["origin"])).index)
    edges_s = bin_edges_s(bin_width_s(arrivals_end_s, len(requests) // len(names)), arrivals_end_s)
    drawn = []
    for name, (colour, line) in colours(names).items():
        own = requests[(requests["origin"].astype(str) == name).to_numpy()]
        arrived_s, good = own["arrived_s"].to_numpy(), own["good"].to_numpy(dtype=bool)
        came = np.histogram(arrived_s, edges_s)[0]
        served = np.histogram(arrived_s[good], edges_s)[0]
        share = np.divide(served, came, out=np.full(len(came), np.nan), where=came > 0)
        drawn.append(share)
        label = f"{name}: {written(100.0 * float(good.mean()), '%')} of {len(own):,}"
        axes.stairs(
            share, edges_s, baseline=None, color=colour, linestyle=line, linewidth=1.5, label=label
        )
    shade(axes, faults)
    hatch_warmup(axes, warmup_s)
    tidy(axes)
    # Shares near the whole would lie on one line of a scale from 0.
    least = min((float(np.nanmin(share)) for share in drawn), default=0.0)
    low = 0.0 if least < 0.5 else 1.0 - 1.2 * max(1.0 - least, 0.01)
    axes.set_ylim(low - 0.03 * (1.0 - low), 1.0 + 0.03 * (1.0 - low))
    axes.yaxis.set_major_formatter(lambda share, _: f"{100.0 * share:.3g} %")
    axes.set_ylabel("served within\nthe objective", size=9, color=INK)
    legend_above(axes, right=True, ncols=4)
    notes = ["hatched: warm-up"] if warmup_s > 0.0 else []
    time_axis(axes, arrivals_end_s, f"bins of {edges_s[1] - edges_s[0]:g} s", *notes)
    return drawn_on(chart)


def flows(requests: pd.DataFrame, *, subtitle: str = "", ax: Axes | None = None) -> Figure:
    """Draw a matrix: of the requests of each region, the share that each region answered.

    Args:
        requests: Columns ``origin``, ``region``, ``outcome``; a row per request.
        subtitle: Where the numbers come from.
        ax: Axes to draw into.
    """
    if requests.empty:
        return blank_chart(_SERVED, subtitle, "No request arrived.", ax=ax)
    counts = served_by(requests)
    totals, numbers = counts.sum(axis=1), counts.to_numpy()
    shares = counts.div(totals, axis=0).to_numpy(dtype=float)
    axes = one_panel(_SERVED, subtitle, 1.9 + 0.5 * max(len(counts), 2), ax)
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    axes.spines[:].set_visible(False)
    axes.set_xticks(range(len(counts.columns)), list(counts.columns))
    rows = [f"{name}\n{total:,} requests" for name, total in totals.items()]
    axes.set_yticks(range(len(counts)), rows)
    axes.tick_params(colors=GREY, labelsize=8.5, labelcolor=INK, length=0)
    axes.set_xlabel("answered by", size=9, color=INK)
    axes.set_ylabel("region of origin", size=9, color=INK)
    for (row, column), share in np.ndenumerate(shares):
        count = int(numbers[row, column])
        text = f"{written(100.0 * share, '%')}\n{count:,}" if count else "–"
        colour = "white" if share > 0.6 else INK
        axes.text(column, row, text, ha="center", va="center", size=8.5, color=colour)
    bar = drawn_on(axes).colorbar(image, ax=axes, pad=0.02)
    bar.set_label("share of the region's requests", size=9, color=INK)
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    bar.ax.tick_params(labelsize=8.5, colors=GREY, labelcolor=INK)
    bar.outline.set_visible(False)
    return drawn_on(axes)


def served_by(requests: pd.DataFrame) -> pd.DataFrame:
    """Return how many requests of each region each region answered, and how many none did.

    A row per region of origin that has requests, a column per region that answered any.
    """
    where = requests["region"].astype(str).where((requests["outcome"] == "ok").to_numpy(), _ELSE)
    counts = pd.crosstab(requests["origin"].astype(str), where)
    order = _names(requests["origin"])
    rows = [name for name in order if name in counts.index]
    known = [*dict.fromkeys([*order, *_names(requests["region"])]), _ELSE]
    return counts.loc[rows, [name for name in known if name in counts.columns]]


def _names(column: pd.Series) -> list[str]:
    """Return the values of a column, in the order of its categories where it has some."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return [str(name) for name in column.cat.categories]
    return [str(name) for name in dict.fromkeys(column.dropna())]
