"""Charts within a page: small, the same each time, and like those in files."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from fedsim.charts.figure import new_chart
from fedsim.charts.latency import latency_distribution
from fedsim.charts.svg import MOST_POINTS, described, largest_triangles, svg
from tests.reading import Reader


def tail(names, count):
    """Return a chart of the latency of some groups."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "strategy": np.repeat(list(names), count),
            "outcome": "ok",
            "latency_s": rng.lognormal(size=count * len(names)),
        }
    )
    return latency_distribution(table, subtitle="here")


def points(element):
    """Return the number of points of all lines, as they are drawn."""
    return sum(len(re.findall("[ML]", path)) for path in re.findall(' d="([^"]+)"', element))


def test_is_the_same_twice_and_refers_to_itself_alone():
    """Two renders are equal; ids begin with the name, and every reference has its id."""
    element = svg(tail("ab", 100), "a")
    read = Reader(element)

    assert svg(tail("ab", 100), "a") == element
    assert read.references
    assert read.references <= set(read.ids)
    assert len(read.ids) == len(set(read.ids))
    assert all(each.startswith("a-") for each in read.ids)
    assert not read.elsewhere
    assert not {each.split("-", 1)[1] for each in read.ids} & {"figure_1", "axes_1"}


def test_the_page_has_the_title():
    """Title and subtitle are not drawn, the title begins the text alternative."""
    chart = tail("ab", 100)
    read = Reader(svg(chart, "a"))

    assert (chart.title[:8], chart.subtitle) == ("How long", "here")
    assert not [text for text in read.texts if text in {chart.title, chart.subtitle}]
    label = dict(read.attributes)["aria-label"] or ""
    assert label.startswith(f"{chart.title}. ")
    assert "share that takes longer (logarithmic) against latency (s, logarithmic);" in label
    assert re.search("a: p50 .*, 100 % succeeded: from 0.1 to 1", label)


def test_names_are_escaped_and_texts_are_texts():
    """A name that is markup is text; axes can be read."""
    read = Reader(svg(tail(["<script>alert(1)</script>", "b"], 50), "x"))

    assert "script" not in read.tags
    assert any("<script>alert(1)</script>" in text for text in read.texts)
    assert any(text.startswith("latency (s, logarithmic)") for text in read.texts)


def test_many_lines_are_thinned():
    """Twenty lines of thousands of points have at most 2,000 together, and reach as far."""
    chart = tail([f"s{number:02}" for number in range(20)], 2_000)
    lines = [line for axes in chart.axes for line in axes.get_lines()]
    tails = [line for line in lines if line.get_xydata().size > 4]
    before = [line.get_xydata()[[0, -1]] for line in tails]
    element = svg(chart, "x")

    assert len(tails) == 20
    assert sum(len(line.get_xydata()) for line in lines) <= MOST_POINTS
    for line, ends in zip(tails, before, strict=True):
        np.testing.assert_array_equal(line.get_xydata()[[0, -1]], ends)
    assert points(element) < MOST_POINTS + 500  # and axes, ticks and legend


def test_triangles_keep_what_is_seen():
    """First, last and a lone peak stay; as many are kept as asked for, in their order."""
    line = np.column_stack([np.arange(1_000.0), np.zeros(1_000)])
    line[617, 1] = 5.0
    kept = largest_triangles(line, 20)

    assert len(kept) == 20
    assert (kept[0], kept[-1]) == (0, 999)
    assert 617 in kept
    assert (np.diff(kept) > 0).all()
    assert largest_triangles(line[:5], 20).tolist() == [0, 1, 2, 3, 4]


def test_crowds_are_pictures():
    """Hundreds of marks and bars become a picture, a few stay elements."""
    few, many = (new_chart("t", "s", 3.0) for _ in range(2))
    for chart, count in ((few, 20), (many, 160)):
        axes = chart.add_subplot()
        axes.scatter(np.arange(count), np.arange(count))
        axes.bar(np.arange(count), np.arange(count))
        axes.plot(np.arange(count), np.arange(count), "o")
    drawn = [Reader(svg(chart, "x")) for chart in (few, many)]

    assert "image" not in drawn[0].tags
    assert 1 <= drawn[1].tags.count("image") <= 3
    assert len(drawn[1].tags) < 150


def test_colors_are_the_pages_but_on_colored_fields():
    """Ink and paper are variables of the page; a value in a field of a map keeps its color."""
    chart = new_chart("t", "s", 3.0)
    axes = chart.add_subplot()
    axes.imshow(np.eye(2))
    axes.text(0, 0, "dark", color="#222222")
    axes.set_xlabel("label", color="#222222")
    texts = dict(re.findall(r'<text style="([^"]*)"[^>]*>(dark|label)<', svg(chart, "x")))
    styles = {text: style for style, text in texts.items()}

    assert "fill: #222222" in styles["dark"]
    assert "fill: var(--ink, #222222)" in styles["label"]


def test_rows_are_in_the_words():
    """A chart of nodes names its rows, and counts those beyond twelve."""
    chart = new_chart("t", "s", 3.0)
    axes = chart.add_subplot()
    axes.set_yticks(range(15), [f"n{number}" for number in range(15)])
    axes.set_xlabel("time (s)")

    assert described(chart).startswith("Rows against time (s). Rows: n0, n1,")
    assert "n11 and 3 more." in described(chart)
