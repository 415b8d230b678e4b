"""A federation of ``preset: apr``, from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fedsim.federation.contracts import PrivacyLevel, RegionId
from fedsim.federation.gateway import GatewayConfig
from fedsim.federation.reference.config import (
    ENTERPRISE_DEFAULT,
    ReferenceBreakerConfig,
    ReferenceConfig,
    ReferenceHealthConfig,
    ReferenceRetries,
)
from fedsim.scenario.reference.schema import (
    ReferenceFederation,
    ReferenceHealthSettings,
    ReferenceRetrySettings,
)
from fedsim.scenario.spec import FederationSpec


def reference_spec(
    federation: ReferenceFederation, region_privacy: Mapping[RegionId, PrivacyLevel]
) -> FederationSpec:
    """Return the federation of a completed file, given the privacy levels of its regions."""
    config = _config(federation, region_privacy)
    return FederationSpec(
        gateways=dict(federation.gateways or {}),
        preset=federation.preset,
        strategy=federation.strategy,
        policies={name: {"weight": weight} for name, weight in config.policies.items()},
        health=None,
        circuit_breaker=None,
        config=GatewayConfig(timeout=None, retries=None),
        middleware=tuple(federation.middleware),
        preset_config=config,
    )


def _config(
    federation: ReferenceFederation, region_privacy: Mapping[RegionId, PrivacyLevel]
) -> ReferenceConfig:
    breaker, policies = federation.circuit_breaker, federation.policies
    config = ReferenceConfig(
        _health(federation.health),
        ReferenceBreakerConfig(
            breaker.failure_threshold, breaker.reset_timeout, breaker.half_open_successes
        ),
        _retries(federation.retries),
    )
    if isinstance(policies, str):
        return config
    longest_s = policies["latency"].given().get("max_latency_s") if "latency" in policies else None
    return replace(
        config,
        policies={
            name: ENTERPRISE_DEFAULT[name] if settings.weight is None else settings.weight
            for name, settings in policies.items()
        },
        max_latency_s=config.max_latency_s if longest_s is None else longest_s,
        region_privacy=region_privacy,
    )


def _health(settings: ReferenceHealthSettings | str) -> ReferenceHealthConfig | None:
    if isinstance(settings, str):
        return None
    return ReferenceHealthConfig(
        settings.failure_threshold, settings.recovery_threshold, settings.degraded_latency
    )


def _retries(settings: ReferenceRetrySettings | str) -> ReferenceRetries:
    if isinstance(settings, str):
        return ReferenceRetries(limit=0)
    return ReferenceRetries(settings.limit, settings.backoff)
