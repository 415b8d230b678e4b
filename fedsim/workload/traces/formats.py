"""The formats of traces, and how each is recognized.

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
from dataclasses import dataclass
from pathlib import Path

from fedsim.workload.traces.content import full_lines, readable

AZURE_HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"

_BLOCKS = frozenset(("timestamp", "input_length", "output_length", "hash_ids"))

_MARKS: Mapping[str, tuple[str, frozenset[str]]] = {
    "azure": ("csv", frozenset(AZURE_HEADER.split(","))),
    "burstgpt": ("csv", frozenset(("Timestamp", "Request tokens", "Response tokens"))),
    "bailian": ("jsonl", _BLOCKS | {"chat_id"}),
    "mooncake": ("jsonl", _BLOCKS),
}
"""The kind of file, and the columns by which it is recognized; the first that fits counts."""

ENDINGS: Mapping[str, str] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
}
"""The kind of file that the ending of a name means, before ``.gz``."""

OWN_FORMATS = ("csv", "jsonl", "parquet")
"""Formats of files whose columns the user names."""

FORMATS = ("azure", "burstgpt", "mooncake", "bailian", *OWN_FORMATS)
"""All formats that ``read_trace`` reads."""

_EXPECTED = "Give a CSV file with a header, JSON lines or a Parquet file, with a row per request."


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


def kind_of(form: str) -> str:
    """Return which of ``OWN_FORMATS`` the files of a format are."""
    return _MARKS[form][0] if form in _MARKS else form


def recognised(file: str) -> str:
    """Return the format of a file, detected from its beginning.

    If no published format fits it is a table of one's own, of the kind that its content shows, or
    its name where that could be anything.

    Raises:
        TraceError: The file cannot be read, or is empty.
    """
    with readable(file, _EXPECTED), Path(file).open("rb") as content:
        if content.read(4) == b"PAR1":
            return "parquet"
    _, line = next(full_lines(file, _EXPECTED))
    keys = _keys(line)
    names = {name.strip() for name in line.split(",")} if keys is None else keys
    own = _named(file) if keys is None else "jsonl"
    for form, (kind, marks) in _MARKS.items():
        if kind == own and marks <= names:
            return form
    return own


def _named(file: str) -> str:
    """Return the kind of file that a name's ending says, CSV if it says none."""
    name = file.lower().removesuffix(".gz")
    return next((kind for ending, kind in ENDINGS.items() if name.endswith(ending)), "csv")


def _keys(line: str) -> set[str] | None:
    """Return the keys of a JSON object, or None where the line is none."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return set(row) if isinstance(row, dict) else None
