"""The federation, from its settings."""

from __future__ import annotations

from typing import TypeVar

from fedsim.federation.contracts import RegionId
from fedsim.federation.gateway import GatewayConfig
from fedsim.federation.router import RouterConfig
from fedsim.scenario.configure.pools import privacy_level
from fedsim.scenario.presets import preset
from fedsim.scenario.schema.derived import SettingsOf
from fedsim.scenario.schema.federation import Federation
from fedsim.scenario.schema.root import ScenarioFile
from fedsim.scenario.spec import FederationSpec

C = TypeVar("C")


def federation_spec(file: ScenarioFile) -> FederationSpec:
    """Return the federation of a completed file."""
    if isinstance(file.federation, Federation):
        return _own_spec(file.federation)
    levels = {
        RegionId(name): privacy_level(region.privacy) for name, region in file.regions.items()
    }
    return preset(file.federation.preset).spec(file.federation, levels)


def _own_spec(federation: Federation) -> FederationSpec:
    health, breaker = federation.health, federation.circuit_breaker
    panic = _built(federation.panic)
    return FederationSpec(
        gateways=dict(federation.gateways or {}),
        strategy=federation.strategy,
        strategy_settings=federation.strategy_settings.given(),
        policies={name: settings.given() for name, settings in federation.policies.items()},
        router=federation.router,
        health=_name(health) if isinstance(health, str) else health.build(),
        probe_loss=0.0 if isinstance(health, str) else health.loss,
        circuit_breaker=_name(breaker) if isinstance(breaker, str) else breaker.build(),
        router_config=RouterConfig(
            outliers=_built(federation.outliers),
            panic_threshold=None if panic is None else panic.threshold,
            slow_start=_built(federation.slow_start),
        ),
        config=GatewayConfig(
            timeout=_built(federation.timeout),
            retries=_built(federation.retries),
            hedge=_built(federation.hedge),
            throttle=_built(federation.throttle),
            concurrency=_built(federation.concurrency),
            shedding=_built(federation.shedding),
        ),
        retry_policy=_name(federation.retries),
        middleware=tuple(federation.middleware),
    )


def _built(settings: SettingsOf[C] | str) -> C | None:
    """Return what a part is configured with; None where it is off, or another's."""
    return None if isinstance(settings, str) else settings.build()


def _name(settings: object) -> str | None:
    """Return the name of what takes a part's place, or None for none."""
    return settings if isinstance(settings, str) and settings != "off" else None
