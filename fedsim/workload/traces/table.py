"""A table of requests in a file, whatever its kind: a row per request, in named columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from fedsim.workload.traces.fields import Field

Rows = Iterator[tuple[int, Mapping[str, Any]]]
"""The one-based line of each row, in a Parquet file its number, and its values by column."""

Chunk = Mapping[str, Any]
"""Consecutive rows: an arrow array by column."""


class Table(Protocol):
    """A table that has a row or more.

    Attributes:
        names: The names of the columns, in JSON lines those of the first row.
        expected: What file to give in place of one that cannot be read, as a sentence.
    """

    names: list[str]
    expected: str

    def rows(self) -> Rows:
        """Yield all rows one by one, some microseconds each.

        Raises:
            TraceError: The file cannot be read, or a line is no row.
        """
        ...

    def chunks(self, fields: Mapping[str, Field]) -> Iterator[Chunk]:
        """Yield the columns that *fields* names, about a microsecond a row.

        Raises:
            UnfitError: A line is no row; ``rows`` finds it.
            ArrowException: So is one, or a value does not have the type of its column.
        """
        ...
