"""What all charts share: a figure that shows itself in a notebook, colours, titles and axes.

Figures are made without pyplot, so nothing is global: no current figure, no display, no settings
of the user's changed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from textwrap import wrap
from typing import Any, cast

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase, SubFigure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

from fedsim.charts.clock import SIMULATED
from fedsim.document import figure as cell

BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"
VERMILLION, PURPLE, SKY, YELLOW = "#D55E00", "#CC79A7", "#56B4E9", "#F0E442"
INK, GREY, FAINT, PALE = "#222222", "#6B6B6B", "#C4C4C4", "#E4E4E4"

PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, INK)
"""The colours of Okabe and Ito (2008), distinguishable with any color vision.

Their yellow is left out: a line of it cannot be seen on white. Areas that touch have a hatch as
well, since orange and vermillion, or green and purple, are close to each other for some.
"""

LINE_STYLES = ("-", "--", "-.", ":")
"""Taken one after the other when the palette is used up, so that 28 lines differ."""

WIDTH_IN = 9.0
"""Width of every chart in inches."""

COLUMN_IN = 6.3
"""Width of a PDF or SVG file in inches: the column of text of a page."""

DASHED = (0, (4, 3))
"""The line style of limits."""

_DPI = 150
_TITLE_IN, _SUBTITLE_IN = 0.098, 0.066
"""Width of an average letter of a heading in inches."""


class Chart(Figure):
    """A matplotlib figure that a notebook shows without pyplot.

    Attributes:
        title: What it is evidence for.
        subtitle: Where the numbers come from.
        headings: The texts in it that say both.
    """

    title: str = ""
    subtitle: str = ""
    headings: tuple[Text, ...] = ()

    def head(self, title: str, subtitle: str) -> None:
        """Set the headings, whose lines ``savefig`` breaks again for a narrower chart."""
        self.title, self.subtitle = title, subtitle
        self.headings = tuple(self.text(0.012, 1.0, "", va="top") for _ in (title, subtitle))
        self._set_heads()

    def savefig(self, fname: Any, **options: Any) -> None:
        """Write the chart to a file; PDF and SVG at the width of a column of text.

        Args:
            fname: A path, whose ending says the format, or a file object.
            options: Those of matplotlib.
        """
        kind = Path(fname).suffix.lower() if isinstance(fname, str | os.PathLike) else ""
        if kind not in {".pdf", ".svg"}:
            super().savefig(fname, **options)
            return
        size_in = self.get_size_inches().copy()
        # The same chart gives the same file: without the time, and without random names.
        options.setdefault("metadata", {"CreationDate" if kind == ".pdf" else "Date": None})
        try:
            self.set_size_inches(COLUMN_IN, size_in[1])
            self._set_heads()
            with rc_context({"svg.hashsalt": "fedsim", "pdf.fonttype": 42}):
                super().savefig(fname, **options)
        finally:
            self.set_size_inches(*size_in)
            self._set_heads()

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Return the picture at twice the density that it is shown at, for Jupyter."""
        buffer = BytesIO()
        self.savefig(buffer, format="png")
        width_in, height_in = self.get_size_inches()
        size = {"width": round(width_in * _DPI / 2), "height": round(height_in * _DPI / 2)}
        return buffer.getvalue(), size

    def _set_heads(self) -> None:
        """Break the headings to the width, and leave the room below them to the axes."""
        width_in, height_in = self.get_size_inches()
        below_in = 0.1
        looks: tuple[dict[str, Any], ...] = (
            {"size": 12, "weight": "bold", "color": INK},
            {"size": 9, "color": GREY},
        )
        steps = ((_TITLE_IN, 0.26), (_SUBTITLE_IN, 0.2))
        for text, words, look, (letter_in, line_in) in zip(
            self.headings, (self.title, self.subtitle), looks, steps, strict=True
        ):
            lines = wrap(words, int((width_in - 0.2) / letter_in))
            text.set(text="\n".join(lines), y=1.0 - below_in / height_in, **look)
            below_in += line_in * len(lines)
        layout = self.get_layout_engine()
        cast("ConstrainedLayoutEngine", layout).set(
            rect=(0.0, 0.0, 1.0, 1.0 - (below_in + 0.02) / height_in)
        )


def new_chart(title: str, subtitle: str, height_in: float) -> Chart:
    """Return an empty chart with its headings.

    Args:
        title: What the chart is evidence for.
        subtitle: Where the numbers come from: scenario, strategy, seed, number of requests.
        height_in: Height in inches.
    """
    layout = ConstrainedLayoutEngine()
    chart = Chart(figsize=(WIDTH_IN, height_in), dpi=_DPI, layout=layout, facecolor="white")
    chart.head(title, subtitle)
    return chart


def new_panels(
    title: str, subtitle: str, height_in: float, figure: FigureBase | None = None
) -> FigureBase:
    """Return a chart to put panels into; the figure given, which keeps its size."""
    if figure is None:
        return new_chart(title, subtitle, height_in)
    if isinstance(figure, Figure) and figure.get_layout_engine() is None:
        figure.set_layout_engine("constrained")
    figure.suptitle(f"{title}\n{subtitle}".rstrip(), size=9.5, color=INK)
    return figure


def one_panel(title: str, subtitle: str, height_in: float, ax: Axes | None = None) -> Axes:
    """Return the axes of a chart with one panel; those given, with its headings above them."""
    if ax is None:
        return new_chart(title, subtitle, height_in).add_subplot()
    ax.set_title(f"{title}\n{subtitle}".rstrip(), size=9.5, color=INK, loc="left", pad=22.0)
    return ax


def drawn_on(place: Axes | FigureBase) -> Figure:
    """Return the figure that axes or a subfigure are part of."""
    figure = place.get_figure(root=True) if isinstance(place, Axes | SubFigure) else place
    return cast("Figure", figure)


def blank_chart(
    title: str,
    subtitle: str,
    sentence: str,
    *,
    ax: Axes | None = None,
    figure: FigureBase | None = None,
) -> Figure:
    """Return a chart that says in a sentence why there is nothing to draw."""
    look: dict[str, Any] = {"size": 10.5, "color": GREY, "ha": "center", "va": "center"}
    if ax is not None:
        one_panel(title, subtitle, 1.6, ax).set_axis_off()
        ax.text(0.5, 0.5, sentence, transform=ax.transAxes, wrap=True, **look)
        return drawn_on(ax)
    chart = new_panels(title, subtitle, 1.6, figure)
    chart.text(0.5, 0.32, sentence, wrap=True, **look)
    return drawn_on(chart)


def tidy(axes: Axes, *, grid: str | None = "y") -> None:
    """Give axes the house's look: two spines, light grid behind the data, grey ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=GREY, labelsize=8.5, labelcolor=INK)
    axes.set_axisbelow(True)
    if grid is not None:
        axes.grid(axis=grid, color=PALE, linewidth=0.8)  # type: ignore[arg-type]


def legend_above(axes: Axes, *, right: bool = False, **options: Any) -> None:
    """Draw the legend above the axes, in one row at the left or the right."""
    axes.legend(
        loc="lower right" if right else "lower left",
        bbox_to_anchor=(float(right), 1.0),
        fontsize=8.5,
        frameon=False,
        labelcolor=INK,
        borderaxespad=0.1,
        **{"ncols": 8, **options},
    )


def time_axis(axes: Axes, end_s: float, *notes: str) -> None:
    """Let an axis of simulated time end at *end_s*, and name it, with what else it has to say."""
    axes.set_xlim(0.0, end_s)
    axes.set_xlabel("; ".join([SIMULATED, *notes]), size=9, color=INK)


def hatch_warmup(axes: Axes, warmup_s: float, *, over: bool = False) -> None:
    """Hatch what summaries leave out, behind the data or *over* a map that fills the axes."""
    if warmup_s > 0.0:
        axes.axvspan(
            0.0,
            warmup_s,
            facecolor="none",
            edgecolor=GREY if over else PALE,
            hatch="///",
            linewidth=0,
            zorder=3.0 if over else 0.5,
        )


def written(
    value: float,
    unit: str,
    interval: tuple[float, float] | None = None,
    *,
    signed: bool = False,
) -> str:
    """Return a value in *unit*, with its interval if that is known, as the tables have it."""
    if unit not in {"%", "points"}:
        text = str(cell(value, digits=3, interval=interval, signed=signed))
    else:
        ends = None if interval is None else (interval[0] / 100.0, interval[1] / 100.0)
        text = str(cell(value / 100.0, "percent", interval=ends, signed=signed))
    return f"{text} {unit}".rstrip().replace("-", "−")


def colours(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return a colour and line style for each name, by position."""
    count = len(PALETTE)
    return {
        name: (PALETTE[place % count], LINE_STYLES[place // count % len(LINE_STYLES)])
        for place, name in enumerate(names)
    }
