"""Hedges: when they are sent, who wins, and what is told of both."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pytest

from fedsim.federation.contracts import (
    FederationError,
    Internal,
    NoCapacity,
    NodeId,
    NodeUnreachable,
    Timeout,
)
from fedsim.federation.gateway import TimeoutConfig
from fedsim.federation.hedging import HedgeConfig, Hedging
from tests.unit.federation.gateways import EXACT, Diary, GatewayScene
from tests.unit.federation.stand_ins import GENERATE, HandClock, request

LOST = NodeUnreachable(NodeId("a"))
AFTER_1_S = HedgeConfig(after_s=1.0, budget=None)


def scene_of(a, b=(0.1, 1), **more):
    """Return a scene where node a is asked first, and hedges go out after 1 s."""
    more.setdefault("hedge", AFTER_1_S)
    more.setdefault("retries", None)
    nodes = {"a": [a], "b": [b]} if b is not None else {"a": [a]}
    return GatewayScene(nodes, **more)


def assert_nothing_left(scene):
    """Nothing is in flight, and every request is in the books."""
    assert set(scene.in_flight.values()) == {0}
    assert not any(scene.network.under_way.values())
    stats = scene.gateway.stats()
    assert stats.total_requests == stats.successful_requests + stats.failed_requests


class TestWho:
    """Which attempt answers."""

    def test_a_quick_answer_needs_no_hedge(self):
        """A node that answers in time is the only one that is asked."""
        scene = scene_of((0.9, 1))

        assert scene.infer().served_by == "a"
        assert scene.sent == [(0.0, "a")]
        assert scene.now_s == pytest.approx(0.9)

    def test_the_hedge_wins(self):
        """Another node is asked when the time has come; its answer ends the request."""
        scene = scene_of((5.0, 1))

        assert scene.infer().served_by == "b"
        assert scene.sent == [(0.0, "a"), (1.0, "b")]
        assert scene.now_s == pytest.approx(1.1)
        assert scene.network.given_up == [(1.1, "a")]
        assert scene.failures("a") == (0, 0)
        assert_nothing_left(scene)

    def test_the_first_attempt_wins(self):
        """The hedge is cancelled when the first answer comes after all."""
        scene = scene_of((1.5, 1), (5.0, 1))

        assert scene.infer().served_by == "a"
        assert scene.network.given_up == [(1.5, "b")]
        assert_nothing_left(scene)

    def test_nowhere_else_to_go(self):
        """With no other node there is no hedge."""
        scene = scene_of((5.0, 1), None)

        assert scene.infer().served_by == "a"
        assert scene.sent == [(0.0, "a")]
        assert_nothing_left(scene)


class TestFailures:
    """One of two that fails waits for the other."""

    def test_of_the_first_attempt(self):
        """The hedge that is under way goes on; the failure counts against its node alone."""
        diary = Diary()
        scene = scene_of((1.05, Internal("out of memory")), (0.5, 1), middlewares=[diary])

        assert scene.infer().served_by == "b"
        assert scene.failures("a") == (1, 1)
        assert scene.failures("b") == (0, 0)
        assert diary.errors == ["internal"]
        assert_nothing_left(scene)

    def test_of_the_hedge(self):
        """The first attempt goes on."""
        scene = scene_of((2.0, 1), (0.1, NodeUnreachable(NodeId("b"))))

        assert scene.infer().served_by == "a"
        assert scene.failures("b") == (1, 1)
        assert scene.now_s == pytest.approx(2.0)
        assert_nothing_left(scene)

    def test_before_the_hedge(self):
        """A first attempt that fails early is not waited for: there is no hedge, but a retry."""
        scene = scene_of((0.2, LOST), retries=EXACT)

        assert scene.infer().served_by == "b"
        assert scene.sent == [(0.0, "a"), (0.3, "b")]
        assert_nothing_left(scene)

    def test_of_both(self):
        """The last error is the request's."""
        scene = scene_of((1.5, LOST), (1.0, NoCapacity(GENERATE)))

        assert isinstance(scene.fail(), NoCapacity)
        assert scene.now_s == pytest.approx(2.0)
        assert scene.failures("a") == (1, 1)
        assert scene.failures("b") == (0, 0)
        assert_nothing_left(scene)

    def test_a_retry_goes_to_neither(self):
        """After both have failed, a third node is tried."""
        scene = GatewayScene(
            {"a": [(1.5, LOST)], "b": [(1.0, NodeUnreachable(NodeId("b")))], "c": [(0.1, 1)]},
            hedge=AFTER_1_S,
        )

        assert scene.infer().served_by == "c"
        assert scene.sent == [(0.0, "a"), (1.0, "b"), (2.1, "c")]
        assert_nothing_left(scene)


class TestAtTheVeryTime:
    """What comes when the hedge is due comes before it, whatever else is going on."""

    def sent(self, outcome, others=1, **more):
        """Return what was sent for requests half a second apart."""
        scene = scene_of((1.0, outcome), **more)

        async def later(number):
            await scene.stage.clock.sleep(0.5 * number)
            with suppress(FederationError):
                await scene.gateway.infer(request(number))

        for number in range(others + 1):
            scene.stage.spawn(later(number))
        scene.stage.env.run()
        assert_nothing_left(scene)
        return scene.sent

    def test_an_answer(self):
        """Nothing is sent where the answer has come."""
        nodes = GatewayScene({"a": [(1.0, 1)]}, hedge=AFTER_1_S, retries=None)
        nodes.infer()

        assert nodes.sent == [(0.0, "a")]
        assert self.sent(1) == [(0.0, "a"), (0.5, "b")]

    def test_a_failure(self):
        """An attempt that has failed is tried again after its backoff, and not hedged."""
        assert self.sent(LOST, 0, retries=EXACT) == [(0.0, "a"), (1.1, "b")]

    @pytest.mark.parametrize("others", [0, 1, 2])
    def test_a_deadline(self, others):
        """Nor is one whose deadline has passed, whatever deadlines other requests have."""
        scene = GatewayScene(
            {"a": [(9.0, 1)], "b": [(9.0, 1)]},
            hedge=AFTER_1_S,
            timeout=TimeoutConfig(1.0, None),
            retries=None,
        )

        async def later(number):
            await scene.stage.clock.sleep(0.5 * number)
            with pytest.raises(Timeout):
                await scene.gateway.infer(request(number))

        for number in range(others + 1):
            scene.stage.spawn(later(number))
        scene.stage.env.run()

        assert len(scene.sent) == others + 1
        assert_nothing_left(scene)


class TestDeadlines:
    """Deadlines beside hedges."""

    def test_of_an_attempt(self):
        """Each attempt has its own, from its own dispatch."""
        scene = scene_of((9.0, 1), (9.0, 1), timeout=TimeoutConfig(2.0, None))

        assert isinstance(scene.fail(), Timeout)
        assert scene.network.given_up == [(2.0, "a"), (3.0, "b")]
        assert scene.failures("a") == scene.failures("b") == (1, 1)
        assert_nothing_left(scene)

    def test_of_the_request(self):
        """It ends both, and counts against neither."""
        scene = scene_of((9.0, 1), (9.0, 1), timeout=TimeoutConfig(None, 3.0))

        assert "3 s" in str(scene.fail())
        assert scene.now_s == pytest.approx(3.0)
        assert scene.network.given_up == [(3.0, "a"), (3.0, "b")]
        assert scene.failures("a") == scene.failures("b") == (0, 0)
        assert_nothing_left(scene)

    def test_of_the_request_before_the_hedge(self):
        """A hedge that would come too late does not come."""
        scene = scene_of((9.0, 1), timeout=TimeoutConfig(None, 0.5))

        assert isinstance(scene.fail(), Timeout)
        assert scene.sent == [(0.0, "a")]
        scene.stage.env.run(until=5.0)
        assert scene.sent == [(0.0, "a")]
        assert_nothing_left(scene)


def test_a_probe_s_permit_is_returned():
    """A hedge that is its circuit's probe gives back the right when it loses."""
    scene = scene_of((1.5, 1), (9.0, 1))
    scene.break_circuit("b")
    scene.stage.env.run(until=31.0)
    scene.infer()

    assert [node for _, node in scene.sent] == ["a", "b"]
    assert scene.network.given_up == [(32.5, "b")]
    assert not scene.breaker.is_open(NodeId("b"))
    assert_nothing_left(scene)


def test_streams():
    """A stream is hedged until its first token; the loser is told."""
    scene = scene_of((0.0, 0), (0.1, 0))
    scene.scripts = {"a": [(9.0, b"late")], "b": [(0.5, b"one"), (0.5, None)]}
    stream = scene.stage.run(scene.gateway.infer_stream(request()))

    assert scene.sent == [(0.0, "a"), (1.0, "b")]
    assert scene.now_s == pytest.approx(1.6)
    assert scene.streams[0].cancelled_s == [scene.now_s]
    assert scene.in_flight == {"a": 0, "b": 1}
    assert scene.stage.run(stream.next_token()) == b"one"
    assert scene.stage.run(stream.next_token()) is None
    assert_nothing_left(scene)


def test_a_plug_in_that_fails_ends_the_race():
    """What is no federation error is raised, and the other attempt is cancelled."""
    scene = scene_of((5.0, 1))

    async def buggy(*_):
        raise KeyError

    scene.gateway._route_excluding = buggy
    with pytest.raises(KeyError):
        scene.infer()
    assert scene.network.given_up == [(1.0, "a")]
    assert set(scene.in_flight.values()) == {0}


class TestWhen:
    """Time and budget."""

    def test_percentile(self):
        """From the 100th latency on, hedges go out after the p95 of the latest 1,000."""
        clock = HandClock()
        hedging = Hedging(HedgeConfig("p95"), clock)
        for number in range(100):
            assert hedging.delay_s(streamed=False) is None
            hedging._latencies[False].add(0.0, float(number))
        assert hedging.delay_s(streamed=False) == pytest.approx(0.95 * 99.0)
        for _ in range(1000):
            hedging._latencies[False].add(0.0, 7.0)
        assert hedging.delay_s(streamed=False) == 7.0

    def test_latencies_are_learnt(self):
        """The time from dispatch to answer counts, whoever gave it."""
        scene = scene_of((0.5, 1), (0.5, 1), hedge=HedgeConfig("p50"))
        for number in range(10):
            scene.infer(request(number))
        hedging = scene.gateway._hedging
        assert hedging is not None
        assert hedging[GENERATE].delay_s(streamed=False) == pytest.approx(0.5)

    def test_a_hedged_request_s_latency_is_that_of_its_lead(self):
        """A hedge that answers after 0.25 s has taken the request 1.25 s."""
        scene = scene_of((1.0, 1), (1.0, 1), hedge=HedgeConfig("p50", budget=None))
        for number in range(10):
            scene.infer(request(number))
        scene.nodes.update(a=[(9.0, 1)], b=[(0.25, 1)])
        scene.infer()
        hedging = scene.gateway._hedging
        assert hedging is not None

        assert scene.sent[-2:] == [(10.0, "a"), (11.0, "b")]
        assert hedging[GENERATE]._latencies[False].quantile(1.0) == pytest.approx(1.25)

    def test_a_retry_is_no_request(self):
        """Two requests of two attempts each pay for one hedge of 50 %, and not for two."""
        scene = scene_of(
            (0.0, LOST),
            (0.0, LOST),
            hedge=HedgeConfig(after_s=1.0, budget=0.5),
            retries=replace(EXACT, limit=1),
        )
        for number in range(2):
            scene.fail(request(number))
        hedging = scene.gateway._hedging
        assert hedging is not None

        assert len(scene.sent) == 4
        assert [hedging[GENERATE].budget.reserve() for _ in range(2)] == [True, False]

    def test_budget(self):
        """With 10 %, one request in ten is hedged, and no more in any 10 s."""
        scene = scene_of((2.0, 1), (2.0, 1), hedge=HedgeConfig(after_s=0.5, budget=0.1))
        for number in range(40):
            scene.stage.spawn(scene.gateway.infer(request(number)))
        scene.stage.env.run()

        assert len(scene.sent) == 44

    def test_a_hedge_that_is_not_made_costs_nothing(self):
        """Where there is no other node, the budget is given back."""
        scene = scene_of((2.0, 1), None, hedge=HedgeConfig(after_s=0.5, budget=0.1))
        for number in range(5):
            scene.stage.spawn(scene.gateway.infer(request(number)))
        scene.stage.env.run()

        hedging = scene.gateway._hedging
        assert hedging is not None
        assert hedging[GENERATE].budget.reserve()
