"""Our objects fulfil the federation's contracts, as far as isinstance and signatures can tell."""

from __future__ import annotations

import inspect

import pytest

from fedsim.federation import contracts
from fedsim.federation.asyncio_runtime import AsyncioClock, AsyncioTasks
from fedsim.federation.breaker import CircuitBreaker
from fedsim.federation.builder import FederationBuilder
from fedsim.federation.catalog import ModelCatalog
from fedsim.federation.gateway import Gateway
from fedsim.federation.health import HealthChecker
from fedsim.federation.policies import (
    NAMES,
    CostPolicy,
    HealthPolicy,
    LatencyPolicy,
    LocalityPolicy,
    PrivacyPolicy,
    ThroughputPolicy,
)
from fedsim.federation.router import Router
from fedsim.federation.runtime import Surroundings
from fedsim.federation.streams import GatewayStream
from tests.unit.federation.stand_ins import Dice, HandClock, Network, Stage

FULFILLED = [
    (ModelCatalog, contracts.ModelCatalogTrait),
    (HealthChecker, contracts.HealthCheckerTrait),
    (CircuitBreaker, contracts.CircuitBreakerTrait),
    (Router, contracts.RouterTrait),
    (Gateway, contracts.GatewayTrait),
    (GatewayStream, contracts.TokenStream),
    *((policy, contracts.RoutingPolicyTrait) for policy in NAMES),
]


@pytest.mark.parametrize(
    ("ours", "contract"), FULFILLED, ids=[ours.__name__ for ours, _ in FULFILLED]
)
def test_methods_are_those_of_the_contract(ours, contract):
    """Each method is async where the contract's is, and takes what the contract passes."""
    for name, wanted in vars(contract).items():
        if name.startswith("_"):
            continue
        method = getattr(ours, name)
        promised = list(inspect.signature(wanted).parameters)
        taken = list(inspect.signature(method).parameters)
        assert inspect.iscoroutinefunction(method) == inspect.iscoroutinefunction(wanted)
        assert taken[: len(promised)] == promised


def test_objects_pass_isinstance():
    """The contracts can be checked at run time, and our objects pass."""
    clock = HandClock()
    network = Network(clock)
    health = HealthChecker(network, clock, Stage().tasks, Dice())
    gateway = (
        FederationBuilder()
        .with_health_checker(health)
        .build(Surroundings(network, clock, Stage().tasks, lambda _: Dice()))
    )
    policies = [
        HealthPolicy(),
        LatencyPolicy(),
        ThroughputPolicy(health),
        PrivacyPolicy({}),
        LocalityPolicy(),
        CostPolicy(),
    ]

    assert isinstance(ModelCatalog(), contracts.ModelCatalogTrait)
    assert isinstance(health, contracts.HealthCheckerTrait)
    assert isinstance(gateway, contracts.GatewayTrait)
    assert isinstance(gateway.router, contracts.RouterTrait)
    assert isinstance(gateway.breaker, contracts.CircuitBreakerTrait)
    for policy in policies:
        assert isinstance(policy, contracts.RoutingPolicyTrait)


@pytest.mark.parametrize("contract", [contract for _, contract in FULFILLED])
def test_something_else_does_not(contract):
    """An object without the methods is no implementation."""
    assert not isinstance(object(), contract)


def test_the_runtimes_are_alike():
    """The clock and tasks of asyncio have the methods of the kernel's."""
    stage = Stage()
    for production, simulated in ((AsyncioClock, stage.clock), (AsyncioTasks, stage.tasks)):
        promised = [name for name in vars(production) if not name.startswith("_")]
        assert all(callable(getattr(simulated, name)) for name in promised)
