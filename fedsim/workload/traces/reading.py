"""Reads a trace in one of the formats.

It is imported when a trace is read: arrow costs a fraction of a second.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from fedsim.workload.traces.columns import AZURE_HEADER, Columns
from fedsim.workload.traces.csv_files import read_csv
from fedsim.workload.traces.fields import Seconds, Stamp
from fedsim.workload.traces.jsonl_files import read_jsonl
from fedsim.workload.traces.layout import Layout
from fedsim.workload.traces.parquet_files import read_parquet
from fedsim.workload.traces.trace import Trace

Reader = Callable[[str, Layout], Trace]

_PUBLISHED: Mapping[str, tuple[Layout, Reader]] = {
    "azure": (
        Layout("TIMESTAMP", "ContextTokens", "GeneratedTokens", Stamp(), header=AZURE_HEADER),
        read_csv,
    ),
    "burstgpt": (
        Layout("Timestamp", "Request tokens", "Response tokens", Seconds(), drops_failures=True),
        read_csv,
    ),
    "bailian": (
        Layout(
            "timestamp", "input_length", "output_length", Seconds(), "hash_ids", block_tokens=16
        ),
        read_jsonl,
    ),
    "mooncake": (
        Layout(
            "timestamp",
            "input_length",
            "output_length",
            Seconds(per_second=1000.0),
            "hash_ids",
            block_tokens=512,
        ),
        read_jsonl,
    ),
}

_READERS: Mapping[str, Reader] = {
    "csv": read_csv,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
}


def read(file: str, form: str, columns: Columns, where: Mapping[str, str]) -> Trace:
    """Read a trace; see ``fedsim.workload.traces.read_trace``.

    Args:
        file: The file.
        form: Its format.
        columns: The columns of one's own file.
        where: The value that a row must have to be read, by column.
    """
    if form in _PUBLISHED:
        layout, reader = _PUBLISHED[form]
        return reader(file, replace(layout, where=where))
    layout = Layout(
        columns.time,
        columns.prompt_tokens,
        columns.output_tokens,
        tenant=columns.tenant,
        origin=columns.origin,
        where=where,
    )
    return _READERS[form](file, layout)
