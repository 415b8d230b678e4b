"""The breaker that goes by rates: its states, one by one, after Resilience4j."""

from __future__ import annotations

import pytest

from fedsim.federation.contracts import CircuitState, NodeId
from fedsim.federation.rate_breaker import RateBreaker, RateBreakerConfig
from tests.unit.federation.stand_ins import HandClock, Onlooker

A, B = NodeId("a"), NodeId("b")


class Scene:
    """A rate breaker on a hand clock."""

    def __init__(self, **config) -> None:
        self.clock = HandClock()
        self.seen = Onlooker()
        self.breaker = RateBreaker(self.clock, RateBreakerConfig(**config), self.seen)

    def results(self, oks: str, took_s: float = 0.0, node: NodeId = A) -> None:
        """Record results of attempts that took *took_s*: ``+`` a success, ``-`` a failure."""
        for each in oks:
            self.breaker.record_attempt(node, each == "+", self.clock.now_s - took_s)

    def probes(self, oks: str, took_s: float = 0.0) -> None:
        """Send probes one by one and record their results."""
        for each in oks:
            assert self.breaker.try_acquire(A)
            self.breaker.release(A)
            self.results(each, took_s)

    def open_and_wait(self) -> None:
        """Open the circuit with all that its window holds, and wait until it is half-open."""
        self.results("-" * 100)
        assert self.state == "open"
        self.clock.now_s += 60.0

    @property
    def state(self) -> str:
        """The state of node a."""
        return self.breaker.state(A).value


class TestClosed:
    """What opens a circuit."""

    def test_defaults_open_at_the_hundredth_result(self):
        """99 failures open nothing; the hundredth result makes the rates count."""
        scene = Scene()
        scene.results("-" * 99)
        assert scene.state == "closed"
        scene.results("+")
        assert scene.state == "open"
        assert scene.breaker.is_open(A)
        assert scene.seen.reasons == ["99 of 100 failed"]

    def test_half_is_enough_and_less_is_not(self):
        """The threshold of 50 % is met by 50 failures of 100, not by 49."""
        scene = Scene()
        scene.results("-" * 49 + "+" * 51)
        assert scene.state == "closed"
        scene = Scene()
        scene.results("-" * 50 + "+" * 50)
        assert scene.state == "open"

    def test_counts_only_the_window(self):
        """Old results fall out of a window of calls, and min_calls is at most the window."""
        scene = Scene(window_calls=4, min_calls=100)
        scene.results("-+++")
        assert scene.state == "closed"
        scene.results("-")  # + + + -
        assert scene.state == "closed"
        scene.results("-")  # + + - -
        assert scene.state == "open"

    def test_slow_calls(self):
        """A call is slow above the limit, not at it, whether it succeeds or fails."""
        scene = Scene(window_calls=2, min_calls=2, slow_call_s=2.0, failure_rate=1.0)
        scene.results("++", took_s=2.0)
        assert scene.state == "closed"
        scene.results("+", took_s=2.5)
        assert scene.state == "closed"
        scene.results("-", took_s=2.5)
        assert scene.state == "open"
        assert scene.seen.reasons == ["2 of 2 were slow"]

    def test_time_window_counts_whole_seconds(self):
        """A window of 2 s holds the present second and the one before."""
        scene = Scene(window_s=2, min_calls=3)
        scene.clock.now_s = 10.9
        scene.results("--")
        scene.clock.now_s = 12.0
        scene.results("--")
        assert scene.state == "closed"
        scene.clock.now_s = 13.9
        scene.results("-")
        assert scene.state == "open"

    def test_nodes_have_circuits_of_their_own(self):
        """What one node does leaves the other's circuit alone."""
        scene = Scene(window_calls=2, min_calls=2)
        scene.results("--")
        assert scene.breaker.state(B) is CircuitState.CLOSED
        assert scene.breaker.try_acquire(B)


class TestOpen:
    """What an open circuit does."""

    def test_waits_and_refuses(self):
        """Nothing passes for the wait; then it is half-open, without anybody asking."""
        scene = Scene()
        scene.results("-" * 100)
        scene.clock.now_s = 59.9
        assert not scene.breaker.try_acquire(A)
        scene.clock.now_s = 60.0
        assert scene.state == "half_open"
        assert not scene.breaker.is_open(A)
        scene.breaker.settle()
        assert scene.seen.circuits[-1] == (60.0, "a", "open", "half_open")

    def test_results_change_nothing(self):
        """A result that comes while it is open is not counted."""
        scene = Scene()
        scene.results("-" * 100)
        scene.clock.now_s = 30.0
        scene.results("+" * 200)
        assert scene.state == "open"
        assert scene.breaker.half_opens_at_s(A) == 60.0


class TestHalfOpen:
    """What a half-open circuit does."""

    def test_lets_ten_through_and_no_more(self):
        """The eleventh call is refused, also when the first have their results."""
        scene = Scene()
        scene.open_and_wait()
        assert all(scene.breaker.try_acquire(A) for _ in range(10))
        assert not scene.breaker.try_acquire(A)
        for _ in range(4):
            scene.breaker.release(A)
            scene.results("+")
        assert not scene.breaker.try_acquire(A)
        assert scene.breaker.is_open(A)

    @pytest.mark.parametrize(
        ("results", "state"), [("-----+++++", "open"), ("----++++++", "closed")]
    )
    def test_ten_results_decide(self, results, state):
        """Five failures of ten open it again, four close it; nine results decide nothing."""
        scene = Scene()
        scene.open_and_wait()
        scene.probes(results[:9])
        assert scene.state == "half_open"
        scene.probes(results[9])
        assert scene.state == state

    def test_fewer_results_decide_where_min_calls_is_less(self):
        """The verdict takes min(min_calls, probes) results."""
        scene = Scene(min_calls=3)
        scene.results("---")
        scene.clock.now_s = 60.0
        scene.probes("+++")
        assert scene.state == "closed"

    def test_slow_probes_open_it_again(self):
        """Slow calls count for probes as well."""
        scene = Scene(min_calls=2, slow_call_s=1.0)
        scene.results("--")
        scene.clock.now_s = 60.0
        assert scene.breaker.try_acquire(A)
        assert scene.breaker.try_acquire(A)
        scene.clock.now_s = 63.0
        for _ in range(2):
            scene.breaker.release(A)
            scene.results("+", took_s=3.0)
        assert scene.state == "open"
        assert scene.breaker.half_opens_at_s(A) == 123.0

    def test_a_probe_without_result_gives_its_place_back(self):
        """A cancelled probe makes room for another."""
        scene = Scene(half_open_probes=1)
        scene.open_and_wait()
        assert scene.breaker.try_acquire(A)
        assert not scene.breaker.try_acquire(A)
        scene.breaker.release(A)
        assert scene.breaker.try_acquire(A)

    def test_late_results_do_not_count(self):
        """A result of an attempt that was sent before the circuit was half-open decides nothing."""
        scene = Scene(min_calls=2)
        scene.results("--")
        scene.clock.now_s = 61.0
        scene.results("++++", took_s=1.5)
        assert scene.state == "half_open"
        scene.probes("++", took_s=1.0)
        assert scene.state == "closed"

    def test_begins_anew_when_closed(self):
        """A closed circuit has forgotten what was before."""
        scene = Scene()
        scene.open_and_wait()
        scene.probes("+" * 10)
        scene.results("-" * 99)
        assert scene.state == "closed"
        scene.results("-")
        assert scene.state == "open"
        assert [after for *_, after in scene.seen.circuits] == [
            "open",
            "half_open",
            "closed",
            "open",
        ]
