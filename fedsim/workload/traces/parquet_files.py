"""Reads tables that are Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fedsim.workload.traces.content import readable
from fedsim.workload.traces.errors import TraceError, unreadable
from fedsim.workload.traces.fields import Field, Hashes
from fedsim.workload.traces.table import Chunk, Rows

_AT_ONCE = 1024


class ParquetTable:
    """A Parquet file; see ``Table``.

    Args:
        file: The file.
        columns: The columns that will be read; all if none.

    Raises:
        TraceError: It cannot be read, or it has no rows.
    """

    expected = "Give a Parquet file with a row per request."

    def __init__(self, file: str, columns: Sequence[str] = ()) -> None:
        self._file = file
        self._columns = [*columns] or None
        with self._opened() as content:
            self.names = [str(name) for name in content.schema_arrow.names]
            if not content.metadata.num_rows:
                raise TraceError(file, None, "The file has no rows.", self.expected)

    def rows(self) -> Rows:
        """Yield all rows, with times as texts in ISO form; see ``Table``."""
        number = 0
        with self._opened() as content:
            for batch in content.iter_batches(_AT_ONCE, columns=self._columns):
                for row in batch.to_pylist():
                    number += 1
                    yield number, {name: _plain_value(value) for name, value in row.items()}

    def chunks(self, fields: Mapping[str, Field]) -> Iterator[Chunk]:
        """Yield columns; see ``Table``."""
        with self._opened() as content:
            for batch in content.iter_batches(columns=[*fields]):
                yield {name: _plain(batch.column(name), kind) for name, kind in fields.items()}

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        try:
            with readable(self._file, self.expected):
                Path(self._file).open("rb").close()  # arrow has other words for a missing file
                with pq.ParquetFile(self._file) as content:
                    yield content
        except pa.ArrowException as failure:
            raise unreadable(self._file, failure, self.expected) from failure


def _plain(column: Any, kind: Field) -> Any:
    """Return a column of texts as such, whichever of arrow's types for texts it has."""
    texts = pa.types.is_dictionary(column.type) or pa.types.is_large_string(column.type)
    return column.cast(pa.string()) if texts and not isinstance(kind, Hashes) else column


def _plain_value(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else value
