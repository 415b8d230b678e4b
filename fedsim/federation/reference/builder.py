"""Puts a gateway of the reference together."""

from __future__ import annotations

from dataclasses import dataclass, field

from fedsim.federation.catalog import ModelCatalog
from fedsim.federation.contracts import GatewayMiddleware, LoadBalanceStrategy
from fedsim.federation.reference.breaker import ReferenceBreaker
from fedsim.federation.reference.config import ReferenceConfig
from fedsim.federation.reference.entries import Entries
from fedsim.federation.reference.gateway import ReferenceGateway
from fedsim.federation.reference.health import ReferenceHealth
from fedsim.federation.reference.policies import composite
from fedsim.federation.reference.router import ReferenceRouter
from fedsim.federation.runtime import Surroundings


@dataclass(slots=True)
class ReferenceBuilder:
    """Collects what a gateway of the reference may be given; what is not given it builds itself.

    Attributes:
        catalog: The catalog. Its nodes are registered with the health checker when the gateway is
            built, in their order; nodes that join later are not, and stay unknown.
        load_balance: The strategy, of which only ``weighted_random`` differs from the others.
        config: Settings.
        middlewares: Middleware, outermost first.
        health_checker: A health checker of the reference with no nodes yet.
        circuit_breaker: A breaker of the reference.
    """

    catalog: ModelCatalog = field(default_factory=ModelCatalog)
    load_balance: LoadBalanceStrategy = LoadBalanceStrategy.LEAST_LATENCY
    config: ReferenceConfig = field(default_factory=ReferenceConfig)
    middlewares: list[GatewayMiddleware] = field(default_factory=list)
    health_checker: ReferenceHealth | None = None
    circuit_breaker: ReferenceBreaker | None = None

    def build(self, surroundings: Surroundings) -> ReferenceGateway:
        """Return the gateway. It starts no tasks, and its region makes no difference to it.

        It draws from the sources of randomness ``catalog`` (the order of models) and ``strategy``.
        """
        config, clock, random_for = self.config, surroundings.clock, surroundings.random_for
        observer = surroundings.observer
        entries = Entries(self.catalog, random_for("catalog"))
        health = self.health_checker or ReferenceHealth(clock, config.health, observer)
        if config.health is not None:
            for node_id in entries.node_ids():
                health.register_node(node_id)
        breaker = self.circuit_breaker or ReferenceBreaker(clock, config.breaker, observer)
        rng = random_for("strategy")
        policy = composite(config)
        router = ReferenceRouter(entries, health, breaker, policy, rng, self.load_balance)
        return ReferenceGateway(
            router,
            surroundings.transport,
            clock,
            health,
            breaker,
            self.middlewares,
            config.retries,
            surroundings.decisions,
        )
