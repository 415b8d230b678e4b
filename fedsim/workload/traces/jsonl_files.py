"""Reads tables that are JSON lines: an object a line."""

from __future__ import annotations

import io
import json
import re
from codecs import BOM_UTF8
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.json as arrow_json

from fedsim.workload.traces.content import full_lines, opened
from fedsim.workload.traces.errors import TraceError, UnfitError, shown
from fedsim.workload.traces.fields import Field, Hashes, Seconds, Text
from fedsim.workload.traces.table import Chunk, Rows

_CHUNK_BYTES = 8 << 20
_NO_OBJECT = re.compile(rb"\n[ \t\r]*[^{ \t\r\n]")


class JsonlTable:
    """JSON lines; see ``Table``.

    Args:
        file: The file, gzipped or not.
        columns: The keys that will be read, where that is known; for messages.

    Raises:
        TraceError: It cannot be read, or its first line is no object.
    """

    def __init__(self, file: str, columns: Sequence[str] = ()) -> None:
        keys = f" with {', '.join(columns)}" if columns else ""
        self.expected = f"Give JSON lines, each an object{keys}."
        self._file = file
        self._first = next(self.rows())[1]
        self.names = [*self._first]

    def rows(self) -> Rows:
        """Yield all objects; see ``Table``."""
        for number, line in full_lines(self._file, self.expected):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            if not isinstance(row, dict):
                message = f"The line {shown(line)} is not a JSON object."
                raise TraceError(self._file, number, message, self.expected)
            yield number, row

    def chunks(self, fields: Mapping[str, Field]) -> Iterator[Chunk]:
        """Yield columns, each of the type that its first value has; see ``Table``."""
        schema = pa.schema(
            [(name, _type(kind, self._first[name])) for name, kind in fields.items()]
        )
        options = arrow_json.ParseOptions(
            explicit_schema=schema, unexpected_field_behavior="ignore"
        )
        for text in _texts(self._file):
            # A part that begins with null takes the process down inside of arrow.
            if not text.startswith(b"{") or _NO_OBJECT.search(text):
                raise UnfitError
            table = arrow_json.read_json(
                io.BytesIO(text), arrow_json.ReadOptions(block_size=len(text) + 1), options
            )
            if table.num_rows != text.count(b"\n"):
                raise UnfitError
            yield {name: table[name].combine_chunks() for name in schema.names}


def _type(kind: Field, first: Any) -> Any:
    """Return the arrow type of a column, by its first value where its kind leaves it open."""
    if isinstance(kind, Hashes):
        return pa.list_(pa.int64())
    if isinstance(kind, Seconds):
        return pa.string() if isinstance(first, str) else pa.float64()
    if isinstance(kind, Text):
        of_numbers = {bool: pa.bool_(), int: pa.int64(), float: pa.float64()}
        return of_numbers.get(type(first), pa.string())
    return pa.string() if isinstance(first, str) else pa.int64()


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
