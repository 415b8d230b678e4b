"""The router: who may serve, what it says of those that may not, and which error comes of it."""

from __future__ import annotations

import pickle
import random
from dataclasses import replace

import pytest

from fedsim.federation.catalog import DeploymentStatus
from fedsim.federation.contracts import (
    AllNodesUnhealthy,
    Capability,
    CircuitOpen,
    CircuitState,
    HealthState,
    LoadBalanceStrategy,
    ModelId,
    NoCapacity,
    NodeHealth,
    NodeId,
    PrivacyLevel,
    PrivacyViolation,
    QoSViolation,
    RegionId,
    RoutingPolicyTrait,
)
from fedsim.federation.policies import (
    CostPolicy,
    HealthPolicy,
    LatencyPolicy,
    LocalityPolicy,
    PrivacyPolicy,
    ThroughputPolicy,
)
from fedsim.federation.router import Router
from fedsim.federation.strategies.turns import RoundRobin
from tests.unit.federation.stand_ins import (
    EAST,
    HandClock,
    RouterScene,
    catalog_of,
    deployment,
    drive,
    request,
    unreachable,
)

WEST = RegionId("west")
EMBED = Capability.EMBED


def scene_with_all_policies(*nodes, privacy=None, **more):
    """Return a scene whose router has all of our policies."""
    scene = RouterScene(*nodes, **more)
    policies: list[RoutingPolicyTrait] = [
        HealthPolicy(),
        LatencyPolicy(),
        ThroughputPolicy(scene.health),
        PrivacyPolicy(privacy or {}),
        LocalityPolicy(),
        CostPolicy(),
    ]
    scene.router = Router(
        scene.catalog,
        RoundRobin(),
        scene.clock,
        EAST,
        random.Random(1),
        scene.health,
        scene.breaker,
        policies,
    )
    return scene


class TestCatalog:
    """What the catalog says is honoured."""

    @pytest.mark.parametrize("status", ["loading", "draining", "removed"])
    def test_only_ready_nodes_serve(self, status):
        """A node that is loading, draining or removed gets nothing until it is ready."""
        scene = RouterScene("a", "b")
        scene.set_status("a", status)
        assert scene.routes(3) == "bbb"
        assert scene.explain() == {"a": f"its deployment is {status}", "b": None}

        scene.set_status("a", "ready")
        assert set(scene.routes(2)) == {"a", "b"}

    def test_only_nodes_with_the_capability_serve(self):
        """Other models' nodes are not asked, and the explanation says so."""
        scene = RouterScene("a", deployment("b", capabilities=(EMBED,)))

        assert scene.routes(3) == "aaa"
        assert scene.routes(3, request(capability=EMBED)) == "bbb"
        assert scene.explain() == {"a": None, "b": "it has no capability generate"}

    def test_only_nodes_with_the_model_serve(self):
        """A request for a model goes to no other; explanation and error name the model."""
        scene = RouterScene(deployment("a", model="large"), deployment("b", model="small"))
        for_small = replace(request(), model="small")

        assert scene.routes(3, for_small) == "bbb"
        assert set(scene.routes(4)) == {"a", "b"}
        assert scene.explain(for_small) == {
            "a": "it serves large, not the model small",
            "b": None,
        }
        scene.set_status("b", "draining")
        with pytest.raises(NoCapacity) as raised:
            scene.route(for_small)
        assert str(raised.value) == "No nodes available for capability: generate, model: small"
        assert raised.value.model == "small"
        assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)

    def test_a_request_for_a_model_is_not_for_its_other_capabilities(self):
        """Of a node with two models the one that is asked for must have the capability itself."""
        scene = RouterScene("a", deployment("a", model="bge", capabilities=(EMBED,)))

        assert scene.route(replace(request(capability=EMBED), model="bge")) == "a"
        with pytest.raises(NoCapacity, match="capability: generate, model: bge"):
            scene.route(replace(request(), model="bge"))

    def test_every_model_of_a_node_serves(self):
        """A node with two models serves both; each model's status is its own."""
        scene = RouterScene("a", deployment("a", model="bge", capabilities=(EMBED,)))
        assert scene.route() == "a"
        assert scene.route(request(capability=EMBED)) == "a"

        scene.catalog.add(
            deployment("a", model="bge", capabilities=(EMBED,), status=DeploymentStatus.LOADING)
        )
        assert scene.route() == "a"
        with pytest.raises(NoCapacity, match="No nodes available for capability: embed"):
            scene.route(request(capability=EMBED))
        assert scene.explain(request(capability=EMBED)) == {"a": "its deployment is loading"}

    def test_one_of_two_models_is_enough(self):
        """A node serves as long as one of its models with the capability is ready."""
        scene = RouterScene(
            deployment("a", status=DeploymentStatus.DRAINING), deployment("a", model="new")
        )
        assert scene.route() == "a"
        assert list(scene.explain()) == ["a"]

    def test_nodes_come_and_go(self):
        """Registration, deregistration and registration anew take effect at once."""
        scene = RouterScene("a")
        scene.catalog.add(deployment("b"))
        assert set(scene.routes(2)) == {"a", "b"}
        drive(scene.catalog.deregister(ModelId("llama"), NodeId("a")))
        assert scene.routes(2) == "bb"

        scene.catalog.add(deployment("a", capabilities=(EMBED,)))
        assert scene.routes(2) == "bb"
        assert scene.route(request(capability=EMBED)) == "a"

    def test_target(self):
        """The target says where the node is and what is known of it."""
        scene = RouterScene(deployment("a", "west", endpoint="http://a"))
        scene.serve("a", 0.5)
        found = drive(scene.router.route(request()))

        assert (found.node_id, found.region_id, found.endpoint) == ("a", "west", "http://a")
        assert (found.estimated_latency_s, found.score) == (0.5, 1.0)


class TestHealth:
    """What the health checker says is honoured."""

    @pytest.mark.parametrize("build", [RouterScene, scene_with_all_policies])
    def test_an_unhealthy_node_is_skipped_and_comes_back(self, build):
        """Unhealthy nodes get nothing, with or without the health policy, until they recover."""
        scene = build("a", "b")
        scene.probe("a", unreachable(), count=3)
        assert scene.routes(3) == "bbb"
        assert scene.explain() == {"a": "the node is unhealthy", "b": None}

        scene.probe("a", 50, count=2)
        assert set(scene.routes(2)) == {"a", "b"}

    def test_unknown_and_degraded_nodes_serve(self):
        """A node that is new, or that fails now and then, is not starved."""
        scene = scene_with_all_policies("a", "b", "c")
        scene.serve("a", 0.1)
        for _ in range(3):
            scene.health.report_failure(NodeId("b"))

        assert scene.health.get_cached_health(NodeId("b")).status is HealthState.DEGRADED
        assert sorted(scene.routes(6)) == ["a", "a", "b", "b", "c", "c"]

    def test_watching_anew_takes_effect(self):
        """A record that the health checker has replaced is not read any more."""
        scene = RouterScene("a", "b")
        scene.probe("a", unreachable(), count=3)
        assert scene.route() == "b"
        scene.health.deregister_node(NodeId("a"))
        scene.health.register_node(NodeId("a"))

        assert set(scene.routes(2)) == {"a", "b"}


class TestQualityOfService:
    """Every field of the request's quality of service is honoured."""

    def test_max_latency(self):
        """A node whose median exceeds the limit is left out until its estimate expires."""
        scene = scene_with_all_policies("a", "b")
        scene.serve("a", 2.0)
        scene.serve("b", 0.5)
        fast = request(max_latency_s=1.0)
        assert scene.routes(3, fast) == "bbb"
        assert scene.explain(fast)["a"] == (
            "its latency, estimated at 2 s, exceeds the request's limit of 1 s"
        )
        assert set(scene.routes(2)) == {"a", "b"}  # other requests have no limit

        scene.clock.now_s = 60.0
        assert set(scene.routes(2, fast)) == {"a", "b"}

    def test_one_slow_answer_excludes_nobody(self):
        """A median excludes a node from five samples on, where the policy knows how many."""
        scene = RouterScene("a", "b")
        policies: list[RoutingPolicyTrait] = [LatencyPolicy(health=scene.health)]
        scene.router = Router(
            scene.catalog,
            RoundRobin(),
            scene.clock,
            EAST,
            random.Random(1),
            scene.health,
            None,
            policies,
        )
        fast = request(max_latency_s=1.0)
        assert set(scene.routes(2, fast)) == {"a", "b"}
        scene.serve("a", 3.0, count=4)
        assert set(scene.routes(4, fast)) == {"a", "b"}
        scene.serve("a", 3.0, count=1)
        assert scene.routes(2, fast) == "bb"
        assert scene.explain(fast)["a"] is not None
        scene.clock.now_s += 60.0
        assert set(scene.routes(2, fast)) == {"a", "b"}

    def test_max_latency_follows_the_median(self):
        """A median that rises above the limit excludes at once, and one that falls readmits."""
        scene = scene_with_all_policies("a", "b")
        fast = request(max_latency_s=1.0)
        assert set(scene.routes(2, fast)) == {"a", "b"}
        scene.serve("a", 2.0)
        assert scene.routes(3, fast) == "bbb"
        scene.serve("a", 0.1, count=20)

        assert set(scene.routes(2, fast)) == {"a", "b"}

    def test_min_throughput(self):
        """A node that reports too little is left out; one that reports nothing is not."""
        scene = scene_with_all_policies("a", "b", "c")
        scene.probe("a", 49)
        scene.probe("b", 50)
        wanted = request(min_throughput=50)
        assert set(scene.routes(4, wanted)) == {"b", "c"}

        scene.probe("a", 90)
        assert set(scene.routes(6, wanted)) == {"a", "b", "c"}

    def test_privacy(self):
        """Only regions that are private enough serve."""
        privacy = {EAST: PrivacyLevel.PUBLIC, WEST: PrivacyLevel.CONFIDENTIAL}
        scene = scene_with_all_policies("a", deployment("b", "west"), privacy=privacy)
        secret = request(privacy=PrivacyLevel.CONFIDENTIAL)

        assert scene.routes(3, secret) == "bbb"
        assert scene.explain(secret)["a"] == (
            "region east may hold data up to public, the request is confidential"
        )
        assert set(scene.routes(2, request(privacy=PrivacyLevel.PUBLIC))) == {"a", "b"}

    def test_prefer_gpu(self):
        """Nodes without a GPU are left out while one with a GPU may serve, and only then."""
        scene = RouterScene("a", deployment("b", gpu="h100"))
        assert scene.routes(3) == "bbb"
        assert scene.explain()["a"] == (
            "the request prefers a GPU, this node has none, and one that has is eligible"
        )
        assert set(scene.routes(2, request(prefer_gpu=False))) == {"a", "b"}

        scene.break_circuit("b")
        assert scene.routes(3) == "aaa"
        assert scene.explain() == {"a": None, "b": "its circuit is open"}

    def test_prefer_gpu_gives_way_to_a_retry(self):
        """A retry that has tried all nodes with a GPU goes to one without."""
        scene = RouterScene("a", deployment("b", gpu="h100"))

        assert scene.route(excluded=["b"]) == "a"

    def test_cost_tolerance(self):
        """A thrifty request prefers the cheap node, an impatient one the fast node."""
        scene = RouterScene(
            deployment("cheap", cost_usd_per_hour=1.0),
            deployment("fast", cost_usd_per_hour=4.0),
            policies=[CostPolicy()],
            strategy=LoadBalanceStrategy.WEIGHTED_RANDOM,
        )
        scene.serve("cheap", 4.0)
        scene.serve("fast", 0.5)

        def totals(tolerance):
            candidates = drive(scene.router.get_candidates(request(cost_tolerance=tolerance)))
            return {each.target.node_id: each.scores.total for each in candidates}

        assert totals(0) == pytest.approx({"cheap": 0.75, "fast": 0.0})
        assert totals(100) == pytest.approx({"cheap": 0.2, "fast": 0.9})


class TestErrors:
    """Each reason why nobody may serve has its own error."""

    def test_no_node_at_all(self):
        """An empty catalog has no capacity."""
        with pytest.raises(NoCapacity):
            RouterScene().route()

    def test_no_ready_node_with_the_capability(self):
        """Nodes that drain, or have other capabilities, are no capacity."""
        scene = RouterScene("a", deployment("b", capabilities=(EMBED,)))
        scene.set_status("a", "draining")
        with pytest.raises(NoCapacity, match="No nodes available for capability: generate"):
            scene.route()

    def test_privacy_leaves_none(self):
        """Where all regions are too public, the error names the levels."""
        scene = scene_with_all_policies("a", deployment("b", capabilities=(EMBED,)))
        with pytest.raises(
            PrivacyViolation,
            match="region east may hold data up to internal, the request is restricted",
        ):
            scene.route(request(privacy=PrivacyLevel.RESTRICTED))

    def test_quality_of_service_leaves_none_of_the_rest(self):
        """Of nodes that may hold the data all are too slow; others do not matter."""
        privacy = {WEST: PrivacyLevel.PUBLIC}
        scene = scene_with_all_policies("a", deployment("b", "west"), privacy=privacy)
        scene.serve("a", 2.0)
        with pytest.raises(QoSViolation, match=r"QoS requirements cannot be met: its latency, .*"):
            scene.route(request(max_latency_s=1.0))

    def test_every_remaining_circuit_is_open(self):
        """The error names the circuit that half-opens first."""
        scene = RouterScene("a", "b", "c")
        for at_s, node in ((0.0, "b"), (1.0, "c"), (2.0, "a")):
            scene.clock.now_s = at_s
            scene.break_circuit(node)
        with pytest.raises(CircuitOpen) as caught:
            scene.route()

        assert caught.value.node_id == "b"
        scene.clock.now_s = 30.0
        assert scene.route() == "b"

    def test_every_probe_is_taken(self):
        """A half-open circuit with its probe under way is open to everyone else."""
        scene = RouterScene("a")
        scene.break_circuit("a")
        scene.clock.now_s = 30.0
        assert scene.breaker.try_acquire(NodeId("a"))
        assert scene.explain() == {"a": "its circuit is half-open"}
        with pytest.raises(CircuitOpen, match="Circuit breaker open for node: a"):
            scene.route()

        scene.breaker.release(NodeId("a"))
        assert scene.route() == "a"
        assert scene.breaker.try_acquire(NodeId("a"))
        with pytest.raises(CircuitOpen):
            scene.route()

    def test_nobody_is_healthy(self):
        """Closed circuits of unhealthy nodes are another error than open ones."""
        scene = scene_with_all_policies("a", "b")
        for node in "ab":
            scene.probe(node, unreachable(), count=3)
        with pytest.raises(AllNodesUnhealthy, match="All nodes unhealthy for capability: generate"):
            scene.route()

        scene.break_circuit("a")
        with pytest.raises(AllNodesUnhealthy):
            scene.route()  # b's circuit is closed, so open circuits are not the reason

        scene.break_circuit("b")
        with pytest.raises(CircuitOpen):
            scene.route()

    def test_privacy_comes_before_everything_that_passes(self):
        """A node that is unhealthy, too slow, broken and too public is too public."""
        scene = scene_with_all_policies("a")
        scene.serve("a", 9.0)
        scene.break_circuit("a")
        scene.probe("a", unreachable(), count=3)
        with pytest.raises(PrivacyViolation):
            scene.route(request(privacy=PrivacyLevel.RESTRICTED, max_latency_s=1.0))
        with pytest.raises(QoSViolation):
            scene.route(request(max_latency_s=1.0))


class TestExplanation:
    """`get_candidates` explains, and changes nothing."""

    def test_every_node_with_all_its_scores(self):
        """All nodes are listed, those that may not serve too, with the parts of the score."""
        scene = scene_with_all_policies(
            deployment("a", cost_usd_per_hour=2.0),
            deployment("b", "west", cost_usd_per_hour=8.0),
            deployment("c", capabilities=(EMBED,)),
        )
        scene.serve("a", 1.0)
        scene.probe("a", 40)
        scene.probe("b", 80)
        a, b, c = drive(scene.router.get_candidates(request()))

        assert [each.target.node_id for each in (a, b, c)] == ["a", "b", "c"]
        assert (a.scores.latency_score, b.scores.latency_score) == (0.8, 0.5)
        assert (a.scores.throughput_score, b.scores.throughput_score) == (0.5, 1.0)
        costs = [each.scores.cost_score for each in (a, b, c)]
        assert costs == pytest.approx([(0.75 + 0.8) / 2, (0.0 + 0.5) / 2, (0.5 + 0.5) / 2])
        assert (a.scores.locality_score, b.scores.locality_score) == (1.0, 0.0)
        assert (a.scores.health_score, c.scores.health_score) == (1.0, 0.5)
        # health 2 x 1, latency 0.8, throughput 0.5, locality 1, cost (0.75 + 0.8) / 2
        assert a.scores.total == pytest.approx((2.0 + 0.8 + 0.5 + 1.0 + 0.775) / 6.0)
        assert a.target.score == a.scores.total
        assert not c.eligible

    def test_route_scores_alike(self):
        """The chosen target is the one that the explanation shows."""
        scene = scene_with_all_policies("a", "b")
        scene.serve("a", 0.7)
        explained = {each.target for each in drive(scene.router.get_candidates(request()))}

        assert {drive(scene.router.route(request())) for _ in range(2)} == explained

    def test_changes_nothing(self):
        """Asking for candidates moves no turn, no circuit and no health."""
        scene = RouterScene("a", "b", "c")
        twin = RouterScene("a", "b", "c")
        for each in (scene, twin):
            each.break_circuit("a")
            each.serve("b", 1.0)
            each.route()
            each.clock.now_s = 31.0
        for _ in range(3):
            assert scene.explain() == {"a": None, "b": None, "c": None}

        assert scene.breaker.troubled[NodeId("a")].state is CircuitState.OPEN  # not noted yet
        assert scene.routes(6) == twin.routes(6)

    def test_throughput_survives_a_change_of_the_catalog(self):
        """Known throughputs are set against each other also after the catalog has changed."""
        scene = RouterScene("a", "b")
        scene.probe("a", 40)
        scene.probe("b", 80)
        scene.catalog.add(deployment("c"))
        found = drive(scene.router.get_candidates(request()))

        assert [each.scores.throughput_score for each in found] == [0.5, 1.0, 0.5]


class TestRetries:
    """Routing around nodes that were tried."""

    def test_avoids_the_excluded(self):
        """Nodes that were tried are not chosen while another is eligible."""
        scene = RouterScene("a", "b", "c")

        assert {scene.route(excluded=["a"]) for _ in range(6)} == {"b", "c"}
        assert {scene.route(excluded=["a", "b"]) for _ in range(3)} == {"c"}

    def test_falls_back_to_the_excluded(self):
        """Where all eligible nodes were tried, it is any but the last, or that if it is alone."""
        scene = RouterScene("a", "b", "c", "d")
        scene.break_circuit("d")
        assert {scene.route(excluded=["a", "b", "c"]) for _ in range(4)} == {"a", "b"}

        scene.break_circuit("a")
        scene.break_circuit("b")
        assert scene.route(excluded=["a", "b", "c"]) == "c"

    def test_errors_are_the_same(self):
        """Where nobody is eligible, a retry is told why as a first attempt is."""
        scene = RouterScene("a")
        scene.break_circuit("a")
        with pytest.raises(CircuitOpen):
            scene.route(excluded=["a"])


class Toggle:
    """A breaker, a health checker and a policy that know their contracts alone."""

    def __init__(self):
        self.open: set[str] = set()
        self.unhealthy: set[str] = set()
        self.refused: set[str] = set()

    def is_open(self, node_id):
        """Return whether the node was switched off."""
        return node_id in self.open

    def state(self, node_id):
        """Return the state."""
        return CircuitState.OPEN if node_id in self.open else CircuitState.CLOSED

    def record_success(self, node_id):
        """Ignore it."""

    def record_failure(self, node_id):
        """Ignore it."""

    async def check_node(self, node_id):
        """Return what is cached."""
        return self.get_cached_health(node_id)

    def get_cached_health(self, node_id):
        """Return a health of 70 tokens/s and 0.25 s; nothing for node z."""
        if node_id == "z":
            return None
        status = HealthState.UNHEALTHY if node_id in self.unhealthy else HealthState.HEALTHY
        return NodeHealth(node_id, status, 0.25, 0.5, 70, None, 0, 0.0)

    async def start_monitoring(self, interval_s):
        """Do nothing."""

    async def stop_monitoring(self):
        """Do nothing."""

    def score(self, candidate, request):
        """Prefer later letters."""
        return ord(candidate.target.node_id) / 128

    def is_eligible(self, candidate, request):
        """Return whether the node was not refused."""
        return candidate.target.node_id not in self.refused

    def name(self):
        """Return a name."""
        return "toggle"


class TestForeignParts:
    """Parts that announce nothing are asked every time."""

    def scene(self, foreign_policy=True):
        """Return a toggle, and a function that names who may serve."""
        toggle = Toggle()
        policies = [toggle] if foreign_policy else []
        router = Router(
            catalog_of("a", "b", "z"),
            RoundRobin(),
            HandClock(),
            EAST,
            random.Random(1),
            toggle,
            toggle,
            policies,
        )

        def eligible():
            found = drive(router.get_candidates(request()))
            names = {each.target.node_id for each in found if each.eligible}
            assert {drive(router.route(request())).node_id for _ in range(3)} == names
            return "".join(sorted(names))

        return toggle, router, eligible

    def test_changes_are_seen_at_once(self):
        """A switch of breaker, health or policy counts from the next request on, both ways."""
        toggle, _, eligible = self.scene()
        assert eligible() == "abz"
        for switch in (toggle.open, toggle.unhealthy, toggle.refused):
            switch.add("a")
            assert eligible() == "bz"
            switch.clear()
            assert eligible() == "abz"

    def test_errors(self):
        """Foreign parts' verdicts become the same errors."""
        toggle, router, _ = self.scene()
        toggle.refused.update("abz")
        with pytest.raises(QoSViolation, match="policy toggle refuses it"):
            drive(router.route(request()))
        toggle.refused.clear()
        toggle.open.update("abz")
        with pytest.raises(CircuitOpen, match="node: a"):
            drive(router.route(request()))
        toggle.open.clear()
        toggle.unhealthy.update("ab")
        toggle.open.add("z")
        with pytest.raises(AllNodesUnhealthy):
            drive(router.route(request()))

    def test_a_foreign_health_checker_is_believed(self):
        """Its latencies are the estimates; a node that it does not know is unknown."""
        _, router, _ = self.scene(foreign_policy=False)
        a, _, z = drive(router.get_candidates(request()))

        assert (a.target.estimated_latency_s, a.scores.health_score) == (0.25, 1.0)
        assert (z.target.estimated_latency_s, z.scores.health_score) == (0.0, 0.5)

    def test_a_policy_may_reject_for_privacy(self):
        """A foreign policy that says so rejects for privacy, with its own words."""
        toggle, router, _ = self.scene()
        toggle.rejects_as = "privacy"
        toggle.rejection = lambda candidate, request: f"no secrets on {candidate.target.node_id}"
        toggle.refused.update("abz")
        with pytest.raises(PrivacyViolation, match="no secrets on a"):
            drive(router.route(request()))


def test_many_kinds_of_request_are_forgotten_in_time():
    """A limit of its own for each request neither fills the memory nor changes the choice."""
    scene = scene_with_all_policies("a", "b")
    scene.serve("a", 5.0)
    for number in range(2500):
        fast = request(max_latency_s=1.0 + number / 1000.0)
        assert scene.route(fast) == "b"

    assert len(scene.router._kinds) <= 1024
