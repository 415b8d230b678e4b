"""Every part of a gateway may be somebody else's, with the contract's methods and nothing more."""

from __future__ import annotations

import pytest

from fedsim.federation import router
from fedsim.federation.builder import FederationBuilder
from fedsim.federation.contracts import (
    Capability,
    CircuitOpen,
    CircuitState,
    GatewayTrait,
    HealthState,
    InferenceResponse,
    Internal,
    ModelId,
    ModelMetadata,
    NoCapacity,
    NodeHealth,
    NodeId,
    PrivacyLevel,
    PrivacyViolation,
    RegionId,
    RouteCandidate,
    RouteTarget,
    Timeout,
)
from fedsim.federation.gateway import GatewayConfig, TimeoutConfig
from fedsim.federation.health import HealthChecker
from fedsim.federation.runtime import Surroundings
from fedsim.federation.strategies.registry import STRATEGIES
from tests.contract.test_contracts import LISTED
from tests.unit.federation.stand_ins import EAST, Stage, request, sources

WEST = RegionId("west")
TOLD_BY_NODES = "join_idle_queue"
"""The strategy that only a simulator can offer."""

GENERATE, CODE = Capability.GENERATE, Capability.CODE


class Catalog:
    """A catalog that announces nothing, and takes its time to answer."""

    def __init__(self, stage, wait_s=0.0):
        self._stage, self._wait_s = stage, wait_s
        self._models = {}
        self._asked = 0

    async def register(self, model_id, node_id, region_id, capabilities):
        """Keep a model."""
        self._models[model_id, node_id] = (region_id, list(capabilities))

    async def deregister(self, model_id, node_id):
        """Forget a model."""
        self._models.pop((model_id, node_id), None)

    async def find_by_capability(self, capability):
        """Return the nodes as they are at the question, after a while."""
        self._asked += 1
        found = [
            (node_id, region)
            for (_, node_id), (region, has) in self._models.items()
            if capability in has
        ]
        if self._wait_s:
            await self._stage.clock.sleep(self._wait_s)
        return found

    async def list_all(self):
        """Return the models."""
        return list(dict.fromkeys(model_id for model_id, _ in self._models))

    async def get_metadata(self, model_id):
        """Return next to nothing."""
        return ModelMetadata(model_id, str(model_id), "1", ())


class Health:
    """A health checker that is told which nodes are ill."""

    def __init__(self):
        self._ill = {}
        self._interval_s = None

    async def check_node(self, node_id):
        """Return what is known."""
        return self.get_cached_health(node_id)

    def get_cached_health(self, node_id):
        """Return the node's state."""
        state = self._ill.get(node_id, HealthState.HEALTHY)
        return NodeHealth(node_id, state, 0.1, 0.2, 10, None, 0, 0.0)

    async def start_monitoring(self, interval_s):
        """Keep the interval."""
        self._interval_s = interval_s

    async def stop_monitoring(self):
        """Forget the interval."""
        self._interval_s = None


class Breaker:
    """A breaker that keeps the nodes closed to all that failed last."""

    def __init__(self):
        self._open = set()

    def is_open(self, node_id):
        """Return whether the node failed last."""
        return node_id in self._open

    def record_success(self, node_id):
        """Note a success."""
        self._open.discard(node_id)

    def record_failure(self, node_id):
        """Note a failure."""
        self._open.add(node_id)

    def state(self, node_id):
        """Return the state."""
        return CircuitState.OPEN if node_id in self._open else CircuitState.CLOSED


class Router:
    """A router that always takes one node."""

    async def route(self, request):
        """Return the node."""
        return RouteTarget(NodeId("b"), WEST)

    async def get_candidates(self, request):
        """Return it as the only candidate."""
        return [RouteCandidate(RouteTarget(NodeId("b"), WEST))]


class Policy:
    """A policy that lets only the region west serve."""

    def score(self, candidate, request):
        """Return the health score."""
        return candidate.scores.health_score

    def is_eligible(self, candidate, request):
        """Return whether the node is in the west."""
        return candidate.target.region_id == WEST

    def name(self):
        """Return its name."""
        return "west"


class Middleware:
    """Middleware that keeps what it sees."""

    def __init__(self):
        self._seen = []

    def before_route(self, request):
        """Keep the request."""
        self._seen.append("before")

    def after_infer(self, request, response):
        """Keep the response."""
        self._seen.append("after")

    def on_error(self, request, error):
        """Keep the error."""
        self._seen.append(error.kind)


class Tokens:
    """A stream of two tokens."""

    def __init__(self):
        self._left = [b"one", b"two"]
        self._cancelled = False

    async def next_token(self):
        """Return the next one, None at the end."""
        return self._left.pop(0) if self._left else None

    async def cancel(self):
        """Note that nobody reads on."""
        self._cancelled = True


class Transport:
    """A way to nodes, some of which fail."""

    def __init__(self):
        self.failing = set()
        self.streams = []

    async def send(self, target, request):
        """Answer at once, or fail."""
        if target.node_id in self.failing:
            reason = "it fails"
            raise Internal(reason)
        return InferenceResponse(b"", target.node_id, 0.1, 1)

    async def open_stream(self, target, request):
        """Return a stream."""
        self.streams.append(Tokens())
        return self.streams[-1]

    async def probe(self, node_id):
        """Say that all is well."""
        return NodeHealth(node_id, HealthState.HEALTHY, 0.0, 0.0, 7, None, 0, 0.0)


FOREIGN = {
    "ModelCatalogTrait": Catalog,
    "HealthCheckerTrait": Health,
    "CircuitBreakerTrait": Breaker,
    "RouterTrait": Router,
    "RoutingPolicyTrait": Policy,
    "GatewayMiddleware": Middleware,
    "TokenStream": Tokens,
}


def test_there_is_one_for_each_contract():
    """Each trait has a foreign implementation here with its methods alone; a gateway is ours."""
    assert {*FOREIGN, "GatewayTrait"} == set(LISTED["traits"])
    for name, kind in FOREIGN.items():
        assert [each for each in vars(kind) if not each.startswith("_")] == list(
            LISTED["traits"][name]
        )


class Scene:
    """A gateway with nodes a (east) and b (west) in a foreign catalog, and other foreign parts."""

    def __init__(self, wait_s=0.0, config=None, **parts):
        self.stage = Stage()
        self.catalog, self.transport = Catalog(self.stage, wait_s), Transport()
        self.register("a", EAST, GENERATE)
        self.register("b", WEST, GENERATE)
        self.gateway = FederationBuilder(
            catalog=self.catalog, config=config or GatewayConfig(None, None), **parts
        ).build(Surroundings(self.transport, self.stage.clock, self.stage.tasks, sources(), EAST))

    def register(self, node, region, *capabilities):
        """Register a node with the catalog."""
        self.run(self.catalog.register(ModelId("m"), NodeId(node), region, capabilities))

    def run(self, coroutine):
        """Run to the end."""
        return self.stage.run(coroutine)

    def served(self, count=4, **asked):
        """Return who serves some requests."""
        return [str(self.run(self.gateway.infer(request(**asked))).served_by) for _ in range(count)]


class TestCatalogs:
    """Our router with a catalog that is not ours."""

    @pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != TOLD_BY_NODES])
    def test_every_strategy_works(self, strategy):
        """Each built-in strategy chooses among the nodes of the catalog."""
        assert set(Scene(load_balance=strategy).served()) <= {"a", "b"}

    def test_changes_are_seen_by_the_next_request(self):
        """Nodes that come, go or move are served from, or not, without any announcement."""
        scene = Scene(load_balance="round_robin")
        assert scene.served() == ["a", "b"] * 2
        scene.run(scene.catalog.deregister(ModelId("m"), NodeId("a")))
        assert set(scene.served()) == {"b"}
        scene.register("c", WEST, GENERATE, CODE)
        assert set(scene.served()) == {"b", "c"}
        assert set(scene.served(capability=CODE)) == {"c"}
        scene.register("c", EAST, GENERATE)
        assert set(scene.served()) == {"b", "c"}
        with pytest.raises(NoCapacity):
            scene.served(capability=CODE)
        found = scene.run(scene.gateway.router.get_candidates(request()))
        assert {each.target.node_id: each.target.region_id for each in found} == {
            "b": WEST,
            "c": EAST,
        }

    def test_policies_health_and_breaker_work_on_it(self):
        """Privacy holds, nodes are probed, and a node whose circuit is open is left out."""
        scene = Scene(load_balance="round_robin")
        with pytest.raises(PrivacyViolation):
            scene.served(privacy=PrivacyLevel.RESTRICTED)
        assert isinstance(scene.gateway.health, HealthChecker)
        assert scene.run(scene.gateway.health.check_node(NodeId("a"))).throughput == 7
        assert scene.gateway.breaker is not None
        for _ in range(5):
            scene.gateway.breaker.record_failure(NodeId("a"))
        assert set(scene.served()) == {"b"}

    def test_a_slow_catalog_is_waited_for_until_the_deadline(self):
        """The time that a catalog takes is part of the request's."""
        config = GatewayConfig(TimeoutConfig(attempt_s=None, request_s=1.0), None)
        assert Scene(wait_s=0.5, config=config).served(1)
        with pytest.raises(Timeout):
            Scene(wait_s=1.5, config=config).served(1)

    def test_an_older_answer_does_not_undo_a_newer_one(self):
        """Of two questions under way, the later one's answer stands."""
        scene = Scene(wait_s=1.0)
        scene.served(1)

        async def both():
            slow = scene.stage.tasks.spawn(scene.gateway.infer(request()), "slow")
            await scene.stage.clock.sleep(0.1)
            await scene.catalog.deregister(ModelId("m"), NodeId("a"))
            scene.catalog._wait_s = 0.2
            await scene.gateway.infer(request())
            del slow
            await scene.stage.clock.sleep(2.0)

        scene.run(both())
        assert isinstance(scene.gateway.router, router.Router)
        assert scene.gateway.router.fleet.node_ids == ["b"]

    def test_what_it_raises_is_the_requests_outcome(self, monkeypatch):
        """A federation error of the catalog ends the request."""
        scene = Scene()

        async def broken(capability):
            reason = "the catalog is down"
            raise Internal(reason)

        monkeypatch.setattr(scene.catalog, "find_by_capability", broken)
        with pytest.raises(Internal, match="the catalog is down"):
            scene.served(1)


class TestOthers:
    """The other parts, each with its contract's methods alone."""

    def test_a_health_checker(self):
        """Nodes that it calls unhealthy get nothing; those that it calls degraded do."""
        health = Health()
        scene = Scene(health_checker=health, load_balance="round_robin")
        health._ill[NodeId("a")] = HealthState.UNHEALTHY
        assert set(scene.served()) == {"b"}
        health._ill[NodeId("a")] = HealthState.DEGRADED
        assert set(scene.served()) == {"a", "b"}

    def test_a_breaker(self):
        """It is told of failures, and nodes that it keeps closed get nothing."""
        scene = Scene(circuit_breaker=Breaker(), load_balance="round_robin")
        scene.transport.failing.add("a")
        with pytest.raises(Internal):
            scene.served(1)
        assert set(scene.served()) == {"b"}
        scene.transport.failing.add("b")
        with pytest.raises(Internal):
            scene.served(1)
        with pytest.raises(CircuitOpen):
            scene.served(1)

    def test_a_router(self):
        """It alone decides."""
        assert set(Scene(router=Router()).served()) == {"b"}

    def test_a_policy(self):
        """What it rules out is ruled out, with its name as the reason."""
        scene = Scene(policies=[Policy()])
        found = scene.run(scene.gateway.router.get_candidates(request()))

        assert set(scene.served()) == {"b"}
        assert [each.rejection_reason for each in found] == ["policy west refuses it", None]

    def test_middleware(self):
        """It sees requests, responses and errors, in their order."""
        middleware = Middleware()
        scene = Scene(middlewares=[middleware], load_balance="round_robin")
        scene.served(1)
        scene.transport.failing.add("b")
        with pytest.raises(Internal):
            scene.served(1)

        assert middleware._seen == ["before", "after", "before", "internal"]

    def test_a_stream(self):
        """Its tokens arrive, it is counted, and a cancellation reaches it."""
        scene = Scene()

        async def read():
            stream = await scene.gateway.infer_stream(request())
            first = await stream.next_token()
            second = await stream.next_token()
            last = await stream.next_token()
            other = await scene.gateway.infer_stream(request())
            await other.cancel()
            return first, second, last

        assert scene.run(read()) == (b"one", b"two", None)
        assert scene.transport.streams[1]._cancelled
        stats = scene.gateway.stats()
        assert (stats.total_requests, stats.successful_requests, stats.active_streams) == (2, 1, 0)

    def test_all_at_once(self):
        """A gateway of foreign parts alone serves, and is a gateway."""
        scene = Scene(
            health_checker=Health(),
            circuit_breaker=Breaker(),
            policies=[Policy()],
            middlewares=[Middleware()],
            load_balance="weighted_random",
        )

        assert isinstance(scene.gateway, GatewayTrait)
        assert set(scene.served()) == {"b"}
