"""The measures of a run, for all requests or by group; ``docs/measures.md`` states the formulas."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedsim.errors import ResultsError
from fedsim.results.group import Group, Nodes
from fedsim.results.measures import MEASURES
from fedsim.results.sample import Sample, Window
from fedsim.results.slo import Slo
from fedsim.results.tables import Tables
from fedsim.results.violations import VIOLATIONS, Rows
from fedsim.world.observer import Directory

if TYPE_CHECKING:
    from pandas import DataFrame

    Codes = NDArray[np.integer[Any]]

GROUPINGS = ("origin", "stream", "region", "node", "tenant", "capability")
"""What a summary can be grouped by; ``region`` and ``node`` are those that served."""


def require_grouping(by: object) -> None:
    """Check that a summary can be grouped by *by*; raises ``ResultsError`` where it cannot."""
    if by is not None and by not in GROUPINGS:
        msg = f"a summary cannot be grouped by {by!r}; choose one of {', '.join(GROUPINGS)}"
        raise ResultsError(msg)


class Summary:
    """The measures of a run, over the requests that arrived in [warmup, duration).

    Args:
        tables: The run.
        directory: Its names.
        warmup_s: Start of the window, in seconds.
        duration_s: End of the window, in seconds.
        slo: The objective, for goodput.
    """

    def __init__(
        self,
        tables: Tables,
        directory: Directory,
        *,
        warmup_s: float,
        duration_s: float,
        slo: Slo | None = None,
    ) -> None:
        self._tables = tables
        self._window = Window(warmup_s, duration_s)
        self._inside = self._window.holds(tables.values("requests", "arrived_s"))
        self._sample = Sample.of(tables, directory, slo)
        self._all_nodes = Nodes.of(tables)
        self._violations = {name: find(tables, directory) for name, find in VIOLATIONS.items()}

    def measured(self, by: str | None = None) -> tuple[list[str | None], list[list[float]]]:
        """Return the groups, and a row of the values of ``MEASURES`` for each.

        Percentiles and means without a request that counts are NaN, and so are the measures of
        nodes where a group has none of its own.

        Args:
            by: One of ``GROUPINGS``, or None for one row, ``all``. A last row without a name holds
                the requests that belong to no group, such as those that no node ever took.

        Raises:
            ResultsError: *by* is not one of ``GROUPINGS``.
        """
        require_grouping(by)
        names, codes = _groups(self._tables, "requests", by)
        inside = self._inside
        labels = [*names, None] if (codes[inside] == len(names)).any() else names
        violations = {
            name: self._violating(rows, by, codes) for name, rows in self._violations.items()
        }
        rows = []
        for code, part in enumerate(_parts(self._sample, inside, codes, len(labels))):
            counted = {
                name: int(np.count_nonzero(groups == code)) for name, groups in violations.items()
            }
            nodes = None if labels[code] is None else self._nodes(by, code)
            group = Group(part, self._window.length_s, nodes, counted)
            rows.append([measure.of(group) for measure in MEASURES.values()])
        return labels, rows

    def observed(self) -> tuple[NDArray[np.float64], Sample]:
        """Return the requests of the window in the order of their arrival, with its time in s."""
        arrived_s = self._tables.values("requests", "arrived_s")
        rows = np.flatnonzero(self._inside)
        rows = rows[np.argsort(arrived_s[rows], kind="stable")]
        return arrived_s[rows], self._sample.part(rows)

    def table(self, by: str | None = None) -> DataFrame:
        """Return the rows of ``measured`` with the columns of ``MEASURES``, indexed by group."""
        import pandas as pd

        labels, rows = self.measured(by)
        names = [math.nan if label is None else label for label in labels]
        return pd.DataFrame(rows, index=pd.Index(names, name=by), columns=pd.Index(MEASURES))

    @property
    def violations(self) -> dict[str, int]:
        """The number of violations of each kind, by their measure."""
        rows = self._tables.request_rows
        return {
            name: int(np.count_nonzero(self._inside[rows[attempts]]))
            for name, attempts in self._violations.items()
        }

    def _nodes(self, by: str | None, code: int) -> Nodes | None:
        """Return the nodes of a group; only all, a region that has any, and a node have some."""
        if by is None:
            return self._all_nodes
        if by == "node":
            return self._all_nodes.part(np.array([code]))
        if by == "region":
            rows = np.flatnonzero(self._all_nodes.region == code)
            return self._all_nodes.part(rows) if len(rows) else None
        return None

    def _violating(self, attempts: Rows, by: str | None, codes: Codes) -> Codes:
        """Return the group of each violation, given the rows of their *attempts*.

        It counts for the region or node where it happened, or else for its request's group.
        """
        if not len(attempts):
            return attempts
        requests = self._tables.request_rows[attempts]
        counted = self._inside[requests]
        if by in {"region", "node"}:
            codes, requests = _groups(self._tables, "attempts", by)[1], attempts
        groups: Codes = codes[requests[counted]]
        return groups


def _groups(tables: Tables, table: str, by: str | None) -> tuple[list[str | None], Codes]:
    """Return the names of the groups, and each row's group; the one after the last is none."""
    if by is None:
        return ["all"], np.zeros(tables.count(table), dtype=np.int8)
    names, codes = tables.labels(table, by), tables.values(table, by)
    return [*names], np.where(codes < 0, len(names), codes)


def _parts(
    sample: Sample, inside: NDArray[np.bool_], codes: Codes, groups: int
) -> Iterator[Sample]:
    """Yield the requests of each group that lie in the window."""
    rows = np.flatnonzero(inside)
    if groups <= 1:
        yield from [sample.part(rows)] * groups
        return
    order = rows[np.argsort(codes[rows], kind="stable")]
    counts = np.bincount(codes[rows], minlength=groups)
    for part in np.split(order, np.cumsum(counts)[:-1]):
        yield sample.part(part)
