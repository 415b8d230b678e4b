"""Puts a scenario's federation together: the gateway of each site, with its plug-ins guarded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fedsim.adapters import BREAKERS
from fedsim.federation.asyncio_runtime import AsyncioClock, AsyncioTasks
from fedsim.federation.builder import FederationBuilder
from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import (
    PrivacyLevel,
    RegionId,
    RoutingPolicyTrait,
)
from fedsim.federation.gateway import Gateway, GatewayConfig
from fedsim.federation.policies import NAMES, POLICIES, build_policy
from fedsim.scenario.adapters import find_breaker, find_retries, is_adapted
from fedsim.scenario.installed import POLICY, ROUTER, STRATEGY, is_name
from fedsim.scenario.plugins import Find, finder, single
from fedsim.scenario.reference import ReferenceFactory
from fedsim.scenario.spec import FederationSpec, Scenario
from fedsim.scenario.watching import (
    begin_watching,
    lacking,
    own_health,
    watching_breaker,
    watching_health,
)
from fedsim.world.plugin_health import PlugInHealth
from fedsim.world.plugins import (
    MiddlewareGuard,
    PolicyGuard,
    RouterGuard,
    StrategyGuard,
    build_plugin,
    check_methods,
    plugin_name,
)
from fedsim.world.retrying import RetryGuard
from fedsim.world.world import Site


class GatewayFactory:
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

    def lacking(self) -> list[str]:
        """Return what users' own plug-ins go without, as sentences; see `watching.lacking`."""
        parts = {"router": self._router, "health": self._health, "circuit_breaker": self._breaker}
        return [
            loss
            for kind, plugin in parts.items()
            if plugin is not None and not plugin_name(plugin).startswith("fedsim.")
            for loss in lacking(plugin, kind)
        ]

    def __call__(self, site: Site) -> Gateway:
        """Return the gateway of *site*; its health checker probes, unless the scenario says off."""
        spec = self._spec
        own = own_health(spec, site)
        heard = PlugInHealth(own, site)
        context = GatewayContext(
            site.catalog,
            heard,
            None,
            [],
            AsyncioClock(),
            AsyncioTasks(),
            site.random_for("plugins"),
            site.region,
            probe=heard.probe,
            gateways={RegionId(region): count for region, count in spec.gateways.items()},
        )
        health = watching_health(self._health, own, context, site)
        if health is not own:
            context.health = health
        context.breaker = watching_breaker(self._breaker, spec, context, site)
        builder = FederationBuilder(
            catalog=site.catalog,
            health_checker=health,
            circuit_breaker=context.breaker,
            outliers=spec.outliers,
            panic_threshold=spec.panic_threshold,
            slow_start=spec.slow_start,
            config=GatewayConfig(
                spec.timeout,
                spec.retries,
                spec.hedge,
                spec.throttle,
                spec.concurrency,
                spec.shedding,
            ),
            prefixes=context.prefixes,
            gateways=context.gateways,
            decisions=site.decisions,
        )
        for policy, settings in self._policies:
            context.policies.append(self._build_policy(policy, settings, context, site))
        if self._router is None:
            builder.policies = context.policies
            builder.with_load_balance(self._build_strategy(context, site))
            if self._named is not None:
                builder.with_strategy_settings(spec.strategy_settings.get(self._named, {}))
        else:
            router = build_plugin(self._router, context)
            check_methods(router, ["route"], "router")
            builder.with_router(RouterGuard(router, site))
        for middleware in self._middleware:
            built = build_plugin(middleware, context)
            check_methods(built, ["before_route", "after_infer", "on_error"], "middleware")
            builder.with_middleware(MiddlewareGuard(built, site))
        if self._retry_policy is not None:
            builder.with_retry_policy(RetryGuard(self._retry_policy(context), site))
        begin_watching(health, spec, site)
        return builder.build(
            site.transport,
            site.clock,
            site.tasks,
            site.random_for,
            site.region,
            site.reporter,
            site.insight,
        )

    def _find_strategy(self, strategy: str) -> Any:
        if is_name(STRATEGY, strategy):
            self._label = strategy
            if strategy in STRATEGY.built_in:
                return strategy
        return single(self._find(strategy, STRATEGY), self._spec)

    def _find_part(self, named: object) -> Any:
        """Return the plug-in that the scenario names; None for ours."""
        if not isinstance(named, str):
            return None
        if named in BREAKERS:
            return find_breaker(named)
        return single(self._find(named, None), self._spec)

    def _find_policy(self, policy: str) -> Any:
        """Return the name of one of ours, one of our objects, or a plug-in."""
        found = policy if policy in POLICIES else self._find(policy, POLICY)
        if isinstance(found, type) and found in NAMES:
            return NAMES[found]
        return found if _is_own(found) else single(found, self._spec)

    @property
    def _named(self) -> str | None:
        """The name of a strategy of ours."""
        return self._strategy if isinstance(self._strategy, str) else None

    def _build_strategy(self, context: GatewayContext, site: Site) -> Any:
        if self._named is not None:
            return self._named
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


def gateway_factory(scenario: Scenario) -> GatewayFactory | ReferenceFactory:
    """Return what builds the gateways of the scenario's preset."""
    spec, find = scenario.federation, finder(scenario)
    if spec.reference is not None:
        return ReferenceFactory(spec, spec.reference, find)
    levels = {RegionId(region.name): region.privacy for region in scenario.world.regions}
    return GatewayFactory(spec, levels, find)


def _is_own(policy: Any) -> bool:
    """Return whether *policy* is the name of one of ours, or an object of one of their classes."""
    return policy in POLICIES if isinstance(policy, str) else type(policy) in NAMES
