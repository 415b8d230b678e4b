"""The builder: puts the parts of a gateway together so that all of them know the same things."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Self

from fedsim.federation.admission import build_admission
from fedsim.federation.breaker import BreakerConfig
from fedsim.federation.breakers import build_breaker
from fedsim.federation.capabilities import KeepsRecords, has
from fedsim.federation.catalog import DeploymentSource, ModelCatalog, announced
from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import (
    CircuitBreakerTrait,
    GatewayMiddleware,
    HealthCheckerTrait,
    LoadBalanceStrategy,
    ModelCatalogTrait,
    NodeId,
    RegionId,
    RouterTrait,
    RoutingPolicyTrait,
)
from fedsim.federation.gateway import Gateway, GatewayConfig
from fedsim.federation.health import HealthChecker, HealthConfig
from fedsim.federation.outliers import OutlierConfig, OutlierDetector
from fedsim.federation.panic import PanicMode
from fedsim.federation.policies import default_policies
from fedsim.federation.prefixes import PrefixIndex
from fedsim.federation.rate_breaker import RateBreakerConfig
from fedsim.federation.retries import RetryPolicy
from fedsim.federation.router import Router, RouterConfig
from fedsim.federation.runtime import Surroundings
from fedsim.federation.slow_start import SlowStart, SlowStartConfig
from fedsim.federation.strategies.base import Strategy
from fedsim.federation.strategies.registry import STRATEGIES, build_strategy


@dataclass(slots=True)
class FederationBuilder:
    """Collects the parts of a gateway; what is not given gets its default.

    Each ``with_`` method returns the builder. Router and gateway share the health checker, the
    breaker and the catalog that are given.

    Where no policy is given there are the default ones (`default_policies`), so that what requests
    demand of latency, throughput and privacy holds; the first that is given takes their place, and
    an empty list is none. A router that is given replaces the built-in one with all its parts:
    `build` refuses parts that it would have to drop.
    """

    catalog: ModelCatalogTrait | None = None
    health_checker: HealthCheckerTrait | None = None
    router: RouterTrait | None = None
    policies: list[RoutingPolicyTrait] | None = None
    middlewares: list[GatewayMiddleware] = field(default_factory=list)
    load_balance: LoadBalanceStrategy | str | Strategy = LoadBalanceStrategy.LEAST_LATENCY
    strategy_settings: Mapping[str, object] = field(default_factory=dict)
    circuit_breaker: CircuitBreakerTrait | BreakerConfig | RateBreakerConfig | None = field(
        default_factory=BreakerConfig
    )
    health_config: HealthConfig = field(default_factory=HealthConfig)
    router_config: RouterConfig = field(default_factory=RouterConfig)
    config: GatewayConfig = field(default_factory=GatewayConfig)
    prefixes: PrefixIndex = field(default_factory=PrefixIndex)
    gateways: Mapping[RegionId, int] = field(default_factory=dict)
    retry_policy: RetryPolicy | None = None

    def with_catalog(self, catalog: ModelCatalogTrait) -> Self:
        """Use *catalog*."""
        self.catalog = catalog
        return self

    def with_health_checker(self, checker: HealthCheckerTrait) -> Self:
        """Use *checker*."""
        self.health_checker = checker
        return self

    def with_health_config(self, config: HealthConfig) -> Self:
        """Build the default health checker with *config*."""
        self.health_config = config
        return self

    def with_circuit_breaker(
        self, breaker: CircuitBreakerTrait | BreakerConfig | RateBreakerConfig | None
    ) -> Self:
        """Use *breaker*, or build the default one with a config; None for no breaker."""
        self.circuit_breaker = breaker
        return self

    def with_outliers(self, config: OutlierConfig | None) -> Self:
        """Enable outlier ejection; None disables it. Built-in router only."""
        self.router_config = replace(self.router_config, outliers=config)
        return self

    def with_panic(self, threshold: float | None) -> Self:
        """Ignore health and ejections below a share of usable nodes, 0 to 1; None for never.

        Built-in router only.
        """
        self.router_config = replace(self.router_config, panic_threshold=threshold)
        return self

    def with_slow_start(self, config: SlowStartConfig | None) -> Self:
        """Enable slow start of recovered nodes; None disables it. Built-in router only.

        It has no effect under a built-in strategy whose entry in the registry says so.
        """
        self.router_config = replace(self.router_config, slow_start=config)
        return self

    def with_router(self, router: RouterTrait) -> Self:
        """Use *router* in place of the built-in one, and of its strategy and policies."""
        self.router = router
        return self

    def with_policy(self, policy: RoutingPolicyTrait) -> Self:
        """Add *policy*; the first one replaces the default policies."""
        self.policies = [*(self.policies or ()), policy]
        return self

    def with_middleware(self, middleware: GatewayMiddleware) -> Self:
        """Add *middleware*, to be called after those added before."""
        self.middlewares.append(middleware)
        return self

    def with_load_balance(self, strategy: LoadBalanceStrategy | str | Strategy) -> Self:
        """Choose among eligible nodes by *strategy*: a built-in name, or an object."""
        self.load_balance = strategy
        return self

    def with_strategy_settings(self, settings: Mapping[str, object]) -> Self:
        """Build the strategy, which is given by its name, with *settings*."""
        self.strategy_settings = settings
        return self

    def with_gateways(self, gateways: Mapping[RegionId, int]) -> Self:
        """Give strategies the number of gateways in each region."""
        self.gateways = gateways
        return self

    def with_retry_policy(self, policy: RetryPolicy) -> Self:
        """Let *policy* decide on retries, in place of the limit and backoff of the settings."""
        self.retry_policy = policy
        return self

    def with_config(self, config: GatewayConfig) -> Self:
        """Use the gateway settings *config*."""
        self.config = config
        return self

    def build(self, surroundings: Surroundings) -> Gateway:
        """Return the gateway; its health checker probes once ``start_monitoring`` is called.

        Raises:
            ValueError: Parts of the built-in router are given together with another router.
        """
        self._refuse_parts_of_our_router()
        catalog = self.catalog if self.catalog is not None else ModelCatalog()
        health = self._build_health(surroundings)
        source = announced(catalog)
        if has(health, KeepsRecords):
            _follow(source, health)
        breaker = self.circuit_breaker
        if isinstance(breaker, BreakerConfig | RateBreakerConfig):
            breaker = build_breaker(surroundings.clock, breaker, surroundings.observer)
        router = self.router
        if router is None:
            policies = default_policies(health) if self.policies is None else self.policies
            context = GatewayContext(
                surroundings,
                catalog,
                health,
                surroundings.random_for("strategy"),
                breaker,
                policies,
                surroundings.transport.probe,
                self.prefixes,
                self.gateways,
            )
            router = self._build_router(context, source)
        return self._build_gateway(surroundings, router, health, breaker)

    def _refuse_parts_of_our_router(self) -> None:
        if self.router is None:
            return
        parts = {
            "policies": bool(self.policies),
            "load_balance": self.load_balance is not LoadBalanceStrategy.default(),
            "strategy_settings": bool(self.strategy_settings),
            **{part: value is not None for part, value in asdict(self.router_config).items()},
        }
        given = [name for name, is_given in parts.items() if is_given]
        if given:
            msg = (
                f"the builder has a router, which would ignore {', '.join(given)}: only the "
                "built-in router has such parts; give them to your router, or leave the router out"
            )
            raise ValueError(msg)

    def _build_health(self, surroundings: Surroundings) -> HealthCheckerTrait:
        if self.health_checker is not None:
            return self.health_checker
        return HealthChecker(
            surroundings.transport,
            surroundings.clock,
            surroundings.tasks,
            surroundings.random_for("health"),
            self.health_config,
            surroundings.observer,
        )

    def _build_router(self, context: GatewayContext, source: DeploymentSource) -> Router:
        surroundings, config = context.surroundings, self.router_config
        clock, observer = surroundings.clock, surroundings.observer
        strategy, slow_start = self.load_balance, config.slow_start
        if isinstance(strategy, LoadBalanceStrategy):
            strategy = strategy.value
        if isinstance(strategy, str):
            if not STRATEGIES[strategy].slow_start:
                slow_start = None
            strategy = build_strategy(strategy, context, self.strategy_settings)
        turns = surroundings.random_for("turns")
        outliers, threshold = self._build_outliers(surroundings), config.panic_threshold
        return Router(
            source,
            strategy,
            clock,
            surroundings.region,
            turns,
            context.health,
            context.breaker,
            context.policies,
            outliers,
            None if threshold is None else PanicMode(clock, threshold, observer),
            None
            if slow_start is None
            else SlowStart(clock, surroundings.random_for("slow_start"), slow_start),
        )

    def _build_outliers(self, surroundings: Surroundings) -> OutlierDetector | None:
        config = self.router_config.outliers
        if config is None:
            return None
        detector = OutlierDetector(surroundings.clock, config, surroundings.observer)
        surroundings.tasks.spawn(
            detector.run_intervals(surroundings.random_for("outliers")), "outlier intervals"
        )
        return detector

    def _build_gateway(
        self,
        surroundings: Surroundings,
        router: RouterTrait,
        health: HealthCheckerTrait,
        breaker: CircuitBreakerTrait | None,
    ) -> Gateway:
        clock, random_for = surroundings.clock, surroundings.random_for
        config = self.config
        admission = build_admission(
            config.concurrency,
            config.shedding,
            config.throttle,
            clock,
            random_for,
            surroundings.observer,
        )
        return Gateway(
            router,
            surroundings.transport,
            clock,
            surroundings.tasks,
            random_for("retries"),
            health,
            breaker,
            self.middlewares,
            self.config,
            self.prefixes,
            surroundings.decisions,
            admission,
            self.retry_policy,
        )


def _follow(catalog: DeploymentSource, health: KeepsRecords) -> None:
    """Register exactly the nodes of the catalog with the health checker, from now on."""
    registered: dict[NodeId, str] = {}

    def follow() -> None:
        wanted: dict[NodeId, str] = {}
        for deployment in catalog.deployments():
            wanted.setdefault(deployment.node_id, deployment.pool)
        for node_id, pool in list(registered.items()):
            if wanted.get(node_id) != pool:
                del registered[node_id]
                health.deregister_node(node_id)
        for node_id, pool in wanted.items():
            if node_id not in registered:
                registered[node_id] = pool
                health.register_node(node_id, pool)

    catalog.subscribe(follow)
    follow()
