"""Reads a trace in one of the formats."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike

from fedsim.workload.traces.formats import Columns, recognised
from fedsim.workload.traces.trace import Trace

_OWN = Columns()


def read_trace(
    path: str | PathLike[str],
    form: str | None = None,
    columns: Columns = _OWN,
    where: Mapping[str, str] | None = None,
) -> Trace:
    """Read a trace as it was recorded, its first request at 0.

    Args:
        path: The file; CSV and JSON lines may be compressed by gzip, whatever its name.
        form: One of ``FORMATS``, or None to recognize it; see ``recognised``.
        columns: The columns of one's own file.
        where: The value that a row must have to be read, by column.

    Raises:
        TraceError: The file is missing, unreadable, empty or not in this format, or its rows are
            not in the order of their times. It names the first line that is wrong.
    """
    # Imported only when a trace is read: arrow costs a fraction of a second.
    from fedsim.workload.traces.gather import gather
    from fedsim.workload.traces.layout import layout_of
    from fedsim.workload.traces.opening import open_table

    file = str(path)
    form = form or recognised(file)
    layout = layout_of(form, columns, where or {})
    return gather(file, open_table(file, form, [*layout.fields()]), layout)


def read_azure(path: str | PathLike[str]) -> Trace:
    """Read a trace in the Azure format; see ``read_trace``.

    The timestamps are in UTC and have up to nine decimals.

    Args:
        path: The file.

    Raises:
        TraceError: As ``read_trace``.
    """
    return read_trace(path, "azure")
