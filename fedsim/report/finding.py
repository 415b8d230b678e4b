"""The report of a finding: what it is, the rows that show it, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fedsim.charts.clock import clock_time
from fedsim.document import Block, Cell, Column, Document, Heading, Sentence, Table, figure, words

if TYPE_CHECKING:
    from datetime import datetime

    from pandas import DataFrame

    from fedsim.document import Form
    from fedsim.results.evidence import Evidence

MOST_ROWS = 10
"""Rows of evidence that are listed; of more, these are evenly spread."""

_ELSEWHERE = "fedsim explain --json"


def finding_report(found: Sequence[Evidence], start: datetime | None = None) -> Document:
    """Return the report of findings with their evidence.

    Args:
        found: The findings.
        start: What the clock read at simulated time 0, or None.
    """
    return Document(tuple(block for each in found for block in _blocks(each, start)))


def _blocks(found: Evidence, start: datetime | None) -> list[Block]:
    advice, finding = found.advice, found.finding
    blocks: list[Block] = [
        Heading(f"Finding {found.number}: {finding.name}", 1),
        Sentence(finding.text, "warning"),
        Sentence(advice.meaning),
        Heading(f"Nodes of {finding.pool}, within the window of the summary"),
        _nodes(found.nodes),
    ]
    for what, table, columns in (
        ("attempts", found.attempts, _ATTEMPTS),
        ("events", found.events, _EVENTS),
    ):
        if len(table):
            blocks += [
                Heading(f"Evidence: {advice.rows} ({_shown(len(table), what)})"),
                _rows(table, columns, start),
            ]
    if not len(found.attempts) and not len(found.events):
        blocks.append(Sentence(f"Evidence: there are no {advice.rows}."))
    blocks += [
        Heading("What usually explains it"),
        Sentence(advice.cause),
        Heading("What to do"),
        Sentence(advice.remedy),
    ]
    return blocks


def _shown(count: int, what: str) -> str:
    if count <= MOST_ROWS:
        return f"{count} {what}"
    return f"{MOST_ROWS} of {count:,} {what}, evenly spread"


def _nodes(nodes: DataFrame) -> Table:
    forms: tuple[tuple[str, str, Form, str], ...] = (
        ("attempts", "attempts", "count", ""),
        ("ok", "ok", "count", ""),
        ("under_way", "under way", "significant", ""),
        ("queue_wait_mean_s", "mean wait", "significant", "s"),
        ("last_started_s", "last sent", "significant", "s"),
    )
    columns = [words("node", [str(name) for name in nodes.index])]
    for name, heading, form, unit in forms:
        cells = tuple(figure(float(value), form) for value in nodes[name])
        columns.append(Column(heading, cells, unit))
    return Table(tuple(columns), _ELSEWHERE)


_ATTEMPTS = (
    ("request_id", "request", 0),
    ("attempt", "attempt", 4),
    ("gateway", "gateway", 3),
    ("node", "node", 0),
    ("started_s", "started", 0),
    ("queue_wait_s", "wait", 1),
    ("service_s", "service", 1),
    ("outcome", "outcome", 0),
)
_EVENTS = (
    ("time_s", "time", 0),
    ("subject", "node", 0),
    ("gateway", "gateway", 1),
    ("before", "before", 1),
    ("after", "after", 0),
    ("detail", "detail", 2),
)


def _rows(
    table: DataFrame, columns: Sequence[tuple[str, str, int]], start: datetime | None
) -> Table:
    import pandas as pd

    count = min(len(table), MOST_ROWS)
    some = table.iloc[[place * len(table) // count for place in range(count)]]
    made = []
    for name, heading, rank in columns:
        values = some[name].astype(object).tolist()
        if name in {"started_s", "time_s"}:
            made.append(
                Column(heading, tuple(figure(each, digits=6) for each in values), "s", rank)
            )
            if start is not None:
                made.append(words("clock", [clock_time(start, each) for each in values], 1))
        elif name.endswith("_s"):
            made.append(Column(heading, tuple(figure(each) for each in values), "s", rank))
        else:
            texts = [None if pd.isna(each) else str(each) for each in values]
            cells = tuple(Cell(each) for each in texts)
            made.append(Column(heading, cells, rank=rank, align="left"))
    return Table(tuple(made), _ELSEWHERE)
