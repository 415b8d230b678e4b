"""Published request traces: times and sizes of real requests.

The Azure format, that of the Azure LLM inference traces of 2023 and 2024, is a CSV file with the
header ``TIMESTAMP,ContextTokens,GeneratedTokens`` and a row per request in the order of their
times, such as ``2023-11-16 18:17:03.9799600,4808,10``.
"""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fedsim.errors import FedsimError

AZURE_HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"

_GZIP_MAGIC = b"\x1f\x8b"
_FIRST_ROW_LINE = 2
_TIMESTAMP = re.compile(
    r"((?:19|20|21)\d\d-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:\.\d{1,9})?)(?:Z|\+00:00)?", re.ASCII
)
_TOKENS = re.compile(r"\d{1,9}", re.ASCII)
_ROW = re.compile(rf"{_TIMESTAMP.pattern},({_TOKENS.pattern}),({_TOKENS.pattern})", re.ASCII)


class TraceError(FedsimError, ValueError):
    """A trace cannot be read.

    Args:
        file: The file as the caller named it.
        line: One-based line that is wrong, or None where it is the file as a whole.
        message: What is wrong, as a sentence.
        remedy: How to mend it, as a sentence.
    """

    def __init__(self, file: str, line: int | None, message: str, remedy: str) -> None:
        super().__init__(file, line, message, remedy)
        self.file = file
        self.line = line
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.message} {self.remedy}"


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """The requests of a trace, as arrays of equal length in the order of their times.

    Attributes:
        times_s: Arrival times in seconds after the first, ascending.
        prompt_tokens: Tokens of each prompt, >= 0.
        output_tokens: Tokens of each answer, >= 0.
    """

    times_s: NDArray[np.float64]
    prompt_tokens: NDArray[np.int64]
    output_tokens: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.times_s)

    @property
    def span_s(self) -> float:
        """Time from the first request to the last, in seconds."""
        return float(self.times_s[-1] - self.times_s[0])


def read_azure(path: str | PathLike[str]) -> Trace:
    """Read a trace in the Azure format, about a microsecond a row.

    The file may be compressed by gzip, whatever its name; its lines may end in LF or CRLF, the
    last one in nothing. Timestamps are in UTC and have up to nine decimals.

    Args:
        path: The file.

    Raises:
        TraceError: The file is missing, unreadable, empty or not in this format, or its rows are
            not in the order of their times. It names the first line that is wrong.
    """
    file = str(path)
    lines = _lines(file)
    _check_header(file, lines)
    timestamps, prompt_tokens, output_tokens = _columns(file, lines)
    times = _times(file, timestamps)
    return Trace(
        times_s=(times - times[0]).astype(np.int64) / 1e9,
        prompt_tokens=np.array(prompt_tokens, dtype=np.int64),
        output_tokens=np.array(output_tokens, dtype=np.int64),
    )


def _lines(file: str) -> list[str]:
    """Return the lines of a text file, compressed or not, without their ends."""
    with _unreadable(file):
        content = Path(file).read_bytes()
        if content.startswith(_GZIP_MAGIC):
            content = gzip.decompress(content)
        text = content.decode("utf-8-sig")
    return io.StringIO(text, newline=None).read().rstrip("\n").split("\n")


@contextmanager
def _unreadable(file: str) -> Iterator[None]:
    """Turn what can go wrong between a path and its text into a ``TraceError``."""
    try:
        yield
    except FileNotFoundError as error:
        remedy = "Correct the name, or the folder that it is relative to."
        raise TraceError(file, None, "The trace does not exist.", remedy) from error
    except OSError as error:
        damaged = isinstance(error, gzip.BadGzipFile)
        message = (
            "The compressed trace is damaged."
            if damaged
            else f"The trace cannot be read: {error.strerror or error}."
        )
        remedy = "Fetch it again." if damaged else "Name a file that can be read."
        raise TraceError(file, None, message, remedy) from error
    except (EOFError, zlib.error) as error:
        message = "The compressed trace is cut off or damaged."
        raise TraceError(file, None, message, "Fetch it again.") from error
    except UnicodeDecodeError as error:
        remedy = f"Give a CSV file with the header {AZURE_HEADER}."
        raise TraceError(file, None, "The trace is not a text file.", remedy) from error


def _check_header(file: str, lines: list[str]) -> None:
    remedy = f"Give a CSV file with the header {AZURE_HEADER} and a row per request."
    if lines == [""]:
        raise TraceError(file, None, "The trace is empty.", remedy)
    if lines[0].strip() != AZURE_HEADER:
        message = f"The header is {_shown(lines[0])}, not {AZURE_HEADER}."
        raise TraceError(file, 1, message, "Correct the header, or name the format of this file.")
    if len(lines) == 1:
        raise TraceError(file, 1, "The trace has a header and no rows.", remedy)


def _columns(file: str, lines: list[str]) -> tuple[list[str], list[int], list[int]]:
    """Return the three columns of all rows, the first as text."""
    timestamps, prompt_tokens, output_tokens = [], [], []
    matches = _ROW.fullmatch
    for line, row in enumerate(lines[1:], start=_FIRST_ROW_LINE):
        match = matches(row)
        if match is None:
            raise TraceError(file, line, *_what_is_wrong(row))
        timestamp, prompt, output = match.groups()
        timestamps.append(timestamp)
        prompt_tokens.append(int(prompt))
        output_tokens.append(int(output))
    return timestamps, prompt_tokens, output_tokens


def _what_is_wrong(row: str) -> tuple[str, str]:
    """Return the message and the remedy for a row that is not in the format."""
    fields = row.split(",")
    if not row.strip():
        return "The line is empty.", "Remove it."
    if len(fields) != 3:
        message = f"The row {_shown(row)} has {len(fields)} fields instead of 3."
        return message, f"Write {AZURE_HEADER}, or remove the row."
    if not _TIMESTAMP.fullmatch(fields[0]):
        message = f"The timestamp {_shown(fields[0])} is not in the format of the trace."
        return message, "Write it as 2023-11-16 18:17:03.9799600, in UTC."
    name, field = next(
        (name, field)
        for name, field in zip(AZURE_HEADER.split(",")[1:], fields[1:], strict=True)
        if not _TOKENS.fullmatch(field)
    )
    message = f"{name} is {_shown(field)}, not a whole number of tokens."
    return message, "Write a whole number from 0 to 999999999, without blanks."


def _times(file: str, timestamps: list[str]) -> NDArray[np.datetime64]:
    """Return the timestamps as times in nanoseconds, after checking that they ascend."""
    try:
        times = np.array(timestamps, dtype="datetime64[ns]")
    except ValueError:
        line, timestamp = _first_impossible(timestamps)
        message = f"The timestamp {timestamp} does not exist."
        raise TraceError(file, line, message, "Correct it, or remove the row.") from None
    backwards = np.flatnonzero(times[1:] < times[:-1])
    if len(backwards):
        index = int(backwards[0]) + 1
        message = (
            f"The row is out of order: {timestamps[index]} is earlier than "
            f"{timestamps[index - 1]} in the line before."
        )
        raise TraceError(file, index + _FIRST_ROW_LINE, message, "Sort the rows by TIMESTAMP.")
    return times


def _first_impossible(timestamps: list[str]) -> tuple[int, str]:
    """Return the line and the text of the first timestamp that is no date and time."""
    lines = enumerate(timestamps, start=_FIRST_ROW_LINE)
    return next((line, timestamp) for line, timestamp in lines if not _exists(timestamp))


def _exists(timestamp: str) -> bool:
    try:
        np.datetime64(timestamp, "ns")
    except ValueError:
        return False
    return True


def _shown(text: str, most: int = 60) -> str:
    """Return *text* in quotes, cut where it is long."""
    return repr(text if len(text) <= most else text[: most - 1] + "…")
