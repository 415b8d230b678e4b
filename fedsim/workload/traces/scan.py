"""Finds the first row of a broken trace that is wrong, and says what is."""

from __future__ import annotations

from typing import Any

from fedsim.workload.traces.errors import TraceError, shown
from fedsim.workload.traces.fields import Seconds, Stamp, Text
from fedsim.workload.traces.layout import Layout
from fedsim.workload.traces.table import Rows


def scan(file: str, rows: Rows, layout: Layout) -> None:
    """Look at all *rows*, one by one.

    Raises:
        TraceError: One is wrong, or earlier than the one before it.
    """
    clock = layout.clock or Seconds()
    fields = layout.fields().items()
    before: tuple[float, Any] | None = None
    for line, row in rows:
        for name, kind in fields:
            if name not in row and kind != Text(required=False):
                message = f"The row has no {name}."
                raise TraceError(file, line, message, "Add it, or remove the row.")
            wrong = kind.wrong(name, row.get(name))
            if wrong is not None:
                raise TraceError(file, line, *wrong)
        before = _in_order(file, line, before, row[layout.time], layout.time, clock)


def _in_order(
    file: str,
    line: int,
    before: tuple[float, Any] | None,
    time: Any,
    name: str,
    clock: Seconds | Stamp,
) -> tuple[float, Any]:
    at = clock.at(time)
    if before is not None and at < before[0]:
        message = (
            f"The row is out of order: {shown(time).strip(chr(39))} is earlier than "
            f"{shown(before[1]).strip(chr(39))} in the line before."
        )
        raise TraceError(file, line, message, f"Sort the rows by {name}.")
    return at, time
