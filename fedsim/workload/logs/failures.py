"""Rows of a log that are requests which failed: what their times say is not how fast a node is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from fedsim.workload.logs.cells import Cells, LogError
from fedsim.workload.logs.columns import Column, LogColumns

SUCCESS = frozenset(
    (
        "ok",
        "success",
        "successful",
        "succeeded",
        "complete",
        "completed",
        "done",
        "finished",
        "passed",
        "true",
        "yes",
        "stop",
        "length",
        "eos",
        "tool_calls",
        "0",
    )
)
"""What a status says, in lower case, of a request that succeeded; also 200 to 299."""

_YES = frozenset(("1", "true", "yes", "ok", "success"))
_NOTHING = frozenset(("", "none", "null", "nan", "false", "no", "0"))
_MOST_WORDS = 3


def without_failures(cells: Cells, chosen: Mapping[str, Column]) -> tuple[Cells, tuple[str, ...]]:
    """Return the rows of a log that are not known to have failed, and a sentence on the others.

    Args:
        cells: The log.
        chosen: Columns that the caller named, by field.

    Raises:
        LogError: All rows are failures, or there is no column that the caller named.
    """
    reasons = failure_reasons(LogColumns(cells, chosen))
    kept = [row for row, reason in enumerate(reasons) if not reason]
    failed = len(reasons) - len(kept)
    if not failed:
        return cells, ()
    words = Counter(reason for reason in reasons if reason).most_common()
    shown = ", ".join(word for word, _ in words[:_MOST_WORDS])
    shown += ", …" if len(words) > _MOST_WORDS else ""
    if not kept:
        message = f"All {failed:,} rows are requests that failed ({shown})."
        remedy = (
            "Give a log of requests that succeeded, or the column that says so by "
            "--columns status=COLUMN."
        )
        raise LogError(cells.file, [(None, message)], remedy)
    columns = {name: [column[row] for row in kept] for name, column in cells.columns.items()}
    return Cells(cells.file, columns, [cells.lines[row] for row in kept]), left_out(
        failed, f" as failed ({shown})"
    )


def left_out(count: int, reason: str) -> tuple[str, ...]:
    """Return a sentence on *count* rows that are left out, none where that is 0."""
    rows = "1 row is" if count == 1 else f"{count:,} rows are"
    return (f"{rows} left out{reason}.",) if count else ()


def failure_reasons(found: LogColumns) -> Sequence[str]:
    """Return for each row what says that its request failed; the empty text where nothing does."""
    reasons = [""] * found.rows
    if "status" in found:
        for row, text in enumerate(found.texts("status")):
            if not _is_success(_plain(text)):
                reasons[row] = _plain(text)
    if "success" in found:
        for row, text in enumerate(found.texts("success")):
            if _plain(text) and _plain(text) not in _YES:
                reasons[row] = reasons[row] or "no success"
    if "error" in found:
        for row, text in enumerate(found.texts("error")):
            if _plain(text) not in _NOTHING:
                reasons[row] = reasons[row] or "error"
    return reasons


def _plain(text: str) -> str:
    """Return a cell in lower case, a whole number without its fraction."""
    return text.strip().lower().removesuffix(".0")


def _is_success(status: str) -> bool:
    if status.isdigit() and len(status) == 3:
        return status.startswith("2")
    return not status or status in SUCCESS
