"""Estimates of the long run: what a window would show if it never ended.

Runs start empty, so their beginning is cut off; percentiles are those of all runs pooled, because
the percentile of one short run is too low on average, and the mean of many such is no better.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fedsim.studies.statistics import CONFIDENCE, Estimate, estimate, t_quantiles

BATCH = 5
"""Number of values in a batch of MSER-5."""

PARTS = 100
"""Number of equal parts of the window whose means show where its beginning ends."""

LEAST_IN_TAIL = 10
"""Number of requests beyond a percentile that a run needs, so that it has a tail of its own."""


MOST_OFF = 0.05
"""How far the mean of the runs' own percentiles may be off the pooled one, as a share of it."""


@dataclass(frozen=True, slots=True)
class TooShort:
    """Why runs are too short for an estimate of the long run, as a sentence."""

    reason: str


def long_run(
    runs: Sequence[tuple[ArrayLike, ArrayLike]],
    window_s: tuple[float, float],
    share: float | None,
    confidence: float = CONFIDENCE,
) -> Estimate | TooShort:
    """Return what runs show of the long run, without what their beginning distorts.

    The same time is cut off all runs: that which ``warmup`` finds in the means across runs of the
    parts of the window.

    Args:
        runs: Of each run, when its values arose, in seconds, and the values; at least two runs.
        window_s: When the window begins and ends, in seconds.
        share: The percentile as a share, such as 0.99; None for the mean.
        confidence: The coverage of the interval, above 0 and below 1.
    """
    begin_s, end_s = window_s
    edges_s = np.linspace(begin_s, end_s, PARTS + 1)
    timed = [(np.asarray(times, float), np.asarray(values, float)) for times, values in runs]
    parts = np.array([_means(times, values, edges_s) for times, values in timed])
    if np.isnan(parts).all(axis=0).any():
        return TooShort(f"a {PARTS}th part of the window has no request in any run")
    cut = warmup(np.nanmean(parts, axis=0))
    if cut is None:
        return TooShort("the mean has not settled in the first half of the window")
    kept = [values[times >= edges_s[cut]] for times, values in timed]
    if share is not None:
        return pooled_percentile(kept, share, confidence)
    return estimate([float(values.mean()) for values in kept], confidence=confidence)


def _means(
    times: NDArray[np.float64], values: NDArray[np.float64], edges: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean of the values between neighboring edges, NaN where there are none."""
    counts, _ = np.histogram(times, edges)
    sums, _ = np.histogram(times, edges, weights=values)
    return np.where(counts > 0, sums / np.maximum(counts, 1), math.nan)


def warmup(series: ArrayLike) -> int | None:
    """Return how many values to leave out at the beginning of *series*; None if it is too short.

    Of the means Z of batches of five, so many are left out that the squared standard error of the
    rest is least, Σ (Z − mean of the rest)² / (number of the rest)². It is MSER-5 (White, An
    effective truncation heuristic for bias reduction in simulation output, *Simulation* 69, 1997).
    A minimum beyond the middle says that the series has not settled (Hoad, Robinson and Davies,
    Automating warm-up length estimation, *JORS* 61, 2010).

    Args:
        series: Means across replications, over equal parts of the window, in the order of time.
    """
    values = np.asarray(series, dtype=np.float64)
    batches = values[: len(values) // BATCH * BATCH].reshape(-1, BATCH).mean(axis=1)
    errors = mser(batches)
    if len(errors) < 2:
        return None
    best = int(np.argmin(errors))
    return BATCH * best if best <= len(batches) // 2 else None


def mser(batches: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the squared standard error of the rest by number of batches left out.

    The rest has two batches at least: one alone has no error.
    """
    rests = [batches[cut:] for cut in range(len(batches) - 1)]
    return np.array([float(((rest - rest.mean()) ** 2).sum()) / len(rest) ** 2 for rest in rests])


def pooled_percentile(
    runs: Iterable[ArrayLike], share: float, confidence: float = CONFIDENCE
) -> Estimate | TooShort:
    """Return a percentile of the long run, by sectioning.

    It is the percentile of all runs pooled, with half-width t √(Σ (own − pooled)² / (R (R − 1))) of
    the R runs' own percentiles (Asmussen and Glynn, *Stochastic Simulation*, section III.5).
    Own percentiles that are off the pooled one on average are those of runs that are short
    compared with how long a busy time lasts: their interval would cover too rarely.

    Args:
        runs: The values of each run after its warm-up; at least two runs.
        share: The percentile as a share, such as 0.99.
        confidence: The coverage of the interval, above 0 and below 1.
    """
    values = [np.asarray(run, dtype=np.float64) for run in runs]
    needed = math.ceil(round(LEAST_IN_TAIL / (1.0 - share), 6))
    shortest = min(map(len, values))
    if shortest < needed:
        return TooShort(
            f"a {100.0 * share:g}th percentile of the long run needs {needed:,} requests after the "
            f"warm-up in every run; one has {shortest:,}"
        )
    pooled = float(np.quantile(np.concatenate(values), share))
    own = np.array([np.quantile(run, share) for run in values])
    off = float(own.mean()) / pooled - 1.0
    if abs(off) > MOST_OFF:
        return TooShort(
            f"the {100.0 * share:g}th percentiles of single runs are {100.0 * off:+.0f} % off the "
            f"pooled one, more than {100.0 * MOST_OFF:g} %: runs are too short for the long run"
        )
    count = len(own)
    error = math.sqrt(float(((own - pooled) ** 2).sum()) / (count - 1) / count)
    half_width = float(t_quantiles(count - 1, confidence)) * error
    return Estimate(pooled, pooled - half_width, pooled + half_width, count)
