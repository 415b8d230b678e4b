"""What may be done to a trace before it is replayed.

All of it is a function of the trace and its arguments: the seed of a run changes no recorded
request, so that replications differ in everything but the trace.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from fedsim.workload.checks import positive
from fedsim.workload.traces.trace import Blocks, Floats, Integers, Trace

BUCKET_S = 3.0
"""Width of the buckets in which the times of the Mooncake traces were recorded, in seconds."""

LAG_S = 600.0
"""Copies of a trace lie less than this apart, in seconds."""

_GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
_SPREAD, _THIN = 1, 2


def spread(trace: Trace, bucket_s: float = BUCKET_S) -> Trace:
    """Return a trace whose requests of one recorded time lie uniformly in the bucket after it.

    Some services record times in buckets: all requests of about 3 s stand at one time. Replayed so
    they would arrive as a batch, and queues would be an artefact of the recording. Each is moved
    by a uniform of its own, within the bucket or up to the next recorded time, whichever is
    shorter; the order of the rows stays.

    Args:
        trace: The trace.
        bucket_s: Width of a bucket in seconds, > 0.
    """
    positive("a spread", bucket=bucket_s)
    recorded, buckets = np.unique(trace.times_s, return_inverse=True)
    widths = np.minimum(np.diff(recorded, append=np.inf), bucket_s)
    moved = recorded[buckets] + widths[buckets] * _uniforms(len(trace), _SPREAD)
    return replace(trace, times_s=np.sort(moved))


def cut(trace: Trace, from_s: float = 0.0, to_s: float = math.inf) -> Trace:
    """Return the requests in [*from_s*, *to_s*), with *from_s* as the new 0.

    Args:
        trace: The trace.
        from_s: The beginning, in seconds after the first request.
        to_s: The end; later than the beginning.

    Raises:
        ValueError: There is no request between them.
    """
    first, last = np.searchsorted(trace.times_s, (from_s, to_s), side="left").tolist()
    if first >= last:
        part = f"from {from_s:g} s on" if to_s == math.inf else f"from {from_s:g} s to {to_s:g} s"
        message = f"the trace has no request {part}: choose a part of its {trace.times_s[-1]:g} s"
        raise ValueError(message)
    kept = _rows(trace, np.arange(first, last))
    return replace(kept, times_s=kept.times_s - from_s)


def at_rate(trace: Trace, factor: float) -> Trace:
    """Return a trace with *factor* times as many requests in the same span.

    Below 1 each request is kept with that probability, by a uniform of its own, so that what is
    kept at one factor is kept at every greater one. Thinning makes bursts milder, as fewer users
    do.

    Above 1 copies are added, the last of them thinned: as many more users of the same kind. Each
    copy is shifted as a whole, by less than ten minutes, and what leaves the end comes in at the
    beginning; so it has bursts of its own, at other times, and the same hours of the day. In a
    trace shorter than twenty minutes copies are shifted by any part of the span. The copies'
    prompts share blocks among themselves as those of the trace do, and none with other copies.

    Args:
        trace: The trace.
        factor: Number of requests over that of the trace, > 0.

    Raises:
        ValueError: No request is left.
    """
    positive("a trace", rate_factor=factor)
    copies = math.ceil(factor)
    parts = [np.arange(len(trace))] * (copies - 1)
    last = np.flatnonzero(_uniforms(len(trace), _THIN) < factor - (copies - 1))
    rows = np.concatenate([*parts, last])
    if not len(rows):
        message = f"a rate_factor of {factor:g} leaves no request of the trace: write more"
        raise ValueError(message)
    if copies == 1:
        return _rows(trace, rows)
    numbers = np.repeat(np.arange(copies), [len(part) for part in (*parts, last)])
    times_s = _shifted(trace.times_s[rows], numbers, trace)
    order = np.argsort(times_s, kind="stable")
    together = _rows(trace, rows[order])
    blocks = together.blocks
    if blocks is not None:
        blocks = _apart(blocks, numbers[order])
    return replace(together, times_s=times_s[order], blocks=blocks)


def _shifted(times_s: Floats, copies: Integers, trace: Trace) -> Floats:
    """Return the times of all copies; multiples of the golden ratio keep the copies apart."""
    first_s, span_s = float(trace.times_s[0]), trace.span_s
    if span_s == 0.0:
        return times_s
    gap_s = span_s / max(len(trace) - 1, 1)
    longest_s = LAG_S if span_s >= 2.0 * LAG_S else span_s
    lags_s = longest_s * np.modf(copies * _GOLDEN)[0]
    moved: Floats = first_s + np.mod(times_s - first_s + lags_s, span_s + gap_s)
    return np.where(copies == 0, times_s, moved)


def _apart(blocks: Blocks, copies: Integers) -> Blocks:
    """Return blocks of which those of each copy have hashes of their own."""
    values, places = np.unique(blocks.hashes, return_inverse=True)
    lengths = np.diff(blocks.offsets)
    hashes = places + len(values) * np.repeat(copies, lengths)
    return Blocks(hashes.astype(np.int64), blocks.offsets, blocks.block_tokens)


def _rows(trace: Trace, rows: Integers) -> Trace:
    """Return some requests of a trace, in the order of *rows*."""
    return replace(
        trace,
        times_s=trace.times_s[rows],
        prompt_tokens=trace.prompt_tokens[rows],
        output_tokens=trace.output_tokens[rows],
        blocks=None if trace.blocks is None else trace.blocks.taken(rows),
        tenants=None if trace.tenants is None else trace.tenants.taken(rows),
        origins=None if trace.origins is None else trace.origins.taken(rows),
    )


def _uniforms(count: int, purpose: int) -> Floats:
    """Return a uniform in [0, 1) for each row: the n-th depends on its number and purpose alone.

    They are words of Philox, whose values numpy promises to keep.
    """
    words = np.random.Philox(key=purpose).random_raw(count)
    return (words >> np.uint64(12)).astype(np.float64) * 2.0**-52
