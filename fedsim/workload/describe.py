"""The statistics of a trace by which traffic is judged: how much, how bursty, how large, how alike.

All of them are functions of numpy arrays. Their definitions:

- The *rate* is the number of requests over the span from the first to the last.
- The *CV* is the standard deviation over the mean of the times between requests; a Poisson process
  has 1. Standard deviations and variances are those of the population (divided by n).
- The *IDC* of w seconds is the variance over the mean of the requests in consecutive windows of
  that length from the first request on; a Poisson process has 1. What is left at the end and
  shorter than a window is left out.
- The *peak* is the fullest such window of 60 s over the mean of all of them.
- *Percentiles* are interpolated linearly between the two nearest of the sorted values.
- The *hit share* is the share of all blocks of all prompts that an earlier prompt has brought: what
  a prefix cache without bounds finds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from fedsim.workload.traces.trace import Blocks, Floats, Integers, Trace

IDC_WINDOWS_S = (1.0, 10.0, 60.0)
"""Windows in which requests are counted, in seconds."""

PEAK_WINDOW_S = 60.0
"""Window of the peak, in seconds."""

LONG_GAP_S = 10.0
"""Longer gaps are pauses, without which the CV is given too, in seconds."""

_DISTINCT_MOST = 0.5
_STEADY_CV = 0.1


@dataclass(frozen=True, slots=True)
class Counts:
    """The distribution of token counts.

    Attributes:
        mean: Their mean.
        p50: Their median.
        p90: Their 90th percentile.
        p99: Their 99th percentile.
        max: The greatest.
    """

    mean: float
    p50: float
    p90: float
    p99: float
    max: int


@dataclass(frozen=True, slots=True)
class Sharing:
    """What prompts have in common.

    Attributes:
        blocks: Blocks of all prompts.
        unique: Distinct ones among them.
        block_tokens: Tokens of a block.
    """

    blocks: int
    unique: int
    block_tokens: int

    @property
    def hit_share(self) -> float:
        """Share of the blocks that an unbounded cache finds; NaN where there are none."""
        return 1.0 - self.unique / self.blocks if self.blocks else math.nan


@dataclass(frozen=True, slots=True)
class Quantised:
    """Times that were recorded in steps.

    Attributes:
        distinct: Number of distinct times.
        step_s: Median distance between neighbouring ones, in seconds.
    """

    distinct: int
    step_s: float


@dataclass(frozen=True, slots=True)
class Description:
    """The statistics of a trace; NaN where there are too few requests or windows.

    Attributes:
        requests: Number of requests.
        span_s: Time from the first to the last, in seconds.
        rate_rps: Requests per second of it.
        gap_cv: CV of the times between requests.
        gap_cv_without_pauses: The same without gaps of more than 10 s.
        idc: IDC by window in seconds.
        peak_to_mean: Fullest minute over the mean one.
        prompt: Prompt tokens.
        output: Output tokens.
        correlation: Correlation coefficient of both.
        sharing: What prompts have in common, or None where the trace does not say.
        quantised: How times were recorded in steps, or None where they were not.
    """

    requests: int
    span_s: float
    rate_rps: float
    gap_cv: float
    gap_cv_without_pauses: float
    idc: dict[float, float]
    peak_to_mean: float
    prompt: Counts
    output: Counts
    correlation: float
    sharing: Sharing | None
    quantised: Quantised | None


def describe(trace: Trace) -> Description:
    """Return the statistics of a trace."""
    gaps_s = np.diff(trace.times_s)
    span_s = trace.span_s
    per_minute = counts_in(trace.times_s, PEAK_WINDOW_S)
    return Description(
        requests=len(trace),
        span_s=span_s,
        rate_rps=len(trace) / span_s if span_s else math.nan,
        gap_cv=_cv(gaps_s),
        gap_cv_without_pauses=_cv(gaps_s[gaps_s <= LONG_GAP_S]),
        idc={window_s: _idc(counts_in(trace.times_s, window_s)) for window_s in IDC_WINDOWS_S},
        peak_to_mean=float(per_minute.max() / per_minute.mean()) if len(per_minute) else math.nan,
        prompt=_counts(trace.prompt_tokens),
        output=_counts(trace.output_tokens),
        correlation=_correlation(trace.prompt_tokens, trace.output_tokens),
        sharing=None if trace.blocks is None else _sharing(trace.blocks),
        quantised=quantised(trace.times_s),
    )


def counts_in(times_s: Floats, window_s: float) -> Integers:
    """Return how many of ascending times lie in each full window, from the first time on.

    Args:
        times_s: Times in seconds, ascending, at least one.
        window_s: Length of a window in seconds.
    """
    windows = int((times_s[-1] - times_s[0]) // window_s)
    places = ((times_s - times_s[0]) // window_s).astype(np.int64)
    counts: Integers = np.bincount(places, minlength=windows)[:windows]
    return counts


def quantised(times_s: Floats) -> Quantised | None:
    """Return the steps in which times were recorded, or None where they look continuous.

    Times are called quantised where at most half of them are distinct and the distances between
    neighbouring distinct ones hardly vary: by less than a tenth around their median, in nine cases
    of ten, up to a few steps without any request.
    """
    distinct = times_s[np.diff(times_s, prepend=-np.inf) > 0.0]
    if len(distinct) < 3 or len(distinct) > _DISTINCT_MOST * len(times_s):
        return None
    steps_s = np.diff(distinct)
    step_s = float(np.median(steps_s))
    off = np.abs(steps_s / step_s - np.rint(steps_s / step_s))
    if float(np.mean(off < _STEADY_CV)) < 0.9:
        return None
    return Quantised(len(distinct), step_s)


def _cv(gaps_s: Floats) -> float:
    mean = float(gaps_s.mean()) if len(gaps_s) else 0.0
    return float(gaps_s.std()) / mean if mean > 0.0 else math.nan


def _idc(counts: Integers) -> float:
    mean = float(counts.mean()) if len(counts) > 1 else 0.0
    return float(counts.var()) / mean if mean > 0.0 else math.nan


def _counts(tokens: Integers) -> Counts:
    p50, p90, p99 = np.percentile(tokens, (50, 90, 99)).tolist()
    return Counts(float(tokens.mean()), p50, p90, p99, int(tokens.max()))


def _correlation(prompt: Integers, output: Integers) -> float:
    if not (np.ptp(prompt) and np.ptp(output)):
        return math.nan
    return float(np.corrcoef(prompt, output)[0, 1])


def _sharing(blocks: Blocks) -> Sharing:
    ordered = np.sort(blocks.hashes)  # several times as fast as np.unique of ten million
    unique = np.count_nonzero(ordered[1:] != ordered[:-1]) + bool(len(ordered))
    return Sharing(len(ordered), int(unique), blocks.block_tokens)
