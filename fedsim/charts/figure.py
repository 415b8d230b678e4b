"""What all charts share: a figure that shows itself in a notebook, colours, titles and axes.

Figures are made without pyplot, so nothing is global: no current figure, no display, no settings
of the user's changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text

BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"
VERMILLION, PURPLE, SKY, YELLOW = "#D55E00", "#CC79A7", "#56B4E9", "#F0E442"
INK, GREY, PALE = "#222222", "#6B6B6B", "#E4E4E4"

PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, INK)
"""The colours of Okabe and Ito (2008), distinguishable with any color vision.

Their yellow is left out: a line of it cannot be seen on white.
"""

LINE_STYLES = ("-", "--", "-.", ":")
"""Taken one after the other when the palette is used up, so that 28 lines differ."""

WIDTH_IN = 9.0
"""Width of every chart in inches."""

_DPI = 150


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

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Return the picture at twice the density that it is shown at, for Jupyter."""
        buffer = BytesIO()
        self.savefig(buffer, format="png")
        width_in, height_in = self.get_size_inches()
        size = {"width": round(width_in * _DPI / 2), "height": round(height_in * _DPI / 2)}
        return buffer.getvalue(), size


def new_chart(title: str, subtitle: str, height_in: float) -> Chart:
    """Return an empty chart with its headings.

    Args:
        title: What the chart is evidence for.
        subtitle: Where the numbers come from: scenario, strategy, seed, number of requests.
        height_in: Height in inches.
    """
    heading_in = 0.58 if subtitle else 0.38
    layout = ConstrainedLayoutEngine(rect=(0.0, 0.0, 1.0, 1.0 - heading_in / height_in))
    chart = Chart(figsize=(WIDTH_IN, height_in), dpi=_DPI, layout=layout, facecolor="white")
    chart.title, chart.subtitle = title, subtitle
    place = 1.0 - 0.36 / height_in
    chart.headings = (
        chart.text(
            0.012, 1.0 - 0.1 / height_in, title, size=12, weight="bold", color=INK, va="top"
        ),
        chart.text(0.012, place, subtitle, size=9, color=GREY, va="top"),
    )
    return chart


def blank_chart(title: str, subtitle: str, sentence: str) -> Chart:
    """Return a chart that says in a sentence why there is nothing to draw."""
    chart = new_chart(title, subtitle, 1.6)
    chart.text(0.5, 0.32, sentence, size=10.5, color=GREY, ha="center", va="center", wrap=True)
    return chart


def tidy(axes: Axes, *, grid: str | None = "y") -> None:
    """Give axes the house's look: two spines, light grid behind the data, grey ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GREY)
    axes.tick_params(colors=GREY, labelsize=8.5, labelcolor=INK)
    axes.set_axisbelow(True)
    if grid is not None:
        axes.grid(axis=grid, color=PALE, linewidth=0.8)  # type: ignore[arg-type]


def colours(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return a colour and line style for each name, by position."""
    count = len(PALETTE)
    return {
        name: (PALETTE[place % count], LINE_STYLES[place // count % len(LINE_STYLES)])
        for place, name in enumerate(names)
    }
