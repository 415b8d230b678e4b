"""How an engine is used by the load that it is offered: its time in steps, its batch, its cache.

An engine is run on a part of the streams' fixed samples, which arrive at random. The share of the
most that it could serve says nothing of that: an engine steps whenever it has a single request.
"""

from __future__ import annotations

from collections.abc import Sequence as Rows
from dataclasses import dataclass

import numpy as np

from fedsim.kernel.streams import Streams
from fedsim.scenario.engine_time import in_turn, sequences
from fedsim.scenario.request_samples import RequestSample
from fedsim.world.engine.config import EngineConfig
from fedsim.world.engine.engine import Engine, Sequence

_REQUESTS = 2_000
_SETTLED = 0.25
"""Share of the requests that come before the batch counts as that of the load."""

_SEED = int.from_bytes(b"use", "big")


@dataclass(frozen=True, slots=True)
class EngineUse:
    """Means over time of an engine under its load.

    Attributes:
        in_steps: Share of the time in steps, 0 to 1: the utilization of a run.
        running: Requests in the batch.
        cache: Share of the KV cache that they hold, 0 to 1.
    """

    in_steps: float
    running: float
    cache: float


def engine_use(engine: EngineConfig, streams: Rows[tuple[RequestSample, float]]) -> EngineUse:
    """Return how the requests of some streams use an engine.

    Args:
        engine: The engine.
        streams: Of each stream a sample of its requests, and how many per second come, above 0.
    """
    arrivals = _arrivals(engine, streams)
    if not arrivals:
        return EngineUse(0.0, 0.0, 0.0)
    running = Engine(engine)
    settled_s = arrivals[int(_SETTLED * len(arrivals))][0]
    held = _Integral(running)
    for at_s, sequence in arrivals:
        while running.next_change_s() <= at_s:
            held.until(running.next_change_s(), settled_s)
            running.advance(running.next_change_s())
        held.until(at_s, settled_s)
        running.submit(sequence, at_s)
    return held.means(engine.kv_blocks * engine.block_tokens)


def _arrivals(
    engine: EngineConfig, streams: Rows[tuple[RequestSample, float]]
) -> list[tuple[float, Sequence]]:
    """Return requests of all streams with their times, in order; those that never fit are refused.

    They arrive as all others do, and use nothing.
    """
    limits = Engine(engine)
    total_rps = sum(rate_rps for _, rate_rps in streams)
    found: list[tuple[float, Sequence]] = []
    for number, (drawn, rate_rps) in enumerate(streams):
        sample = drawn if drawn.session is None else in_turn(drawn, 1.0 / rate_rps)
        count = min(round(_REQUESTS * rate_rps / total_rps), len(sample.details))
        rng = Streams(_SEED).generator(f"check/engine use/{number}")
        times_s = np.cumsum(rng.exponential(1.0 / rate_rps, count)).tolist()
        found += [
            (at_s, each)
            for at_s, each in zip(times_s, sequences(sample.taken(np.arange(count))), strict=True)
            if limits.why_never(each.prompt_tokens, each.output_tokens) is None
        ]
    return sorted(found, key=lambda each: each[0])


class _Integral:
    """Adds up over time what an engine runs and holds."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._now_s = self._time_s = 0.0
        self._running = self._kv = self._busy_s = 0.0

    def until(self, now_s: float, settled_s: float) -> None:
        """Add the time until *now_s*, of what comes after *settled_s*; just before a change."""
        engine, span_s = self._engine, now_s - self._now_s
        before, busy_s = engine.kv_used_tokens, engine.busy_s
        engine.hear(now_s)
        if self._now_s >= settled_s:
            self._time_s += span_s
            self._running += span_s * engine.running
            self._kv += span_s * 0.5 * (before + engine.kv_used_tokens)
            self._busy_s += engine.busy_s - busy_s
        self._now_s = now_s

    def means(self, kv_tokens: int) -> EngineUse:
        """Return the means over the time added."""
        time_s = self._time_s or 1.0
        return EngineUse(
            self._busy_s / time_s, self._running / time_s, self._kv / time_s / kv_tokens
        )
