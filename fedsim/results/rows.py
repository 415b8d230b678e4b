"""A table while it is recorded: a typed array a column, a few bytes a value, and its DataFrame.

Columns that are known when a row begins are appended to. Those that are known when it ends are
reserved in blocks, filled with the value that means missing, and written by row number; so they
are longer than the table, and a reader takes as many of them as there are rows.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from fedsim.results.kinds import Kind, Names

if TYPE_CHECKING:
    from pandas import DataFrame

BLOCK_ROWS = 8192
"""Rows that are reserved at a time."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, said once: what records, shows, digests and documents it reads it here.

    Attributes:
        name: Its name, by which the world reports it and the table has it.
        kind: What it is recorded as, its dtype and its unit.
        description: What it holds, as ``docs/tables.md`` says it.
        known: Whether it is reported when a row begins, or when it ends.
        derived: Makes it from other columns, so that it is never reported; None for no such.
        hidden: Whether it is recorded only for the sake of others that are derived from it.
    """

    name: str
    kind: Kind
    description: str
    known: Literal["start", "end"] = "start"
    derived: Callable[[Rows], Any] | None = None
    hidden: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A table of a run.

    Attributes:
        name: Its name, such as ``requests``.
        columns: Its columns in their public order; hidden ones stand anywhere.
        sorted_by: The column in whose order its rows are; empty for that of their reports.
    """

    name: str
    columns: tuple[Column, ...]
    sorted_by: str = ""

    @property
    def shown(self) -> tuple[Column, ...]:
        """The columns that its DataFrame has, in order."""
        return tuple(column for column in self.columns if not column.hidden)

    def column(self, name: str) -> Column:
        """Return a column by its name."""
        return _by_name(self)[name]

    def restored(self, frame: DataFrame, names: Names) -> DataFrame:
        """Return a table read from a file with the categories that it was written with.

        A file keeps neither the categories of a column that is missing throughout nor, for
        certain, those that no row has.
        """
        types = {}
        for column in self.shown:
            if column.name in frame:
                dtype = column.kind.category(names, frame[column.name])
                if dtype is not None:
                    types[column.name] = dtype
        return frame.astype(types)

    def known(self, when: str) -> tuple[Column, ...]:
        """Return the columns that are reported at the ``start`` or the ``end`` of a row."""
        recorded = (column for column in self.columns if column.derived is None)
        return tuple(column for column in recorded if column.known == when)


class Rows:
    """The rows of one table.

    ``begin`` and ``end`` take a value of each column by its name, and for one that is left out the
    value that means missing. They are written for the table, so that a call costs what the
    appends cost: about 0.5 µs for a dozen columns.

    Args:
        table: The table.
        names: The names behind the codes.
        recorded: The rows of all tables by name, for columns that are derived from another's.

    Attributes:
        begin: Begins a row, and returns its number, from 0.
        end: Fills in the end of the row of that number; may do so again.
    """

    def __init__(self, table: Table, names: Names, recorded: Mapping[str, Rows]) -> None:
        self.table = table
        self.names = names
        self.recorded = recorded
        self.arrays: dict[str, array[Any]] = {
            column.name: array(column.kind.array_type(names))
            for when in ("start", "end")
            for column in table.known(when)
        }
        self.begin, self.end = _binder(table)(self.arrays, names, self._reserve)
        self._begun = self.arrays[table.known("start")[0].name]

    def __len__(self) -> int:
        return len(self._begun)

    def __getitem__(self, column: str) -> NDArray[Any]:
        """Return what was recorded of a column, without a copy."""
        return np.asarray(self.arrays[column])[: len(self)]

    def column(self, name: str) -> NDArray[Any]:
        """Return a column as it is recorded or derived, its rows in the order of the table."""
        column = self.table.column(name)
        values: NDArray[Any] = self[name] if column.derived is None else column.derived(self)
        by = self.table.sorted_by
        return values[np.argsort(self[by], kind="stable")] if by else values

    def frame(self) -> DataFrame:
        """Return the table, mostly of views of the arrays: nothing more can be recorded."""
        import pandas as pd

        columns = {
            column.name: column.kind.shown(self.column(column.name), self.names)
            for column in self.table.shown
        }
        return pd.DataFrame(columns, copy=False)

    def _reserve(self) -> int:
        """Make room for the ends of another block of rows, and return the room there is."""
        room = 0
        for column in self.table.known("end"):
            values = self.arrays[column.name]
            missing: Any = column.kind.missing
            values.extend(array(values.typecode, [missing]) * BLOCK_ROWS)
            room = len(values)
        return room


@cache
def _by_name(table: Table) -> Mapping[str, Column]:
    return {column.name: column for column in table.columns}


@cache
def _binder(table: Table) -> Callable[..., tuple[Callable[..., int], Callable[..., None]]]:
    """Return what makes ``begin`` and ``end`` of arrays, codes of texts, and ``reserve``."""
    start, end = table.known("start"), table.known("end")
    lines = [
        "def bound(arrays, codes, reserve):",
        *(f"    of_{column.name} = arrays['{column.name}']" for column in end),
        *(f"    append_{column.name} = arrays['{column.name}'].append" for column in start),
        *(f"    code_{name} = codes.{name}" for name in ("outcomes", "texts")),
        "    row = room = 0",
        f"    def begin(*, {', '.join(map(_parameter, start))}):",
        "        nonlocal row, room",
        "        this = row",
        *(["        if this == room:", "            room = reserve()"] if end else []),
        "        row = this + 1",
        *(f"        append_{column.name}({_recorded(column)})" for column in start),
        "        return this",
        f"    def end(row, /, *, {', '.join(map(_parameter, end))}):" if end else "    end = None",
        *(f"        of_{column.name}[row] = {_recorded(column)}" for column in end),
        "    return begin, end",
    ]
    made: dict[str, Any] = {"nan": math.nan}
    exec("\n".join(lines), made)
    bound: Callable[..., tuple[Callable[..., int], Callable[..., None]]] = made["bound"]
    return bound


def _parameter(column: Column) -> str:
    default = column.kind.default()
    return column.name if default is None else f"{column.name}={default}"


def _recorded(column: Column) -> str:
    """Return what is recorded of a value: itself, or the code of a text."""
    by = column.kind.coded_by
    return f"code_{by}[{column.name}]" if by else column.name
