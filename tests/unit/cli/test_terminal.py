"""Documents on a terminal: what fits, what is named where it does not, and colors."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from fedsim.cli.terminal import PIPED_WIDTH, fitted, show, stdout
from fedsim.document import Cell, Chart, Code, Column, Document, Heading, Sentence, Table, words


def printed(*blocks, width=80, **kwargs):
    """Return the lines of a document on a terminal of that width."""
    console = Console(file=io.StringIO(), width=width, highlight=False, **kwargs)
    show(Document(blocks), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def column(heading, texts, rank=0, **kwargs):
    """Return a column of numbers, as texts."""
    return Column(heading, tuple(map(Cell, texts)), rank=rank, **kwargs)


TABLE = Table(
    (
        words("strategy", ["round_robin", "least_latency"]),
        column("p99", ["9.5 ± 0.5", "10.0 ± 0.5"], 2, unit="s", note="p99: of successes."),
        column("goodput", ["99.1 ± 0.1", "98.0 ± 0.2"], 1, unit="%"),
        column("wait", ["0.1", "0.25"], 3, unit="s", note="wait: in queues."),
        column("a column of no great use", ["1", "2"], 4),
        column("one of less", ["1", "2"], 5),
    ),
    "summary.json",
)


def test_a_wide_terminal_shows_everything():
    """Numbers are aligned to the right under their headings, names to the left."""
    assert printed(TABLE, width=120) == [
        "  strategy            p99 s   goodput %  wait s  a column of no great use  one of less",
        "  round_robin     9.5 ± 0.5  99.1 ± 0.1     0.1                         1            1",
        "  least_latency  10.0 ± 0.5  98.0 ± 0.2    0.25                         2            2",
        "p99: of successes.",
        "wait: in queues.",
    ]


def test_what_does_not_fit_is_named_with_the_way_to_it():
    """Columns go by rank, and neither they nor their notes go silently."""
    assert printed(TABLE, width=80) == [
        "  strategy            p99 s   goodput %  wait s  a column of no great use",
        "  round_robin     9.5 ± 0.5  99.1 ± 0.1     0.1                         1",
        "  least_latency  10.0 ± 0.5  98.0 ± 0.2    0.25                         2",
        "Not shown in 80 columns: one of less. COLUMNS=86 shows all, summary.json has",
        "them as well.",
        "p99: of successes.",
        "wait: in queues.",
    ]
    assert printed(TABLE, width=40)[2:] == [
        "  least_latency  10.0 ± 0.5  98.0 ± 0.2",
        "Not shown in 40 columns: wait s,",
        "a column of no great use, one of less.",
        "COLUMNS=86 shows all, summary.json has",
        "them as well.",
        "p99: of successes.",
    ]
    assert len(printed(TABLE, width=86)) == 5
    assert printed(TABLE, TABLE, width=80)[-1] == "Not shown: the same columns as above."


def test_columns_are_left_out_by_rank():
    """The least important column goes first, and the order of the others stays."""
    headings = [[each.heading for each in fitted(TABLE.columns, width)[0]] for width in (60, 30, 5)]

    assert headings == [
        ["strategy", "p99", "goodput", "wait"],
        ["strategy", "goodput"],
        ["strategy"],
    ]


def test_a_name_that_is_too_long_is_cut():
    """Where even the columns that must stay are too wide, names give way, numbers never."""
    table = Table(
        (
            words("strategy", ["a_module.with_a_long_name:AndAClassOfALongName"]),
            column("goodput %", ["99.1 ± 0.1"]),
        )
    )

    assert printed(table, width=40)[1] == "  a_module.with_a_long_name…  99.1 ± 0.1"


def test_wide_characters_are_aligned():
    """A character of a far-eastern script takes two places, where it is cut as well."""
    table = Table((words("router", ["振り分け", "x"]), column("p99 s", ["1.5", "2.5"])))

    assert [cell_len(line) for line in printed(table, width=40)] == [17, 17, 17]
    assert printed(Table((words("router", ["振" * 30]),)), width=40)[1] == f"  {'振' * 18} …"


@given(
    st.lists(
        st.tuples(st.integers(1, 30), st.integers(0, 5), st.booleans()), min_size=1, max_size=9
    ),
    st.integers(80, 200),
)
def test_no_line_is_wider_than_the_terminal(shapes, width):
    """Whatever the columns, each is shown or named, and no line is too long."""
    columns = [
        Column(
            f"x{place}",
            (Cell("y" * size),),
            rank=rank or (0 if place == 0 else 1),
            align="left" if left else "right",
        )
        for place, (size, rank, left) in enumerate(shapes)
    ]
    lines = printed(Table(tuple(columns)), width=width)

    assert all(len(line) <= width for line in lines)
    found = " ".join([lines[0], *lines[2:]]).replace(",", " ").replace(".", " ").split()
    assert all(each.heading in found for each in columns)


def test_blocks_stand_apart():
    """Headings have an empty line before them, lists none; charts are files with their titles."""
    lines = printed(
        Heading("Title", 1),
        Sentence("Text."),
        Heading("Part"),
        TABLE,
        TABLE,
        Sentence("Item", item=True),
        Chart("latency", "charts/latency.png"),
        Heading("Repeat with"),
        Code("fedsim run " + "x" * 100),
        width=100,
    )
    table = printed(TABLE, width=100)[:3]

    assert lines[:4] == ["Title", "Text.", "", "Part"]
    assert lines[4:13] == [*table, "p99: of successes.", "wait: in queues.", "", *table]
    assert lines[13:16] == ["  - Item", "  - charts/latency.png: latency", ""]
    assert lines[16:] == ["Repeat with", "  fedsim run " + "x" * 100]


def test_sentences_wrap_between_words_only():
    """A long word such as a path is kept whole, and a number keeps its unit."""
    path = "/a/very/long/path/that/does/not/fit/in/any/line.yaml"
    lines = printed(
        Sentence(f"Something is wrong with the file {path} here.", item=True),
        Sentence("This sentence ends after a number: 12.5 s."),
        width=40,
    )

    assert lines == [
        "  - Something is wrong with the file",
        f"    {path}",
        "    here.",
        "This sentence ends after a number:",
        "12.5 s.",
    ]


@pytest.mark.parametrize(("style", "code"), [("good", "32"), ("bad", "31"), ("warning", "33")])
def test_styles_are_colors_on_a_terminal_alone(style, code):
    """The same cell is plain where the output is no terminal."""
    table = Table((words("verdict", ["held"], styles={"held": style}),))

    colored = printed(table, force_terminal=True, color_system="standard")
    assert f"\x1b[{code}mheld\x1b[0m" in colored[1]
    assert printed(table)[1] == "  held"


def test_a_pipe_is_wider_than_a_terminal(monkeypatch):
    """Without a terminal, lines have 120 characters unless COLUMNS says otherwise."""
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert stdout().width == PIPED_WIDTH == 120
    for columns, width in (("60", 60), ("0", 40), ("wide", 120)):
        monkeypatch.setenv("COLUMNS", columns)
        assert stdout().width == width
