"""Streams through the gateway: tokens, reports, and nothing left behind however one ends."""

from __future__ import annotations

import pytest

from fedsim.federation.contracts import (
    CircuitState,
    FederationError,
    Internal,
    NoCapacity,
    NodeId,
    NodeUnreachable,
    Timeout,
    TokenStream,
)
from fedsim.federation.gateway import TimeoutConfig
from tests.unit.federation.gateways import Diary, GatewayScene
from tests.unit.federation.stand_ins import GENERATE, request, target
from tests.unit.federation.test_gateway import Fixed

LOST = NodeUnreachable(NodeId("a"))
THREE = [(0.5, b"one"), (0.25, b"two"), (0.25, b"three")]


def scene_with(script, serve=((0.1, 0),), **more):
    """Return a scene with node a, which takes streams as *serve* says and plays *script*."""
    scene = GatewayScene({"a": list(serve)}, **more)
    scene.scripts["a"] = script
    return scene


def opened(scene, number=1):
    """Open a stream."""
    return scene.stage.run(scene.gateway.infer_stream(request(number)))


def read(scene, stream):
    """Return the next token."""
    return scene.stage.run(stream.next_token())


def assert_nothing_left(scene):
    """No stream is active, nothing is in flight, and the books are balanced."""
    stats = scene.gateway.stats()
    assert stats.active_streams == 0
    assert set(scene.in_flight.values()) == {0}
    assert stats.successful_requests + stats.failed_requests <= stats.total_requests


class TestReading:
    """A stream that is read to its end."""

    def test_token_by_token(self):
        """Tokens come one by one as the node gives them, then None, again and again."""
        scene = scene_with(list(THREE))
        stream = opened(scene)
        assert isinstance(stream, TokenStream)
        assert scene.now_s == 0.6
        arrived = []
        while (token := read(scene, stream)) is not None:
            arrived.append((round(scene.now_s, 9), token))

        assert arrived == [(0.6, b"one"), (0.85, b"two"), (1.1, b"three")]
        assert read(scene, stream) is None

    def test_accounts(self):
        """While it is read it is active; at its end it is a success with tokens and latency."""
        scene = scene_with(list(THREE))
        stream = opened(scene)
        stats = scene.gateway.stats()
        assert (stats.total_requests, stats.active_streams) == (1, 1)
        assert (stats.successful_requests, stats.total_tokens) == (0, 0)
        assert scene.in_flight == {"a": 1}

        while read(scene, stream) is not None:
            pass
        read(scene, stream)
        stats = scene.gateway.stats()
        assert (stats.successful_requests, stats.total_tokens) == (1, 3)
        assert stats.avg_latency_s == pytest.approx(1.1)
        assert_nothing_left(scene)

    def test_reports_as_a_plain_request_does(self):
        """At its end health checker and breaker learn of the success."""
        scene = scene_with(list(THREE))
        scene.breaker.record_failure(NodeId("a"))
        stream = opened(scene)
        assert scene.failures("a") == (1, 0)
        while read(scene, stream) is not None:
            pass
        known = scene.health.get_cached_health(NodeId("a"))
        assert known is not None

        assert scene.failures("a") == (0, 0)
        assert known.latency_p50_s == pytest.approx(1.1)

    def test_an_empty_stream(self):
        """A stream without tokens is a success."""
        scene = scene_with([])
        assert read(scene, opened(scene)) is None
        assert scene.gateway.stats().successful_requests == 1
        assert_nothing_left(scene)

    def test_first_token_hook(self):
        """The router hears of the first token once."""

        class Listener(Fixed):
            firsts = 0

            def on_first_token(self, target, request):
                self.firsts += 1

        router = Listener(target("a"))
        scene = scene_with(list(THREE), router=router)
        stream = opened(scene)
        while read(scene, stream) is not None:
            assert router.firsts == 1
        assert router.firsts == 1


class TestOpening:
    """Until its first token has come a stream is a request like any other."""

    def test_retries_elsewhere(self):
        """A stream that one node does not take is opened on another."""
        scene = GatewayScene({"a": [(0.0, LOST)], "b": [(0.0, 0)]})
        scene.scripts["b"] = list(THREE)
        stream = opened(scene)

        assert scene.sent == [(0.0, "a"), (0.1, "b")]
        assert read(scene, stream) == b"one"
        assert scene.in_flight == {"a": 0, "b": 1}
        assert scene.failures("a") == (1, 1)

    def test_fails(self):
        """A stream that nobody takes is a failed request, and never was active."""
        scene = scene_with([], serve=[(0.0, NoCapacity(GENERATE))])
        with pytest.raises(NoCapacity):
            opened(scene)

        assert scene.gateway.stats().failed_requests == 1
        assert_nothing_left(scene)

    def test_attempt_s_deadline(self):
        """A node that does not take the stream in time has failed."""
        scene = scene_with(
            [], serve=[(9.0, 0)], timeout=TimeoutConfig(None, None, 1.0), retries=None
        )
        with pytest.raises(Timeout, match="Timeout after 1 s"):
            opened(scene)

        assert scene.failures("a") == (1, 1)
        assert_nothing_left(scene)

    def test_fails_over_until_the_first_token(self):
        """A node that takes the stream and breaks off before a token has come is left."""
        scene = GatewayScene({"a": [(0.1, 0)], "b": [(0.1, 0)]})
        scene.scripts = {"a": [(0.5, LOST)], "b": list(THREE)}
        stream = opened(scene)

        assert scene.sent == [(0.0, "a"), (0.7, "b")]
        assert scene.now_s == pytest.approx(1.3)
        assert read(scene, stream) == b"one"
        assert scene.failures("a") == (1, 1)
        assert scene.gateway.stats().failed_requests == 0

    def test_an_attempt_lasts_until_the_first_token(self):
        """A node that takes the stream and then says nothing is left at the attempt's deadline."""
        scene = GatewayScene(
            {"a": [(0.1, 0)], "b": [(0.1, 0)]}, timeout=TimeoutConfig(None, None, 1.0)
        )
        scene.scripts = {"a": [(99.0, b"late")], "b": [(0.5, b"one"), (5.0, b"two")]}
        stream = opened(scene)

        assert scene.sent == [(0.0, "a"), (1.1, "b")]
        assert scene.streams[0].cancelled_s == [1.0]
        assert scene.in_flight == {"a": 0, "b": 1}
        assert scene.failures("a") == (1, 1)
        assert [read(scene, stream), read(scene, stream)] == [b"one", b"two"]

    def test_middleware(self):
        """Middleware sees the request before routing and the errors of all attempts."""
        diary = Diary()
        scene = scene_with(list(THREE), serve=[(0.0, LOST), (0.0, 0)], middlewares=[diary])
        opened(scene)

        assert [page[1:] for page in diary.pages] == [
            ("before", "1"),
            ("error", "node_unreachable"),
        ]


class TestPauses:
    """A stream that stops in the middle."""

    def test_too_long_between_tokens(self):
        """It counts against the node, is handed to the reader, and is not tried again."""
        diary = Diary()
        timeout = TimeoutConfig(None, 9.0, None, 1.0)
        scene = scene_with(
            [(5.0, b"one"), (0.9, b"two"), (99.0, b"three")], timeout=timeout, middlewares=[diary]
        )
        stream = opened(scene)
        assert [read(scene, stream), read(scene, stream)] == [b"one", b"two"]
        with pytest.raises(Timeout, match="Timeout after 1 s"):
            read(scene, stream)

        assert scene.now_s == pytest.approx(7.0)
        assert scene.streams[0].cancelled_s == [scene.now_s]
        assert len(scene.sent) == 1
        assert diary.errors == ["timeout"]
        assert scene.failures("a") == (1, 1)
        assert scene.gateway.stats().failed_requests == 1
        assert read(scene, stream) is None
        assert_nothing_left(scene)

    def test_the_request_s_deadline_comes_first(self):
        """Where it does, the pause counts against nobody."""
        timeout = TimeoutConfig(None, 6.0, None, 1.0)
        scene = scene_with([(5.5, b"one"), (99.0, b"two")], timeout=timeout)
        stream = opened(scene)
        read(scene, stream)
        with pytest.raises(Timeout, match="Timeout after 6 s"):
            read(scene, stream)

        assert scene.now_s == pytest.approx(6.0)
        assert scene.failures("a") == (0, 0)
        assert_nothing_left(scene)


class TestToTheEnd:
    """A reader who only waits for the end."""

    @pytest.mark.parametrize("whole", [False, True])
    def test_accounts(self, whole):
        """Tokens, latency and reports are those of a reader of each token."""
        diary = Diary()
        scene = scene_with(list(THREE), middlewares=[diary], whole=whole)
        stream = opened(scene)
        scene.stage.run(stream.read_to_end())
        scene.stage.run(stream.read_to_end())
        stats = scene.gateway.stats()
        known = scene.health.get_cached_health(NodeId("a"))

        assert scene.now_s == pytest.approx(1.1)
        assert (stats.successful_requests, stats.total_tokens) == (1, 3)
        assert stats.avg_latency_s == pytest.approx(1.1)
        assert known is not None
        assert known.latency_p50_s == pytest.approx(1.1)
        assert [page[1:] for page in diary.pages] == [("before", "1"), ("after", "a")]
        assert read(scene, stream) is None
        assert_nothing_left(scene)

    def test_is_asked_once(self):
        """Where the transport's stream can be waited for as a whole, no token is asked for."""
        scene = scene_with([(0.1, b"token")] * 50, whole=True)
        scene.stage.run(opened(scene).read_to_end())

        assert scene.streams[0].reads == 1
        assert scene.gateway.stats().total_tokens == 50

    @pytest.mark.parametrize("whole", [False, True])
    @pytest.mark.parametrize(
        ("script", "ends_s", "failures"),
        [
            ([(0.5, b"one"), (0.5, b"two"), (0.2, LOST)], 1.3, (1, 1)),
            ([(0.5, b"one"), (0.5, b"two"), (9.0, b"three")], 2.1, (1, 1)),
            ([(0.5, b"one"), *[(0.9, b"more")] * 9], 4.0, (0, 0)),
        ],
    )
    def test_fails(self, whole, script, ends_s, failures):
        """A lost node, a pause and the request's deadline end it; tokens that came are counted."""
        diary = Diary()
        timeout = TimeoutConfig(None, 4.0, None, 1.0)
        scene = scene_with(list(script), timeout=timeout, middlewares=[diary], whole=whole)
        stream = opened(scene)
        with pytest.raises(FederationError):
            scene.stage.run(stream.read_to_end())
        stats = scene.gateway.stats()

        assert scene.now_s == pytest.approx(ends_s)
        assert scene.failures("a") == failures
        assert len(diary.errors) == 1
        assert (stats.failed_requests, stats.total_tokens) == (1, 2 if failures[0] else 4)
        assert len(scene.sent) == 1
        assert_nothing_left(scene)

    @pytest.mark.parametrize("whole", [False, True])
    def test_is_cancelled_meanwhile(self, whole):
        """A stream that is cancelled while its end is awaited ends there, once."""
        scene = scene_with([(0.1, b"one"), (5.0, b"two")], whole=whole)
        stream = opened(scene)
        scene.stage.spawn(stream.read_to_end())
        scene.stage.env.run(until=1.0)
        scene.stage.run(stream.cancel())
        scene.stage.env.run(until=20.0)
        stats = scene.gateway.stats()

        assert (stats.successful_requests, stats.failed_requests) == (0, 0)
        assert_nothing_left(scene)

    @pytest.mark.parametrize("whole", [False, True])
    def test_middleware_may_fail_it(self, whole):
        """An error of ``after_infer`` is what the stream ends in, though the node has served it."""

        class Strict(Diary):
            def after_infer(self, request, response):
                assert (response.tokens, response.served_by) == (3, "a")
                assert response.latency_s == pytest.approx(1.1)
                reason = "not allowed"
                raise Internal(reason)

        diary = Strict()
        scene = scene_with(list(THREE), middlewares=[diary], whole=whole)
        stream = opened(scene)
        with pytest.raises(Internal):
            scene.stage.run(stream.read_to_end())
        stats = scene.gateway.stats()

        assert (stats.successful_requests, stats.failed_requests) == (0, 1)
        assert diary.errors == ["internal"]
        assert scene.failures("a") == (0, 0)
        assert_nothing_left(scene)


class TestCancelling:
    """A reader that has enough."""

    def test_counts_against_nobody(self):
        """The node is told; the stream is neither a success nor a failure, its tokens count."""
        diary = Diary()
        scene = scene_with(list(THREE), middlewares=[diary])
        stream = opened(scene)
        read(scene, stream)
        scene.stage.run(stream.cancel())
        stats = scene.gateway.stats()

        assert scene.streams[0].cancelled_s == [0.6]
        assert read(scene, stream) is None
        assert (stats.total_requests, stats.successful_requests, stats.failed_requests) == (1, 0, 0)
        assert stats.total_tokens == 1
        assert scene.failures("a") == (0, 0)
        assert diary.errors == []
        assert_nothing_left(scene)

    def test_twice(self):
        """A second cancel, or one after the end, does nothing."""
        scene = scene_with([])
        stream = opened(scene)
        scene.stage.run(stream.cancel())
        scene.stage.run(stream.cancel())
        ended = opened(scene, 2)
        read(scene, ended)
        scene.stage.run(ended.cancel())

        assert [len(each.cancelled_s) for each in scene.streams] == [1, 0]
        assert scene.gateway.stats().successful_requests == 1
        assert_nothing_left(scene)

    def test_while_somebody_reads(self):
        """A stream that is cancelled while a token is awaited ends once, not twice."""
        scene = scene_with([(0.0, b"first"), (5.0, b"late"), (5.0, LOST)])
        for number in range(2):
            stream = opened(scene, number)
            tokens: list[bytes | None] = []

            async def read_on(stream=stream, tokens=tokens):
                tokens.append(await stream.next_token())

            for _ in range(1 + number):
                read(scene, stream)
            scene.stage.spawn(read_on())
            scene.stage.env.run(until=scene.now_s + 1.0)
            scene.stage.run(stream.cancel())
            scene.stage.env.run(until=scene.now_s + 10.0)
            assert tokens == [None]

        stats = scene.gateway.stats()
        assert (stats.successful_requests, stats.failed_requests, stats.total_tokens) == (0, 0, 3)
        assert scene.failures("a") == (0, 0)
        assert_nothing_left(scene)

    def test_a_reader_s_task_that_is_cancelled(self):
        """A reader that is itself cancelled cancels the stream."""
        scene = scene_with([(0.0, b"first"), (5.0, b"late")])
        stream = opened(scene)
        read(scene, stream)
        task = scene.stage.spawn(stream.next_token())
        scene.stage.env.run(until=1.0)
        task.cancel()
        scene.stage.env.run(until=2.0)

        assert scene.streams[0].cancelled_s == [1.0]
        assert_nothing_left(scene)

    def test_a_node_that_does_not_listen(self):
        """A cancel that fails on its way to the node leaves nothing behind here."""
        scene = scene_with(list(THREE))
        stream = opened(scene)

        async def deaf():
            raise LOST

        scene.streams[0].cancel = deaf
        with pytest.raises(NodeUnreachable):
            scene.stage.run(stream.cancel())
        assert_nothing_left(scene)

    def test_of_a_probe(self):
        """A stream that is its circuit's probe gives back the right, and changes nothing."""
        scene = scene_with(list(THREE))
        scene.break_circuit("a")
        scene.stage.env.run(until=31.0)
        stream = opened(scene)
        assert scene.breaker.is_open(NodeId("a"))
        scene.stage.run(stream.cancel())

        assert not scene.breaker.is_open(NodeId("a"))
        assert scene.breaker.state(NodeId("a")) is CircuitState.HALF_OPEN


class TestFailing:
    """A stream that breaks off."""

    @pytest.mark.parametrize("error", [LOST, Internal("out of memory")])
    def test_counts_against_the_node(self, error):
        """The error reaches the reader, the middleware once, breaker and health checker."""
        diary = Diary()
        scene = scene_with([(0.5, b"one"), (0.5, error)], middlewares=[diary])
        stream = opened(scene)
        read(scene, stream)
        with pytest.raises(FederationError) as caught:
            read(scene, stream)
        stats = scene.gateway.stats()

        assert caught.value is error
        assert read(scene, stream) is None
        assert diary.errors == [error.kind]
        assert scene.failures("a") == (1, 1)
        assert (stats.failed_requests, stats.total_tokens) == (1, 1)
        assert_nothing_left(scene)

    def test_request_s_deadline(self):
        """The deadline runs from the call; it counts against nobody, and the node is told."""
        diary = Diary()
        scene = scene_with(
            [(0.9, b"one"), (99.0, b"two")], timeout=TimeoutConfig(None, 3.0), middlewares=[diary]
        )
        stream = opened(scene)
        read(scene, stream)
        with pytest.raises(Timeout, match="Timeout after 3 s"):
            read(scene, stream)

        assert scene.now_s == pytest.approx(3.0)
        assert scene.streams[0].cancelled_s == [scene.now_s]
        assert diary.errors == ["timeout"]
        assert scene.failures("a") == (0, 0)
        assert scene.gateway.stats().failed_requests == 1
        assert read(scene, stream) is None
        assert_nothing_left(scene)

    def test_deadline_of_a_slow_reader(self):
        """A reader that comes back after the deadline is told so."""
        scene = scene_with([(0.0, b"one"), (1.0, b"two")], timeout=TimeoutConfig(None, 3.0))
        stream = opened(scene)
        read(scene, stream)
        scene.stage.env.run(until=50.0)
        with pytest.raises(Timeout):
            read(scene, stream)
        assert_nothing_left(scene)

    def test_an_unexpected_exception(self):
        """What is no federation error passes through, and leaves nothing behind."""
        scene = scene_with(list(THREE))
        stream = opened(scene)

        async def buggy():
            raise KeyError

        scene.streams[0].next_token = buggy
        read(scene, stream)
        with pytest.raises(KeyError):
            read(scene, stream)
        assert_nothing_left(scene)
