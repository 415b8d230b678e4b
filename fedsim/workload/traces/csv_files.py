"""Reads tables that are CSV files."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

import pyarrow as pa
import pyarrow.csv as arrow_csv

from fedsim.workload.traces.content import lines, opened, without_gaps
from fedsim.workload.traces.errors import TraceError, shown
from fedsim.workload.traces.fields import Field
from fedsim.workload.traces.table import Chunk, Rows

_BLOCK_BYTES = 4 << 20
_EMPTY = (b"\n\n", b"\n\r", b"\r\r")
_OTHERS = {";": "semicolons", "\t": "tabs"}


class CsvTable:
    """A CSV file with a header; see ``Table``.

    Args:
        file: The file, gzipped or not.
        columns: The columns that will be read, where that is known; for messages.

    Raises:
        TraceError: It cannot be read, its columns are not separated by commas, or it has no rows.
    """

    def __init__(self, file: str, columns: Sequence[str] = ()) -> None:
        header = f"the header {','.join(columns)}" if columns else "a header"
        self.expected = f"Give a CSV file with {header} and a row per request."
        self._file = file
        records = self._records()
        self.names = [name.strip() for name in next(records)[1]]
        for separator, word in _OTHERS.items():
            if len(self.names) == 1 and separator in self.names[0]:
                message = f"The columns are separated by {word}, not by commas."
                convert = f"pandas.read_csv(FILE, sep={separator!r}).to_csv(NEW, index=False)"
                raise TraceError(file, 1, message, f"Convert it: {convert}.")
        if next(records, None) is None:
            raise TraceError(file, 1, "The file has a header and no rows.", self.expected)

    def rows(self) -> Rows:
        """Yield all rows, with texts as values; see ``Table``."""
        records = self._records()
        next(records)
        names = self.names
        for line, fields in records:
            if len(fields) != len(names):
                row = shown(",".join(fields))
                message = f"The row {row} has {len(fields)} fields instead of {len(names)}."
                remedy = f"Write {shown(','.join(names), 200)[1:-1]}, or remove the row."
                raise TraceError(self._file, line, message, remedy)
            yield line, dict(zip(names, fields, strict=True))

    def chunks(self, fields: Mapping[str, Field]) -> Iterator[Chunk]:
        """Yield columns, all as texts; see ``Table``.

        Raises:
            TraceError: An empty line stands between others.
        """
        columns = [*fields]
        with (
            opened(self._file) as content,
            arrow_csv.open_csv(
                pa.PythonFile(watch := _Watched(content), mode="r"),
                arrow_csv.ReadOptions(
                    column_names=self.names, skip_rows=1, block_size=_BLOCK_BYTES
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(columns, pa.string()),
                    include_columns=columns,
                    strings_can_be_null=False,
                ),
            ) as batches,
        ):
            try:
                for batch in batches:
                    yield dict(zip(columns, batch.columns, strict=True))
            finally:
                watch.over = True  # arrow reads ahead in a thread, which must not outlive a failure
        if watch.empty_lines:
            for _ in self._records():
                pass

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the header and all rows as fields, each with its first line."""
        return without_gaps(self._file, self._parsed(), self.expected)

    def _parsed(self) -> Iterator[tuple[int, list[str]]]:
        reader = csv.reader(lines(self._file))
        while True:
            line = reader.line_num + 1
            try:
                yield line, next(reader)
            except StopIteration:
                return
            except csv.Error as failure:
                message = f"The row is not CSV: {failure}."
                raise TraceError(self._file, line, message, self.expected) from failure


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
