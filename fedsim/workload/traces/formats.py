"""The formats of traces, what tells them apart, and how each is read.

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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path

from fedsim.workload.traces.content import first_line, readable
from fedsim.workload.traces.csv_files import read_csv
from fedsim.workload.traces.fields import Seconds, Stamp
from fedsim.workload.traces.jsonl_files import read_jsonl
from fedsim.workload.traces.layout import Layout
from fedsim.workload.traces.parquet_files import read_parquet
from fedsim.workload.traces.trace import Trace

AZURE_HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"

OWN_FORMATS = ("csv", "jsonl", "parquet")
"""Formats of files whose columns the user names."""

_EXPECTED = "Give a trace: a CSV file with a header, JSON lines, or a Parquet file."


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one's own file.

    Attributes:
        time: Times, as numbers of seconds from any origin or as dates with times of day in UTC.
        prompt_tokens: Tokens of the prompts.
        output_tokens: Tokens of the answers.
        tenant: Who sends the requests, or None.
        origin: Where they come from, or None.
    """

    time: str = "time"
    prompt_tokens: str = "prompt_tokens"
    output_tokens: str = "output_tokens"
    tenant: str | None = None
    origin: str | None = None


_OWN = Columns()


@dataclass(frozen=True, slots=True)
class _Format:
    """A published format.

    Attributes:
        layout: Its columns.
        read: Reads it.
        marks: Columns by which a file is recognised.
    """

    layout: Layout
    read: Callable[[str, Layout], Trace]
    marks: frozenset[str] = field(default_factory=frozenset)


_PUBLISHED: Mapping[str, _Format] = {
    "azure": _Format(
        Layout("TIMESTAMP", "ContextTokens", "GeneratedTokens", Stamp(), header=AZURE_HEADER),
        read_csv,
        frozenset(AZURE_HEADER.split(",")),
    ),
    "burstgpt": _Format(
        Layout("Timestamp", "Request tokens", "Response tokens", Seconds(), drops_failures=True),
        read_csv,
        frozenset(("Timestamp", "Request tokens", "Response tokens")),
    ),
    "bailian": _Format(
        Layout(
            "timestamp", "input_length", "output_length", Seconds(), "hash_ids", block_tokens=16
        ),
        read_jsonl,
        frozenset(("chat_id", "timestamp", "input_length", "output_length", "hash_ids")),
    ),
    "mooncake": _Format(
        Layout(
            "timestamp",
            "input_length",
            "output_length",
            Seconds(per_second=1000.0),
            "hash_ids",
            block_tokens=512,
        ),
        read_jsonl,
        frozenset(("timestamp", "input_length", "output_length", "hash_ids")),
    ),
}

_READERS = {"csv": read_csv, "jsonl": read_jsonl, "parquet": read_parquet}

FORMATS = (*_PUBLISHED, *OWN_FORMATS)
"""All formats that ``read_trace`` reads."""


def read_trace(
    path: str | PathLike[str],
    form: str | None = None,
    columns: Columns = _OWN,
    where: Mapping[str, str] | None = None,
) -> Trace:
    """Read a trace as it was recorded, its first request at 0.

    Args:
        path: The file; CSV and JSON lines may be compressed by gzip, whatever its name.
        form: One of ``FORMATS``, or None to recognise it by its content.
        columns: The columns of one's own file.
        where: The value that a row must have to be read, by column.

    Raises:
        TraceError: The file is missing, unreadable, empty or not in this format, or its rows are
            not in the order of their times. It names the first line that is wrong.
    """
    file = str(path)
    form = form or recognised(file)
    if form in _PUBLISHED:
        published = _PUBLISHED[form]
        return published.read(file, replace(published.layout, where=where or {}))
    layout = Layout(
        columns.time,
        columns.prompt_tokens,
        columns.output_tokens,
        tenant=columns.tenant,
        origin=columns.origin,
        where=where or {},
    )
    return _READERS[form](file, layout)


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
    """Return the format of a file, told from its beginning; one's own where it is none published.

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
    for name, published in _PUBLISHED.items():
        if published.marks <= names and (published.read is read_csv) == (own == "csv"):
            return name
    return own


def _keys(line: str) -> set[str] | None:
    """Return the keys of a JSON object, or None where the line is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return set(row) if isinstance(row, dict) else None
