"""The tables of one run, each built or read once, when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedsim.results.columns import TABLES

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
        request_rows: What makes ``request_rows``; None looks the request ids up.
    """

    def __init__(
        self,
        builders: Mapping[str, Callable[[], DataFrame]],
        request_rows: Callable[[], NDArray[np.integer[Any]]] | None = None,
    ) -> None:
        self._builders = dict(builders)
        self._built: dict[str, DataFrame] = {}
        self._make_request_rows = request_rows
        self._request_rows: NDArray[np.integer[Any]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Build everything, so that a run can travel to another process."""
        return {"built": {name: self[name] for name in self.names}, "rows": self.request_rows}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._builders = {}
        self._built = state["built"]
        self._make_request_rows = None
        self._request_rows = state["rows"]

    def __getitem__(self, name: str) -> DataFrame:
        """Return the table *name*."""
        if name not in self._built:
            self._built[name] = self._builders[name]()
        return self._built[name].copy(deep=False)

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
            if self._make_request_rows is not None:
                self._request_rows = self._make_request_rows()
            else:
                self._request_rows = self._looked_up()
        return self._request_rows

    def _looked_up(self) -> NDArray[np.integer[Any]]:
        import pandas as pd

        ids = pd.Index(self.requests["request_id"])
        first = np.flatnonzero(~ids.duplicated())
        found = ids[first].get_indexer(pd.Index(self.attempts["request_id"]))
        rows: NDArray[np.integer[Any]] = np.append(first, -1)[found]
        return rows
