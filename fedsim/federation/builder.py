"""The builder: puts the parts of a gateway together so that all of them know the same things."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Self

from fedsim.federation.admission import build_admission
from fedsim.federation.breaker import BreakerConfig
from fedsim.federation.breakers import build_breaker
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
from fedsim.federation.decisions import DecisionObserver
from fedsim.federation.gateway import Gateway, GatewayConfig
from fedsim.federation.health import HealthChecker, HealthConfig
from fedsim.federation.outliers import OutlierConfig, OutlierDetector
from fedsim.federation.panic import PanicMode
from fedsim.federation.policies import default_policies
from fedsim.federation.prefixes import PrefixIndex
from fedsim.federation.rate_breaker import RateBreakerConfig
from fedsim.federation.retries import RetryPolicy
from fedsim.federation.router import Router
from fedsim.federation.runtime import Clock, Insight, Observer, Random, Tasks, Transport
from fedsim.federation.slow_start import SlowStart, SlowStartConfig
from fedsim.federation.strategies.base import Strategy
from fedsim.federation.strategies.registry import STRATEGIES, build_strategy


@dataclass(slots=True)
class FederationBuilder:
    """Collects the parts of a gateway; what is not given gets its default.

    Each ``with_`` method returns the builder. Health checker, breaker and catalog that are given
    are the ones that router and gateway use, both of them. ``decisions`` may look on when the
    gateway decides.

    Where no policy is given there are our six (`default_policies`), so that what requests demand
    of latency, throughput and privacy holds; the first that is given takes their place, and an
    empty list is none. A router that is given replaces ours with all its parts: `build` refuses
    parts that it would have to drop.
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
    outliers: OutlierConfig | None = None
    panic_threshold: float | None = None
    slow_start: SlowStartConfig | None = None
    health_config: HealthConfig = field(default_factory=HealthConfig)
    config: GatewayConfig = field(default_factory=GatewayConfig)
    prefixes: PrefixIndex = field(default_factory=PrefixIndex)
    gateways: Mapping[RegionId, int] = field(default_factory=dict)
    decisions: DecisionObserver | None = None
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
        """Eject outliers by *config*; None for not at all. Only our router does."""
        self.outliers = config
        return self

    def with_panic(self, threshold: float | None) -> Self:
        """Ignore health and ejections below a share of usable nodes, 0 to 1; None for never."""
        self.panic_threshold = threshold
        return self

    def with_slow_start(self, config: SlowStartConfig | None) -> Self:
        """Let recovered nodes start slowly by *config*; None for not. Only our router does.

        It has no effect under a strategy of ours whose entry in the registry says so.
        """
        self.slow_start = config
        return self

    def with_router(self, router: RouterTrait) -> Self:
        """Use *router* in place of ours; strategy and policies are then its own business."""
        self.router = router
        return self

    def with_policy(self, policy: RoutingPolicyTrait) -> Self:
        """Add *policy*; the first takes the place of the default ones."""
        self.policies = [*(self.policies or ()), policy]
        return self

    def with_middleware(self, middleware: GatewayMiddleware) -> Self:
        """Add *middleware*, to be called after those added before."""
        self.middlewares.append(middleware)
        return self

    def with_load_balance(self, strategy: LoadBalanceStrategy | str | Strategy) -> Self:
        """Choose among eligible nodes by *strategy*: a name, or an object."""
        self.load_balance = strategy
        return self

    def with_strategy_settings(self, settings: Mapping[str, object]) -> Self:
        """Build the strategy, which is given by its name, with *settings*."""
        self.strategy_settings = settings
        return self

    def with_gateways(self, gateways: Mapping[RegionId, int]) -> Self:
        """Tell strategies how many gateways the federation has in each region."""
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

    def build(
        self,
        transport: Transport,
        clock: Clock,
        tasks: Tasks,
        random_for: Callable[[str], Random],
        region: RegionId | None = None,
        observer: Observer | None = None,
        insight: Insight | None = None,
    ) -> Gateway:
        """Return the gateway; its health checker probes once ``start_monitoring`` is called.

        Args:
            transport: The way to the nodes.
            clock: Time.
            tasks: Background tasks and deadlines.
            random_for: Gives a source of randomness by purpose: ``health`` (probe jitter),
                ``strategy``, ``turns`` (where they begin), ``outliers`` (when intervals begin),
                ``slow_start``, ``retries`` (backoff), ``concurrency`` and ``throttle``.
            region: The gateway's region, which locality prefers.
            observer: Is told of what health checker, breaker and router find out.
            insight: What only a simulator knows, for strategies that are studied as an ideal.

        Raises:
            ValueError: Parts of our router are given next to another router.
        """
        self._refuse_parts_of_our_router()
        region = RegionId("") if region is None else region
        catalog = self.catalog if self.catalog is not None else ModelCatalog()
        health = self.health_checker
        if health is None:
            config = self.health_config
            rng = random_for("health")
            health = HealthChecker(transport, clock, tasks, rng, config, observer)
        source = announced(catalog)
        if isinstance(health, HealthChecker):
            _watch(source, health)
        breaker = self.circuit_breaker
        if isinstance(breaker, BreakerConfig | RateBreakerConfig):
            breaker = build_breaker(clock, breaker, observer)
        router = self.router
        if router is None:
            policies = default_policies(health) if self.policies is None else self.policies
            strategy, starts_slowly = self.load_balance, True
            if isinstance(strategy, LoadBalanceStrategy):
                strategy = strategy.value
            if isinstance(strategy, str):
                starts_slowly = STRATEGIES[strategy].slow_start
                context = GatewayContext(
                    catalog,
                    health,
                    breaker,
                    policies,
                    clock,
                    tasks,
                    random_for("strategy"),
                    region,
                    self.prefixes,
                    transport.probe,
                    insight,
                    self.gateways,
                )
                strategy = build_strategy(strategy, context, self.strategy_settings)
            router = Router(
                source,
                strategy,
                clock,
                region,
                random_for("turns"),
                health,
                breaker,
                policies,
                self._outliers(clock, tasks, random_for, observer),
                self._panic(clock, observer),
                self._slow_start(clock, random_for) if starts_slowly else None,
            )
        return Gateway(
            router,
            transport,
            clock,
            tasks,
            random_for("retries"),
            health,
            breaker,
            self.middlewares,
            self.config,
            self.prefixes,
            self.decisions,
            build_admission(
                self.config.concurrency,
                self.config.shedding,
                self.config.throttle,
                clock,
                random_for,
                observer,
            ),
            self.retry_policy,
        )

    def _refuse_parts_of_our_router(self) -> None:
        if self.router is None:
            return
        parts = {
            "policies": bool(self.policies),
            "load_balance": self.load_balance is not LoadBalanceStrategy.default(),
            "strategy_settings": bool(self.strategy_settings),
            "outliers": self.outliers is not None,
            "panic_threshold": self.panic_threshold is not None,
            "slow_start": self.slow_start is not None,
        }
        given = [name for name, is_given in parts.items() if is_given]
        if given:
            msg = (
                f"the builder has a router, which would ignore {', '.join(given)}: only our router "
                "has such parts; give them to your router, or leave the router out"
            )
            raise ValueError(msg)

    def _outliers(
        self,
        clock: Clock,
        tasks: Tasks,
        random_for: Callable[[str], Random],
        observer: Observer | None,
    ) -> OutlierDetector | None:
        if self.outliers is None:
            return None
        detector = OutlierDetector(clock, self.outliers, observer)
        tasks.spawn(detector.watch(random_for("outliers")), "watch outliers")
        return detector

    def _panic(self, clock: Clock, observer: Observer | None) -> PanicMode | None:
        threshold = self.panic_threshold
        return None if threshold is None else PanicMode(clock, threshold, observer)

    def _slow_start(self, clock: Clock, random_for: Callable[[str], Random]) -> SlowStart | None:
        config = self.slow_start
        return None if config is None else SlowStart(clock, random_for("slow_start"), config)


def _watch(catalog: DeploymentSource, health: HealthChecker) -> None:
    """Have the health checker watch exactly the nodes of the catalog, from now on."""
    watched: dict[NodeId, str] = {}

    def follow() -> None:
        wanted: dict[NodeId, str] = {}
        for deployment in catalog.deployments():
            wanted.setdefault(deployment.node_id, deployment.pool)
        for node_id, pool in list(watched.items()):
            if wanted.get(node_id) != pool:
                del watched[node_id]
                health.deregister_node(node_id)
        for node_id, pool in wanted.items():
            if node_id not in watched:
                watched[node_id] = pool
                health.register_node(node_id, pool)

    catalog.subscribe(follow)
    follow()
