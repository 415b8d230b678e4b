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
from fedsim.federation.runtime import Clock, Insight, Random, Surroundings, Tasks


@dataclass(slots=True)
class GatewayContext:
    """What a plug-in is given that is built as ``Class(context)``.

    Attributes:
        surroundings: Where its clock, tasks, region and insight come from.
        catalog: The federation's catalog.
        health: The gateway's health checker.
        rng: A seeded source of randomness of the plug-in's own.
        breaker: The gateway's circuit breaker, or None where it is off.
        policies: The gateway's policies so far.
        probe: Asks a node for its telemetry, and reports the answer to no other part of the
            gateway; raises a ``FederationError`` where none comes. It sets no deadline.
        prefixes: What the gateway estimates to be in the prefix caches of nodes.
        gateways: Number of the federation's gateways by region; empty where unknown.
    """

    surroundings: Surroundings
    catalog: ModelCatalogTrait
    health: HealthCheckerTrait
    rng: Random
    breaker: CircuitBreakerTrait | None = None
    policies: list[RoutingPolicyTrait] = field(default_factory=list)
    probe: Callable[[NodeId], Awaitable[NodeHealth]] | None = None
    prefixes: PrefixIndex = field(default_factory=PrefixIndex)
    gateways: Mapping[RegionId, int] = field(default_factory=dict)

    @property
    def clock(self) -> Clock:
        """Time; simulated in a simulation."""
        return self.surroundings.clock

    @property
    def tasks(self) -> Tasks:
        """Background tasks and deadlines."""
        return self.surroundings.tasks

    @property
    def region(self) -> RegionId:
        """The gateway's region."""
        return self.surroundings.region

    @property
    def insight(self) -> Insight | None:
        """What only a simulator knows; None outside of one, and for users' plug-ins."""
        return self.surroundings.insight
