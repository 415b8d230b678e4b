"""Reads traces that are Parquet files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fedsim.workload.traces.content import readable
from fedsim.workload.traces.csv_files import check_columns
from fedsim.workload.traces.errors import TraceError, UnfitError
from fedsim.workload.traces.fields import Hashes, time_field
from fedsim.workload.traces.gather import Chunk, gather
from fedsim.workload.traces.layout import Layout
from fedsim.workload.traces.scan import Rows, scan
from fedsim.workload.traces.trace import Trace

_EXPECTED = "Give a Parquet file with a row per request."


def read_parquet(file: str, layout: Layout) -> Trace:
    """Read a trace that is a Parquet file; its rows count as lines, from 1.

    Args:
        file: The file.
        layout: Its columns; it may have more.

    Raises:
        TraceError: It cannot be read; the first row that is wrong is named.
    """
    with readable(file, _EXPECTED):
        Path(file).open("rb").close()
    try:
        with readable(file, _EXPECTED), pq.ParquetFile(file) as content:
            check_columns(file, content.schema_arrow.names, layout)
            first = _first_time(content, layout.time)
            layout = layout.read_at(time_field(layout.time, first))
            return gather(file, _chunks(content, layout), layout)
    except UnfitError as failure:
        scan(file, _rows(file, layout), layout)
        message = "A column has a type that does not fit."
        remedy = "Write times as numbers or timestamps and tokens as integers."
        raise TraceError(file, None, message, remedy) from failure
    except pa.ArrowException as failure:
        message = f"The trace cannot be read: {str(failure).rstrip('.')}."
        raise TraceError(file, None, message, _EXPECTED) from failure


def _first_time(content: Any, name: str) -> Any:
    """Return a text where times are texts or timestamps, and else a number."""
    kind = content.schema_arrow.field(name).type
    return "timestamp" if pa.types.is_timestamp(kind) else _first(content, name)


def _first(content: Any, name: str) -> Any:
    for batch in content.iter_batches(batch_size=1, columns=[name]):
        return batch.column(0)[0].as_py()
    return 0


def _chunks(content: Any, layout: Layout) -> Iterator[Chunk]:
    hashes = {name for name, kind in layout.fields() if isinstance(kind, Hashes)}
    for batch in content.iter_batches(columns=layout.columns):
        columns = {name: batch.column(name) for name in layout.columns}
        yield {
            name: column if name in hashes else _plain(column) for name, column in columns.items()
        }


def _plain(column: Any) -> Any:
    """Return a column of texts as such, whichever of arrow's types for texts it has."""
    kind = column.type
    if pa.types.is_dictionary(kind) or pa.types.is_large_string(kind):
        return column.cast(pa.string())
    return column


def _rows(file: str, layout: Layout) -> Rows:
    number = 0
    with pq.ParquetFile(file) as content:
        for chunk in _chunks(content, layout):
            names = list(chunk)
            for values in zip(*(chunk[name].to_pylist() for name in names), strict=True):
                number += 1
                row = dict(zip(names, values, strict=True))
                if hasattr(row[layout.time], "isoformat"):
                    row[layout.time] = row[layout.time].isoformat()
                yield number, row
