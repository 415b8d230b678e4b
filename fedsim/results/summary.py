"""The measures of a run, for all requests or by group; ``docs/measures.md`` states the formulas."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedsim.errors import ResultsError
from fedsim.results.group import Group
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


def summarise(
    tables: Tables,
    directory: Directory,
    *,
    warmup_s: float,
    duration_s: float,
    slo: Slo | None = None,
    by: str | None = None,
) -> DataFrame:
    """Return a row of measures per group, over the requests that arrived in [warmup, duration).

    Args:
        tables: The run.
        directory: Its names.
        warmup_s: Start of the window, in seconds.
        duration_s: End of the window, in seconds.
        slo: The objective, for goodput.
        by: One of ``GROUPINGS``, or None for one row, ``all``. A last row without a name holds
            the requests that belong to no group, such as those that no node ever took.

    Returns:
        The columns of ``MEASURES``, indexed by group. Percentiles and means without a request
        that counts are NaN, and so are the measures of nodes where a group has none of its own.

    Raises:
        ResultsError: *by* is not one of ``GROUPINGS``.
    """
    import pandas as pd

    require_grouping(by)
    window = Window(warmup_s, duration_s)
    requests = tables.requests
    inside = window.holds(requests["arrived_s"].to_numpy())
    names, codes = _groups(requests, by)
    labels: list[Any] = [*names, math.nan] if (codes[inside] == len(names)).any() else names
    violations = {
        name: _violations(tables, find(tables, directory), inside, by, codes)
        for name, find in VIOLATIONS.items()
    }
    nodes = _nodes(tables.node_totals, by)
    sample = Sample.of(tables, directory, slo)
    rows = []
    for code, part in enumerate(_parts(sample, inside, codes, len(labels))):
        counted = {
            name: int(np.count_nonzero(groups == code)) for name, groups in violations.items()
        }
        group = Group(part, window.length_s, nodes.get(labels[code]), counted)
        rows.append([measure.of(group) for measure in MEASURES.values()])
    return pd.DataFrame(rows, index=pd.Index(labels, name=by), columns=pd.Index(MEASURES))


def _groups(table: DataFrame, by: str | None) -> tuple[list[str], Codes]:
    """Return the names of the groups, and each row's group; the one after the last is none."""
    if by is None:
        return ["all"], np.zeros(len(table), dtype=np.int8)
    column = table[by].cat
    names, codes = list(column.categories), column.codes.to_numpy()
    return names, np.where(codes < 0, len(names), codes)


def _nodes(node_totals: DataFrame, by: str | None) -> dict[Any, DataFrame]:
    """Return the nodes of each group, by name; only all, a region and a node have their own."""
    if by is None:
        return {"all": node_totals}
    if by not in {"region", "node"}:
        return {}
    return dict(iter(node_totals.groupby(by, observed=True)))


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


def _violations(
    tables: Tables, attempts: Rows, inside: NDArray[np.bool_], by: str | None, codes: Codes
) -> Codes:
    """Return the group of each violation, given the rows of their *attempts*.

    It counts for the region or node where it happened, or else for its request's group.
    """
    if not len(attempts):
        return attempts
    requests = tables.request_rows[attempts]
    counted = inside[requests]
    if by in {"region", "node"}:
        codes, requests = _groups(tables.attempts, by)[1], attempts
    groups: Codes = codes[requests[counted]]
    return groups
