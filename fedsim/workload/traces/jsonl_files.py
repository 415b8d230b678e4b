"""Reads traces that are JSON lines: an object a line."""

from __future__ import annotations

import io
import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.json as arrow_json

from fedsim.workload.traces.content import first_line, full_lines, opened, readable
from fedsim.workload.traces.errors import TraceError, UnfitError, shown
from fedsim.workload.traces.fields import Hashes, Seconds, Text, time_field
from fedsim.workload.traces.gather import Chunk, gather
from fedsim.workload.traces.layout import Layout
from fedsim.workload.traces.scan import Rows, scan
from fedsim.workload.traces.trace import Trace

_CHUNK_BYTES = 8 << 20
_NO_OBJECT = re.compile(rb"\n[ \t\r]*[^{ \t\r\n]")


def read_jsonl(file: str, layout: Layout) -> Trace:
    """Read a trace that is JSON lines.

    Args:
        file: The file, gzipped or not.
        layout: Its keys; its objects may have more.

    Raises:
        TraceError: It cannot be read; the first line that is wrong is named.
    """
    first = _first_row(file, layout)
    if layout.clock is None:
        layout = layout.read_at(time_field(layout.time, first[layout.time]))
    schema = pa.schema([(name, _type(name, first, layout)) for name in layout.columns])
    try:
        with readable(file, _expected(layout)):
            return gather(file, _chunks(file, schema), layout)
    except (UnfitError, pa.ArrowInvalid) as failure:
        scan(file, _rows(file, layout), layout)
        message = f"The trace cannot be read: {str(failure).rstrip('.')}."
        remedy = "Write fields of one type in all rows."
        raise TraceError(file, None, message, remedy) from failure


def _expected(layout: Layout) -> str:
    return f"Give JSON lines, each an object with {', '.join(layout.columns)}."


def _first_row(file: str, layout: Layout) -> Mapping[str, Any]:
    """Return the first object, with no key of the layout missing."""
    first_line(file, _expected(layout))
    _, row = next(iter(_rows(file, layout)))
    for name in layout.columns:
        if name not in row:
            message = f"The row has no {name}."
            remedy = f"Name it under columns, out of {shown(', '.join(row), 300)[1:-1]}."
            raise TraceError(file, 1, message, remedy)
    return row


def _type(name: str, first: Mapping[str, Any], layout: Layout) -> Any:
    """Return the arrow type of a column, by its first row where its kind leaves it open."""
    kind = dict(layout.fields())[name]
    if isinstance(kind, Hashes):
        return pa.list_(pa.int64())
    if isinstance(kind, Seconds):
        return pa.string() if isinstance(first[name], str) else pa.float64()
    if isinstance(kind, Text):
        of_numbers = {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
        return of_numbers.get(type(first[name]), pa.string())
    return pa.string() if isinstance(first[name], str) else pa.int64()


def _chunks(file: str, schema: Any) -> Iterator[Chunk]:
    """Yield the columns, a part after the other.

    Raises:
        UnfitError: A line holds something else than one object.
    """
    options = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    for text in _texts(file):
        # A part that begins with null takes the process down inside of arrow.
        if not text.startswith(b"{") or _NO_OBJECT.search(text):
            raise UnfitError
        table = arrow_json.read_json(
            io.BytesIO(text), arrow_json.ReadOptions(block_size=len(text) + 1), options
        )
        if table.num_rows != text.count(b"\n"):
            raise UnfitError
        yield {name: table[name].combine_chunks() for name in schema.names}


def _texts(file: str) -> Iterator[bytes]:
    """Yield parts of a file that consist of whole lines, each with an end."""
    with opened(file) as content:
        rest = b""
        while read := content.read(_CHUNK_BYTES):
            whole, _, rest = (rest + read).rpartition(b"\n")
            if whole := whole.strip():
                yield whole.removeprefix(BOM_UTF8) + b"\n"
        if rest := rest.strip():
            yield rest.removeprefix(BOM_UTF8) + b"\n"


def _rows(file: str, layout: Layout) -> Rows:
    """Yield the objects one by one."""
    expected = _expected(layout)
    for number, line in full_lines(file, expected):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            message = f"The line {shown(line)} is not a JSON object."
            raise TraceError(file, number, message, expected)
        yield number, row
