"""Prints documents on a terminal: tables lose columns by rank, and name those that do not fit."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING

from fedsim.document import Cell, Chart, Code, Column, Heading, Notes, Sentence, Table

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
_INDENT, _GAP = 2, 2
_SHORTEST_NAME = 12
_NO_BREAK = "\u00a0"
_BEFORE_UNIT = re.compile(r"(?<=\d) (?=(?:%|s|ms|USD)(?!\w))")


def stdout() -> Console:
    """Return the console for results."""
    from rich.console import Console

    known = sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit()
    width = None if known else PIPED_WIDTH
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=False, width=width)


def show(document: Document, console: Console | None = None) -> None:
    """Print a document on standard output, or on *console*."""
    target = console or stdout()
    notes = Notes()
    before: Block | None = None
    for block in document.blocks:
        if _is_apart(before, block):
            target.print()
        _print_block(target, block, notes)
        before = block


def _is_apart(before: Block | None, block: Block) -> bool:
    """Return whether an empty line stands between two blocks."""
    if isinstance(block, Heading):
        return before is not None
    is_item = isinstance(block, Sentence) and block.item
    return isinstance(before, Table) and not is_item


def _print_block(console: Console, block: Block, notes: Notes) -> None:
    if isinstance(block, Heading):
        _print_text(console, block.text, "bold")
    elif isinstance(block, Sentence):
        _print_text(console, block.text, _COLORS[block.style], item=block.item)
    elif isinstance(block, Table):
        _print_table(console, block, notes)
    elif isinstance(block, Chart):
        _print_text(console, f"{block.file}: {block.title}", item=True)
    elif isinstance(block, Code):
        for line in block.text.splitlines():
            console.print(f"{' ' * _INDENT}{line}", soft_wrap=True)


def _print_text(console: Console, text: str, style: str = "", *, item: bool = False) -> None:
    """Print a text, wrapped between words only, so that a path can be copied."""
    from rich.text import Text

    first, other = ("  - ", "    ") if item else ("", "")
    lines = fill(
        _BEFORE_UNIT.sub(_NO_BREAK, text),
        max(console.width, 20),
        initial_indent=first,
        subsequent_indent=other,
        break_long_words=False,
        break_on_hyphens=False,
    ).replace(_NO_BREAK, " ")
    console.print(Text(lines, style=style), soft_wrap=True)


def _print_table(console: Console, table: Table, notes: Notes) -> None:
    from rich.text import Text

    width = console.width - _INDENT
    shown, left_out = fitted(table.columns, width)
    sizes = _sizes(shown, width)
    titles = [Cell(column.title) for column in shown]
    header = _line(shown, titles, sizes)
    header.stylize("bold")
    console.print(Text.assemble(" " * _INDENT, header))
    for row in zip(*(column.cells for column in shown), strict=True):
        console.print(Text.assemble(" " * _INDENT, _line(shown, row, sizes)))
    for text in [*_named(left_out, table, console.width), *notes.of(shown)]:
        _print_text(console, text, _COLORS["muted"])


def _named(left_out: Sequence[Column], table: Table, width: int) -> list[str]:
    """Return which columns do not fit and where they are, as a sentence, if there are any."""
    if not left_out:
        return []
    names = ", ".join(column.title.replace(" ", _NO_BREAK) for column in left_out)
    needed = _INDENT + sum(map(_width, table.columns)) + _GAP * (len(table.columns) - 1)
    also = f", {table.elsewhere} has them as well" if table.elsewhere else ""
    return [f"Not shown in {width} columns: {names}. COLUMNS={needed} shows all{also}."]


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
    return max(map(len, (column.title, *map(str, column.cells))))


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
    from rich.text import Text

    line = Text()
    for column, cell, size in zip(columns, cells, sizes, strict=True):
        text = str(cell) if len(str(cell)) <= size else str(cell)[: size - 1] + "…"
        padded = text.ljust(size) if column.align == "left" else text.rjust(size)
        line.append(padded, _COLORS[cell.style])
        line.append(" " * _GAP)
    line.rstrip()
    return line
