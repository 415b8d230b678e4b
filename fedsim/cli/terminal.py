"""Prints documents on a terminal: tables lose columns by rank, and name those that do not fit."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING

from fedsim.document import Cell, Chart, Column, Heading, Notes, Sentence, Table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from fedsim.document import Block, Document, Style

PIPED_WIDTH = 120
"""Characters of a line where standard output is no terminal and COLUMNS is not set."""

_COLORS: Mapping[Style, str] = {
    "": "",
    "good": "green",
    "bad": "red",
    "warning": "yellow",
    "muted": "dim",
}
_LEAST_WIDTH = 40
_INDENT, _GAP = 2, 2
_SHORTEST_NAME = 12
_NO_BREAK = "\u00a0"
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:%|s|ms|USD)(?!\w))")


def stdout() -> Console:
    """Return the console for results, at least 40 columns wide."""
    from rich.console import Console

    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=False)
    known = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    console.width = max(console.width, _LEAST_WIDTH) if known else PIPED_WIDTH
    return console


def show(document: Document, console: Console | None = None) -> None:
    """Print a document on standard output, or on *console*."""
    printer = _Printer(console or stdout())
    for block in document.blocks:
        printer.print(block)


class _Printer:
    """Prints blocks one after the other, and says nothing twice of the columns of tables."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._before: Block | None = None
        self._notes = Notes()
        self._named: list[str] = []

    def print(self, block: Block) -> None:
        """Print the next block."""
        if self._is_apart(block):
            self._console.print()
        if isinstance(block, Heading):
            self._text(block.text, "bold")
        elif isinstance(block, Sentence):
            self._text(block.text, _COLORS[block.style], item=block.item)
        elif isinstance(block, Table):
            self._table(block)
        elif isinstance(block, Chart):
            self._text(f"{block.file}: {block.title}", item=True)
        else:
            for line in block.text.splitlines():
                self._console.print(f"{' ' * _INDENT}{line}", soft_wrap=True)
        self._before = block

    def _is_apart(self, block: Block) -> bool:
        """Return whether an empty line stands before a block."""
        if isinstance(block, Heading):
            return self._before is not None
        is_item = isinstance(block, Sentence) and block.item
        return isinstance(self._before, Table) and not is_item

    def _text(self, text: str, style: str = "", *, item: bool = False) -> None:
        """Print a text, wrapped between words only, so that a path can be copied."""
        from rich.text import Text

        first, other = ("  - ", "    ") if item else ("", "")
        lines = fill(
            _BEFORE_UNIT.sub(_NO_BREAK, text),
            self._console.width,
            initial_indent=first,
            subsequent_indent=other,
            break_long_words=False,
            break_on_hyphens=False,
        ).replace(_NO_BREAK, " ")
        self._console.print(Text(lines, style=style), soft_wrap=True)

    def _table(self, table: Table) -> None:
        from rich.text import Text

        width = self._console.width - _INDENT
        shown, left_out = fitted(table.columns, width)
        sizes = _sizes(shown, width)
        header = _line(shown, [Cell(column.title) for column in shown], sizes)
        header.stylize("bold")
        self._console.print(Text.assemble(" " * _INDENT, header), soft_wrap=True)
        for row in zip(*(column.cells for column in shown), strict=True):
            line = Text.assemble(" " * _INDENT, _line(shown, row, sizes))
            self._console.print(line, soft_wrap=True)
        if left_out:
            self._text(self._missing(left_out, table), _COLORS["muted"])
        for note in self._notes.of(shown):
            self._text(note, _COLORS["muted"])

    def _missing(self, left_out: Sequence[Column], table: Table) -> str:
        """Return which columns do not fit, and where they are."""
        names = [column.title.replace(" ", _NO_BREAK) for column in left_out]
        if names == self._named:
            return "Not shown: the same columns as above."
        self._named = names
        needed = _INDENT + sum(map(_width, table.columns)) + _GAP * (len(table.columns) - 1)
        also = f", {table.elsewhere} has them as well" if table.elsewhere else ""
        return (
            f"Not shown in {self._console.width} columns: {', '.join(names)}. "
            f"COLUMNS={needed} shows all{also}."
        )


def fitted(columns: Sequence[Column], width: int) -> tuple[list[Column], list[Column]]:
    """Return the columns that fit into *width* characters, by rank, and those that do not."""
    ranked = [number for number, column in enumerate(columns) if column.rank]
    chosen = {number for number, column in enumerate(columns) if not column.rank}
    used = sum(_width(columns[number]) + _GAP for number in chosen)
    for number in sorted(ranked, key=lambda number: columns[number].rank):
        used += _width(columns[number]) + _GAP
        if used - _GAP > width:
            break
        chosen.add(number)
    shown = [column for number, column in enumerate(columns) if number in chosen]
    return shown, [column for number, column in enumerate(columns) if number not in chosen]


def _width(column: Column) -> int:
    from rich.cells import cell_len

    return max(map(cell_len, (column.title, *map(str, column.cells))))


def _sizes(columns: Sequence[Column], width: int) -> list[int]:
    """Return the columns' widths, names cut where even the columns of rank 0 are too wide."""
    sizes = [_width(column) for column in columns]
    over = sum(sizes) + _GAP * (len(sizes) - 1) - width
    for place, column in enumerate(columns):
        if column.align == "left" and over > 0:
            cut = min(over, max(sizes[place] - _SHORTEST_NAME, 0))
            sizes[place] -= cut
            over -= cut
    return sizes


def _line(columns: Sequence[Column], cells: Sequence[Cell], sizes: Sequence[int]) -> Text:
    """Return a row, its cells in their colors."""
    from rich.cells import cell_len, set_cell_size
    from rich.text import Text

    line = Text()
    for column, cell, size in zip(columns, cells, sizes, strict=True):
        text = str(cell)
        if cell_len(text) > size:
            text = set_cell_size(text, size - 1) + "…"
        padding = " " * (size - cell_len(text))
        line.append(
            text + padding if column.align == "left" else padding + text, _COLORS[cell.style]
        )
        line.append(" " * _GAP)
    line.rstrip()
    return line
