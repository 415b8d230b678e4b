"""Pools, and the privacy of regions, from their settings."""

from __future__ import annotations

from fedsim.federation.contracts import Capability, PrivacyLevel
from fedsim.scenario.configure.costs import cost_usd_per_hour
from fedsim.scenario.schema.pools import Pool, TokenService
from fedsim.world import service
from fedsim.world.config import PoolConfig


def privacy_level(name: str) -> PrivacyLevel:
    """Return the privacy level that a scenario file calls *name*."""
    return PrivacyLevel[name.upper()]


def pool_config(name: str, pool: Pool) -> PoolConfig:
    """Return the pool *name*."""
    return PoolConfig(
        name=name,
        region=pool.region,
        count=pool.count,
        model=pool.model or name,
        capabilities=tuple(Capability(key) for key in pool.capabilities),
        slots=pool.slots,
        queue_limit=None if isinstance(pool.queue_limit, str) else pool.queue_limit,
        service=_service(pool),
        gpu=pool.gpu,
        cost_usd_per_hour=cost_usd_per_hour(pool, gpus=1),
    )


def _service(pool: Pool) -> service.ServiceModel:
    settings = pool.service
    if not isinstance(settings, TokenService):
        return service.DistributedService(settings.build())
    return service.TokenService(
        base_s=settings.base,
        per_prompt_token_s=settings.per_prompt_token,
        per_output_token_s=settings.per_output_token,
        noise_cv=settings.noise_cv,
        needs_tokens=settings.per_prompt_token > 0 or settings.per_output_token > 0,
    )
