"""What may be done to a trace before it is replayed.

Cutting and spreading depend on nothing but the trace, so that replications of a run replay the same
requests; what thinning leaves out and where copies come is drawn again for each.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from fedsim.workload.checks import positive
from fedsim.workload.traces.shared_rate import SharedRate
from fedsim.workload.traces.trace import Blocks, Floats, Integers, Trace

BUCKET_S = 3.0
"""Width of the buckets in which the times of the Mooncake traces were recorded, in seconds."""

LAG_S = 600.0
"""Copies of a trace lie less than this apart, in seconds."""

_SPREAD = 1


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
    return replace(trace, times_s=np.sort(moved), spread_s=bucket_s)


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


def at_rate(trace: Trace, factor: float, rng: np.random.Generator) -> Trace:
    """Return a trace with *factor* times as many requests in the same span.

    Below 1 each request is kept with that probability, by a uniform of its own, so that what is
    kept at one factor is kept at every greater one. Thinning makes bursts milder, as fewer users
    do.

    Above 1 copies are added, the last of them thinned: as many more users of the same kind. What
    all users share stays where it is, such as a spike or a time of day: each copy is shifted as a
    whole in the time of ``SharedRate``, which runs with the rate that they share, and what leaves
    the end comes in at the beginning. So the bursts of a copy's users come at other times, at a
    steady rate less than ten minutes away, and in a trace shorter than twenty minutes by any part
    of it. The copies' prompts share blocks among themselves as those of the trace do, and none
    with other copies.

    Args:
        trace: The trace.
        factor: Number of requests over that of the trace, > 0.
        rng: Draws what is left out, and how far copies are shifted.
    """
    positive("a trace", rate_factor=factor)
    copies = math.ceil(factor)
    uniforms, places = rng.random(len(trace)), rng.random(copies)
    parts = [np.arange(len(trace))] * (copies - 1)
    last = np.flatnonzero(uniforms < factor - (copies - 1))
    rows = np.concatenate([*parts, last])
    if copies == 1:
        return _rows(trace, rows)
    numbers = np.repeat(np.arange(copies), [len(part) for part in (*parts, last)])
    times_s = _shifted(trace.times_s[rows], numbers, places, trace)
    order = np.argsort(times_s, kind="stable")
    together = _rows(trace, rows[order])
    blocks = together.blocks
    if blocks is not None:
        blocks = _apart(blocks, numbers[order])
    return replace(together, times_s=times_s[order], blocks=blocks)


def _shifted(times_s: Floats, copies: Integers, places: Floats, trace: Trace) -> Floats:
    """Return the times of all copies, the first as it is and each other in a part of the lags."""
    span_s = trace.span_s
    if span_s == 0.0:
        return times_s
    end_s = float(trace.times_s[-1]) + span_s / (len(trace) - 1)
    shared = SharedRate(trace.times_s, end_s)
    longest = LAG_S / span_s if span_s >= 2.0 * LAG_S else 1.0
    lags = longest * (np.arange(len(places)) - 0.5 + places) / len(places)
    moved = shared.times_s(np.mod(shared.own(times_s) + lags[copies], 1.0))
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
