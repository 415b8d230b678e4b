"""Renders documents as HTML: one ``section``, with every text escaped, and nothing from elsewhere.

A notebook shows such a section as it is; ``fedsim.report.html`` makes a page of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from urllib.parse import quote

from fedsim.document import (
    MISSING,
    Block,
    Cell,
    Chart,
    Code,
    Column,
    Document,
    Heading,
    Notes,
    Sentence,
    Style,
    Table,
    grouped,
)

MOST_ITEMS = 100
"""Items of a list beyond so many are counted, not shown."""

_BRACKETS = re.compile(r" \([^()]*\)$")
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters, those that turn the direction of a text among them."""


def html(
    document: Document,
    *,
    pictures: Mapping[str, str] | None = None,
    anchors: bool = False,
    most_cells: int | None = None,
    most_items: int = MOST_ITEMS,
) -> str:
    """Return a document as one ``section`` of HTML.

    Styles are the classes ``good``, ``bad``, ``warning`` and ``muted``.

    Args:
        document: The document.
        pictures: Elements to show in place of files of charts, by file.
        anchors: Whether each part below a heading is a ``section`` whose heading has an ``id``;
            see `anchored`.
        most_cells: Tables are cut, from the bottom, to so many cells and rows together; each that
            is cut says so. None shows all.
        most_items: Items of each list beyond so many are counted, not shown.
    """
    renderer = _Renderer(document, pictures or {}, anchors, most_cells, most_items)
    return "\n".join(renderer.parts())


def anchored(document: Document) -> dict[str, str]:
    """Return the headings below the title by the ``id`` that ``html`` gives them.

    What they have in brackets at their end is left out.
    """
    headings = [block for block in document.blocks if isinstance(block, Heading)]
    return {
        f"part-{number}": _BRACKETS.sub("", each.text)
        for number, each in enumerate(each for each in headings if each.level == 2)
    }


def text_of(text: str) -> str:
    """Return a text escaped, with a visible mark in place of each control character."""
    return escape(_UNSEEN.sub("\ufffd", text))


class _Renderer:
    """Renders one document; notes are shown once, and parts are closed where the next begins."""

    def __init__(
        self,
        document: Document,
        pictures: Mapping[str, str],
        anchors: bool,
        most_cells: int | None,
        most_items: int,
    ) -> None:
        self._document = document
        self._pictures = pictures
        self._anchors = anchors
        self._rows = _rows_of_each(document, most_cells)
        self._most_items = most_items
        self._notes = Notes()
        self._part = 0
        self._heading = ""

    def parts(self) -> Iterator[str]:
        """Yield the lines."""
        yield '<section class="fedsim">'
        for group in grouped(self._document):
            if isinstance(group, list):
                yield from _list(group, self._most_items)
            else:
                yield from self._block(group)
        if self._anchors and self._part:
            yield "</section>"
        yield "</section>"

    def _block(self, block: Block) -> Iterator[str]:
        if isinstance(block, Heading):
            yield from self._title(block)
        elif isinstance(block, Sentence):
            yield f"<p{_class(block.style)}>{text_of(block.text)}</p>"
        elif isinstance(block, Table):
            yield from self._table(block)
        elif isinstance(block, Chart):
            yield from self._chart(block)
        else:
            yield from _code(block)

    def _title(self, heading: Heading) -> Iterator[str]:
        self._heading = heading.text
        opened = f"<h{heading.level}>"
        if self._anchors and heading.level == 2:
            if self._part:
                yield "</section>"
            name = f"part-{self._part}"
            self._part += 1
            yield f'<section aria-labelledby="{name}">'
            opened = f'<h2 id="{name}">'
        yield f"{opened}{text_of(heading.text)}</h{heading.level}>"

    def _table(self, table: Table) -> Iterator[str]:
        rows = len(table.columns[0].cells)
        shown = rows if self._rows is None else min(rows, self._rows)
        # A table that is wider than the page is moved by keys, so it can be reached by them.
        label = text_of(self._heading)
        yield f'<div class="table" role="region" aria-label="{label}" tabindex="0">'
        names = _names(table)
        heads = (_head(column, place == names) for place, column in enumerate(table.columns))
        yield f"<table>\n<thead><tr>{''.join(heads)}</tr></thead>"
        yield "<tbody>"
        for _, row in zip(range(shown), table.rows, strict=False):
            cells = zip(table.columns, row, strict=True)
            line = (_cell(*each, place == names) for place, each in enumerate(cells))
            yield f"<tr>{''.join(line)}</tr>"
        yield "</tbody>\n</table></div>"
        if shown < rows:
            where = f"; {table.elsewhere} has all" if table.elsewhere else ""
            yield f'<p class="muted">The first {shown:,} of {rows:,} rows{text_of(where)}.</p>'
        for note in self._notes.of(table.columns):
            yield f'<p class="muted">{text_of(note)}</p>'

    def _chart(self, chart: Chart) -> Iterator[str]:
        title = text_of(chart.title)
        picture = self._pictures.get(chart.file)
        if picture is None:
            picture = f'<img src="{text_of(quote(chart.file))}" alt="{title}">'
        yield f"<figure><figcaption>{title}</figcaption>{picture}</figure>"


def _list(items: Sequence[Sentence], most: int) -> Iterator[str]:
    yield "<ul>"
    for each in items[:most]:
        yield f"<li{_class(each.style)}>{text_of(each.text)}</li>"
    if len(items) > most:
        yield f'<li class="muted">and {len(items) - most:,} more</li>'
    yield "</ul>"


def _code(code: Code) -> Iterator[str]:
    lines = f'<pre tabindex="0"><code>{text_of(code.text)}</code></pre>'
    if code.folded:
        lines = f"<details><summary>{text_of(code.folded)}</summary>{lines}</details>"
    yield lines


def _names(table: Table) -> int | None:
    """Return the place of the column that names the rows, one of the first two; None for none."""
    for place, column in enumerate(table.columns[:2]):
        texts = list(map(str, column.cells))
        if column.align == "left" and len(set(texts)) == len(texts):
            return place
    return None


def _head(column: Column, names_rows: bool) -> str:
    side = f' class="left{" name" * names_rows}"' if column.align == "left" else ""
    return f'<th scope="col"{side}>{text_of(column.title)}</th>'


def _cell(column: Column, cell: Cell, names_rows: bool) -> str:
    """Return a cell; a name is the heading of its row."""
    text = str(cell)
    tag, scope = ("th", ' scope="row"') if names_rows else ("td", "")
    value = cell.value
    number = isinstance(value, int | float) and text not in {MISSING, str(value)}
    sorted_by = f' data-value="{value:.12g}"' if number else ""
    names = " ".join(filter(None, (cell.style, "left" if column.align == "left" else "")))
    kind = f' class="{names}"' if names else ""
    return f"<{tag}{scope}{kind}{sorted_by}>{text_of(text)}</{tag}>"


def _class(style: Style) -> str:
    return f' class="{style}"' if style else ""


def _rows_of_each(document: Document, most_cells: int | None) -> int | None:
    """Return how many rows each table has at most so that all have *most_cells*, rows included."""
    if most_cells is None:
        return None
    shapes = [
        (1 + len(block.columns), len(block.columns[0].cells))
        for block in document.blocks
        if isinstance(block, Table)
    ]
    longest = max((rows for _, rows in shapes), default=0)

    def cells(most: int) -> int:
        return sum(across * min(rows, most) for across, rows in shapes)

    low, high = 1, max(longest, 1)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if cells(middle) <= most_cells else (low, middle - 1)
    return low
