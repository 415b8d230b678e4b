"""The builder builds, and the parts of what it builds know of each other."""

from __future__ import annotations

import pytest

from fedsim.federation.breaker import BreakerConfig, CircuitBreaker
from fedsim.federation.builder import FederationBuilder
from fedsim.federation.catalog import ModelCatalog
from fedsim.federation.contracts import (
    CircuitOpen,
    HealthState,
    LoadBalanceStrategy,
    ModelId,
    NodeId,
    PrivacyLevel,
    PrivacyViolation,
    QoSViolation,
)
from fedsim.federation.gateway import GatewayConfig
from fedsim.federation.health import HealthChecker, HealthConfig
from fedsim.federation.outliers import OutlierConfig
from fedsim.federation.policies import HealthPolicy, LocalityPolicy
from fedsim.federation.router import Router, RouterConfig
from fedsim.federation.runtime import Surroundings
from fedsim.federation.slow_start import SlowStartConfig
from tests.unit.federation.gateways import Diary
from tests.unit.federation.stand_ins import (
    EAST,
    Dice,
    Network,
    Onlooker,
    Stage,
    catalog_of,
    deployment,
    drive,
    request,
    unreachable,
)
from tests.unit.federation.test_router import Toggle

A, B = NodeId("a"), NodeId("b")


class Workshop:
    """What every gateway needs, and a call that builds one."""

    def __init__(self):
        self.stage = Stage()
        self.network = Network(self.stage.clock)
        self.seen = Onlooker()
        self.purposes: list[str] = []

    def random_for(self, purpose):
        """Keep what randomness is asked for."""
        self.purposes.append(purpose)
        return Dice()

    def build(self, builder):
        """Build a gateway."""
        return builder.build(
            Surroundings(
                self.network, self.stage.clock, self.stage.tasks, self.random_for, EAST, self.seen
            )
        )

    def infer(self, gateway):
        """Serve a request."""
        return self.stage.run(gateway.infer(request()))


def test_defaults():
    """A builder to which nothing was said builds a gateway with the default of every part."""
    workshop = Workshop()
    gateway = workshop.build(FederationBuilder())

    assert isinstance(gateway.router, Router)
    assert isinstance(gateway.health, HealthChecker)
    assert isinstance(gateway.breaker, CircuitBreaker)
    assert workshop.purposes == ["health", "strategy", "turns", "retries"]
    assert not gateway.health.is_monitoring
    assert FederationBuilder().load_balance is LoadBalanceStrategy.LEAST_LATENCY
    assert FederationBuilder().config == GatewayConfig()
    assert FederationBuilder().policies is None


def test_it_serves():
    """What is built serves requests."""
    workshop = Workshop()
    gateway = workshop.build(FederationBuilder().with_catalog(catalog_of("a")))

    assert workshop.infer(gateway).served_by == "a"


def test_setters_chain():
    """Each setter returns the builder, and policies and middleware add up."""
    builder = FederationBuilder()
    catalog, diary, policy = ModelCatalog(), Diary(), HealthPolicy()
    same = (
        builder.with_catalog(catalog)
        .with_policy(policy)
        .with_policy(LocalityPolicy())
        .with_middleware(diary)
        .with_load_balance(LoadBalanceStrategy.ROUND_ROBIN)
        .with_health_config(HealthConfig(interval_s=1.0))
        .with_circuit_breaker(BreakerConfig(failure_threshold=1))
        .with_config(GatewayConfig(None, None))
    )

    assert same is builder
    assert builder.catalog is catalog
    assert builder.policies is not None
    assert builder.policies[0] is policy
    assert len(builder.policies) == 2
    assert builder.middlewares == [diary]


def test_router_and_gateway_share_the_breaker():
    """What the gateway records, the router honours."""
    workshop = Workshop()
    builder = FederationBuilder(config=GatewayConfig(None, None)).with_catalog(catalog_of("a"))
    gateway = workshop.build(builder.with_circuit_breaker(BreakerConfig(failure_threshold=1)))
    workshop.network.serve = lambda *_: (0.0, unreachable())
    with pytest.raises(type(unreachable())):
        workshop.infer(gateway)
    with pytest.raises(CircuitOpen):
        workshop.infer(gateway)

    assert [change[2:] for change in workshop.seen.circuits] == [("closed", "open")]


def test_router_and_gateway_share_the_health_checker():
    """The latency that the gateway measures is the router's estimate."""
    workshop = Workshop()
    gateway = workshop.build(FederationBuilder().with_catalog(catalog_of("a")))
    workshop.network.serve = lambda *_: (0.25, 1)
    workshop.infer(gateway)

    assert drive(gateway.router.route(request())).estimated_latency_s == 0.25
    assert workshop.seen.health == [(0.25, "a", "unknown", "healthy")]


def test_given_parts_are_used():
    """A health checker, a breaker and a router that are given are the gateway's."""
    workshop = Workshop()
    toggle = Toggle()
    builder = FederationBuilder().with_catalog(catalog_of("a", "b"))
    builder.with_circuit_breaker(toggle).with_health_checker(toggle).with_policy(toggle)
    gateway = workshop.build(builder)
    assert gateway.breaker is toggle
    assert gateway.health is toggle
    toggle.open.add("a")
    assert {workshop.infer(gateway).served_by for _ in range(3)} == {"b"}

    again = workshop.build(FederationBuilder().with_router(gateway.router))
    assert again.router is gateway.router


def test_without_a_breaker():
    """No breaker is a choice too: failures then exclude nobody."""
    workshop = Workshop()
    builder = FederationBuilder(config=GatewayConfig(None, None)).with_catalog(catalog_of("a"))
    gateway = workshop.build(builder.with_circuit_breaker(None))
    workshop.network.serve = lambda *_: (0.0, unreachable())
    for _ in range(10):
        with pytest.raises(type(unreachable())):
            workshop.infer(gateway)

    assert gateway.breaker is None


def test_the_health_checker_follows_the_catalog():
    """Nodes are watched from their registration to their deregistration, in their pools."""
    workshop = Workshop()
    catalog = catalog_of(deployment("a", pool="x"))
    health = workshop.build(FederationBuilder().with_catalog(catalog)).health
    assert isinstance(health, HealthChecker)
    catalog.add(deployment("b", pool="x"))
    catalog.add(deployment("a", model="second", pool="other"))
    a, b = health.record(A), health.record(B)
    assert a is not None
    assert b is not None
    assert a.pool is b.pool

    drive(catalog.deregister(ModelId("llama"), B))
    assert health.record(B) is None
    catalog.add(deployment("a", pool="y"))
    moved = health.record(A)
    assert moved is not None
    assert moved.pool is not a.pool
    assert moved.status is HealthState.UNKNOWN


def test_gateways_of_one_catalog_have_views_of_their_own():
    """Two gateways share the catalog, and neither health nor circuits."""
    workshop = Workshop()
    catalog = catalog_of("a")
    first, second = (workshop.build(FederationBuilder().with_catalog(catalog)) for _ in range(2))
    for _ in range(5):
        first.breaker.record_failure(A)

    assert first.breaker.is_open(A)
    assert not second.breaker.is_open(A)
    assert first.health.record(A) is not second.health.record(A)


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        (request(privacy=PrivacyLevel.CONFIDENTIAL), PrivacyViolation),
        (request(max_latency_s=0.1), QoSViolation),
        (request(min_throughput=100), QoSViolation),
    ],
)
def test_what_requests_demand_holds_without_a_policy_being_named(asked, refusal):
    """Privacy, latency and throughput hold in a gateway to which nobody gave a policy.

    With an empty list of policies they do not: that was asked for.
    """
    for builder, refused in ((FederationBuilder(), True), (FederationBuilder(policies=[]), False)):
        workshop = Workshop()
        gateway = workshop.build(builder.with_catalog(catalog_of("a")))
        workshop.network.serve = lambda *_: (1.0, 1)
        workshop.network.telemetry = lambda _: (0.0, 50)
        for _ in range(6):
            workshop.infer(gateway)
        workshop.stage.run(gateway.health.check_node(A))
        if refused:
            with pytest.raises(refusal):
                workshop.stage.run(gateway.infer(asked))
        else:
            assert workshop.stage.run(gateway.infer(asked)).served_by == "a"


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("policies", [HealthPolicy()]),
        ("load_balance", "round_robin"),
        ("load_balance", LoadBalanceStrategy.CONSISTENT_HASH),
        ("strategy_settings", {"decay": 1.0}),
        ("outliers", OutlierConfig()),
        ("panic_threshold", 0.5),
        ("slow_start", SlowStartConfig()),
    ],
)
def test_parts_of_our_router_beside_another_are_refused(part, value):
    """What a router of one's own would leave unused is an error that names it."""
    workshop = Workshop()
    router = workshop.build(FederationBuilder().with_catalog(catalog_of("a"))).router
    builder = FederationBuilder().with_router(router)
    if part in {"outliers", "panic_threshold", "slow_start"}:
        builder.router_config = RouterConfig(**{part: value})
    else:
        setattr(builder, part, value)

    with pytest.raises(ValueError, match=f"would ignore {part}: only the built-in router"):
        workshop.build(builder)
