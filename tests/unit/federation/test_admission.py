"""Limits, shedding and throttling: sequences worked out by hand."""

from __future__ import annotations

import random

import pytest

from fedsim.federation.admission import TurnedAway
from fedsim.federation.contracts import (
    Capability,
    InferenceRequest,
    Internal,
    NodeId,
    QoSRequirements,
)
from fedsim.federation.limits import Aimd, ConcurrencyConfig, Fixed, Gradient2, Vegas, build_limit
from fedsim.federation.shedding import Shedding, SheddingConfig
from fedsim.federation.throttling import Throttle, ThrottleConfig
from tests.unit.federation.gateways import Diary, GatewayScene
from tests.unit.federation.stand_ins import GENERATE, Dice, HandClock, request, unreachable

TWENTY = ConcurrencyConfig(initial=20, min=1, max=1000)


class TestThrottle:
    """The rule of the SRE book."""

    def throttle(self, *rolls, accepts=2.0):
        """Return a throttle, and its clock."""
        clock = HandClock()
        return Throttle(ThrottleConfig(accepts), clock, Dice(*rolls)), clock

    @pytest.mark.parametrize(
        ("requests", "accepts", "probability"),
        [(0, 0, 0.0), (1, 0, 0.5), (100, 50, 0.0), (100, 30, 40 / 101), (100, 0, 100 / 101)],
    )
    def test_probability(self, requests, accepts, probability):
        """It is (requests - 2 accepts) / (requests + 1), and never below 0."""
        throttle, _ = self.throttle(0.999)
        for _ in range(requests):
            throttle.admits()
        for _ in range(accepts):
            throttle.accepted()

        assert throttle.probability == pytest.approx(probability)

    def test_requests_turned_away_are_counted(self):
        """When nothing is accepted, the probability rises towards 1."""
        throttle, _ = self.throttle(0.6)
        assert [throttle.admits() for _ in range(4)] == [True, True, False, False]
        assert throttle.probability == pytest.approx(4 / 5)

    def test_the_window_slides(self):
        """After two minutes all is forgotten."""
        throttle, clock = self.throttle()
        throttle.admits()
        clock.now_s = 119.9
        assert throttle.probability == 0.5
        clock.now_s = 120.0
        assert throttle.probability == 0.0

    def test_without_reason_nothing_is_drawn(self):
        """While the probability is 0 the random stream stays as it is."""
        dice = Dice()
        throttle = Throttle(ThrottleConfig(), HandClock(), dice)
        throttle.admits()
        throttle.accepted()
        throttle.admits()

        assert dice.rolls == 0

    def test_in_the_long_run(self):
        """Of 100 requests a second, nodes are sent about K for each that they take."""
        clock = HandClock()
        rng = random.Random(1)
        throttle = Throttle(ThrottleConfig(2.0, 120.0), clock, rng)
        sent, taken, room = 0, 0, 0.0
        for step in range(100 * 600):
            clock.now_s = step / 100.0
            room = min(room + 0.1, 1.0)
            if throttle.admits():
                sent += step >= 100 * 300
                if room >= 1.0:
                    room = 0.0
                    taken += step >= 100 * 300
                    throttle.accepted()
        assert taken > 1000
        assert sent / taken == pytest.approx(2.0, rel=0.05)


class TestAimd:
    """Plus one, times 0.9."""

    def test_by_hand(self):
        """Slow 18, good 19, good 20, dropped 18, half empty 18."""
        limit = Aimd(ConcurrencyConfig("aimd", initial=20, slow_s=5.0))
        steps = [(5.1, 20, False), (5.0, 18, False), (1.0, 10, False), (1.0, 20, True)]
        seen = []
        for latency_s, in_flight, dropped in steps:
            limit.sample(latency_s, in_flight, dropped)
            seen.append(limit.limit)
        limit.sample(1.0, 8, dropped=False)

        assert seen == [18, 19, 20, 18]
        assert limit.limit == 18

    def test_bounds(self):
        """It stays within least and most."""
        limit = Aimd(ConcurrencyConfig(initial=4, min=3, max=5))
        for _ in range(5):
            limit.sample(0.0, 4, dropped=True)
        assert limit.limit == 3
        for _ in range(5):
            limit.sample(0.0, 9, dropped=False)
        assert limit.limit == 5


class TestVegas:
    """Estimated queue against 1, 3 and 6 times log10 of the limit."""

    def vegas(self, initial=20, **more):
        """Return a limit that has seen a shortest latency of 1 s."""
        limit = Vegas(ConcurrencyConfig(initial=initial, max=1000, **more), Dice(0.999))
        limit.sample(1.0, initial, dropped=False)
        assert limit.limit == initial
        return limit

    @pytest.mark.parametrize(
        ("latency_s", "expected"),
        [
            (1.0, 26),  # queue 0: + 6
            (1.05, 26),  # ceil(20 (1 - 1/1.05)) = 1: + 6
            (1.1, 21),  # 2: + 1
            (1.17, 20),  # 3: stays
            (1.4, 20),  # 6: stays
            (1.5, 19),  # 7: - 1
        ],
    )
    def test_steps_at_20(self, latency_s, expected):
        """With L = 20 the log is 1: up to 1 + 6, below 3 + 1, above 6 - 1."""
        limit = self.vegas()
        limit.sample(latency_s, 20, dropped=False)

        assert limit.limit == expected

    def test_steps_at_200(self):
        """With L = 200 the log is 2: a queue of 2 gives + 12, of 13 gives - 2."""
        up, down = self.vegas(200), self.vegas(200)
        up.sample(1.01, 200, dropped=False)
        down.sample(1.068, 200, dropped=False)

        assert (up.limit, down.limit) == (212, 198)

    def test_a_drop(self):
        """A drop lowers it by the log, and its time is not learnt."""
        limit = self.vegas()
        limit.sample(0.001, 20, dropped=True)
        assert limit.limit == 19
        limit.sample(1.0, 20, dropped=False)
        assert limit.limit == 25

    def test_unused(self):
        """With less than half of it in use it stays."""
        limit = self.vegas()
        limit.sample(5.0, 9, dropped=False)
        assert limit.limit == 20

    def test_the_shortest_latency_is_probed_again(self):
        """After 30 L samples the present latency is the shortest."""
        limit = self.vegas(10)
        for _ in range(300):
            limit.sample(2.0, 1, dropped=False)
        limit.sample(2.0, 10, dropped=False)

        assert limit.limit == 16

    def test_bounds(self):
        """It stays within least and most."""
        limit = self.vegas(20, min=19)
        for _ in range(5):
            limit.sample(9.0, 20, dropped=False)
        assert limit.limit == 19


class TestGradient2:
    """The ratio of the long-term to the present latency."""

    def after(self, *latencies_s, in_flight=20):
        """Return the exact limit after latencies, from 20."""
        limit = Gradient2(TWENTY)
        for latency_s in latencies_s:
            limit.sample(latency_s, in_flight, dropped=False)
        return limit._estimate

    def test_steady(self):
        """At a steady latency the gradient is 1, and each sample adds 0.2 x 4."""
        assert self.after(1.0) == pytest.approx(20.8)
        assert self.after(1.0, 1.0, 1.0) == pytest.approx(22.4)

    def test_a_slow_answer(self):
        """The mean of 1 and 9 s is 5 s: g = 1.5 x 5 / 9 = 0.8333 on 20.8."""
        expected = 0.8 * 20.8 + 0.2 * (7.5 / 9.0 * 20.8 + 4.0)
        assert self.after(1.0, 9.0) == pytest.approx(expected)

    def test_the_least_gradient(self):
        """A gradient below 0.5 counts as 0.5, and so does a drop."""
        limit = Gradient2(TWENTY)
        for _ in range(10):
            limit.sample(1.0, 1, dropped=False)
        limit.sample(100.0, 20, dropped=False)
        assert limit._estimate == pytest.approx(0.8 * 20.0 + 0.2 * (10.0 + 4.0))

        dropped = Gradient2(TWENTY)
        dropped.sample(0.0, 20, dropped=True)
        assert dropped._estimate == pytest.approx(18.8)

    def test_the_long_average(self):
        """Ten latencies are averaged evenly, further ones with weight 2/601."""
        limit = Gradient2(TWENTY)
        for latency_s in [1.0, 2.0] * 5:
            limit.sample(latency_s, 1, dropped=False)
        assert limit._long_s == pytest.approx(1.5)
        limit.sample(1.0, 1, dropped=False)
        assert limit._long_s == pytest.approx(1.5 - 0.5 * 2.0 / 601.0)

    def test_the_long_average_falls(self):
        """It falls by 5 % while it is more than twice the present latency."""
        limit = Gradient2(TWENTY)
        for _ in range(10):
            limit.sample(4.0, 1, dropped=False)
        limit.sample(1.0, 1, dropped=False)
        assert limit._long_s == pytest.approx(0.95 * (4.0 - 3.0 * 2.0 / 601.0))

    def test_unused(self):
        """With less than half of it in use it stays."""
        assert self.after(1.0, 1.0, in_flight=9) == 20.0


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("aimd", Aimd), ("vegas", Vegas), ("gradient2", Gradient2), ("fixed", Fixed)],
)
def test_build_limit(algorithm, kind):
    """Each algorithm has its name, and starts at its initial limit."""
    limit = build_limit(ConcurrencyConfig(algorithm, initial=7), Dice())
    assert type(limit) is kind
    assert limit.limit == 7


@pytest.mark.parametrize(
    ("priority", "room"), [(-1, 100.0), (0, 100.0), (1, 80.0), (2, 60.0), (5, 1.0), (9, 1.0)]
)
def test_shedding(priority, room):
    """Each level leaves 20 % of the limit free, and at least one place is everybody's."""
    assert Shedding(SheddingConfig(0.2, 100)).room(7.0, priority) == pytest.approx(room)
    assert Shedding(SheddingConfig(0.2)).room(100.0, priority) == pytest.approx(room)


def asked(number, priority=0):
    """Return a request of a priority."""
    return InferenceRequest(
        Capability.GENERATE, b"", QoSRequirements(), str(number), priority=priority
    )


class TestGateway:
    """What the gateway does with requests that are not let in."""

    def send(self, scene, *priorities):
        """Send requests at once, and return who was turned away."""
        errors = {}

        async def infer(number, priority):
            try:
                await scene.gateway.infer(asked(number, priority))
            except TurnedAway as error:
                errors[number] = error

        for number, priority in enumerate(priorities):
            scene.stage.spawn(infer(number, priority))
        scene.stage.env.run(until=scene.now_s + 5.0)
        return errors

    def test_over_the_limit(self):
        """What exceeds it ends as no_capacity; no node sees it, and it is not tried again."""
        diary = Diary()
        fixed = ConcurrencyConfig("fixed", initial=2)
        scene = GatewayScene({"a": [(1.0, 1)]}, concurrency=fixed, middlewares=[diary])
        errors = self.send(scene, 0, 0, 0)

        assert list(errors) == [2]
        assert errors[2].kind == "no_capacity"
        assert "concurrency" in str(errors[2])
        assert len(scene.sent) == 2
        assert diary.errors == ["no_capacity"]
        assert scene.gateway.stats().failed_requests == 1
        assert scene.failures("a") == (0, 0)
        assert not self.send(scene, 0, 0)
        assert scene.gateway.admission is not None
        assert scene.gateway.admission[GENERATE].in_flight == 0

    def test_by_priority(self):
        """What is less important is turned away first."""
        scene = GatewayScene({"a": [(1.0, 1)]}, shedding=SheddingConfig(0.5, 4))

        assert list(self.send(scene, 0, 1, 1, 0, 1, 0, 0)) == [2, 4, 6]

    def test_throttled(self):
        """After refusals, requests are turned away before they are sent."""
        scene = GatewayScene(
            {"a": [(0.1, unreachable())]}, throttle=ThrottleConfig(), retries=None, rng=Dice(0.7)
        )
        for number in range(3):
            assert scene.fail(asked(number)).kind == "node_unreachable"

        assert scene.fail(asked(3)).kind == "no_capacity"
        assert len(scene.sent) == 3

    def test_an_error_that_is_not_about_load_is_accepted(self):
        """A node that took the request and failed is no reason to throttle."""
        scene = GatewayScene(
            {"a": [(0.1, Internal("bug"))]}, throttle=ThrottleConfig(), retries=None, rng=Dice(0.1)
        )
        for number in range(10):
            scene.fail(asked(number))
            scene.breaker.record_success(NodeId("a"))

        assert len(scene.sent) == 10

    def test_spells_are_reported(self):
        """The observer hears when requests begin to be turned away, and when no more are."""
        fixed = ConcurrencyConfig("fixed", initial=1)
        scene = GatewayScene({"a": [(1.0, 1)]}, concurrency=fixed)
        self.send(scene, 0, 0, 0)
        self.send(scene, 0, 0)
        scene.stage.env.run(until=30.0)
        self.send(scene, 0, 0)
        scene.stage.env.run(until=60.0)
        scene.gateway.settle()
        scene.gateway.settle()

        assert scene.seen.admissions == [
            (0.0, "concurrency/generate", "turning_away", ""),
            (5.0, "concurrency/generate", "open", "3 requests turned away"),
            (30.0, "concurrency/generate", "turning_away", ""),
            (30.0, "concurrency/generate", "open", "1 request turned away"),
        ]

    def test_streams_are_in_until_their_end(self):
        """A stream holds its place until it has been read, or cancelled."""
        fixed = ConcurrencyConfig("fixed", initial=1)
        scene = GatewayScene({"a": [(0.1, 0)]}, concurrency=fixed)
        scene.scripts["a"] = [(0.1, b"one")]
        for end in ("read", "cancel"):
            stream = scene.stage.run(scene.gateway.infer_stream(request()))
            assert scene.fail().kind == "no_capacity"
            if end == "cancel":
                scene.stage.run(stream.cancel())
            else:
                while scene.stage.run(stream.next_token()) is not None:
                    pass
            assert scene.gateway.admission is not None
            assert scene.gateway.admission[GENERATE].in_flight == 0

    def test_off(self):
        """Without settings everybody is let in, and nothing is kept."""
        assert GatewayScene({"a": [(0.0, 1)]}).gateway.admission is None
