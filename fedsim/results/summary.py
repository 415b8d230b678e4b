"""The measures of a run, for all requests or by group; ``docs/measures.md`` states the formulas."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedsim.errors import ResultsError
from fedsim.results.fleet import FLEET_MEASURES, fleet_measures
from fedsim.results.measures import MEASURES, PERCENTILES
from fedsim.results.sample import Sample, Window, is_ok
from fedsim.results.slo import Slo, percentile_share
from fedsim.results.tables import Tables
from fedsim.results.violations import privacy_violations
from fedsim.world.observer import Directory

if TYPE_CHECKING:
    from pandas import DataFrame

    Codes = NDArray[np.integer[Any]]

GROUPINGS = ("origin", "stream", "region", "node", "tenant", "capability")
"""What a summary can be grouped by; ``region`` and ``node`` are those that served."""


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

    if by is not None and by not in GROUPINGS:
        msg = f"a summary cannot be grouped by {by!r}; choose one of {', '.join(GROUPINGS)}"
        raise ResultsError(msg)
    window = Window(warmup_s, duration_s)
    requests = tables.requests
    inside = window.holds(requests["arrived_s"].to_numpy())
    names, codes = _groups(requests, by)
    labels: list[Any] = [*names, math.nan] if (codes[inside] == len(names)).any() else names
    violations = _violations(tables, directory, inside, by, codes)
    fleet = fleet_measures(tables.node_totals, window.length_s, by)
    sample = Sample.of(tables, directory, slo)
    rows = []
    for code, part in enumerate(_parts(sample, inside, codes, len(labels))):
        row = _measures(part, window.length_s)
        row["privacy_violations"] = int(np.count_nonzero(violations == code))
        row |= fleet.get(labels[code]) or dict.fromkeys(FLEET_MEASURES, math.nan)
        cost_usd = row["cost_usd_per_hour"] * window.length_s / 3600.0
        row["cost_usd_per_1k_ok"] = _ratio(1000.0 * cost_usd, int(part.ok.sum()))
        rows.append(row)
    return pd.DataFrame(rows, index=pd.Index(labels, name=by), columns=pd.Index(MEASURES))


def latency_percentiles_s(tables: Tables, window: Window, names: Sequence[str]) -> dict[str, float]:
    """Return percentiles of the latency of successful requests, in seconds, by name."""
    requests = tables.requests
    chosen = window.holds(requests["arrived_s"].to_numpy()) & is_ok(requests)
    return _percentiles(requests["latency_s"].to_numpy()[chosen], names)


def _groups(table: DataFrame, by: str | None) -> tuple[list[str], Codes]:
    """Return the names of the groups, and each row's group; the one after the last is none."""
    if by is None:
        return ["all"], np.zeros(len(table), dtype=np.int8)
    column = table[by].cat
    names, codes = list(column.categories), column.codes.to_numpy()
    return names, np.where(codes < 0, len(names), codes)


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
    tables: Tables, directory: Directory, inside: NDArray[np.bool_], by: str | None, codes: Codes
) -> Codes:
    """Return the group of each privacy violation.

    It counts for the region or node where it happened, or else for its request's group.
    """
    attempts = privacy_violations(tables, directory)
    if not len(attempts):
        return attempts
    requests = tables.request_rows[attempts]
    counted = inside[requests]
    if by in {"region", "node"}:
        codes, requests = _groups(tables.attempts, by)[1], attempts
    groups: Codes = codes[requests[counted]]
    return groups


def _measures(sample: Sample, length_s: float) -> dict[str, Any]:
    """Return the measures that are about requests."""
    requests, ok, good = len(sample.ok), int(sample.ok.sum()), int(sample.good.sum())
    latency_s = sample.latency_s[sample.ok]
    latency = _percentiles(latency_s, PERCENTILES)
    ttft = _percentiles(_known(sample.ttft_s[sample.ok]), PERCENTILES)
    tpot = _percentiles(_known(sample.tpot_s[sample.ok]), PERCENTILES)
    looked_up = sample.ok & (sample.cached_tokens >= 0)
    return {
        "requests": requests,
        "success_rate": _ratio(ok, requests),
        "throughput_rps": _ratio(ok, length_s),
        "goodput_rps": _ratio(good, length_s),
        "goodput_share": _ratio(good, requests),
        "latency_mean_s": _mean(latency_s),
        **{f"latency_{name}_s": value for name, value in latency.items()},
        **{f"ttft_{name}_s": value for name, value in ttft.items()},
        **{f"tpot_{name}_s": value for name, value in tpot.items()},
        "cache_hit_share": _ratio(
            int(sample.cached_tokens[looked_up].sum()), int(sample.prompt_tokens[looked_up].sum())
        ),
        "preemptions_per_request": _mean(sample.preemptions[sample.ok & (sample.preemptions >= 0)]),
        "queue_wait_mean_s": _mean(_known(sample.queue_wait_s[sample.ok])),
        "attempts_per_request": _mean(sample.attempts),
        "hedges_per_request": _mean(sample.hedges),
        "turned_away_share": _ratio(int(sample.turned_away.sum()), requests),
        "cross_region_share": _ratio(int(sample.cross.sum()), ok),
    }


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[~np.isnan(values)]


def _percentiles(values: NDArray[np.float64], names: Sequence[str]) -> dict[str, float]:
    """Return percentiles by linear interpolation between order statistics, NaN for no values."""
    if not len(values):
        return dict.fromkeys(names, math.nan)
    found = np.quantile(values, [percentile_share(name) for name in names])
    return dict(zip(names, found.tolist(), strict=True))


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else math.nan


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
