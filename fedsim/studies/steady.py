"""Estimates of the long run: what a window would show if it never ended.

Runs start empty, so their beginning is cut off; percentiles are those of all runs pooled, because
the percentile of one short run is too low on average, and the mean of many such is no better.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedsim.results.belief import percentile_of
from fedsim.results.group import PERCENTILES, Group
from fedsim.results.measures import MEASURES
from fedsim.results.slo import TIMES
from fedsim.results.violations import VIOLATIONS
from fedsim.studies.observed import PARTS, Observed
from fedsim.studies.statistics import estimate

if TYPE_CHECKING:
    from collections.abc import Mapping

_OF_A_MEAN = 0.8
"""The percentile whose busy times runs have to meet, for a mean."""

_TIMES = {
    f"{time}_{name}_s": (f"{time}_s", percentile_of(f"{time}_{name}_s") or _OF_A_MEAN)
    for time in TIMES
    for name in ("mean", *PERCENTILES)
    if f"{time}_{name}_s" in MEASURES
}
"""The measures of the times of requests, with the time's column and a percentile as a share."""

BATCH = 5
"""Number of values in a batch of MSER-5."""

LEAST_IN_TAIL = 10
"""Number of requests beyond a percentile that a run needs, so that it has a tail of its own."""

_TREND = 0.99
"""Confidence with which a measure has to rise or fall to be called not settled."""

EXCURSIONS = 3.0
"""How often a run goes beyond a percentile on average, for the percentile to be estimated."""

OF_WINDOWS = "it is measured over windows alone"
"""Why a measure of nodes has no estimate of the long run."""

_NO_VIOLATIONS = dict.fromkeys(VIOLATIONS, 0)
_OF_WINDOWS = (*VIOLATIONS, "utilization_mean", "imbalance", "wasted_share", "cost_usd_per_1k_ok")
"""Measures of which there are figures of windows alone."""


@dataclass(frozen=True, slots=True, eq=False)
class LongRun:
    """What the runs of one variant show of the long run.

    Attributes:
        values: A row per run, a column per measure of ``MEASURES``. Their mean over runs is the
            estimate, that of all runs pooled; NaN for none.
        refused: Why a measure has no estimate, by measure.
        cut: How many of the ``PARTS`` of the window are left out at its beginning.
    """

    values: NDArray[np.float64]
    refused: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    cut: int = 0


def long_run(runs: Sequence[Observed], window_s: float) -> LongRun:
    """Return what *runs* show of the long run, without what their beginning distorts.

    The same time is cut off all runs: that which ``warmup`` finds in the means across runs of the
    parts of the window, if what is before it is shown to differ. The value of a run is that of its
    own requests, shifted as all others so that the mean is the value of the pooled requests
    (sectioning: Asmussen and Glynn, *Stochastic Simulation*, section III.5). So a run keeps its
    place among the runs of a study, for intervals as for paired differences.

    Args:
        runs: The requests of each run.
        window_s: The length of the window, in seconds.
    """
    nothing = np.full((len(runs), len(MEASURES)), math.nan)
    cut = _cut(runs)
    if isinstance(cut, str):
        return LongRun(nothing, dict.fromkeys(MEASURES, cut))
    kept = [run.since(cut) for run in runs]
    length_s = window_s * (PARTS - cut) / PARTS
    own = [Group(run.sample, length_s, None, _NO_VIOLATIONS) for run in kept]
    pooled = Observed.pooled(kept).sample
    whole = Group(pooled, length_s * len(runs), None, _NO_VIOLATIONS)
    values, refused = nothing, dict.fromkeys(_OF_WINDOWS, OF_WINDOWS)
    for place, (name, measure) in enumerate(MEASURES.items()):
        if name in refused:
            continue
        reason = _too_short(name, own, whole)
        if reason is not None:
            refused[name] = reason
            continue
        each = np.array([measure.of(group) for group in own])
        if name != "requests" and not np.isnan(each).all():
            each += measure.of(whole) - np.nanmean(each)
        values[:, place] = each
    return LongRun(values, refused, cut)


def _cut(runs: Sequence[Observed]) -> int | str:
    """Return how many parts of the window are distorted, or why that is not known."""
    found = 0
    for what, column in (("mean latency", "latency_s"), ("success rate", "ok")):
        timed = [_timed(run, column) for run in runs]
        parts = np.array([_means(*each) for each in timed])
        if np.isnan(parts).all(axis=0).any():
            return f"a {PARTS}th part of the window has no {what} in any run"
        cut = warmup(np.nanmean(parts, axis=0))
        if not _differs([(values[part < cut], values[part >= cut]) for part, values in timed]):
            cut = 0
        slopes = [_slope(part[part >= cut], values[part >= cut]) for part, values in timed]
        trend = estimate(slopes, confidence=_TREND)
        if trend.low > 0.0 or trend.high < 0.0:
            return f"the {what} {'rises' if trend.mean > 0.0 else 'falls'} to the end of the window"
        found = max(found, cut)
    return found


def _differs(pairs: Sequence[tuple[NDArray[np.float64], NDArray[np.float64]]]) -> bool:
    """Return whether the mean of the first is shown to differ from that of the second.

    MSER-5 also leaves out what is far from the rest by chance, which would bias the rest.

    Args:
        pairs: Of each run, its values before and after a time.
    """
    known = [pair for pair in pairs if all(map(len, pair))]
    found = estimate([float(before.mean() - after.mean()) for before, after in known])
    return found.low > 0.0 or found.high < 0.0


def _timed(run: Observed, column: str) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return parts of the window and values; times are those of successful requests."""
    values = getattr(run.sample, column).astype(np.float64)
    return (
        (run.part, values) if column == "ok" else (run.part[run.sample.ok], values[run.sample.ok])
    )


def _means(part: NDArray[np.uint8], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean in each part of the window, NaN where there is none."""
    counts = np.bincount(part, minlength=PARTS)
    sums = np.bincount(part, weights=values, minlength=PARTS)
    return np.where(counts > 0, sums / np.maximum(counts, 1), math.nan)


def _slope(part: NDArray[np.uint8], values: NDArray[np.float64]) -> float:
    """Return the slope of the least-squares line; NaN where there is none."""
    steps = part - part.mean() if len(part) else part.astype(np.float64)
    squares = float(steps @ steps)
    return float(steps @ values) / squares if squares > 0.0 else math.nan


def warmup(series: ArrayLike) -> int:
    """Return how many values to leave out at the beginning of *series*, at most half of them.

    Of the means Z of batches of five, so many are left out that the squared standard error of the
    rest is least, Σ (Z − mean of the rest)² / (number of the rest)². It is MSER-5 (White, An
    effective truncation heuristic for bias reduction in simulation output, *Simulation* 69, 1997).
    The error of few batches is small by chance, so that the second half is not looked at.

    Args:
        series: Means across replications, over equal parts of the window, in the order of time.
    """
    values = np.asarray(series, dtype=np.float64)
    batches = values[: len(values) // BATCH * BATCH].reshape(-1, BATCH).mean(axis=1)
    return BATCH * int(np.argmin(mser(batches)[: len(batches) // 2 + 1]))


def mser(batches: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the squared standard error of the rest by number of batches left out.

    The rest has two batches at least: one alone has no error.
    """
    rests = [batches[cut:] for cut in range(len(batches) - 1)]
    return np.array([float(((rest - rest.mean()) ** 2).sum()) / len(rest) ** 2 for rest in rests])


def _too_short(name: str, runs: Sequence[Group], whole: Group) -> str | None:
    """Return why runs are too short for a measure; None where they are not, or have no value.

    What is slow comes together, in busy times. Runs that go beyond a percentile once or twice
    mostly miss the times that make it, and the spread of their own percentiles does not show that.
    How often they go beyond it follows from how often they go beyond one that they meet more often:
    a share √(1 − q) of what is beyond the percentile 1 − √(1 − q) is beyond the percentile q.
    """
    if name not in _TIMES:
        return None
    column, share = _TIMES[name]
    values, every = [run.known(column) for run in runs], whole.known(column)
    if not len(every):
        return None
    shortest, needed = min(map(len, values)), math.ceil(round(LEAST_IN_TAIL / (1.0 - share), 6))
    if shortest < needed:
        return f"it needs {needed:,} requests in every run after the warm-up; one has {shortest:,}"
    tail = math.sqrt(1.0 - share)
    lowest, low, high, there = np.quantile(every, (0.0, 0.5 - 0.5 * tail, 1.0 - tail, share))
    if lowest == there:  # most have the least value that there can be, whatever is busy
        return None
    times = sum(excursions(run, low, high) for run in values) * tail / len(values)
    if times >= EXCURSIONS:
        return None
    return (
        f"a run goes beyond it {times:.2g} times on average, and {EXCURSIONS:g} are needed: take "
        f"runs of at least {EXCURSIONS / times:.2g} times the length"
    )


def excursions(values: NDArray[np.float64], low: float, high: float) -> int:
    """Return how often *values* go beyond *high*, coming from *low* or below, or from the start.

    Args:
        values: The values in the order of time.
        low: The lower level.
        high: The higher level; it counts as beyond where nothing exceeds it.
    """
    beyond = values > high
    if not beyond.any():
        beyond = values == high
    is_low = (values <= low) & ~beyond
    visits = np.cumsum(is_low)[beyond]
    return int(np.count_nonzero(np.diff(visits))) + int(len(visits) > 0)
