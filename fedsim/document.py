"""What a command reports, as values: a ``Document`` of headings, sentences, tables, charts, code.

A document says nothing of how it looks. ``fedsim.cli.terminal`` prints it; ``fedsim.html.html`` and
``markdown`` return it as text, and ``to_json`` as plain values, which ``from_json`` reads back.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal
from urllib.parse import quote

Style = Literal["", "good", "bad", "warning", "muted"]
"""What a text means; only renderers know its color."""

Form = Literal["significant", "decimals", "count", "percent"]
"""How a number is written: with so many significant digits or decimals, as a whole number, or, for
a share from 0 to 1, in percent without the sign."""

MISSING = "–"


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table.

    Attributes:
        value: A text, or a number in the unit of its column (a share where the form is percent);
            None for none.
        form: How a number is written.
        digits: Significant digits, or decimals.
        low: The lower end of the value's confidence interval, or None.
        high: The upper end, or None.
        signed: Whether a plus sign is written.
        text: What people read in place of the value, or empty.
        style: What it means.
    """

    value: str | float | None
    form: Form = "significant"
    digits: int = 3
    low: float | None = None
    high: float | None = None
    signed: bool = False
    text: str = ""
    style: Style = ""

    def __str__(self) -> str:
        value = self.value
        if self.text or isinstance(value, str):
            return self.text or str(value)
        if value is None:
            return MISSING
        if self.low is not None and self.high is not None:
            scale = 100.0 if self.form == "percent" else 1.0
            ends = (self.low * scale, self.high * scale)
            return with_interval(value * scale, *ends, signed=self.signed)
        if self.form == "decimals":
            value = round(value, self.digits) + 0.0  # no minus before a zero
        text = self._number(value)
        return f"+{text}" if self.signed and value > 0.0 else text

    def _number(self, value: float) -> str:
        if self.form == "percent":  # a difference may be negative, or as small as it likes
            return plain(100.0 * value, 4) if self.signed else percent(value)
        if self.form == "significant":
            return plain(value, self.digits)
        return f"{value:,.{0 if self.form == 'count' else self.digits}f}"


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        heading: Its heading, without the unit.
        cells: A cell per row.
        unit: The unit of its numbers, or empty.
        rank: Where not all columns fit, those of a high rank are left out first; those of rank 0
            always stay.
        align: The side to which its cells are aligned.
        note: A sentence that explains the column, shown below the first table with the column.
    """

    heading: str
    cells: tuple[Cell, ...]
    unit: str = ""
    rank: int = 0
    align: Literal["left", "right"] = "right"
    note: str = ""

    @property
    def title(self) -> str:
        """The heading with its unit."""
        return f"{self.heading} {self.unit}".strip()


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading; level 1 is the document's title."""

    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence or several; *item* makes it an item of a list with its neighbors."""

    text: str
    style: Style = ""
    item: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table.

    Attributes:
        columns: Its columns, at least one, with as many cells each.
        elsewhere: What has the columns that do not fit, such as ``summary.json``; empty for
            nothing.
    """

    columns: tuple[Column, ...]
    elsewhere: str = ""

    def __post_init__(self) -> None:
        if len({len(column.cells) for column in self.columns}) != 1:
            msg = "a table needs columns, with as many cells each"
            raise ValueError(msg)

    @property
    def rows(self) -> Iterator[tuple[Cell, ...]]:
        """Its rows, from the top."""
        return zip(*(column.cells for column in self.columns), strict=True)


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart in a file, a path from where the document is read."""

    title: str
    file: str


@dataclass(frozen=True, slots=True)
class Code:
    """Lines to copy, which are never broken, such as a command.

    Attributes:
        text: The lines.
        language: What they are written in, such as ``shell``, or empty.
        folded: What they are, in words, where so many are shown only when asked for; else empty.
    """

    text: str
    language: str = ""
    folded: str = ""


Block = Heading | Sentence | Table | Chart | Code


@dataclass(frozen=True, slots=True)
class Document:
    """Blocks, in the order in which they are read."""

    blocks: tuple[Block, ...]


def words(
    heading: str, values: Sequence[str], rank: int = 0, styles: Mapping[str, Style] | None = None
) -> Column:
    """Return a column of texts, aligned to the left, with a style by text."""
    known = styles or {}
    cells = tuple(Cell(value, style=known.get(value, "")) for value in values)
    return Column(heading, cells, rank=rank, align="left")


def figure(
    value: float,
    form: Form = "significant",
    digits: int = 3,
    *,
    interval: tuple[float, float] | None = None,
    signed: bool = False,
) -> Cell:
    """Return a cell with a number; NaN is none, and an infinite one is written ``inf``.

    An *interval* with an end that is NaN or infinite is left out.
    """
    if math.isnan(value):
        return Cell(None)
    if math.isinf(value):
        return Cell(None, text=f"{value:g}")
    low = high = None
    if interval is not None and all(map(math.isfinite, interval)):
        low, high = map(float, interval)
    number = int(value) if form == "count" else float(value)
    return Cell(number, form, digits, low, high, signed)


def plain(value: float, digits: int = 3) -> str:
    """Return a number with so many significant digits, and no exponent unless it is tiny."""
    if math.isnan(value):
        return MISSING
    if value == 0.0 or math.isinf(value):
        return f"{value:g}"
    if abs(value) < 1e-4:
        return f"{value:.1e}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}"


def percent(share: float) -> str:
    """Return a share in percent without the sign, never rounded up to 100 or down to 0."""
    if math.isnan(share):
        return MISSING
    for decimals in (2, 4):
        text = f"{100.0 * share:.{decimals}f}"
        if share in {0.0, 1.0} or float(text) not in {0.0, 100.0}:
            return f"{100.0 * share:g}" if share in {0.0, 1.0} else text
    return "99.9999" if share > 0.5 else "0.0001"


def with_interval(mean: float, low: float, high: float, *, signed: bool = False) -> str:
    """Return ``mean ± half-width``, or ``mean [low, high]`` where the two sides are unequal.

    Sides are unequal that differ by more than a tenth. Everything is written to the second
    significant digit of the half-width.
    """
    sign = "+" if signed else ""
    half_width = (high - low) / 2.0
    if half_width == 0.0:
        text = plain(mean, 4)
        return f"+{text} ± 0" if signed and mean > 0.0 else f"{text} ± 0"
    decimals = min(max(0, 1 - math.floor(math.log10(half_width))), 6)
    sides = (mean - low, high - mean)
    # Adding 0.0 leaves no minus before a zero.
    mean, low, high = (round(value, decimals) + 0.0 for value in (mean, low, high))
    text = f"{mean:{sign},.{decimals}f}"
    if max(sides) > 1.1 * min(sides):
        return f"{text} [{low:{sign},.{decimals}f}, {high:{sign},.{decimals}f}]"
    return f"{text} ± {half_width:,.{decimals}f}"


class Notes:
    """Keeps the notes of columns that a renderer has shown, so that each is shown once."""

    def __init__(self) -> None:
        self._shown: dict[str, None] = {}

    def of(self, columns: Sequence[Column]) -> list[str]:
        """Return the notes of *columns* that were not returned before."""
        new = dict.fromkeys(each.note for each in columns if each.note not in {"", *self._shown})
        self._shown |= new
        return list(new)


_KINDS: Mapping[str, type[Block]] = {
    "heading": Heading,
    "sentence": Sentence,
    "table": Table,
    "chart": Chart,
    "code": Code,
}


def to_json(document: Document) -> dict[str, Any]:
    """Return a document as plain values for JSON; fields that have their default are left out."""
    names = {each: name for name, each in _KINDS.items()}
    return {"blocks": [{"kind": names[type(block)]} | _plain(block) for block in document.blocks]}


def from_json(data: Mapping[str, Any]) -> Document:
    """Return the document that ``to_json`` made *data* of.

    Raises:
        KeyError: A block has an unknown kind.
        TypeError: A block lacks a field, or has an unknown one.
    """
    return Document(tuple(_block(**block) for block in data["blocks"]))


def _plain(value: Any) -> dict[str, Any]:
    found = {}
    for field in fields(value):
        content = getattr(value, field.name)
        if content == field.default:
            continue
        nested = isinstance(content, tuple)
        found[field.name] = [_plain(each) for each in content] if nested else content
    return found


def _block(kind: str, **values: Any) -> Block:
    if kind != "table":
        return _KINDS[kind](**values)
    columns = [
        Column(**each | {"cells": tuple(Cell(**cell) for cell in each["cells"])})
        for each in values.pop("columns")
    ]
    return Table(tuple(columns), **values)


def grouped(document: Document) -> Iterator[Block | list[Sentence]]:
    """Yield the blocks, with the items of each list as one."""
    items: list[Sentence] = []
    for block in document.blocks:
        if isinstance(block, Sentence) and block.item:
            items.append(block)
            continue
        if items:
            yield items
            items = []
        yield block
    if items:
        yield items


def markdown(document: Document) -> str:
    """Return a document as Markdown of GitHub's kind, with every text escaped."""
    parts, notes = [], Notes()
    for group in grouped(document):
        if isinstance(group, list):
            parts.append("\n".join(f"- {_escaped(each.text)}" for each in group))
        elif isinstance(group, Heading):
            parts.append(f"{'#' * group.level} {_escaped(group.text)}")
        elif isinstance(group, Sentence):
            parts.append(_escaped(group.text))
        elif isinstance(group, Table):
            parts += [_markdown_table(group), *map(_escaped, notes.of(group.columns))]
        elif isinstance(group, Chart):
            parts.append(f"![{_escaped(group.title)}]({quote(group.file)})")
        else:
            fence = "`" * max(3, 1 + max(map(len, re.findall("`+", group.text)), default=0))
            parts.append(f"{fence}{group.language}\n{group.text}\n{fence}")
    return "\n\n".join(parts) + "\n"


def _markdown_table(table: Table) -> str:
    sides = [":---" if column.align == "left" else "---:" for column in table.columns]
    lines = [[_escaped(column.title) for column in table.columns], sides]
    lines += [[_escaped(str(cell)) for cell in row] for row in table.rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


_SPECIAL = re.compile(r"[\\`*\[\]<>|~&$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_LEADING = re.compile(r"[#+=-]+(?=\s|$)|\d+(?=[.)](?:\s|$))")


def _escaped(text: str) -> str:
    """Return a text in one line, in which nothing has a meaning to Markdown."""
    line = _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))
    start = _LEADING.match(line)
    if start is None:
        return line
    mark = start[0]
    return f"{mark}\\{line[len(mark) :]}" if mark.isdigit() else f"\\{line}"
