"""Reads traces that are CSV files."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv as arrow_csv

from fedsim.workload.traces.content import first_line, full_lines, opened, readable
from fedsim.workload.traces.errors import TraceError, UnfitError, shown
from fedsim.workload.traces.fields import time_field
from fedsim.workload.traces.gather import Chunk, gather
from fedsim.workload.traces.layout import Layout
from fedsim.workload.traces.scan import Rows, scan
from fedsim.workload.traces.trace import Trace

_BLOCK_BYTES = 4 << 20
_EMPTY = (b"\n\n", b"\n\r", b"\r\r")


def read_csv(file: str, layout: Layout) -> Trace:
    """Read a trace that is a CSV file with a header, about a microsecond a row.

    Args:
        file: The file, gzipped or not.
        layout: Its columns; it may have more.

    Raises:
        TraceError: It cannot be read; the first line that is wrong is named.
    """
    header = _header(file, layout)
    layout = (
        layout
        if layout.clock
        else layout.read_at(time_field(layout.time, _first_time(file, layout)))
    )
    try:
        with readable(file, _expected(layout)):
            return gather(file, _chunks(file, header, layout), layout)
    except (UnfitError, pa.ArrowInvalid) as failure:
        scan(file, _rows(file, header, layout), layout)
        message = f"The trace cannot be read: {str(failure).rstrip('.')}."
        raise TraceError(file, None, message, _expected(layout)) from failure


def _expected(layout: Layout) -> str:
    if layout.header is not None:
        return f"Give a CSV file with the header {layout.header} and a row per request."
    return f"Give a CSV file with the columns {', '.join(layout.columns)} and a row per request."


def _header(file: str, layout: Layout) -> list[str]:
    """Return the names of the columns, after checking that there are rows."""
    expected = _expected(layout)
    line = first_line(file, expected)
    if layout.header is not None and line.strip() != layout.header:
        message = f"The header is {shown(line)}, not {layout.header}."
        raise TraceError(file, 1, message, "Correct the header, or name the format of this file.")
    names = [name.strip() for name in _split(line, layout)]
    check_columns(file, names, layout)
    if not any(number > 1 for number, _ in full_lines(file, expected)):
        raise TraceError(file, 1, "The trace has a header and no rows.", expected)
    return names


def check_columns(file: str, names: list[str], layout: Layout) -> None:
    """Check that a file has the columns of its layout.

    Raises:
        TraceError: One is missing, or there twice.
    """
    for name in layout.columns:
        if names.count(name) == 1:
            continue
        if name in names:
            message = f"The column {shown(name)} is there {names.count(name)} times."
            raise TraceError(file, 1, message, "Give each column a name of its own.")
        separated = other_separator(names)
        if separated is not None:
            raise TraceError(file, 1, *separated)
        message = f"There is no column {shown(name)}."
        remedy = f"Name it under columns, out of {shown(', '.join(names), 300)[1:-1]}."
        raise TraceError(file, 1, message, remedy)


def other_separator(names: list[str]) -> tuple[str, str] | None:
    """Return what is wrong and what to do where a header has no comma but another separator."""
    for separator, word in ((";", "semicolons"), ("\t", "tabs")):
        if len(names) == 1 and separator in names[0]:
            message = f"The columns are separated by {word}, not by commas."
            remedy = (
                f"Convert it: pandas.read_csv(FILE, sep={separator!r}).to_csv(NEW, index=False)."
            )
            return message, remedy
    return None


def _first_time(file: str, layout: Layout) -> str:
    """Return the first time of a file, as it stands there."""
    lines = full_lines(file, _expected(layout))
    names = [name.strip() for name in _split(next(lines)[1], layout)]
    fields = _split(next(lines, (2, ""))[1], layout)
    place = names.index(layout.time)
    return fields[place] if place < len(fields) else ""


def _split(line: str, layout: Layout) -> list[str]:
    """Return the fields of a line; those of a known header are never quoted."""
    if layout.header is not None:
        return line.split(",")
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


def _chunks(file: str, header: list[str], layout: Layout) -> Iterator[Chunk]:
    """Yield the columns, a part after the other, as texts.

    Raises:
        TraceError: An empty line stands between others.
    """
    with (
        opened(file) as content,
        arrow_csv.open_csv(
            pa.PythonFile(watch := _Watched(content), mode="r"),
            arrow_csv.ReadOptions(column_names=header, skip_rows=1, block_size=_BLOCK_BYTES),
            arrow_csv.ParseOptions(quote_char=False if layout.header is not None else '"'),
            arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(layout.columns, pa.string()),
                include_columns=layout.columns,
                strings_can_be_null=False,
            ),
        ) as batches,
    ):
        try:
            for batch in batches:
                yield dict(zip(layout.columns, batch.columns, strict=True))
        finally:
            watch.over = True  # arrow reads ahead in a thread, which must not outlive a failure
    if watch.empty_lines:
        for _ in full_lines(file, _expected(layout)):
            pass


class _Watched:
    """A file that notes whether lines of it are empty, which arrow leaves out without a word."""

    closed = False

    def __init__(self, content: BinaryIO) -> None:
        self._content = content
        self._end = b""
        self.empty_lines = self.over = False

    def read(self, count: int) -> bytes:
        """Return the next bytes; none once the reader is closed."""
        if self.over:
            return b""
        content = self._content.read(count)
        around = self._end + content[:4]
        self.empty_lines |= any(end in part for end in _EMPTY for part in (around, content))
        self._end = content[-4:]
        return content


def _rows(file: str, header: list[str], layout: Layout) -> Rows:
    """Yield the rows one by one, after checking how many fields they have."""
    for number, line in full_lines(file, _expected(layout)):
        if number == 1:
            continue
        fields = _split(line, layout)
        if len(fields) != len(header):
            message = f"The row {shown(line)} has {len(fields)} fields instead of {len(header)}."
            remedy = f"Write {shown(','.join(header), 200)[1:-1]}, or remove the row."
            raise TraceError(file, number, message, remedy)
        yield number, dict(zip(header, fields, strict=True))
