"""Builds what watches nodes for a gateway: its health checker and its circuit breaker."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from fedsim.federation.breakers import build_breaker
from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import CircuitBreakerTrait, HealthCheckerTrait
from fedsim.federation.health import HealthChecker, HealthConfig
from fedsim.federation.strategies.registry import STRATEGIES
from fedsim.scenario.spec import FederationSpec
from fedsim.world.plugins import build_plugin, check_methods, plugin_name
from fedsim.world.probes import LossyProbes
from fedsim.world.watchers import BREAKER_METHODS, HEALTH_METHODS, BreakerGuard, HealthGuard
from fedsim.world.world import Site

_PASSIVE = HealthConfig(failure_threshold=2**31, degraded_factor=math.inf)
"""A health checker that is off: it measures latencies for the strategies, and judges nobody."""


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


def watching_health(
    plugin: Any, own: HealthChecker, context: GatewayContext, site: Site
) -> HealthCheckerTrait:
    """Return the gateway's health checker: that of *plugin*, or *own* where that is None."""
    if plugin is None:
        return own
    built = build_plugin(plugin, context)
    check_methods(built, HEALTH_METHODS, "health checker")
    return HealthGuard(built, site)


def watching_breaker(
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


def untold(gateways: Iterable[Any], spec: FederationSpec) -> list[str]:
    """Return what a strategy of ours went without because health checkers never told it.

    Args:
        gateways: The gateways of a run that is over.
        spec: Their federation.
    """
    strategy = spec.strategy
    entry = STRATEGIES.get(strategy) if spec.router is None else None
    checkers = [
        gateway.health
        for gateway in gateways
        if isinstance(getattr(gateway, "health", None), HealthGuard)
    ]
    if entry is None or not checkers:
        return []
    told, name = [], checkers[0].plugin_name
    if entry.latency and not any(checker.tells_latency for checker in checkers):
        told.append(
            f"Health checker {name} never reported a latency, so {strategy} chose by requests in "
            "flight alone, as least_connections does. Give latency_p50_s in what get_cached_health "
            "returns."
        )
    if entry.telemetry and not any(checker.tells_load for checker in checkers):
        told.append(
            f"Health checker {name} never reported the load of a node, so {strategy} took all for "
            "alike. Give running, queue_depth and kv_usage in what get_cached_health returns."
        )
    return told


def lacking(plugin: Any, kind: str) -> Iterator[str]:
    """Yield what a plug-in of a *kind* goes without because of methods that it does not have.

    Args:
        plugin: A class, or an object.
        kind: ``router``, ``health`` or ``circuit_breaker``.
    """
    for method, loss in _LOSSES[kind].items():
        if not hasattr(plugin, method):
            yield f"federation.{kind}: {plugin_name(plugin)} has no {method}, so {loss}"


_LOSSES = {
    "router": {"route_excluding": "a retry may go to the node that has just failed."},
    "health": {
        "report_success": "it hears nothing of the requests that nodes serve.",
        "report_failure": "it hears nothing of the requests that nodes fail.",
    },
    "circuit_breaker": {
        "try_acquire": "half-open it lets through whatever comes while is_open says no.",
        "record_attempt": "late results count as if they were sent after the circuit's rest.",
    },
}


def begin_watching(health: HealthCheckerTrait, spec: FederationSpec, site: Site) -> None:
    """Let a gateway's health checker begin to probe, unless health checks are off."""
    if isinstance(health, HealthChecker):
        if spec.health is None:
            return
        interval_s = spec.health.interval_s if isinstance(spec.health, HealthConfig) else None
        started = health.start_monitoring(interval_s)
    else:
        started = health.start_monitoring(HealthConfig().interval_s)
    site.tasks.spawn(started, f"{site.name} start monitoring")
