"""Faults that emerge from the defaults of the contracts' first implementation are not in ours.

Each test lets the default gateway (least latency, all policies that score by default) meet the
situation in which that implementation goes wrong.
"""

from __future__ import annotations

import random
from collections import Counter

import pytest

from fedsim.federation.breaker import CircuitBreaker
from fedsim.federation.builder import FederationBuilder
from fedsim.federation.contracts import (
    CircuitState,
    FederationError,
    HealthState,
    NodeId,
    PrivacyLevel,
    RegionId,
    RoutingPolicyTrait,
)
from fedsim.federation.health import HealthChecker
from fedsim.federation.policies import (
    CostPolicy,
    HealthPolicy,
    LatencyPolicy,
    LocalityPolicy,
    PrivacyPolicy,
)
from fedsim.federation.runtime import Surroundings
from tests.unit.federation.stand_ins import (
    EAST,
    Network,
    Stage,
    catalog_of,
    deployment,
    request,
    unreachable,
)


class Federation:
    """The default gateway, monitored, before nodes that take *service_s* while they are up."""

    def __init__(self, service_s, policies=None):
        self.stage = Stage()
        self.service_s = dict(service_s)
        self.down: set[str] = set()
        self.served: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.network = Network(self.stage.clock, serve=self.serve, telemetry=self.answer)
        self.catalog = catalog_of(*(deployment(node, pool="pool") for node in service_s))
        defaults: list[RoutingPolicyTrait] = [
            HealthPolicy(),
            LatencyPolicy(),
            PrivacyPolicy({}),
            LocalityPolicy(),
            CostPolicy(),
        ]
        gateway = FederationBuilder(
            catalog=self.catalog, policies=defaults if policies is None else policies
        ).build(Surroundings(self.network, self.stage.clock, self.stage.tasks, random.Random, EAST))
        assert isinstance(gateway.health, HealthChecker)
        assert isinstance(gateway.breaker, CircuitBreaker)
        self.gateway, self.health, self.breaker = gateway, gateway.health, gateway.breaker
        self.stage.spawn(self.health.start_monitoring())

    def serve(self, node, request):
        """Serve, or fail at once."""
        return (0.0, unreachable(node)) if node in self.down else (self.service_s[node], 1)

    def answer(self, node):
        """Answer a probe."""
        return 0.0, unreachable(node) if node in self.down else 70

    async def ask(self, **qos):
        """Make one request, and keep who served it or how it failed."""
        try:
            response = await self.gateway.infer(request(sum(self.served.values()), **qos))
        except FederationError as error:
            self.failed[error.kind] += 1
        else:
            self.served[response.served_by] += 1

    def run(self, seconds, rate_rps=2.0, **qos):
        """Let requests come at a steady rate for so long; return who served them."""
        self.served.clear()
        self.failed.clear()
        begin_s = self.stage.clock.now()

        async def source():
            for _ in range(int(seconds * rate_rps)):
                self.stage.spawn(self.ask(**qos))
                await self.stage.clock.sleep(1.0 / rate_rps)

        self.stage.spawn(source())
        self.stage.env.run(until=begin_s + seconds)
        return self.served

    def status(self, node):
        """Return a node's health."""
        known = self.health.get_cached_health(NodeId(node))
        assert known is not None
        return known.status


def test_1_unhealthy_is_not_for_ever():
    """A node that was down is served from again, without anybody's help."""
    federation = Federation({"a": 0.2})
    federation.run(10.0)
    federation.down.add("a")
    federation.run(60.0)
    assert federation.status("a") is HealthState.UNHEALTHY

    federation.down.clear()
    federation.run(70.0)
    federation.run(20.0)
    assert federation.served["a"] == 40
    assert not federation.failed


def test_2_one_failure_drains_no_node():
    """A node that fails for a moment has its share again at once."""
    federation = Federation({"a": 0.2, "b": 0.2})
    federation.run(10.0, rate_rps=20.0)
    federation.down.add("a")
    federation.run(0.1, rate_rps=20.0)
    federation.down.clear()
    federation.run(60.0, rate_rps=20.0)

    assert federation.breaker.state(NodeId("a")) is CircuitState.CLOSED
    assert 500 <= federation.served["a"] <= 700


def test_3_a_new_node_gets_traffic():
    """A node that joins busy ones is served from within seconds, before any probe and after."""
    federation = Federation({"a": 0.9, "b": 0.9})
    federation.run(60.0, rate_rps=3.0)
    federation.service_s["c"] = 0.9
    federation.catalog.add(deployment("c", pool="pool"))
    federation.run(30.0, rate_rps=3.0)

    assert federation.served["c"] >= 20


def test_4_a_failure_promotes_no_node():
    """Of two nodes of which nothing is known, one that failed scores no more than the other."""
    federation = Federation({"a": 0.2, "b": 0.2})
    for _ in range(3):
        federation.health.report_failure(NodeId("a"))
    explained = federation.stage.run(federation.gateway.router.get_candidates(request()))
    totals = {each.target.node_id: each.scores.total for each in explained}
    assert totals["a"] <= totals["b"]

    federation.run(30.0, rate_rps=20.0)
    assert 250 <= federation.served["b"] <= 350


def test_5_the_breaker_opens_before_the_probes_have_noticed():
    """A node whose requests fail is cut off by its circuit within five of them."""
    federation = Federation({"a": 0.2, "b": 0.2})
    federation.run(20.0)
    federation.down.add("a")
    federation.run(9.0, rate_rps=5.0)

    assert federation.breaker.state(NodeId("a")) is CircuitState.OPEN
    assert federation.status("a") is not HealthState.UNHEALTHY
    assert not federation.failed


@pytest.mark.parametrize("service_s", [5.01, 9.0])
def test_6_slow_nodes_are_not_locked_out(service_s):
    """A service time above the latency policy's scale excludes no node."""
    federation = Federation({"a": service_s, "b": service_s})
    federation.run(600.0, rate_rps=0.5)

    assert not federation.failed
    assert min(federation.served["a"], federation.served["b"]) >= 100


def test_6_a_limit_that_was_exceeded_is_tried_again():
    """A node that was too slow for a request's limit gets another chance after the window."""
    federation = Federation({"a": 2.0})
    federation.run(20.0, max_latency_s=1.0)
    assert federation.failed["qos_violation"] > 0

    federation.service_s["a"] = 0.2
    federation.run(70.0, max_latency_s=1.0)
    federation.run(20.0, max_latency_s=1.0)
    assert federation.served["a"] == 40


def test_7_a_model_that_takes_its_time_is_healthy():
    """Nodes whose requests take seconds are healthy as long as all of their pool do."""
    federation = Federation({"a": 4.0, "b": 4.0, "c": 4.0})
    federation.run(120.0)
    assert {federation.status(node) for node in "abc"} == {HealthState.HEALTHY}


def test_8_no_herd():
    """Simultaneous requests spread over nodes that differ by a few percent."""
    federation = Federation({"a": 0.191, "b": 0.201})
    federation.run(30.0)
    federation.served.clear()
    for _ in range(100):
        federation.stage.spawn(federation.ask())
    federation.stage.env.run(until=federation.stage.clock.now() + 2.0)

    assert min(federation.served["a"], federation.served["b"]) >= 45


def test_9_a_node_that_health_does_not_watch():
    """A node unknown to the health checker that fails is left: the retry goes elsewhere."""
    federation = Federation({"a": 0.2, "b": 0.2})
    for node in "ab":
        federation.health.deregister_node(NodeId(node))
    federation.down.add("a")
    federation.run(20.0)

    assert not federation.failed
    assert federation.served["b"] == 40


def test_10_cost_tolerance_is_gradual():
    """Every step of tolerance moves the score from price towards speed."""
    federation = Federation({"a": 0.5}, policies=[CostPolicy()])
    federation.catalog.add(deployment("a", pool="pool", cost_usd_per_hour=2.0))
    federation.run(10.0)

    totals = []
    for tolerance in range(0, 101, 10):
        asked = request(cost_tolerance=tolerance)
        (candidate,) = federation.stage.run(federation.gateway.router.get_candidates(asked))
        totals.append(candidate.scores.total)
    assert totals == sorted(totals)
    assert len(set(totals)) == 11


def test_privacy_is_an_error_of_its_own():
    """What privacy forbids is neither no capacity nor bad health, and is not tried again."""
    federation = Federation(
        {"a": 0.2}, policies=[PrivacyPolicy({RegionId("east"): PrivacyLevel.PUBLIC})]
    )
    federation.run(5.0)

    assert federation.failed == {"privacy_violation": 10}
    assert federation.network.sent == []
