"""Puts a scenario's federation together: the gateway of each site, with its plug-ins guarded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fedsim.adapters import BREAKERS
from fedsim.federation.asyncio_runtime import AsyncioClock, AsyncioTasks
from fedsim.federation.builder import FederationBuilder
from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import (
    GatewayMiddleware,
    PrivacyLevel,
    RegionId,
    RoutingPolicyTrait,
)
from fedsim.federation.gateway import Gateway
from fedsim.federation.health import HealthChecker
from fedsim.federation.policies import NAMES, POLICIES, build_policy
from fedsim.federation.runtime import Surroundings
from fedsim.scenario.adapters import find_breaker, find_retries, is_adapted
from fedsim.scenario.installed import POLICY, ROUTER, STRATEGY, is_name
from fedsim.scenario.losses import without_methods
from fedsim.scenario.monitoring import (
    gateway_breaker,
    gateway_health,
    own_health,
    start_monitoring,
)
from fedsim.scenario.plugins import Find, finder, single
from fedsim.scenario.presets import GatewayFactory, preset
from fedsim.scenario.spec import FederationSpec, Scenario
from fedsim.world.guards import (
    Guard,
    MiddlewareGuard,
    PolicyGuard,
    RetryGuard,
    RouterGuard,
    StrategyGuard,
)
from fedsim.world.plugin_health import PlugInHealth
from fedsim.world.plugins import build_plugin, check_methods, plugin_name
from fedsim.world.world import Site


class OwnGateways:
    """Builds the gateway of each site of a scenario.

    Args:
        spec: The federation of the scenario.
        region_privacy: Privacy level of each region.
        find: Finds the plug-ins that it names.

    Raises:
        PlugInError: A plug-in does not exist, or one object is given for several gateways.
    """

    def __init__(
        self, spec: FederationSpec, region_privacy: Mapping[RegionId, PrivacyLevel], find: Find
    ) -> None:
        self._spec = spec
        self._region_privacy = region_privacy
        self._find = find
        self._label: str | None = None
        self._strategy = self._find_strategy(spec.strategy)
        self._router = None
        if spec.router is not None:
            self._router = single(find(spec.router, ROUTER), spec)
            named = is_adapted(spec.router) or ":" not in spec.router
            self._label = spec.router if named else None
        self._policies = [
            (self._find_policy(policy), settings) for policy, settings in spec.policies.items()
        ]
        self._middleware = [single(find(name, None), spec) for name in spec.middleware]
        self._health = self._find_part(spec.health)
        self._breaker = self._find_part(spec.circuit_breaker)
        self._built: dict[str, object] = {}
        self._retry_policy = None
        if spec.retry_policy is not None:
            policy = find(spec.retry_policy.partition("/")[2], None)
            self._retry_policy = find_retries(spec.retry_policy, policy)

    @property
    def label(self) -> str:
        """What chooses the nodes: the router's or the strategy's name."""
        if self._label is not None:
            return self._label
        return plugin_name(self._strategy if self._router is None else self._router)

    def lacking(self, retried: bool = True) -> list[str]:
        """Return what is lost because of methods that users' plug-ins lack, as sentences.

        Once a gateway is built, its objects are asked, which may have more than their classes.

        Args:
            retried: Whether requests are retried; what a router lacks matters to retries alone.
        """
        retries, hedge = self._spec.config.retries, self._spec.config.hedge
        again = (retries is not None and retries.limit > 0) or hedge is not None
        again = again or self._spec.retry_policy is not None
        parts = {"health": self._health, "circuit_breaker": self._breaker}
        parts |= {"router": self._router} if retried and again else {}
        return [
            loss
            for key, plugin in parts.items()
            if plugin is not None and not plugin_name(plugin).startswith("fedsim.")
            for loss in without_methods(self._built.get(key, plugin), key)
        ]

    def __call__(self, site: Site) -> Gateway:
        """Return the gateway of *site*; its health checker probes, unless the scenario says off."""
        spec = self._spec
        own = own_health(spec, site)
        context = self._context(own, site)
        health = gateway_health(self._health, own, context, site)
        if health is not own:
            context.health = health
        context.breaker = gateway_breaker(self._breaker, spec, context, site)
        builder = FederationBuilder(
            catalog=site.catalog,
            health_checker=health,
            circuit_breaker=context.breaker,
            router_config=spec.router_config,
            config=spec.config,
            prefixes=context.prefixes,
            gateways=context.gateways,
        )
        for policy, settings in self._policies:
            context.policies.append(self._build_policy(policy, settings, context, site))
        self._add_chooser(builder, context, site)
        builder.middlewares = build_middleware(self._middleware, context, site)
        guards: dict[str, object] = {
            "health": health,
            "circuit_breaker": context.breaker,
            "router": builder.router,
        }
        self._built = {
            key: guard.plugin for key, guard in guards.items() if isinstance(guard, Guard)
        }
        if self._retry_policy is not None:
            builder.with_retry_policy(RetryGuard(self._retry_policy(context), site))
        start_monitoring(health, spec, site)
        return builder.build(site)

    def _context(self, own: HealthChecker, site: Site) -> GatewayContext:
        """Return what the plug-ins of *site* are given, with *own* as the health checker."""
        heard = PlugInHealth(own, site)
        return GatewayContext(
            for_plugins(site),
            site.catalog,
            heard,
            site.random_for("plugins"),
            probe=heard.probe,
            gateways={RegionId(name): count for name, count in self._spec.gateways.items()},
        )

    def _add_chooser(self, builder: FederationBuilder, context: GatewayContext, site: Site) -> None:
        """Give *builder* the scenario's router, or its strategy and policies."""
        if self._router is not None:
            router = build_plugin(self._router, context)
            check_methods(router, ["route"], "router")
            builder.with_router(RouterGuard(router, site))
            return
        builder.policies = context.policies
        builder.with_load_balance(self._build_strategy(context, site))
        if isinstance(self._strategy, str):
            builder.with_strategy_settings(self._spec.strategy_settings.get(self._strategy, {}))

    def _find_strategy(self, strategy: str) -> Any:
        if is_name(STRATEGY, strategy):
            self._label = strategy
            if strategy in STRATEGY.built_in:
                return strategy
        return single(self._find(strategy, STRATEGY), self._spec)

    def _find_part(self, named: object) -> Any:
        """Return the plug-in that the scenario names; None for the built-in part."""
        if not isinstance(named, str):
            return None
        if named in BREAKERS:
            return find_breaker(named)
        return single(self._find(named, None), self._spec)

    def _find_policy(self, policy: str) -> Any:
        """Return the name of a built-in policy, an object of its class, or a plug-in."""
        found = policy if policy in POLICIES else self._find(policy, POLICY)
        if isinstance(found, type) and found in NAMES:
            return NAMES[found]
        return found if _is_own(found) else single(found, self._spec)

    def _build_strategy(self, context: GatewayContext, site: Site) -> str | StrategyGuard:
        if isinstance(self._strategy, str):
            return self._strategy
        strategy = build_plugin(self._strategy, context)
        check_methods(strategy, ["select"], "strategy")
        return StrategyGuard(strategy, site)

    def _build_policy(
        self, policy: Any, settings: Mapping[str, float], context: GatewayContext, site: Site
    ) -> RoutingPolicyTrait:
        if isinstance(policy, str):
            return build_policy(policy, settings, context.health, self._region_privacy)
        if _is_own(policy):
            own: RoutingPolicyTrait = policy
            return own
        built = build_plugin(policy, context)
        check_methods(built, ["score", "is_eligible", "name"], "policy")
        guard = PolicyGuard(built, site)
        guard.weight = settings.get("weight", guard.weight)
        return guard


def for_plugins(site: Site) -> Surroundings:
    """Return the surroundings of a site as plug-ins see them: they wait on the asyncio loop."""
    clock, tasks = AsyncioClock(), AsyncioTasks()
    return Surroundings(site.transport, clock, tasks, site.random_for, site.region)


def build_middleware(
    plugins: Sequence[Any], context: GatewayContext, site: Site
) -> list[GatewayMiddleware]:
    """Return users' middleware for one gateway, guarded.

    Raises:
        PlugInError: Its constructor raises, or it lacks a method.
    """
    built = [build_plugin(plugin, context) for plugin in plugins]
    for each in built:
        check_methods(each, ["before_route", "after_infer", "on_error"], "middleware")
    return [MiddlewareGuard(each, site) for each in built]


def gateway_factory(scenario: Scenario) -> GatewayFactory:
    """Return what builds the gateways of the scenario's preset."""
    spec, find = scenario.federation, finder(scenario)
    if spec.preset != "default":
        return preset(spec.preset).factory(spec, find)
    levels = {RegionId(region.name): region.privacy for region in scenario.world.regions}
    return OwnGateways(spec, levels, find)


def _is_own(policy: Any) -> bool:
    """Return whether *policy* is the name of a built-in one, or an object of its class."""
    return policy in POLICIES if isinstance(policy, str) else type(policy) in NAMES
