"""The federation, from its settings."""

from __future__ import annotations

from fedsim.federation.contracts import RegionId
from fedsim.scenario.configure.health import (
    breaker_config,
    health_config,
    outlier_config,
    panic_threshold,
    probe_loss,
    slow_start_config,
)
from fedsim.scenario.configure.pools import privacy_level
from fedsim.scenario.configure.reference import reference_spec
from fedsim.scenario.configure.resilience import (
    concurrency_config,
    hedge_config,
    retry_config,
    retry_policy,
    shedding_config,
    throttle_config,
    timeout_config,
)
from fedsim.scenario.schema.federation import Federation
from fedsim.scenario.schema.root import ScenarioFile
from fedsim.scenario.spec import FederationSpec


def federation_spec(file: ScenarioFile) -> FederationSpec:
    """Return the federation of a completed file."""
    if isinstance(file.federation, Federation):
        return _own_spec(file.federation)
    levels = {
        RegionId(name): privacy_level(region.privacy) for name, region in file.regions.items()
    }
    return reference_spec(file.federation, levels)


def _own_spec(federation: Federation) -> FederationSpec:
    return FederationSpec(
        gateways=dict(federation.gateways or {}),
        strategy=federation.strategy,
        strategy_settings=federation.strategy_settings.given(),
        policies={name: settings.given() for name, settings in federation.policies.items()},
        router=federation.router,
        health=health_config(federation.health),
        probe_loss=probe_loss(federation.health),
        circuit_breaker=breaker_config(federation.circuit_breaker),
        outliers=outlier_config(federation.outliers),
        panic_threshold=panic_threshold(federation.panic),
        slow_start=slow_start_config(federation.slow_start),
        timeout=timeout_config(federation.timeout),
        retries=retry_config(federation.retries),
        retry_policy=retry_policy(federation.retries),
        hedge=hedge_config(federation.hedge),
        throttle=throttle_config(federation.throttle),
        concurrency=concurrency_config(federation.concurrency),
        shedding=shedding_config(federation.shedding),
        middleware=tuple(federation.middleware),
    )
