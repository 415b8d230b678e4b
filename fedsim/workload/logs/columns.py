"""Which column of a log is which, in which unit, and its cells as numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.logs.cells import Cells, LogError
from fedsim.workload.traces.errors import shown
from fedsim.workload.traces.fields import Stamp
from fedsim.workload.traces.units import UNITS, split_unit, time_unit_s

ALIASES: Mapping[str, tuple[str, ...]] = {
    "arrival": (
        "arrived",
        "arrival_time",
        "arrival_timestamp",
        "received",
        "received_at",
        "request_time",
        "timestamp",
        "time",
    ),
    "first_token": ("first_token_time", "first_token_at", "first_token_timestamp"),
    "ttft": ("time_to_first_token",),
    "last_token": (
        "last_token_time",
        "last_token_at",
        "finished",
        "finished_at",
        "finish_time",
        "completed",
        "completed_at",
        "end",
        "end_time",
    ),
    "latency": ("e2e", "e2e_latency", "e2el", "end_to_end", "duration", "request_latency"),
    "tpot": ("time_per_output_token",),
    "prompt_tokens": (
        "input_tokens",
        "num_prompt_tokens",
        "input_length",
        "input_len",
        "prompt_len",
        "context_tokens",
        "contexttokens",
    ),
    "output_tokens": (
        "completion_tokens",
        "generated_tokens",
        "generation_tokens",
        "generatedtokens",
        "num_output_tokens",
        "num_generation_tokens",
        "output_length",
        "output_len",
    ),
    "cached_tokens": ("num_cached_tokens", "cached_prompt_tokens", "prompt_cached_tokens"),
    "node": ("server", "worker", "instance", "replica", "host", "pod"),
    "status": ("status_code", "http_status", "response_code", "outcome", "finish_reason"),
    "success": ("succeeded", "is_success", "ok"),
    "error": ("error_message", "error_type", "exception", "failed", "is_error"),
    "start": ("started", "started_at", "start_time", "begun", "service_start"),
    "end": ("finished", "finished_at", "end_time", "completed", "completed_at", "service_end"),
    "service": ("service_time", "exec_time", "execution_time", "processing_time"),
}
"""The names that each field is known by, besides its own; in lower case, without the unit."""

TIMES = ("arrival", "first_token", "ttft", "last_token", "latency", "tpot", "start", "end")
_MAPPING = re.compile(r"\s*(?P<field>\w+)\s*=\s*(?P<column>.+?)\s*(?::(?P<unit>[a-z]+))?\s*")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the file.

    Attributes:
        name: Its name in the file.
        unit: What one of its numbers is in seconds; None where its name and its numbers say so.
    """

    name: str
    unit: float | None = None


def parse_columns(texts: Sequence[str]) -> dict[str, Column]:
    """Return the columns named by texts such as ``arrival=t,ttft=first:ms``.

    Raises:
        ValueError: One does not have that form, or names a field or unit that there is not.
    """
    chosen: dict[str, Column] = {}
    for text in (part for each in texts for part in each.split(",") if part.strip()):
        match = _MAPPING.fullmatch(text)
        if match is None or match["field"] not in ALIASES:
            message = (
                f"{text!r} does not map a field to a column. Write FIELD=COLUMN or "
                f"FIELD=COLUMN:UNIT, with one of the fields {', '.join(ALIASES)}."
            )
            raise ValueError(message)
        name, unit = match["column"], match["unit"]
        if unit is not None and unit not in UNITS:
            message = f"There is no unit {unit!r} in {text!r}. Write one of {', '.join(UNITS)}."
            raise ValueError(message)
        chosen[match["field"]] = Column(name, None if unit is None else UNITS[unit])
    return chosen


class LogColumns:
    """The columns of a file by field, with the caller's choice before the known names.

    Args:
        cells: The file's cells.
        chosen: Columns that the caller named, by field.
        known: The names that each field is known by, besides its own.
        naming: How a caller names a column, for remedies.

    Raises:
        LogError: The file does not have a column that the caller named.
    """

    def __init__(
        self,
        cells: Cells,
        chosen: Mapping[str, Column],
        known: Mapping[str, tuple[str, ...]] = ALIASES,
        naming: str = "--columns FIELD=COLUMN",
    ) -> None:
        self._cells = cells
        self._naming = naming
        self._found = dict(chosen)
        for field, column in chosen.items():
            if column.name not in cells.columns:
                message = f"There is no column {column.name!r} for {field}."
                raise LogError(cells.file, [(None, message)], self._choices())
        for field, aliases in known.items():
            if field not in chosen:
                self._find(field, (field, *aliases))

    def _find(self, field: str, names: Sequence[str]) -> None:
        bare = {_bare(name): name for name in reversed([*self._cells.columns])}
        for name in names:
            if name in bare:
                self._found[field] = Column(bare[name])
                return

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self._cells.lines)

    @property
    def names(self) -> Set[str]:
        """The names of the file's columns."""
        return self._cells.columns.keys()

    def __contains__(self, field: str) -> bool:
        return field in self._found

    def require(self, *fields: str) -> None:
        """Check that one of *fields* is there.

        Raises:
            LogError: None is.
        """
        if not any(field in self for field in fields):
            message = f"No column is {' or '.join(fields)}."
            raise LogError(self._cells.file, [(None, message)], self._choices())

    def _choices(self) -> str:
        names = ", ".join(self._cells.columns)
        return f"Name it by {self._naming}; there are {names}."

    def times_s(self, field: str) -> NDArray[np.float64]:
        """Return the times of a field in seconds, NaN where a cell is empty.

        Raises:
            LogError: A cell is neither a number nor a date and time.
        """
        column = self._found[field]
        unit = column.unit
        if unit is None:
            numbers = (_number(cell, 1.0) for cell in self._cells.columns[column.name])
            unit = time_unit_s(column.name, next(filter(_is_size, numbers), math.nan))
        return self.numbers(column.name, unit)

    def counts(self, field: str) -> NDArray[np.float64]:
        """Return the numbers of a field, NaN where a cell is empty.

        Raises:
            LogError: A cell is not a number.
        """
        return self.numbers(self._found[field].name)

    def texts(self, field: str) -> list[str]:
        """Return the cells of a field as texts, empty ones as the empty text."""
        cells = self._cells.columns[self._found[field].name]
        return ["" if cell is None else str(cell) for cell in cells]

    def numbers(self, name: str, unit: float | None = None) -> NDArray[np.float64]:
        """Return the numbers of a column, NaN where a cell is empty.

        Args:
            name: Its name in the file.
            unit: What one of them is in seconds, for times, which may be dates too; else None.

        Raises:
            LogError: A cell is not a number.
        """
        values: list[float] = []
        problems: list[tuple[int | None, str]] = []
        for line, cell in zip(self._cells.lines, self._cells.columns[name], strict=True):
            value = _number(cell, unit)
            if value is None:
                kind = "a number" if unit is None else "a time"
                problems.append((line, f"{name} is {shown(cell, 40)}, not {kind}."))
            else:
                values.append(value)
        if problems:
            raise LogError(self._cells.file, problems, "Correct or remove such rows.")
        return np.array(values, dtype=np.float64)


def _bare(name: str) -> str:
    """Return a column's name in lower case, with ``_`` between words and without its unit."""
    name = re.sub(r"[\s.-]+", "_", name.strip().lower())
    return split_unit(name)[0]


def _is_size(value: float | None) -> TypeGuard[float]:
    """Return whether a cell has a number that tells a unit by its size."""
    return value is not None and math.isfinite(value) and value != 0.0


def _number(cell: object, unit: float | None) -> float | None:
    """Return a cell's value, NaN where it is empty, None where it is no number or time."""
    if cell is None:
        return math.nan
    if isinstance(cell, bool):
        return None
    if isinstance(cell, int | float | str):
        try:
            value = float(cell)
        except (ValueError, OverflowError):
            return None if unit is None else _timestamp_s(str(cell))
        return None if math.isinf(value) else value * (1.0 if unit is None else unit)
    return None if unit is None else _timestamp_s(str(cell))


def _timestamp_s(text: str) -> float | None:
    """Return the seconds since 1970 of a date and time in UTC, or None where it is none."""
    try:
        return Stamp().at(text) / 1e9 if text[:1].isdigit() else None
    except (ValueError, OverflowError):
        return None
