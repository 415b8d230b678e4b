"""What strategies and other plug-ins are given of the gateway that they belong to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from fedsim.federation.contracts import (
    CircuitBreakerTrait,
    HealthCheckerTrait,
    ModelCatalogTrait,
    NodeHealth,
    NodeId,
    RegionId,
    RoutingPolicyTrait,
)
from fedsim.federation.prefixes import PrefixIndex
from fedsim.federation.runtime import Clock, Insight, Random, Tasks


@dataclass(slots=True)
class GatewayContext:
    """What a plug-in is given that is built as ``Class(context)``.

    Attributes:
        catalog: The federation's catalog.
        health: The gateway's health checker.
        breaker: The gateway's circuit breaker, or None where it is off.
        policies: The gateway's policies so far.
        clock: Time; simulated in a simulation.
        tasks: Background tasks and deadlines.
        rng: A seeded source of randomness of the plug-in's own.
        region: The gateway's region.
        prefixes: What the gateway thinks is in the prefix caches of nodes.
        probe: Asks a node for its telemetry, and lets nobody else know the answer; raises a
            ``FederationError`` where none comes. It sets no deadline.
        insight: What only a simulator knows, or None outside of one.
        gateways: Number of the federation's gateways by region; empty where nobody said.
    """

    catalog: ModelCatalogTrait
    health: HealthCheckerTrait
    breaker: CircuitBreakerTrait | None
    policies: list[RoutingPolicyTrait]
    clock: Clock
    tasks: Tasks
    rng: Random
    region: RegionId
    prefixes: PrefixIndex = field(default_factory=PrefixIndex)
    probe: Callable[[NodeId], Awaitable[NodeHealth]] | None = None
    insight: Insight | None = None
    gateways: Mapping[RegionId, int] = field(default_factory=dict)
