"""A federation of ``preset: apr``, from its settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fedsim.federation.contracts import PrivacyLevel, RegionId
from fedsim.federation.gateway import GatewayConfig
from fedsim.federation.reference.config import (
    ENTERPRISE_DEFAULT,
    ReferenceConfig,
    ReferenceRetries,
)
from fedsim.scenario.reference.schema import ReferenceFederation
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
    health, retries, policies = federation.health, federation.retries, federation.policies
    config = ReferenceConfig(
        None if isinstance(health, str) else health.build(),
        federation.circuit_breaker.build(),
        ReferenceRetries(limit=0) if isinstance(retries, str) else retries.build(),
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
