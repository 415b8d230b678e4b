"""What an operator measured, minute by minute, next to what a run simulated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedsim.charts.clock import clock_time
from fedsim.errors import ArgumentError, ResultsError
from fedsim.workload.logs.cells import Cells, read_cells
from fedsim.workload.logs.columns import ALIASES, Column, LogColumns
from fedsim.workload.logs.failures import failure_reasons

if TYPE_CHECKING:
    from pandas import DataFrame

    Log = DataFrame | str | PathLike[str]
    """A log of requests or of minutes: a table, or the file of one."""

Floats = NDArray[np.float64]

COMPARED = ("requests", "failures", "latency_p50_s", "latency_p95_s")
"""What is known of each minute, measured and simulated."""

_COUNTED: Mapping[str, tuple[str, ...]] = {
    "time": ("minute", "bucket", "interval", *ALIASES["arrival"]),
    "requests": ("request_count", "count", "total", "total_requests"),
    "failures": ("failed", "failure_count", "errors", "error_count"),
    "latency_p50": ("p50", "p50_latency", "latency_median", "median"),
    "latency_p95": ("p95", "p95_latency"),
}
"""The names of the columns of a log that has a row per minute."""

_NAMING = 'columns={"field": "column"}'
_EPOCH_FROM_S = 1e8
"""Numbers from here on are seconds since 1970, not since the start of a run."""


@dataclass(frozen=True, slots=True)
class Span:
    """What of a log is compared: a run's arrivals, in parts.

    Attributes:
        duration_s: How long requests arrive, in seconds.
        every_s: The length of a part in seconds, > 0; the last one may be shorter.
        start: What the clock read at simulated time 0, with a zone, or None.
    """

    duration_s: float
    every_s: float = 60.0
    start: datetime | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.every_s < math.inf:
            message = f"every_s is the seconds of a row, not {self.every_s!r:.40}."
            raise ArgumentError(message, "Write 60 for minutes.")

    @property
    def begins_s(self) -> Floats:
        """When each part begins."""
        return np.arange(0.0, self.duration_s, self.every_s)

    def part(self, time_s: Floats) -> NDArray[np.intp]:
        """Return the part of each time, -1 outside of all."""
        inside = (time_s >= 0.0) & (time_s < self.duration_s)
        return np.where(inside, np.nan_to_num(time_s) // self.every_s, -1).astype(np.intp)


def simulated_parts(requests: DataFrame, span: Span) -> DataFrame:
    """Return what a run came to, a row per part: ``time_s`` and ``COMPARED``."""
    return _counted(
        span,
        requests["arrived_s"].to_numpy(),
        (requests["outcome"] != "ok").to_numpy(),
        requests["latency_s"].to_numpy(),
    )


def observed_parts(
    observed: Log, span: Span, columns: Mapping[str, str] | None = None
) -> DataFrame:
    """Return what was measured, a row per part: ``time_s`` and ``COMPARED``, NaN where unknown.

    Args:
        observed: A log with a row per request (arrival, latency or end, and what says that it
            failed), or with a row per part (time, requests, failures, latency_p50, latency_p95).
            Times are dates in UTC, seconds since 1970, or seconds since the start of the run.
        span: What of it is compared.
        columns: Columns by field, where they do not have one of the known names.

    Raises:
        ResultsError: Its times need a start of the scenario, none is within the run, or two rows
            are about one part.
        LogError: A column is missing, or a cell is neither a number nor a time.
        ArgumentError: An argument is of the wrong kind.
    """
    cells = _cells(observed)
    chosen = {field: Column(name) for field, name in (columns or {}).items()}
    _require_fields(chosen)
    counted = LogColumns(cells, _only(chosen, _COUNTED), _COUNTED, _NAMING)
    if "requests" in counted:
        return _of_parts(counted, span)
    found = LogColumns(cells, _only(chosen, ALIASES), ALIASES, _NAMING)
    found.require("arrival")
    arrived_s = _since_start_s(found.times_s("arrival"), span)
    if "latency" in found:
        latency_s = found.times_s("latency")
    elif "last_token" in found:
        latency_s = _since_start_s(found.times_s("last_token"), span) - arrived_s
    else:
        latency_s = np.full(found.rows, np.nan)
    failed = np.array([bool(reason) for reason in failure_reasons(found)])
    return _counted(span, arrived_s, failed, latency_s)


def against(simulated: DataFrame, observed: DataFrame, start: datetime | None) -> DataFrame:
    """Return each part of a run next to what was measured in it.

    For each of ``COMPARED`` there is what was simulated, what was observed, and the difference,
    simulated less observed.

    Args:
        simulated: What ``simulated_parts`` gives.
        observed: What ``observed_parts`` gives for the same parts.
        start: What the clock read at simulated time 0; adds the column ``clock``.
    """
    import pandas as pd

    table = pd.DataFrame({"time_s": simulated["time_s"]})
    if start is not None:
        table["clock"] = [clock_time(start, time_s) for time_s in table["time_s"]]
    for name in COMPARED:
        stem, unit = (name[:-2], "_s") if name.endswith("_s") else (name, "")
        table[f"{stem}_simulated{unit}"] = simulated[name]
        table[f"{stem}_observed{unit}"] = observed[name]
        table[f"{stem}_difference{unit}"] = simulated[name] - observed[name]
    return table


def _counted(
    span: Span, arrived_s: Floats, failed: NDArray[np.bool_], latency_s: Floats
) -> DataFrame:
    """Return the parts of requests; percentiles are those of requests that succeeded."""
    import pandas as pd

    begins_s, part = span.begins_s, span.part(arrived_s)
    inside = part >= 0
    counts = np.bincount(part[inside], minlength=len(begins_s))
    failures = np.bincount(part[inside & failed], minlength=len(begins_s))
    timed = inside & ~failed & np.isfinite(latency_s)
    order = np.argsort(part[timed], kind="stable")
    ends = np.searchsorted(part[timed][order], np.arange(len(begins_s) + 1))
    values_s = latency_s[timed][order]
    quantiles = np.full((len(begins_s), 2), np.nan)
    for row, (low, high) in enumerate(pairwise(ends)):
        if high > low:
            quantiles[row] = np.quantile(values_s[low:high], (0.5, 0.95))
    columns = [begins_s, counts, failures, quantiles[:, 0], quantiles[:, 1]]
    if not counts.any():
        raise _nothing_inside(arrived_s, span)
    return pd.DataFrame(dict(zip(("time_s", *COMPARED), columns, strict=True)))


def _of_parts(found: LogColumns, span: Span) -> DataFrame:
    """Return the parts of a log that has a row for each."""
    import pandas as pd

    found.require("time")
    time_s = _since_start_s(found.times_s("time"), span)
    part = span.part(time_s)
    rows = np.flatnonzero(part >= 0)
    if not len(rows):
        raise _nothing_inside(time_s, span)
    counts = np.bincount(part[rows])
    if counts.max() > 1:
        again = float(np.argmax(counts) * span.every_s)
        msg = (
            f"several rows of the log are about the {span.every_s:g} s from {again:g} s on; give "
            "every_s, the seconds from row to row"
        )
        raise ResultsError(msg)
    table = pd.DataFrame({"time_s": span.begins_s})
    for name in COMPARED:
        field, values = name.removesuffix("_s"), np.full(len(table), np.nan)
        if field in found:
            read = found.times_s if name.endswith("_s") else found.counts
            values[part[rows]] = read(field)[rows]
        table[name] = values
    return table


def _since_start_s(time_s: Floats, span: Span) -> Floats:
    """Return times of a log in seconds since the start of the run."""
    known = time_s[np.isfinite(time_s)]
    if not len(known) or np.abs(known).max() < _EPOCH_FROM_S:
        return time_s
    if span.start is None:
        msg = (
            "the log has times of the clock, and the scenario does not say its start; add start: "
            f"{datetime.fromtimestamp(float(known.min()), UTC):%Y-%m-%dT%H:%MZ} to it, or the time "
            "at which the run begins"
        )
        raise ResultsError(msg)
    return time_s - span.start.timestamp()


def _nothing_inside(time_s: Floats, span: Span) -> ResultsError:
    known = time_s[np.isfinite(time_s)]
    if not len(known):
        return ResultsError("the log has no request with a time; name the column of arrivals")
    ends = (float(known.min()), float(known.max()))
    first, last = (
        f"{each:g} s" if span.start is None else clock_time(span.start, each) for each in ends
    )
    msg = (
        f"no row of the log is within the {span.duration_s:g} s of the run: they are from {first} "
        f"to {last}; correct the scenario's start or duration"
    )
    return ResultsError(msg)


def _cells(observed: Log) -> Cells:
    import pandas as pd

    if isinstance(observed, str | PathLike):
        return read_cells(observed)
    if not isinstance(observed, pd.DataFrame):
        message = f"What was observed is a table or the file of one, not {observed!r:.40}."
        raise ArgumentError(message, "Give a DataFrame, or a CSV, JSON lines or Parquet file.")
    columns = {}
    for name in observed:
        column = observed[name]
        if isinstance(column.dtype, pd.DatetimeTZDtype):
            column = column.dt.tz_convert("UTC").dt.tz_localize(None)
        if column.dtype.kind == "M":
            column = column.dt.strftime("%Y-%m-%d %H:%M:%S.%f")
        columns[str(name)] = column.astype(object).where(column.notna(), None).tolist()
    return Cells("observed", columns, range(1, len(observed) + 1))


def _require_fields(chosen: Mapping[str, Column]) -> None:
    known = [*dict.fromkeys([*ALIASES, *_COUNTED])]
    for field in chosen:
        if field not in known:
            message = f"There is no field {field!r} of a log."
            raise ArgumentError(message, f"Name columns of {', '.join(known)}.")


def _only(chosen: Mapping[str, Column], known: Mapping[str, object]) -> dict[str, Column]:
    return {field: column for field, column in chosen.items() if field in known}
