"""The formats of traces, how each is recognized, and how each is read.

azure       CSV ``TIMESTAMP,ContextTokens,GeneratedTokens``: the Azure LLM inference traces of
            2023 and 2024 (github.com/Azure/AzurePublicDataset)
burstgpt    CSV ``Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type``, in
            newer files with ``Session ID`` and ``Elapsed time`` (github.com/HPMLL/BurstGPT);
            a row without response tokens is a failure and left out
mooncake    JSON lines with ``timestamp`` in ms, ``input_length``, ``output_length`` and
            ``hash_ids`` of blocks of 512 tokens (github.com/kvcache-ai/Mooncake)
bailian     JSON lines with ``chat_id``, ``timestamp`` in s, ``input_length``,
            ``output_length`` and ``hash_ids`` of blocks of 16 tokens
            (github.com/alibaba-edu/qwen-bailian-usagetraces-anon)
csv, jsonl, parquet    one's own files, whose columns are named
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

from fedsim.workload.traces.columns import AZURE_HEADER, Columns
from fedsim.workload.traces.content import first_line, readable
from fedsim.workload.traces.trace import Trace

_BLOCKS = frozenset(("timestamp", "input_length", "output_length", "hash_ids"))

_MARKS: Mapping[str, tuple[str, frozenset[str]]] = {
    "azure": ("csv", frozenset(AZURE_HEADER.split(","))),
    "burstgpt": ("csv", frozenset(("Timestamp", "Request tokens", "Response tokens"))),
    "bailian": ("jsonl", _BLOCKS | {"chat_id"}),
    "mooncake": ("jsonl", _BLOCKS),
}
"""The kind of file, and the columns by which it is recognized; the first that fits counts."""

OWN_FORMATS = ("csv", "jsonl", "parquet")
"""Formats of files whose columns the user names."""

FORMATS = ("azure", "burstgpt", "mooncake", "bailian", *OWN_FORMATS)
"""All formats that ``read_trace`` reads."""

_EXPECTED = "Give a trace: a CSV file with a header, JSON lines, or a Parquet file."


_OWN = Columns()


def read_trace(
    path: str | PathLike[str],
    form: str | None = None,
    columns: Columns = _OWN,
    where: Mapping[str, str] | None = None,
) -> Trace:
    """Read a trace as it was recorded, its first request at 0.

    Args:
        path: The file; CSV and JSON lines may be compressed by gzip, whatever its name.
        form: One of ``FORMATS``, or None to recognize it by its content.
        columns: The columns of one's own file.
        where: The value that a row must have to be read, by column.

    Raises:
        TraceError: The file is missing, unreadable, empty or not in this format, or its rows are
            not in the order of their times. It names the first line that is wrong.
    """
    from fedsim.workload.traces.reading import read

    file = str(path)
    return read(file, form or recognised(file), columns, where or {})


def read_azure(path: str | PathLike[str]) -> Trace:
    """Read a trace in the Azure format; see ``read_trace``.

    The timestamps are in UTC and have up to nine decimals.

    Args:
        path: The file.

    Raises:
        TraceError: As ``read_trace``.
    """
    return read_trace(path, "azure")


def recognised(file: str) -> str:
    """Return the format of a file, detected from its beginning; a table of your own if none fits.

    Raises:
        TraceError: The file cannot be read, or is empty.
    """
    with readable(file, _EXPECTED), Path(file).open("rb") as content:
        if content.read(4) == b"PAR1":
            return "parquet"
    line = first_line(file, _EXPECTED)
    keys = _keys(line)
    names = {name.strip() for name in line.split(",")} if keys is None else keys
    own = "csv" if keys is None else "jsonl"
    for name, (kind, marks) in _MARKS.items():
        if kind == own and marks <= names:
            return name
    return own


def _keys(line: str) -> set[str] | None:
    """Return the keys of a JSON object, or None where the line is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return set(row) if isinstance(row, dict) else None
