"""About how long an answer takes, known before any request is served."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fedsim.workload.mean_sizes import MeanSizes
from fedsim.world.config import StreamConfig
from fedsim.world.engine.config import EngineConfig
from fedsim.world.nodes.config import PoolConfig


def idle_answer_s(pools: Sequence[PoolConfig], stream: StreamConfig) -> float:
    """Return the time in which an idle node answers a mean request of *stream*, in seconds.

    It is that of the fastest pool that can; 0 where none can, or none knows.
    """
    sizes = stream.traffic.mean_sizes
    times_s = [_answer_s(pool, sizes) for pool in pools if stream.fits(pool)]
    return min((each for each in times_s if math.isfinite(each)), default=0.0)


def _answer_s(pool: PoolConfig, sizes: MeanSizes) -> float:
    if pool.engine is not None:
        return _engine_answer_s(pool.engine, sizes)
    if pool.batching is not None:
        return pool.batching.max_wait_s + pool.batching.service.mean_s(sizes, 1)
    assert pool.service is not None
    return pool.service.mean_s(sizes)


def _engine_answer_s(engine: EngineConfig, sizes: MeanSizes) -> float:
    if math.isnan(sizes.prompt_tokens) or math.isnan(sizes.output_tokens):
        return math.nan
    prompt, output = max(round(sizes.prompt_tokens), 1), max(round(sizes.output_tokens), 1)
    steps = engine.steps
    prefill_s = steps.step_s(steps.prefill_s(prompt, 0), 1, 0, 0)
    decode_s = steps.step_s(0.0, 0, 1, prompt + output // 2)
    return engine.request_overhead_s + prefill_s + (output - 1) * decode_s
