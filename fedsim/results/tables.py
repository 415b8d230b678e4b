"""The tables of one run, each built or read once, when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedsim.results.columns import TABLES
from fedsim.results.kinds import RequestId
from fedsim.results.rows import Rows

if TYPE_CHECKING:
    from pandas import DataFrame

DECISIONS = "decisions"
"""The table of the runs that recorded their decisions."""

NAMES = tuple(name for name in TABLES if name != DECISIONS)
"""The tables that every run has."""


class Tables:
    """The tables of a run.

    Every access returns a shallow copy, so that a column which a user adds or changes stays
    theirs: pandas copies it when it is written to.

    Args:
        builders: What makes each table of ``NAMES``, and ``DECISIONS`` where there is one.
        recorded: What was recorded of each table, of which values are read without building one;
            None where tables were read from files.
    """

    def __init__(
        self,
        builders: Mapping[str, Callable[[], DataFrame]],
        recorded: Mapping[str, Rows] | None = None,
    ) -> None:
        self._builders = dict(builders)
        self._recorded = recorded or {}
        self._built: dict[str, DataFrame] = {}
        self._values: dict[tuple[str, str], NDArray[Any]] = {}
        self._request_rows: NDArray[np.integer[Any]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Build everything, so that a run can travel to another process."""
        return {"built": {name: self[name] for name in self.names}, "rows": self.request_rows}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._builders = {}
        self._recorded = {}
        self._built = state["built"]
        self._values = {}
        self._request_rows = state["rows"]

    def __getitem__(self, name: str) -> DataFrame:
        """Return the table *name*."""
        return self._frame(name).copy(deep=False)

    def values(self, table: str, column: str) -> NDArray[Any]:
        """Return a column as plain values, which are not to be changed.

        Names are their codes and -1 where they are missing, as is a missing whole number; texts
        are objects, None where they are missing. Request ids are texts or numbers, different where
        the ids are; ``texts`` has them as texts.
        """
        if (table, column) not in self._values:
            kind, rows = TABLES[table].column(column).kind, self._recorded.get(table)
            if rows is not None:
                found = kind.recorded(rows.column(column), rows.names)
            elif column in (frame := self._frame(table)):
                found = kind.plain(frame[column])
            else:  # a run of an earlier version has no such column
                found = np.full(len(frame), np.nan)
            self._values[table, column] = found
        return self._values[table, column]

    def labels(self, table: str, column: str) -> list[str]:
        """Return the names behind the codes of a column, in their order."""
        kind, rows = TABLES[table].column(column).kind, self._recorded.get(table)
        if rows is None:
            return list(self._frame(table)[column].cat.categories)
        return kind.labels(rows.column(column), rows.names)

    def texts(self, table: str, column: str, rows: slice) -> list[str | None]:
        """Return some rows of a column of texts or request ids, None where they are missing."""
        kind, recorded = TABLES[table].column(column).kind, self._recorded.get(table)
        if isinstance(kind, RequestId) and recorded is not None:
            return [*kind.texts(self.values(table, column)[rows], recorded.names)]
        return [*self.values(table, column)[rows]]

    def events_of(self, kind: str, *columns: str) -> list[tuple[Any, ...]]:
        """Return columns of the events of one kind, a tuple per event, in the order of time."""
        chosen = np.flatnonzero(self.values("events", "kind") == kind)
        found = (self.values("events", column)[chosen].tolist() for column in columns)
        return list(zip(*found, strict=True))

    def are(self, table: str, outcome: str) -> NDArray[np.bool_]:
        """Return which rows of the requests or attempts have an outcome."""
        labels = self.labels(table, "outcome")
        code = labels.index(outcome) if outcome in labels else len(labels)
        return np.asarray(self.values(table, "outcome") == code)

    def count(self, table: str) -> int:
        """Return the number of rows of a table."""
        rows = self._recorded.get(table)
        return len(self._frame(table) if rows is None else rows)

    def _frame(self, name: str) -> DataFrame:
        if name not in self._built:
            self._built[name] = self._builders[name]()
        return self._built[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The tables that there are."""
        known = {**self._builders, **self._built}
        return (*NAMES, DECISIONS) if DECISIONS in known else NAMES

    @property
    def requests(self) -> DataFrame:
        """A row per request, in the order of arrival."""
        return self["requests"]

    @property
    def attempts(self) -> DataFrame:
        """A row per attempt, in the order of their starts."""
        return self["attempts"]

    @property
    def nodes(self) -> DataFrame:
        """A row per node and sample."""
        return self["nodes"]

    @property
    def events(self) -> DataFrame:
        """A row per event, in the order in which they happened."""
        return self["events"]

    @property
    def node_totals(self) -> DataFrame:
        """A row per node: its slots and price, and its busy time over the run."""
        return self["node_totals"]

    @property
    def request_rows(self) -> NDArray[np.integer[Any]]:
        """For each attempt, the row of its request; -1 where there is none."""
        if self._request_rows is None:
            recorded = self._recorded.get("attempts")
            self._request_rows = self._looked_up() if recorded is None else recorded["request"]
        return self._request_rows

    def _looked_up(self) -> NDArray[np.integer[Any]]:
        import pandas as pd

        ids = pd.Index(self.requests["request_id"])
        first = np.flatnonzero(~ids.duplicated())
        found = ids[first].get_indexer(pd.Index(self.attempts["request_id"]))
        rows: NDArray[np.integer[Any]] = np.append(first, -1)[found]
        return rows
