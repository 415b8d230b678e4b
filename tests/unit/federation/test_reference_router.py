"""The reference's policies and router, against the figures of the original."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from fedsim.federation.contracts import (
    AllNodesUnhealthy,
    Capability,
    CircuitState,
    LoadBalanceStrategy,
    NoCapacity,
    NodeId,
    PrivacyLevel,
    RegionId,
    RouteCandidate,
    RouteScores,
    RouteTarget,
)
from fedsim.federation.reference.builder import ReferenceBuilder
from fedsim.federation.reference.config import ReferenceConfig
from fedsim.federation.reference.health import ReferenceHealth
from fedsim.federation.reference.policies import (
    CompositePolicy,
    ReferenceCostPolicy,
    ReferenceHealthPolicy,
    ReferenceLatencyPolicy,
    ReferenceLocalityPolicy,
    ReferencePrivacyPolicy,
)
from fedsim.federation.reference.router import ReferenceRouter
from fedsim.federation.runtime import Surroundings
from tests.unit.federation.stand_ins import (
    EAST,
    HandClock,
    Network,
    Stage,
    catalog_of,
    deployment,
    drive,
    request,
)


def candidate(latency_ms=100, region=EAST, **scores):
    """Return a candidate with a latency and scores."""
    target = RouteTarget(NodeId("a"), region, estimated_latency_s=latency_ms / 1000.0)
    return RouteCandidate(target, RouteScores(**scores))


class Scene:
    """A router of the reference before nodes whose health is told by hand."""

    def __init__(self, *nodes, strategy=LoadBalanceStrategy.LEAST_LATENCY, seed=1, **config):
        self.clock = HandClock()
        self.catalog = catalog_of(*nodes)
        self.gateway = ReferenceBuilder(self.catalog, strategy, ReferenceConfig(**config)).build(
            Surroundings(
                Network(self.clock),
                self.clock,
                Stage().tasks,
                lambda purpose: random.Random(f"{purpose} {seed}"),
            )
        )
        assert isinstance(self.gateway.router, ReferenceRouter)
        assert isinstance(self.gateway.health, ReferenceHealth)
        self.router, self.health = self.gateway.router, self.gateway.health
        self.breaker = self.gateway.breaker

    def serve(self, node, latency_ms, count=2):
        """Report successes of a node."""
        for _ in range(count):
            self.health.report_success(NodeId(node), latency_ms / 1000.0)

    def fail(self, node, count=1):
        """Report failures of a node to its health alone."""
        for _ in range(count):
            self.health.report_failure(NodeId(node))

    def break_circuit(self, node):
        """Open a node's circuit."""
        for _ in range(5):
            self.breaker.record_failure(NodeId(node))

    def route(self, asked=None):
        """Return the node chosen."""
        return drive(self.router.route(asked or request())).node_id

    def totals(self, **qos):
        """Return the totals of all candidates by node, best first."""
        found = drive(self.router.get_candidates(request(**qos)))
        return {each.target.node_id: each.scores.total for each in found}

    def put(self, node, status, p50_ms):
        """Bring a node to a status and an average, straight in its record."""
        record = self.health._records[NodeId(node)]
        record.p50_ms = p50_ms
        record.status = type(record.status)(status)


class TestPolicies:
    """One policy at a time."""

    @pytest.mark.parametrize(
        ("latency_ms", "score"), [(0, 1.0), (100, 0.98), (4000, 0.2), (5000, 0.0), (6000, 0.0)]
    )
    def test_latency(self, latency_ms, score):
        """The score falls to 0 at five seconds, times the weight."""
        for weight in (1.0, 2.0):
            policy = ReferenceLatencyPolicy(weight)
            assert policy.score(candidate(latency_ms), request()) == pytest.approx(weight * score)

    def test_latency_excludes(self):
        """At the limit a node is eligible, a millisecond above it is not; qos is not read."""
        policy = ReferenceLatencyPolicy(max_latency_s=1.0)
        assert policy.is_eligible(candidate(1000), request(max_latency_s=0.001))
        assert not policy.is_eligible(candidate(1001), request(max_latency_s=60.0))

    def test_locality(self):
        """0.5 plus 0.3 of the locality score, which is 0.5 for everybody: 0.65."""
        assert ReferenceLocalityPolicy().score(candidate(), request()) == 0.65

    @pytest.mark.parametrize(
        ("level", "asked", "eligible"),
        [
            ("confidential", "confidential", True),
            ("public", "confidential", False),
            (None, "internal", True),
            (None, "confidential", False),
            ("restricted", "restricted", True),
            ("confidential", "restricted", False),
            ("public", "public", True),
        ],
    )
    def test_privacy(self, level, asked, eligible):
        """A region must be at least as private as the request; an unnamed one is internal."""
        levels = {} if level is None else {EAST: PrivacyLevel[level.upper()]}
        policy = ReferencePrivacyPolicy(levels)
        asked = request(privacy=PrivacyLevel[asked.upper()])
        assert policy.is_eligible(candidate(), asked) is eligible
        assert policy.score(candidate(), asked) == 1.0

    @pytest.mark.parametrize(
        ("tolerance", "cost", "score"),
        [(80, 0.8, 0.7), (20, 0.8, 0.2), (20, None, 0.5), (50, 0.3, 0.7), (51, 0.3, 0.7)],
    )
    def test_cost(self, tolerance, cost, score):
        """Up to a tolerance of 50 the price counts, above it throughput, here 0.7."""
        policy = ReferenceCostPolicy(region_costs={} if cost is None else {EAST: cost})
        asked = request(cost_tolerance=tolerance)
        assert policy.score(candidate(throughput_score=0.7), asked) == pytest.approx(score)

    @pytest.mark.parametrize(("cost", "score"), [(1.5, 0.0), (-0.5, 1.0)])
    def test_costs_are_clamped(self, cost, score):
        """Costs below 0 count as 0, above 1 as 1."""
        policy = ReferenceCostPolicy(region_costs={EAST: cost})
        assert policy.score(candidate(), request(cost_tolerance=0)) == score

    def test_health(self):
        """The weight is 2; anything above 0 is eligible."""
        policy = ReferenceHealthPolicy()
        assert policy.score(candidate(health_score=1.0), request()) == 2.0
        assert ReferenceHealthPolicy(3.0).score(candidate(health_score=1.0), request()) == 3.0
        assert policy.is_eligible(candidate(health_score=0.01), request())
        assert not policy.is_eligible(candidate(health_score=0.0), request())

    def test_composite(self):
        """The mean over the number of policies, whatever their weights; eligible where all are."""
        assert CompositePolicy([]).score(candidate(), request()) == 1.0
        assert CompositePolicy([]).is_eligible(candidate(), request())
        both = CompositePolicy([ReferenceHealthPolicy(1.0), ReferenceLatencyPolicy()])
        assert both.score(candidate(0, health_score=1.0), request()) == 1.0
        good, bad = candidate(100, health_score=1.0), candidate(4000, health_score=0.2)
        assert both.score(good, request()) > both.score(bad, request())
        assert not both.is_eligible(candidate(6000), request())


class TestScores:
    """The totals of the default composite."""

    @pytest.mark.parametrize(
        ("status", "p50_ms", "total"),
        [
            ("healthy", 0, 1.030),
            ("healthy", 1000, 0.990),
            ("healthy", 5000, 0.830),
            ("degraded", 0, 0.830),
            ("degraded", 1000, 0.790),
            ("degraded", 5000, 0.630),
            ("unknown", 0, 0.750),
            ("unknown", 1000, 0.710),
            ("unknown", 5000, 0.550),
        ],
    )
    def test_table(self, status, p50_ms, total):
        """The table of totals; a cost tolerance above 50 takes 0.1 from each."""
        scene = Scene("a")
        scene.put("a", status, p50_ms)
        assert scene.totals() == {"a": pytest.approx(total)}
        assert scene.totals(cost_tolerance=51) == {"a": pytest.approx(total - 0.1)}
        assert scene.totals(cost_tolerance=0) == scene.totals(cost_tolerance=50)
        assert scene.totals(cost_tolerance=100) == scene.totals(cost_tolerance=51)

    def test_health_comes_first(self):
        """The slowest healthy node beats the fastest degraded one."""
        scene = Scene("a", "b")
        scene.put("a", "degraded", 11)
        scene.put("b", "healthy", 991)
        assert scene.route() == "b"

    def test_the_class_costs_five_seconds(self):
        """A degraded node of 0 ms is worth a healthy one of 5000 ms."""
        scene = Scene("a", "b")
        scene.put("a", "degraded", 0)
        scene.put("b", "healthy", 5000)
        totals = scene.totals()
        assert totals["a"] == pytest.approx(totals["b"])

    def test_a_node_that_failed_beats_one_that_was_never_tried(self):
        """A failure lifts an unknown node from 0.75 to 0.83."""
        scene = Scene("a", "b")
        scene.fail("b")
        assert scene.route() == "b"
        assert scene.totals() == {"b": pytest.approx(0.83), "a": pytest.approx(0.75)}


class TestCandidates:
    """Who is considered."""

    def test_all_of_a_capability(self):
        """Nodes with the exact capability are candidates, in the order of their registration."""
        scene = Scene("a", "b", deployment("c", model="bge", capabilities=(Capability.EMBED,)))
        assert list(scene.totals()) == ["a", "b"]
        assert scene.route(request(capability=Capability.EMBED)) == "c"

    def test_the_status_of_a_deployment_is_not_looked_at(self):
        """A node that is loading is routed to."""
        scene = Scene("a")
        scene.catalog.set_status(NodeId("a"), deployment("a").status.LOADING)
        assert scene.route() == "a"

    def test_capabilities_are_those_of_the_first_registration(self):
        """What a later deployment of the model can do besides is not found."""
        both = (Capability.GENERATE, Capability.CODE)
        scene = Scene("a", deployment("b", capabilities=both))
        with pytest.raises(NoCapacity):
            scene.route(request(capability=Capability.CODE))
        first = Scene(deployment("a", capabilities=both), "b")
        assert first.totals().keys() == {"a", "b"}
        assert drive(first.router.route(request(capability=Capability.CODE))).node_id == "a"

    def test_no_capacity(self):
        """Without candidates, for want of the capability, by circuits or by health, no capacity."""
        with pytest.raises(NoCapacity):
            Scene().route()
        with pytest.raises(NoCapacity):
            Scene("a").route(request(capability=Capability.TRANSCRIBE))
        broken = Scene("a")
        broken.break_circuit("a")
        with pytest.raises(NoCapacity):
            broken.route()
        ill = Scene("a")
        ill.fail("a", 3)
        with pytest.raises(NoCapacity):
            ill.route()
        assert ill.totals() == broken.totals() == {}

    def test_all_nodes_unhealthy(self):
        """With candidates that policies reject, whatever for, all nodes are said to be unhealthy.

        The default composite takes every region for internal.
        """
        for level in (PrivacyLevel.CONFIDENTIAL, PrivacyLevel.RESTRICTED):
            with pytest.raises(AllNodesUnhealthy):
                Scene("a").route(request(privacy=level))
        slow = Scene("a")
        slow.put("a", "healthy", 5001)
        with pytest.raises(AllNodesUnhealthy):
            slow.route()
        (rejected,) = drive(slow.router.get_candidates(request()))
        assert not rejected.eligible
        assert rejected.rejection_reason == "Policy rejected"
        assert rejected.scores.total == 0.0

    def test_a_score_below_the_least_is_none(self):
        """With a cost policy alone and a high tolerance, every node scores 0."""
        scene = Scene("a", policies={"cost": 1.0})
        assert scene.route(request(cost_tolerance=50)) == "a"
        with pytest.raises(AllNodesUnhealthy):
            scene.route(request(cost_tolerance=51))

    def test_policies_by_hand_know_the_regions(self):
        """A composite built with the regions' levels honours them."""
        levels = {RegionId("east"): PrivacyLevel.PUBLIC, RegionId("west"): PrivacyLevel.RESTRICTED}
        scene = Scene("a", deployment("b", "west"), region_privacy=levels)
        assert scene.route(request(privacy=PrivacyLevel.RESTRICTED)) == "b"

    def test_the_breaker_is_asked_before_health(self):
        """Routing half-opens a circuit that is due although the node is left out as unhealthy."""
        scene = Scene("a")
        scene.break_circuit("a")
        scene.fail("a", 3)
        scene.clock.now_s = 30.0
        assert scene.breaker.state(NodeId("a")) is CircuitState.OPEN
        assert scene.totals() == {}
        assert scene.breaker.state(NodeId("a")) is CircuitState.HALF_OPEN

    def test_nodes_that_were_never_registered(self):
        """They count as unknown with a second, and stay so whatever they do."""
        scene = Scene("a", "b", health=None)
        scene.serve("b", 10)
        scene.fail("a", 5)
        assert scene.totals() == {"a": pytest.approx(0.71), "b": pytest.approx(0.71)}
        assert scene.route() == "a"

    def test_a_node_that_joins_later_is_not_registered(self):
        """The catalog does not tell the health checker of it."""
        scene = Scene("a")
        scene.catalog.add(deployment("b"))
        assert scene.totals() == {"a": pytest.approx(0.75), "b": pytest.approx(0.71)}
        assert scene.health.total_count() == 1


class TestChoice:
    """Who is chosen among candidates."""

    @pytest.mark.parametrize("strategy", list(LoadBalanceStrategy))
    def test_four_of_five_strategies_take_the_best(self, strategy):
        """All routes go to one of three nodes, unless they are drawn by score: 30,000 of them.

        With the default composite two healthy nodes have 1.03 and the degraded one 0.83.
        """
        scene = Scene("a", "b", "c", strategy=strategy)
        for node, status in (("a", "degraded"), ("b", "healthy"), ("c", "healthy")):
            scene.put(node, status, 0)
        drawn = strategy is LoadBalanceStrategy.WEIGHTED_RANDOM
        routes = 30_000 if drawn else 300
        counts = Counter(scene.route(request(n, tenant=f"t{n}")) for n in range(routes))
        if not drawn:
            assert counts == {"b": routes}
            return
        for node, score in (("a", 0.83), ("b", 1.03), ("c", 1.03)):
            share = score / 2.89
            deviation = math.sqrt(30_000 * share * (1.0 - share))
            assert abs(counts[node] - 30_000 * share) < 3.5 * deviation
            published = {"a": 8733, "b": 10676, "c": 10591}[node]
            assert abs(published - 30_000 * share) < 3.5 * deviation

    def test_the_draw_is_among_ten(self):
        """Of twelve equal nodes, ten are ever drawn."""
        nodes = [f"n{number:02}" for number in range(12)]
        scene = Scene(*nodes, strategy=LoadBalanceStrategy.WEIGHTED_RANDOM)
        assert {scene.route() for _ in range(1000)} == set(nodes[:10])

    def test_ties_go_to_the_first(self):
        """Of equals in one model the one that was registered first is chosen, every time."""
        scene = Scene("b", "a", "c")
        assert {scene.route() for _ in range(100)} == {"b"}

    def test_models_have_an_order_by_chance(self):
        """Of equals in two models one is chosen always, by chance: 237 to 163 in 400 originals."""
        nodes = (deployment("a", model="x"), deployment("b", model="y"))
        firsts: Counter[str] = Counter()
        for seed in range(400):
            scene = Scene(*nodes, seed=seed)
            first = scene.route()
            assert scene.route() == first
            firsts[first] += 1
        assert abs(firsts["a"] - 200) < 3.5 * 10.0

    def test_multi_region_routing(self):
        """Of 45 ms and 120 ms the faster one, wherever; a node of one success although unknown."""
        there, here = (
            deployment(node, model="whisper", capabilities=(Capability.TRANSCRIBE,))
            for node in ("eu-west", "us-west")
        )
        scene = Scene(there, here, "us-east")
        scene.serve("us-west", 45, 3)
        scene.serve("eu-west", 120, 3)
        scene.serve("us-east", 30, 1)
        assert scene.route(request(capability=Capability.TRANSCRIBE)) == "us-west"
        assert scene.route() == "us-east"
