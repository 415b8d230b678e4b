"""Charts as SVG within an HTML page: small, the same bytes each time, in the page's colors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from io import BytesIO
from xml.etree import ElementTree as ET

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from fedsim.charts.figure import BLUE, GREY, INK, PALE, Chart

MOST_POINTS = 2_000
"""The points that the lines of a chart have together, at most."""

_MOST_SHAPES = 150
"""Bars, patches and marks beyond so many in one place become a picture."""

_COLORS = {
    "#ffffff": "paper",
    "#000000": "ink",
    INK.lower(): "ink",
    GREY.lower(): "grey",
    PALE.lower(): "pale",
    BLUE.lower(): "blue",
}
"""The colors that a page may have another shade of, by the name of its variable."""

_KEPT = "kept"
"""What the id of a group begins with whose colors stay: what is written on colored fields."""

_NAMESPACE = re.compile(r"\{[^}]*\}")
_FIGURE = re.compile(r"-?\d+\.\d+")
_FONT = re.compile(r"font-family: [^;]*;\s*")
_COLOR = re.compile(r"#[0-9a-f]{6}\b")
_LINK = re.compile(r"#([mpCh][\w-]+)")
_INVALID = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def svg(chart: Chart, name: str) -> str:
    """Return a chart as an ``svg`` element without its title and subtitle, which the page has.

    The chart is changed by this: draw it for this purpose alone.

    Args:
        chart: The chart.
        name: A name that no other chart of the page has; what the element refers to within
            itself begins with it.
    """
    _lift_headings(chart)
    for axes in chart.axes:
        _paint_crowds(axes)
        _keep_colors(axes)
    _thin(chart)
    buffer = BytesIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        chart.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    root = ET.fromstring(_INVALID.sub("\ufffd", buffer.getvalue().decode()))
    return _element(root, name, f"{chart.title}. {described(chart)}")


def described(chart: Chart) -> str:
    """Return in words what a chart shows: its axes, its rows, and how far its lines reach."""
    return " ".join(text for axes in chart.axes for text in _axes_in_words(axes))


def _axes_in_words(axes: Axes) -> Iterator[str]:
    across, up = (" ".join(text.split()) for text in (axes.get_xlabel(), axes.get_ylabel()))
    if across or up:
        yield f"{up or 'Rows'} against {across}." if across else f"{up}."
    names = [label.get_text() for label in axes.get_yticklabels()]
    if names and not any(_is_number(name) for name in names) and axes.yaxis.get_visible():
        more = f" and {len(names) - 12} more" if len(names) > 12 else ""
        yield f"Rows: {', '.join(names[:12])}{more}."
    for line in axes.get_lines():
        label, (x, y) = str(line.get_label()), np.asarray(line.get_data(), dtype=float)
        y = y[np.isfinite(y)]
        if not label.startswith("_") and len(y) and len(x) > 1:
            yield f"{label}: from {y.min():.3g} to {y.max():.3g}."
    for text in axes.texts:
        if text.get_text().strip():
            yield f"{' '.join(text.get_text().split())}."


def _is_number(text: str) -> bool:
    return not text or text[0].isdigit() or text[0] in "−.-"


def _lift_headings(chart: Chart) -> None:
    """Take title and subtitle off a chart, with the room that they take."""
    for text in chart.headings:
        text.set_visible(False)
    engine = chart.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    height_in = chart.get_figheight() * engine.get()["rect"][3]
    engine.set(rect=(0.0, 0.0, 1.0, 1.0))
    chart.set_figheight(height_in)


def _paint_crowds(axes: Axes) -> None:
    """Turn into a picture what would be very many elements: meshes, marks and bars."""
    for each in axes.collections:
        if (
            len(each.get_paths()) > _MOST_SHAPES
            or len(np.asarray(each.get_offsets())) > _MOST_SHAPES
        ):
            each.set_rasterized(True)
    for line in axes.get_lines():
        marked = line.get_marker() not in {None, "None", "none", "", " "}
        if marked and len(_points(line)) > _MOST_SHAPES:
            if line.get_linestyle() in {"None", "none", "", " "}:
                line.set_rasterized(True)
            else:
                line.set_marker("None")
    if len(axes.patches) > _MOST_SHAPES:
        axes.set_rasterization_zorder(1.5)  # above bars, below lines


def _keep_colors(axes: Axes) -> None:
    """Mark the texts on colored fields, which a dark page would make unreadable."""
    for number, text in enumerate(axes.texts if axes.images else ()):
        text.set_gid(f"{_KEPT}{number}")


def _thin(chart: Chart) -> None:
    """Leave points out of lines where all together have more than ``MOST_POINTS``."""
    lines = [line for axes in chart.axes for line in axes.get_lines()]
    total = sum(len(_points(line)) for line in lines)
    if total <= MOST_POINTS:
        return
    for line in lines:
        count = len(_points(line))
        _thin_line(line, max(2, count * (MOST_POINTS - 2 * len(lines)) // total))


def _points(line: Line2D) -> NDArray[np.float64]:
    return np.asarray(line.get_xydata(), dtype=float)


def _thin_line(line: Line2D, count: int) -> None:
    points = _points(line)
    if len(points) > count and np.isfinite(points).all():
        kept = largest_triangles(line.get_transform().transform(points), count)
        line.set_data(*points[kept].T)


def largest_triangles(points: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Return which points of a line to keep so that it looks the same.

    Of each of *count* − 2 equal parts the point is kept that spans the largest triangle with the
    one kept before and the mean of the next part (largest triangle three buckets: Steinarsson,
    Downsampling Time Series for Visual Representation, 2013). First and last point stay.

    Args:
        points: A row per point, as drawn.
        count: How many to keep, >= 2.
    """
    if count >= len(points):
        return np.arange(len(points))
    edges = np.linspace(1, len(points) - 1, count - 1).astype(np.intp)
    kept = [0]
    for place in range(count - 2):
        part = points[edges[place] : edges[place + 1]]
        after = points[edges[place + 1] : edges[min(place + 2, count - 2)] or None]
        (ax, ay), (cx, cy) = points[kept[-1]], (after if len(after) else points[-1:]).mean(axis=0)
        area = np.abs((ax - cx) * (part[:, 1] - ay) - (ax - part[:, 0]) * (cy - ay))
        kept.append(int(edges[place]) + int(area.argmax()))
    return np.array([*kept, len(points) - 1])


def _element(root: ET.Element, name: str, words: str) -> str:
    """Return the element for a page, without what only a file of its own needs."""
    used = {
        link for each in root.iter() for value in each.attrib.values() for link in _links(value)
    }
    new = ET.Element("svg", {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": words})
    for child in root:
        _copy(child, new, name, used, kept=False)
    return ET.tostring(new, encoding="unicode", short_empty_elements=True)


def _links(value: str) -> list[str]:
    return [] if value.startswith("data:") else _LINK.findall(value)


def _copy(each: ET.Element, into: ET.Element, name: str, used: set[str], *, kept: bool) -> None:
    """Copy an element, without groups that say nothing, and without ids that nothing refers to."""
    tag = _NAMESPACE.sub("", each.tag)
    if tag in {"metadata", "style"}:
        return
    kept = kept or each.get("id", "").startswith(_KEPT)
    attributes = {}
    for key, value in each.attrib.items():
        key = _NAMESPACE.sub("", key)  # noqa: PLW2901
        if key == "id" and value not in used:
            continue
        attributes[key] = _written(key, value, name, used, colored=tag != "text" and not kept)
        if tag == "text" and key == "style" and not kept:
            attributes[key] = _themed(attributes[key], without="#ffffff")
    if attributes.get("transform", "").startswith("rotate(-0 "):
        del attributes["transform"]
    if tag == "g" and not attributes:
        target = into
    else:
        target = ET.SubElement(into, tag, attributes)
        target.text = each.text if each.text and each.text.strip() else None
    for child in each:
        _copy(child, target, name, used, kept=kept)


def _written(key: str, value: str, name: str, used: set[str], *, colored: bool) -> str:
    if key == "id":
        return f"{name}-{value}"
    if value.startswith("data:"):
        return "".join(value.split())
    for link in _links(value):
        value = value.replace(f"#{link}", f"#{name}-{link}") if link in used else value
    if key in {"d", "transform", "x", "y", "points"}:
        value = " ".join(_FIGURE.sub(lambda found: f"{float(found[0]):.2f}", value).split())
    elif key == "style":
        value = _FONT.sub("", value)
        value = _themed(value) if colored else value
    return value


def _themed(style: str, without: str = "") -> str:
    """Return a style whose neutral colors are the page's."""

    def themed(found: re.Match[str]) -> str:
        name = _COLORS.get(found[0]) if found[0] != without else None
        return f"var(--{name}, {found[0]})" if name else found[0]

    return _COLOR.sub(themed, style)
