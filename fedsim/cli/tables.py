"""Tables that fit the terminal: columns are left out, cells are never broken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_GAP = 2
_SHORTEST_NAME = 12


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        heading: Its heading, with the unit.
        cells: A text per row.
        rank: Columns of a high rank are left out first where the terminal is narrow; those of
            rank 0 always stay.
        left: Whether it is aligned to the left; names are, and are cut where they are too long.
    """

    heading: str
    cells: Sequence[str]
    rank: int = 0
    left: bool = False

    @property
    def width(self) -> int:
        """Characters of its widest cell."""
        return max(len(text) for text in (self.heading, *self.cells))


def fitted(columns: Sequence[Column], width: int) -> list[Column]:
    """Return the columns that fit into *width* characters, by rank, in their order."""
    chosen = [column for column in columns if not column.rank]
    used = sum(column.width + _GAP for column in chosen)
    for column in sorted((each for each in columns if each.rank), key=lambda each: each.rank):
        used += column.width + _GAP
        if used - _GAP > width:
            break
        chosen.append(column)
    return [column for column in columns if column in chosen]


def print_table(
    console: Console,
    columns: Sequence[Column],
    *,
    indent: int = 2,
    colours: Mapping[str, str] | None = None,
) -> list[Column]:
    """Print a table with as many of its columns as fit, and return those that do not.

    Args:
        console: Where to print.
        columns: The columns.
        indent: Spaces before each line.
        colours: Colour by the text of a cell.
    """
    from rich.text import Text

    width = console.width - indent
    shown = fitted(columns, width)
    sizes = _sizes(shown, width)
    console.print(Text.assemble(" " * indent, (_line(shown, -1, sizes), "bold")))
    for row in range(len(shown[0].cells)):
        line = Text(" " * indent + _line(shown, row, sizes))
        for cell, colour in (colours or {}).items():
            if any(column.cells[row] == cell for column in shown):
                line.highlight_words([cell], colour)
        console.print(line)
    return [column for column in columns if column not in shown]


def _sizes(columns: Sequence[Column], width: int) -> list[int]:
    """Return the columns' widths, names cut where even the columns of rank 0 are too wide."""
    sizes = [column.width for column in columns]
    over = sum(sizes) + _GAP * (len(sizes) - 1) - width
    for place, column in enumerate(columns):
        if column.left and over > 0:
            cut = min(over, max(sizes[place] - _SHORTEST_NAME, 0))
            sizes[place] -= cut
            over -= cut
    return sizes


def _line(columns: Sequence[Column], row: int, sizes: Sequence[int]) -> str:
    """Return a row as text, the headings for -1."""
    cells = []
    for column, size in zip(columns, sizes, strict=True):
        text = column.heading if row < 0 else column.cells[row]
        text = text if len(text) <= size else text[: size - 1] + "…"
        cells.append(text.ljust(size) if column.left else text.rjust(size))
    return (" " * _GAP).join(cells).rstrip()
