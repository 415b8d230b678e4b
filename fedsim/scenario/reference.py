"""Builds the gateways of a scenario with ``preset: apr``."""

from __future__ import annotations

from fedsim.federation.asyncio_runtime import AsyncioClock, AsyncioTasks
from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import LoadBalanceStrategy
from fedsim.federation.reference.breaker import ReferenceBreaker
from fedsim.federation.reference.builder import ReferenceBuilder
from fedsim.federation.reference.config import ReferenceConfig
from fedsim.federation.reference.gateway import ReferenceGateway
from fedsim.federation.reference.health import ReferenceHealth
from fedsim.scenario.plugins import Find, single
from fedsim.scenario.spec import FederationSpec
from fedsim.world.plugins import MiddlewareGuard, build_plugin, check_methods
from fedsim.world.world import Site


class ReferenceFactory:
    """Builds the gateway of each site.

    Args:
        spec: The federation of the scenario.
        config: Its settings of the reference.
        find: Finds the middleware that it names.

    Raises:
        PlugInError: Middleware does not exist, or one object is given for several gateways.
    """

    def __init__(self, spec: FederationSpec, config: ReferenceConfig, find: Find) -> None:
        self._strategy = LoadBalanceStrategy(spec.strategy)
        self._config = config
        self._middleware = [single(find(name, None), spec) for name in spec.middleware]
        self.label = f"apr/{self._strategy.value}"

    def __call__(self, site: Site) -> ReferenceGateway:
        """Return the gateway of *site*."""
        health = ReferenceHealth(site.clock, self._config.health, site.reporter)
        breaker = ReferenceBreaker(site.clock, self._config.breaker, site.reporter)
        context = GatewayContext(
            site.catalog,
            health,
            breaker,
            [],
            AsyncioClock(),
            AsyncioTasks(),
            site.random_for("plugins"),
            site.region,
        )
        builder = ReferenceBuilder(
            site.catalog,
            self._strategy,
            self._config,
            health_checker=health,
            circuit_breaker=breaker,
            decisions=site.decisions,
        )
        for middleware in self._middleware:
            built = build_plugin(middleware, context)
            check_methods(built, ["before_route", "after_infer", "on_error"], "middleware")
            builder.middlewares.append(MiddlewareGuard(built, site))
        return builder.build(
            site.transport, site.clock, site.tasks, site.random_for, site.region, site.reporter
        )
