"""The cells of a log of measured requests, and what is wrong with one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from fedsim.errors import FedsimError
from fedsim.workload.traces.errors import TraceError
from fedsim.workload.traces.formats import ENDINGS, recognised
from fedsim.workload.traces.opening import open_table

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
        path: A CSV file with a header, JSON lines, either compressed by gzip or not, or Parquet.

    Raises:
        LogError: The file is missing, unreadable or empty, or a line of it is no row.
    """
    file = str(path)
    try:
        rows = list(open_table(file, recognised(file)).rows())
    except TraceError as failure:
        raise LogError(file, [(failure.line, failure.message)], failure.remedy) from failure
    names = dict.fromkeys(name for _, row in rows for name in row)
    columns = {name: [_cell(row.get(name)) for _, row in rows] for name in names}
    return Cells(file, columns, [line for line, _ in rows])


def _cell(value: object) -> object:
    """Return a value without blanks around it, None where there is none or it is not a number."""
    if isinstance(value, str):
        return value.strip() or None
    return None if isinstance(value, float) and math.isnan(value) else value
