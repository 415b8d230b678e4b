"""The reference's gateway: what it tries, how long it waits, and in which error it ends."""

from __future__ import annotations

from collections import Counter

import pytest

from fedsim.federation.contracts import (
    AllNodesUnhealthy,
    CircuitOpen,
    CircuitState,
    FederationError,
    GatewayStats,
    HealthState,
    Internal,
    NoCapacity,
    NodeId,
    NodeUnreachable,
    Timeout,
)
from fedsim.federation.reference.builder import ReferenceBuilder
from fedsim.federation.reference.config import (
    ReferenceBreakerConfig,
    ReferenceConfig,
    ReferenceRetries,
)
from fedsim.federation.runtime import Surroundings
from tests.unit.federation.stand_ins import (
    GENERATE,
    Dice,
    HandClock,
    Network,
    Onlooker,
    Stage,
    Stream,
    catalog_of,
    drive,
    request,
    unreachable,
)

A, B = NodeId("a"), NodeId("b")


class Middleware:
    """Keeps what it is told, and raises where it should."""

    def __init__(self, before=None, after=None):
        self.before, self.after = before, after
        self.told: list[str] = []

    def before_route(self, request):
        """Take note, or raise."""
        self.told.append("before")
        if self.before is not None:
            raise self.before

    def after_infer(self, request, response):
        """Take note, or raise."""
        self.told.append("after")
        if self.after is not None:
            raise self.after

    def on_error(self, request, error):
        """Take note."""
        self.told.append(error.kind)


class Scene:
    """A gateway of the reference before nodes that behave as scripted, on a hand clock.

    A node's script says how each send ends, None for well; when it has run out, all go well.
    """

    def __init__(self, *nodes, middlewares=(), **config):
        self.clock = HandClock()
        self.scripts: dict[str, list[FederationError | None]] = {node: [] for node in nodes}
        self.service_s = 0.05
        self.network = Network(self.clock, serve=self.serve)
        self.onlooker = Onlooker()
        builder = ReferenceBuilder(catalog_of(*nodes), config=ReferenceConfig(**config))
        builder.middlewares.extend(middlewares)
        self.gateway = builder.build(
            Surroundings(
                self.network, self.clock, Stage().tasks, lambda _: Dice(), observer=self.onlooker
            )
        )

    def serve(self, node, request):
        """Serve as the node's script says."""
        script = self.scripts[node]
        error = script.pop(0) if script else None
        return (0.0, error) if error is not None else (self.service_s, 10)

    def ask(self):
        """Make a request; return the node that served it, or the error that it ended in."""
        try:
            return drive(self.gateway.infer(request())).served_by
        except FederationError as error:
            return error

    @property
    def sent(self):
        """Nodes that were sent to, in order."""
        return "".join(node for _, node, _ in self.network.sent)

    def status(self, node):
        """Return a node's health."""
        known = self.gateway.health.get_cached_health(NodeId(node))
        assert known is not None
        return known.status


def test_a_single_failing_node():
    """Three executions, unhealthy, a fourth route without a candidate: NoCapacity after 600 ms."""
    scene = Scene("a")
    scene.scripts["a"] = [unreachable()] * 9
    assert isinstance(scene.ask(), NoCapacity)
    assert scene.sent == "aaa"
    assert scene.clock.sleeps_s[1::2] == pytest.approx([0.1, 0.2, 0.3])
    assert scene.clock.now() == pytest.approx(0.6)
    assert scene.status("a") is HealthState.UNHEALTHY
    assert scene.gateway.stats() == GatewayStats(1, 0, 1, 0, 0.0, 0)


def test_unhealthy_is_for_ever():
    """Twenty of twenty requests to a node that is well again fail without an attempt."""
    scene = Scene("a")
    scene.scripts["a"] = [unreachable()] * 3
    scene.ask()
    before_s = scene.clock.now()
    assert Counter(type(scene.ask()) for _ in range(20)) == {NoCapacity: 20}
    assert scene.sent == "aaa"
    assert scene.clock.now() == before_s, "no route, no wait"


@pytest.mark.parametrize("failures", [1, 2])
def test_first_failing_then_fine(failures):
    """It ends well, and the node is left degraded."""
    scene = Scene("a")
    scene.scripts["a"] = [unreachable()] * failures
    assert scene.ask() == "a"
    assert scene.status("a") is HealthState.DEGRADED


def test_retry_moves_only_to_a_better_node():
    """With a healthy node beside it, one failure moves the retry; a playbook's retry count of 1."""
    scene = Scene("a", "b")
    for node in (A, B):
        for _ in range(2):
            scene.gateway.health.report_success(node, 0.05)
    scene.scripts["a"] = [unreachable()] * 9
    assert scene.ask() == "b"
    assert scene.sent == "ab"
    assert [scene.ask() for _ in range(10)] == ["b"] * 10


def test_retry_goes_back_to_the_node_that_failed():
    """With a node beside it that was never tried, three attempts go to the failing one."""
    scene = Scene("a", "b")
    scene.scripts["a"] = [unreachable()] * 9
    assert scene.ask() == "b"
    assert scene.sent == "aaab"


def test_unregistered_nodes_get_all_four_attempts():
    """Its score cannot fall: NodeUnreachable, while the second node is fine."""
    scene = Scene("a", "b", health=None)
    scene.scripts["a"] = [unreachable()] * 9
    assert isinstance(scene.ask(), NodeUnreachable)
    assert scene.sent == "aaaa"
    assert scene.clock.now() == pytest.approx(0.6), "no wait after the last attempt"
    assert scene.gateway.breaker.state(A) is CircuitState.CLOSED

    assert scene.ask() == "b", "the fifth failure, in the second request, opens the circuit"
    assert scene.sent == "aaaaab"
    assert scene.gateway.breaker.state(A) is CircuitState.OPEN


@pytest.mark.parametrize(
    "error",
    [unreachable(), Internal("oops"), Timeout(1.0), NoCapacity(GENERATE), CircuitOpen(A)],
    ids=lambda error: error.kind,
)
def test_all_errors_count_alike(error):
    """A full queue is tried again and counts against health and circuit as a crash does."""
    scene = Scene("a", breaker=ReferenceBreakerConfig(failure_threshold=3))
    scene.scripts["a"] = [error] * 3
    assert isinstance(scene.ask(), NoCapacity)
    assert scene.sent == "aaa"
    assert scene.status("a") is HealthState.UNHEALTHY
    assert scene.gateway.breaker.state(A) is CircuitState.OPEN


def test_late_failures_open_the_circuit():
    """Of five failures of requests under way, the third makes unhealthy, the fifth opens."""
    scene = Scene("a")
    for _ in range(5):
        scene.gateway.health.report_failure(A)
        scene.gateway.breaker.record_failure(A)
    assert [change[3] for change in scene.onlooker.health] == ["degraded", "unhealthy"]
    assert scene.gateway.breaker.state(A) is CircuitState.OPEN


def test_retries_are_a_setting():
    """A limit of 1 and a backoff of a second: two attempts and one wait."""
    scene = Scene("a", retries=ReferenceRetries(1, 1.0))
    scene.scripts["a"] = [unreachable()] * 9
    assert isinstance(scene.ask(), NodeUnreachable)
    assert scene.sent == "aa"
    assert scene.clock.now() == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("service_s", "served"),
    [(10.0, 7), (15.0, 4), (30.0, 2), (8.0, 10), (6.0, 18), (5.010, 65)],
)
def test_latency_lock_out(service_s, served):
    """A node of constant service time is excluded after so many answers, and for ever."""
    scene = Scene("a")
    scene.service_s = service_s
    results = [scene.ask() for _ in range(served + 5)]
    assert results[:served] == ["a"] * served
    assert {type(result) for result in results[served:]} == {AllNodesUnhealthy}


def test_no_lock_out_at_5009_ms():
    """An average that ends at 5000 ms is still eligible."""
    scene = Scene("a")
    scene.service_s = 5.009
    assert {scene.ask() for _ in range(300)} == {"a"}


def test_max_latency_is_not_read():
    """A request that may take a millisecond goes to a node of a second."""
    scene = Scene("a")
    scene.service_s = 1.0
    assert drive(scene.gateway.infer(request(max_latency_s=0.001))).served_by == "a"


def test_all_simultaneous_requests_go_to_one_node():
    """Of nodes with averages of 191 and 201 ms, 1000 of 1000 go to the first."""
    scene = Scene("a", "b")
    for node, latency_s in ((A, 0.201), (B, 0.191)):
        for _ in range(200):
            scene.gateway.health.report_success(node, latency_s)
    chosen = Counter(drive(scene.gateway.router.route(request())).node_id for _ in range(1000))
    assert chosen == {"b": 1000}


class TestStats:
    """What the gateway counts."""

    def test_three_requests(self):
        """Three requests of 50 ms and ten tokens each."""
        scene = Scene("a")
        for _ in range(3):
            scene.ask()
        assert scene.gateway.stats() == GatewayStats(3, 3, 0, 30, 0.05, 0)

    def test_failures_without_retries(self):
        """Without nodes, a request is a failure."""
        scene = Scene(retries=ReferenceRetries(0))
        assert isinstance(scene.ask(), NoCapacity)
        assert scene.gateway.stats() == GatewayStats(1, 0, 1, 0, 0.0, 0)

    def test_mean_is_of_successful_attempts(self):
        """Failed attempts and waits are left out, and the mean is in whole milliseconds."""
        scene = Scene("a")
        scene.scripts["a"] = [unreachable()]
        scene.service_s = 0.0105
        scene.ask()
        scene.service_s = 0.0135
        scene.ask()
        assert scene.gateway.stats().avg_latency_s == 0.011


class TestMiddleware:
    """When middleware is called."""

    def test_once_before_and_for_each_failed_attempt(self):
        """Before routing once, at each failed attempt, and after the response."""
        middleware = Middleware()
        scene = Scene("a", middlewares=[middleware])
        scene.scripts["a"] = [unreachable()]
        scene.ask()
        assert middleware.told == ["before", "node_unreachable", "after"]

    def test_no_word_where_there_is_no_route(self):
        """Errors of routing are not told."""
        middleware = Middleware()
        scene = Scene(middlewares=[middleware])
        scene.ask()
        assert middleware.told == ["before"]

    def test_error_before_routing(self):
        """It ends the request, which counts neither as a success nor as a failure."""
        middleware = Middleware(before=Internal("no"))
        scene = Scene("a", middlewares=[middleware])
        assert isinstance(scene.ask(), Internal)
        assert middleware.told == ["before"]
        assert scene.gateway.stats() == GatewayStats(1, 0, 0, 0, 0.0, 0)

    def test_error_after_the_response(self):
        """It ends the request, which has been counted as a success."""
        scene = Scene("a", middlewares=[Middleware(after=Internal("no"))])
        assert isinstance(scene.ask(), Internal)
        assert scene.gateway.stats().successful_requests == 1


class TestStreams:
    """Streams leak."""

    def opened(self, scene, *tokens):
        """Open a stream that gives these tokens."""
        self.source = Stream(scene.clock, [(0.0, token) for token in tokens])
        scene.network.streams = lambda _: self.source
        return drive(scene.gateway.infer_stream(request()))

    def test_ten_tokens_and_a_success_of_50_ms(self):
        """Read to the end, a stream reports 50 ms whatever it took, and stays active."""
        scene = Scene("a")
        scene.service_s = 3.0
        stream = self.opened(scene, *[b"token"] * 10)
        tokens = [drive(stream.next_token()) for _ in range(12)]
        assert tokens == [*[b"token"] * 10, None, None]
        known = scene.gateway.health.get_cached_health(A)
        assert known is not None
        assert known.latency_p50_s == 0.005
        assert scene.gateway.stats() == GatewayStats(1, 0, 0, 0, 0.0, 1)

    def test_cancelling_reports_nothing(self):
        """After a cancellation no token comes; the source is told, the stream counts as active."""
        scene = Scene("a")
        stream = self.opened(scene, b"token")
        drive(stream.cancel())
        assert drive(stream.next_token()) is None
        assert self.source.cancelled_s
        assert scene.status("a") is HealthState.UNKNOWN
        assert scene.gateway.stats().active_streams == 1

    def test_no_retry(self):
        """A stream whose node fails is not tried again, and stays active."""
        scene = Scene("a")
        scene.scripts["a"] = [unreachable()]
        with pytest.raises(NodeUnreachable):
            drive(scene.gateway.infer_stream(request()))
        assert scene.status("a") is HealthState.UNKNOWN
        assert scene.gateway.stats() == GatewayStats(1, 0, 0, 0, 0.0, 1)


def test_full_federation_flow():
    """Three services, as the original's test of everything."""
    scene = Scene("us-west", "eu-west")
    for node, latency_s in (("us-west", 0.045), ("eu-west", 0.12)):
        for _ in range(3):
            scene.gateway.health.report_success(NodeId(node), latency_s)
    assert scene.ask() == "us-west"
    assert scene.gateway.stats().successful_requests == 1
    for _ in range(5):
        scene.gateway.breaker.record_failure(NodeId("us-west"))
    assert scene.ask() == "eu-west"
