"""Engines, from their settings and the profiles and tables that they name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fedsim.world.engine.measured import MeasuredSteps
from fedsim.world.engine.steps import Coefficients, StepTimes

if TYPE_CHECKING:
    from fedsim.scenario.engine_files import EngineSources
    from fedsim.scenario.schema.engine import Engine
    from fedsim.world.engine.config import EngineConfig


def engine_config(pool: str, engine: Engine, sources: EngineSources) -> EngineConfig:
    """Return the engine of *pool*; what it states comes first."""
    profile = sources.profiles.get(pool)
    capacity = engine.kv_capacity
    overhead_s = engine.request_overhead
    if profile is not None:
        capacity = profile.kv_capacity_tokens if capacity is None else capacity
        overhead_s = profile.request_overhead_s if overhead_s is None else overhead_s
    assert capacity is not None
    return engine.build(
        steps=_steps(pool, engine, sources),
        kv_capacity_tokens=capacity,
        request_overhead_s=overhead_s or 0.0,
    )


def _steps(pool: str, engine: Engine, sources: EngineSources) -> StepTimes:
    steps = _steps_without_overhead(pool, engine, sources)
    if engine.step_overhead is None:
        return steps
    assert isinstance(steps, Coefficients | MeasuredSteps)
    return replace(steps, step_overhead_s=engine.step_overhead)


def _steps_without_overhead(pool: str, engine: Engine, sources: EngineSources) -> StepTimes:
    if pool in sources.profiles:
        return sources.profiles[pool].steps
    if pool in sources.tables:
        return sources.tables[pool]
    prefill, decode = engine.prefill, engine.decode
    assert prefill is not None
    assert decode is not None
    return Coefficients(
        p0_s=prefill.p0,
        p1_s=prefill.p1,
        p2_s=prefill.p2,
        floor_s=prefill.floor,
        d0_s=decode.d0,
        d1_s=decode.d1,
        d2_s=decode.d2,
        dw_s=decode.dw,
    )
