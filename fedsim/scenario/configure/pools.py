"""Pools, and the privacy of regions, from their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedsim.federation.catalog import UNVERSIONED
from fedsim.federation.contracts import Capability, ModelId, ModelMetadata, PrivacyLevel
from fedsim.scenario.catalogues.profiles import Profile, parameters_of
from fedsim.scenario.configure.costs import cost_usd_per_hour
from fedsim.scenario.configure.services import batch_config, service_model
from fedsim.scenario.engine_files import EngineSources
from fedsim.scenario.schema.pools import Pool
from fedsim.scenario.schema.service import Switch
from fedsim.world.nodes.config import PoolConfig, SwitchConfig

if TYPE_CHECKING:
    from fedsim.scenario.schema.scaler import Scaler
    from fedsim.world.scalers.config import ScalerConfig


def privacy_level(name: str) -> PrivacyLevel:
    """Return the privacy level that a scenario file calls *name*."""
    return PrivacyLevel[name.upper()]


def pool_config(name: str, pool: Pool, sources: EngineSources) -> PoolConfig:
    """Return the pool *name*, which is completed; *sources* has the step times of its engine."""
    profile = sources.profiles.get(name)
    engine = None
    if pool.engine is not None:
        from fedsim.scenario.configure.engines import engine_config

        engine = engine_config(name, pool.engine, sources)
    batching = batch_config(pool.batching, pool.service)
    batches = engine or batching
    return PoolConfig(
        name=name,
        region=pool.region,
        count=pool.count,
        model=pool.model or name,
        capabilities=tuple(Capability(key) for key in pool.capabilities),
        slots=(pool.slots or 1) if batches is None else batches.max_batch,
        queue_limit=pool.queue_limit if isinstance(pool.queue_limit, int) else None,
        service=service_model(pool.service) if batches is None else None,
        gpu=None if pool.gpu == "none" else pool.gpu,
        cost_usd_per_hour=cost_usd_per_hour(pool, gpus=1 if profile is None else profile.gpus),
        engine=engine,
        batching=batching,
        cold_start=None if pool.cold_start is None else pool.cold_start.build(),
        switch=_switch_config(pool.switch),
        weight=pool.weight,
        priority=pool.priority,
        metadata=_metadata(pool.model or name, pool, profile),
        scaler=None if pool.scaler == "off" else _scaler_config(pool.scaler),
    )


def _scaler_config(scaler: Scaler) -> ScalerConfig:
    from fedsim.world.scalers.config import ScalerConfig

    return ScalerConfig(
        decides=scaler.decides(),
        max=scaler.max,
        min=scaler.min,
        start=None if scaler.start is None else scaler.start.build(),
        drain_s=scaler.drain,
        advisory=scaler.advisory == "on",
    )


def _metadata(model: str, pool: Pool, profile: Profile | None) -> ModelMetadata:
    """Return what pool and profile say of the model, which goes by the name that the pool gives."""
    name = model if profile is None else profile.model
    return ModelMetadata(
        ModelId(model),
        name,
        UNVERSIONED,
        tuple(Capability(key) for key in pool.capabilities),
        parameters_of(name),
        None if profile is None else profile.quantization,
    )


def _switch_config(switch: Switch | None) -> SwitchConfig | None:
    if switch is None:
        return None
    return SwitchConfig(
        model_load=switch.model_load.build(),
        adapter_load=None if switch.adapter_load is None else switch.adapter_load.build(),
        models=switch.models,
    )
