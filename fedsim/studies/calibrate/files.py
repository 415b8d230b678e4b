"""Files of measured requests: CSV, JSON lines or Parquet, as columns of cells with their lines."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from fedsim.errors import FedsimError

FORMATS = ".csv, .jsonl or .parquet, the first two also with .gz"
"""The endings that ``read_cells`` knows."""

ENDINGS = (".csv", ".jsonl", ".ndjson", ".parquet")
_GZIP_MAGIC = b"\x1f\x8b"
_MOST_NAMED = 5


class LogError(FedsimError, ValueError):
    """A log of requests cannot be used.

    Args:
        file: The file as the caller named it.
        problems: What is wrong, as sentences, each with the line that it is about or None.
        remedy: How to mend it, as a sentence.
    """

    def __init__(
        self, file: str, problems: Sequence[tuple[int | None, str]], remedy: str = ""
    ) -> None:
        super().__init__(file, problems, remedy)
        self.file = file
        self.problems = tuple(problems)
        self.remedy = remedy

    def __str__(self) -> str:
        lines = [
            f"{self.file if line is None else f'{self.file}:{line}'}: {message}"
            for line, message in self.problems[:_MOST_NAMED]
        ]
        if len(self.problems) > _MOST_NAMED:
            lines.append(f"{self.file}: and {len(self.problems) - _MOST_NAMED:,} lines more.")
        lines[-1] = f"{lines[-1]} {self.remedy}".rstrip()
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Cells:
    """A table as it stands in a file.

    Attributes:
        file: The file as the caller named it.
        columns: The cells of each column, by its name; None where a cell is empty.
        lines: One-based line of each row; in a Parquet file its number.
    """

    file: str
    columns: Mapping[str, Sequence[object]]
    lines: Sequence[int]


def log_name(path: str | PathLike[str]) -> str:
    """Return the name of a log's file without what says its format."""
    name = Path(path).name.removesuffix(".gz")
    return name.removesuffix(next((each for each in ENDINGS if name.endswith(each)), ""))


def read_cells(path: str | PathLike[str]) -> Cells:
    """Read a table of requests.

    Args:
        path: A file whose name ends in one of ``FORMATS``.

    Raises:
        LogError: The file is missing, unreadable, empty or not what its name says.
    """
    file = str(path)
    name = file.lower().removesuffix(".gz")
    try:
        if name.endswith(".csv"):
            return _csv(file)
        if name.endswith((".jsonl", ".ndjson")):
            return _json_lines(file)
        if name.endswith(".parquet"):
            return _parquet(file)
    except FileNotFoundError as error:
        remedy = "Correct the name."
        raise LogError(file, [(None, "The log does not exist.")], remedy) from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        message = f"The log cannot be read: {getattr(error, 'strerror', None) or error}."
        raise LogError(file, [(None, message)]) from error
    raise LogError(file, [(None, "Its name does not say what it is.")], f"Name it {FORMATS}.")


def _text(file: str) -> str:
    content = Path(file).read_bytes()
    if content.startswith(_GZIP_MAGIC):
        content = gzip.decompress(content)
    return content.decode("utf-8-sig")


def _csv(file: str) -> Cells:
    reader = csv.reader(io.StringIO(_text(file), newline=""))
    header = [name.strip() for name in next(reader, [])]
    if not any(header):
        raise LogError(file, [(None, "The log is empty.")], "Give a header and a row per request.")
    rows: list[list[str]] = []
    lines: list[int] = []
    problems: list[tuple[int | None, str]] = []
    for row in reader:
        if not row:
            continue
        if len(row) != len(header):
            message = f"The row has {len(row)} fields, the header {len(header)}."
            problems.append((reader.line_num, message))
        rows.append(row)
        lines.append(reader.line_num)
    if problems:
        raise LogError(file, problems, "Correct or remove such rows.")
    columns = zip(header, zip(*rows, strict=True), strict=True) if rows else ()
    return Cells(
        file,
        {name: [cell.strip() or None for cell in column] for name, column in columns}
        or {name: [] for name in header},
        lines,
    )


def _json_lines(file: str) -> Cells:
    records: list[dict[str, object]] = []
    lines: list[int] = []
    problems: list[tuple[int | None, str]] = []
    for line, text in enumerate(_text(file).splitlines(), start=1):
        if not text.strip():
            continue
        try:
            record = json.loads(text)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            problems.append((line, "The line is not a JSON object."))
            continue
        records.append(record)
        lines.append(line)
    if problems:
        raise LogError(file, problems, "Correct or remove such lines.")
    if not records:
        raise LogError(file, [(None, "The log is empty.")], "Give a JSON object per request.")
    names = dict.fromkeys(name for record in records for name in record)
    return Cells(file, {name: [record.get(name) for record in records] for name in names}, lines)


def _parquet(file: str) -> Cells:
    import pandas as pd

    try:
        frame = pd.read_parquet(file)
    except ValueError as error:
        raise LogError(file, [(None, f"The log is not a Parquet file: {error}.")]) from error
    columns = {
        str(name): column.astype(object).where(column.notna(), None).tolist()
        for name, column in frame.items()
    }
    return Cells(file, columns, range(1, len(frame) + 1))
