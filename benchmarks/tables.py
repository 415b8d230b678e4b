"""Tables for the terminal, meant for 80 columns, and for Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 80


@dataclass(frozen=True, slots=True)
class Table:
    """Text in rows and columns.

    Attributes:
        title: What it shows.
        columns: Heads of the columns; all but the first are flush right.
        rows: Texts, as many in each row as there are columns.
        note: A sentence or two beneath it, or empty.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def text(self) -> str:
        """Return it for a terminal."""
        lines = [list(self.columns), *[list(row) for row in self.rows]]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        shown = [
            "  ".join(
                cell.ljust(width) if place == 0 else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        shown.insert(1, "  ".join("-" * width for width in widths))
        notes = textwrap.wrap(self.note, WIDTH)
        return "\n".join([self.title, "", *shown, *notes])

    def markdown(self) -> str:
        """Return it for a page."""
        lines = [
            self._row(self.columns),
            self._row(["---", *["---:"] * (len(self.columns) - 1)]),
            *[self._row(row) for row in self.rows],
        ]
        parts = [f"### {self.title}", "\n".join(lines)]
        return "\n\n".join([*parts, self.note] if self.note else parts)

    @staticmethod
    def _row(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |"
