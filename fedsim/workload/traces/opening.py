"""Opens a table of requests: the one reader of traces, samples of sizes and measured logs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fedsim.workload.traces.csv_files import CsvTable
from fedsim.workload.traces.formats import kind_of
from fedsim.workload.traces.jsonl_files import JsonlTable
from fedsim.workload.traces.parquet_files import ParquetTable
from fedsim.workload.traces.table import Table

_TABLES: Mapping[str, type[CsvTable | JsonlTable | ParquetTable]] = {
    "csv": CsvTable,
    "jsonl": JsonlTable,
    "parquet": ParquetTable,
}


def open_table(file: str, form: str, columns: Sequence[str] = ()) -> Table:
    """Open a file of requests.

    Args:
        file: The file; CSV and JSON lines may be compressed by gzip.
        form: Its format, such as ``recognised`` returns.
        columns: The columns that will be read, where that is known; for messages.

    Raises:
        TraceError: It is missing, unreadable, empty or not in this format.
    """
    return _TABLES[kind_of(form)](file, columns)
