"""Tables that fit the terminal."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from fedsim.cli.output import sentences
from fedsim.cli.tables import Column, fitted, print_table


def printed(columns, width, **kwargs):
    """Return the lines of a table on a terminal of that width."""
    console = Console(file=io.StringIO(), width=width)
    print_table(console, columns, **kwargs)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


NAMES = Column("strategy", ["round_robin", "least_latency"], left=True)
COLUMNS = [
    NAMES,
    Column("p99 s", ["9.5 ± 0.5", "10.0 ± 0.5"], 2),
    Column("goodput %", ["99.1 ± 0.1", "98.0 ± 0.2"], 1),
    Column("wait s", ["0.1", "0.25"], 3),
]


def test_a_wide_terminal_shows_everything():
    """Numbers are aligned to the right under their headings, names to the left."""
    assert printed(COLUMNS, 80) == [
        "  strategy            p99 s   goodput %  wait s",
        "  round_robin     9.5 ± 0.5  99.1 ± 0.1     0.1",
        "  least_latency  10.0 ± 0.5  98.0 ± 0.2    0.25",
    ]


def test_columns_are_left_out_by_rank():
    """The least important column goes first, and the order of the others stays."""
    assert [column.heading for column in fitted(COLUMNS, 40)] == ["strategy", "p99 s", "goodput %"]
    assert [column.heading for column in fitted(COLUMNS, 30)] == ["strategy", "goodput %"]
    assert [column.heading for column in fitted(COLUMNS, 5)] == ["strategy"]


def test_a_name_that_is_too_long_is_cut():
    """Where even the columns that must stay are too wide, names give way, numbers never."""
    long = Column("strategy", ["a_module.with_a_long_name:AndAClassOfALongName"], left=True)
    lines = printed([long, Column("goodput %", ["99.1 ± 0.1"])], 40)
    assert lines[1] == "  a_module.with_a_long_name…  99.1 ± 0.1"


@given(
    st.lists(
        st.tuples(st.integers(1, 30), st.integers(0, 5), st.booleans()), min_size=1, max_size=9
    ),
    st.integers(80, 200),
)
def test_no_line_is_wider_than_the_terminal(shapes, width):
    """Whatever the columns, ranked ones are left out before a line is too long."""
    columns = [
        Column("x", ["y" * size], rank=rank or (0 if place == 0 else 1), left=left)
        for place, (size, rank, left) in enumerate(shapes)
    ]
    lines = printed(columns, width)
    assert len(lines) == 2
    assert all(len(line) <= width for line in lines)


def test_what_does_not_fit_is_returned():
    """The caller can say which columns are missing."""
    console = Console(file=io.StringIO(), width=32)
    assert [column.heading for column in print_table(console, COLUMNS)] == ["p99 s", "wait s"]


def test_sentences_wrap_between_words_only():
    """A long word such as a path is kept whole, so that it can be copied."""
    console = Console(file=io.StringIO(), width=40)
    path = "/a/very/long/path/that/does/not/fit/in/any/line.yaml"
    sentences(console, [f"Something is wrong with the file {path} here."])
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "  - Something is wrong with the file",
        f"    {path}",
        "    here.",
    ]
