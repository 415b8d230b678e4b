"""What arrivals bring along, whatever the process: rows of traces, zones, and their own marks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np

from fedsim.workload.arrivals import ArrivalProcess, TraceReplay
from fedsim.workload.arrived import Arrived, Generators, Integers, has_zones, is_marked
from fedsim.workload.mean_sizes import MeanSizes

if TYPE_CHECKING:
    from fedsim.workload.traces.trace import Trace


def arriving(
    arrivals: ArrivalProcess,
    stream: str,
    regions: Sequence[str],
    generator: Generators,
    until_s: float,
    block_size: int,
) -> Iterator[Arrived]:
    """Yield what arrives in [0, *until_s*), with all that it brings along.

    Args:
        arrivals: The process.
        stream: The name of its stream.
        regions: The names of the origins, by number.
        generator: Gives the streams that it draws from.
        until_s: End of the arrivals in seconds.
        block_size: Most arrivals in a block.
    """
    if is_marked(arrivals):
        yield from arrivals.marked(generator, until_s, block_size)
        return
    if isinstance(arrivals, TraceReplay):
        arrivals = arrivals.drawn(generator("copies"))
    trace, first = arrivals.trace, 0
    origins = None if trace is None else _recorded_origins(trace, regions)
    first_hash = _first_hash(trace, stream)
    shares_at = arrivals.origin_shares(until_s) if has_zones(arrivals) else None
    for times_s in arrivals.times(generator("arrivals"), until_s, block_size):
        arrived = Arrived(times_s)
        if shares_at is not None:
            arrived.origin_shares = shares_at(times_s)
        if trace is not None:
            rows = slice(first, first + len(times_s))
            arrived.prompt_tokens = trace.prompt_tokens[rows]
            arrived.output_tokens = trace.output_tokens[rows]
            arrived.details = trace.prompts(rows, first_hash)
            if trace.tenants is not None:
                arrived.tenants = trace.tenants.codes[rows]
            if origins is not None:
                arrived.origins = origins[rows]
        first += len(times_s)
        yield arrived


def _first_hash(trace: Trace | None, stream: str) -> int:
    """Return where the hashes of blocks begin that belong to a stream and to a size of blocks.

    Traces number their blocks as they like, most of them from 0; moved there, they have nothing in
    common with those of another stream.
    """
    if trace is None or trace.blocks is None:
        return 0
    text = f"{stream}/{trace.blocks.block_tokens}"
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) >> 1


def _recorded_origins(trace: Trace, regions: Sequence[str]) -> Integers | None:
    """Return the number of the origin of each row, or None where the trace does not say."""
    if trace.origins is None:
        return None
    numbers = np.array([regions.index(name) for name in trace.origins.names], dtype=np.int64)
    return numbers[trace.origins.codes]


def brings_tokens(arrivals: ArrivalProcess) -> bool:
    """Return whether *arrivals* bring the token counts of prompts and answers."""
    if is_marked(arrivals):
        return arrivals.brings_tokens
    return arrivals.trace is not None


def brought_means(arrivals: ArrivalProcess) -> MeanSizes:
    """Return the mean sizes of *arrivals* that bring token counts."""
    if is_marked(arrivals):
        return arrivals.mean_sizes
    assert arrivals.trace is not None
    trace = arrivals.trace
    return MeanSizes(float(np.mean(trace.prompt_tokens)), float(np.mean(trace.output_tokens)))
