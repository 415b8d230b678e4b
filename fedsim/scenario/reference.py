"""Builds the gateways of a scenario with ``preset: apr``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedsim.errors import PlugInError
from fedsim.federation.asyncio_runtime import AsyncioClock, AsyncioTasks
from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import LoadBalanceStrategy
from fedsim.federation.reference.breaker import ReferenceBreaker
from fedsim.federation.reference.builder import ReferenceBuilder
from fedsim.federation.reference.config import ReferenceConfig
from fedsim.federation.reference.gateway import ReferenceGateway
from fedsim.federation.reference.health import ReferenceHealth
from fedsim.scenario.plugins import find_plugin
from fedsim.scenario.spec import CONTRACT_STRATEGIES, FederationSpec
from fedsim.world.plugins import MiddlewareGuard, build_plugin, check_methods, plugin_name
from fedsim.world.world import Site


class ReferenceFactory:
    """Builds the gateway of each site.

    Args:
        spec: The federation of the scenario.
        config: Its settings of the reference.
        directory: Where the scenario lies, and modules with middleware may.
        strategy: One of the contract's, in place of the scenario's.
        router: None; others have no place in the reference.
        policies: None, likewise.

    Raises:
        PlugInError: Something is given that the reference cannot take.
    """

    def __init__(
        self,
        spec: FederationSpec,
        config: ReferenceConfig,
        directory: Path,
        strategy: Any = None,
        router: Any = None,
        policies: Sequence[Any] | None = None,
    ) -> None:
        for given, what in ((router, "router"), (policies, "policies")):
            if given is not None:
                problem = f"the preset apr takes no {what} but its own; use the preset default"
                raise PlugInError(_name_of(given), problem)
        self._strategy = _strategy(spec.strategy if strategy is None else strategy)
        self._config = config
        self._middleware = [find_plugin(name, directory) for name in spec.middleware]
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


def _strategy(given: Any) -> LoadBalanceStrategy:
    try:
        return LoadBalanceStrategy(given)
    except ValueError:
        problem = f"the preset apr has no such strategy; use {', '.join(CONTRACT_STRATEGIES)}"
        raise PlugInError(_name_of(given), problem) from None


def _name_of(given: Any) -> str:
    return given if isinstance(given, str) else plugin_name(given)
