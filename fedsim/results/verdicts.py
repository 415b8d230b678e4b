"""Whether a run held its objective."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsim.results.group import percentiles
from fedsim.results.sample import Sample, Window
from fedsim.results.slo import WINDOWS_HELD, Bounded, Part, Slo, Verdict
from fedsim.results.tables import Tables
from fedsim.world.observer import Directory

NO_REQUESTS = "no requests"
NO_SUCCESS = "no request succeeded"
NO_TOKENS = "no tokens"

Rows = NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class _Requests:
    """The requests of a run.

    Attributes:
        sample: What the measures need to know of each.
        streams: The code of each one's stream.
        arrived_s: When each arrived, in seconds.
    """

    sample: Sample
    streams: NDArray[np.integer[Any]]
    arrived_s: NDArray[np.float64]


def verdicts(slo: Slo, tables: Tables, directory: Directory, window: Window) -> list[Verdict]:
    """Return a verdict on every bound of an objective.

    A bound is held where its measure over the requests that arrived in the window is within its
    limit, and, with ``every``, where that is so in at least 99 % of the consecutive windows of that
    length as well. A last window that is not whole is not judged, nor is one without a request
    that has the measure; one in which no request succeeded misses a bound on a time.

    Args:
        slo: The objective.
        tables: The run.
        directory: Its names.
        window: What summaries cover.
    """
    requests = _Requests(
        Sample.of(tables, directory, slo),
        tables.values("requests", "stream"),
        tables.values("requests", "arrived_s"),
    )
    names = [stream.name for stream in directory.streams]
    rows = np.flatnonzero(window.holds(requests.arrived_s))
    return [_verdict(part, names, slo.every_s, requests, rows, window) for part in slo.parts(names)]


def _verdict(
    part: Part,
    names: list[str],
    every_s: float | None,
    requests: _Requests,
    rows: Rows,
    window: Window,
) -> Verdict:
    bounded = Bounded.of(part.key)
    codes = [names.index(name) for name in part.covers]
    rows = rows[np.isin(requests.streams[rows], codes)]
    value, missing = _value(bounded, requests.sample, rows)
    judged, held = 0, 0
    if every_s is not None and not missing:
        for each in _windows(rows, requests.arrived_s[rows], window, every_s):
            own, nothing = _value(bounded, requests.sample, each)
            judged += nothing in {"", NO_SUCCESS}
            held += bounded.is_within(own, part.limit)
    without_tokens = (
        name
        for name, code in zip(part.covers, codes, strict=True)
        if _value(bounded, requests.sample, rows[requests.streams[rows] == code])[1] == NO_TOKENS
    )
    return Verdict(
        key=part.key,
        objective=bounded.measure,
        limit=part.limit,
        value=value,
        held=bounded.is_within(value, part.limit) and 100 * held >= WINDOWS_HELD * judged,
        stream=part.stream,
        missing=missing,
        without_tokens=tuple(without_tokens),
        every_s=every_s,
        windows=judged,
        windows_held=held,
    )


def _value(bounded: Bounded, sample: Sample, rows: Rows) -> tuple[float, str]:
    """Return a measure over the requests in *rows*, and why there is none where it is NaN."""
    if not len(rows):
        return math.nan, NO_REQUESTS
    ok = sample.ok[rows]
    if not bounded.time:
        counted = ok if bounded.measure == "success_rate" else sample.good[rows]
        return int(counted.sum()) / len(rows), ""
    if not ok.any():
        return math.nan, NO_SUCCESS
    values = getattr(sample, f"{bounded.time}_s")[rows[ok]]
    known = values[~np.isnan(values)]
    if not len(known):
        return math.nan, NO_TOKENS
    return percentiles(known, (bounded.percentile,))[bounded.percentile], ""


def _windows(
    rows: Rows, arrived_s: NDArray[np.float64], window: Window, every_s: float
) -> list[Rows]:
    """Return the rows of each whole window of *every_s* seconds, in the order of time."""
    whole = math.floor(window.length_s / every_s + 1e-9)
    edges_s = window.start_s + every_s * np.arange(whole + 1)
    order = np.argsort(arrived_s, kind="stable")
    ends = np.searchsorted(arrived_s[order], edges_s)
    return [rows[order[low:high]] for low, high in pairwise(ends)]
