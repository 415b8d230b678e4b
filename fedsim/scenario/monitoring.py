"""A gateway's health checker and circuit breaker: the scenario's own, or a user's, guarded."""

from __future__ import annotations

import math
from typing import Any

from fedsim.federation.breakers import build_breaker
from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import CircuitBreakerTrait, HealthCheckerTrait
from fedsim.federation.health import HealthChecker, HealthConfig
from fedsim.scenario.spec import FederationSpec
from fedsim.world.guards import BREAKER_METHODS, HEALTH_METHODS, BreakerGuard, HealthGuard
from fedsim.world.plugins import build_plugin, check_methods
from fedsim.world.probes import LossyProbes
from fedsim.world.world import Site

_PASSIVE = HealthConfig(failure_threshold=2**31, degraded_factor=math.inf)
"""A health checker that is off: it measures latencies for the strategies, and judges no node."""


def own_health(spec: FederationSpec, site: Site) -> HealthChecker:
    """Return our health checker for a gateway; it does not probe yet."""
    config = spec.health if isinstance(spec.health, HealthConfig) else None
    loss = spec.probe_loss
    probes = (
        LossyProbes(site.transport, site.clock, site.random_for, loss, 2.0 * config.timeout_s)
        if loss and config is not None
        else site.transport
    )
    return HealthChecker(
        probes,
        site.clock,
        site.tasks,
        site.random_for("health"),
        config or _PASSIVE,
        site.observer if config is not None else None,
    )


def gateway_health(
    plugin: Any, own: HealthChecker, context: GatewayContext, site: Site
) -> HealthCheckerTrait:
    """Return the gateway's health checker: that of *plugin*, or *own* where that is None."""
    if plugin is None:
        return own
    built = build_plugin(plugin, context)
    check_methods(built, HEALTH_METHODS, "health checker")
    return HealthGuard(built, site)


def gateway_breaker(
    plugin: Any, spec: FederationSpec, context: GatewayContext, site: Site
) -> CircuitBreakerTrait | None:
    """Return the gateway's breaker: that of *plugin*, or of the scenario where that is None."""
    config = spec.circuit_breaker
    if plugin is None:
        if config is None or isinstance(config, str):
            return None
        return build_breaker(site.clock, config, site.observer)
    built = build_plugin(plugin, context)
    check_methods(built, BREAKER_METHODS, "circuit breaker")
    return BreakerGuard(built, site)


def start_monitoring(health: HealthCheckerTrait, spec: FederationSpec, site: Site) -> None:
    """Start the probes of a gateway's health checker, unless health checks are off."""
    if spec.health is None:
        return
    config = spec.health if isinstance(spec.health, HealthConfig) else HealthConfig()
    started = health.start_monitoring(config.interval_s)
    site.tasks.spawn(started, f"{site.name} start monitoring")
