"""The rate breaker against a reference that keeps every result and works all out anew."""

from __future__ import annotations

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fedsim.federation.contracts import CircuitState, NodeId
from fedsim.federation.rate_breaker import RateBreaker, RateBreakerConfig
from tests.unit.federation.stand_ins import HandClock

A = NodeId("a")


class Naive:
    """The same rules, written as they are told: lists of results, and no counts."""

    def __init__(self, config: RateBreakerConfig) -> None:
        self.config = config
        self.now_s = 0.0
        self.state = "closed"
        self.half_opens_s = 0.0
        self.results: list[tuple[float, bool, bool]] = []
        self.until_s: list[float] = []

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds
        self.until_s = [until_s for until_s in self.until_s if until_s > self.now_s]
        if self.state == "open" and self.now_s >= self.half_opens_s:
            self.state, self.results = "half_open", []

    def places(self) -> float:
        """Return how many calls may be admitted now."""
        if self.state == "closed":
            return math.inf
        if self.state == "open":
            return 0
        return self.config.half_open_probes - len(self.results) - len(self.until_s)

    def result(self, ok: bool, sent_s: float) -> None:
        """Take a result."""
        if self.state == "open" or (self.state == "half_open" and sent_s < self.half_opens_s):
            return
        self.results.append((self.now_s, not ok, self.now_s - sent_s > self.config.slow_call_s))
        counted = self.counted()
        if len(counted) < self.least():
            return
        failed = sum(failed for _, failed, _ in counted) / len(counted)
        slow = sum(slow for _, _, slow in counted) / len(counted)
        if failed >= self.config.failure_rate or slow >= self.config.slow_rate:
            self.state, self.half_opens_s = "open", self.now_s + self.config.wait_s
        elif self.state == "half_open":
            self.state, self.results = "closed", []

    def least(self) -> int:
        """Return from how many results the rates count."""
        config = self.config
        if self.state == "half_open":
            return min(config.min_calls, config.half_open_probes)
        return config.min_calls if config.window_s else min(config.min_calls, config.window_calls)

    def counted(self) -> list[tuple[float, bool, bool]]:
        """Return the results that count."""
        if self.state == "half_open":
            return self.results
        if self.config.window_s is None:
            return self.results[-self.config.window_calls :]
        first = math.floor(self.now_s) - self.config.window_s + 1
        return [each for each in self.results if math.floor(each[0]) >= first]


configs = st.builds(
    RateBreakerConfig,
    window_calls=st.integers(1, 6),
    window_s=st.sampled_from([None, None, 1, 3]),
    failure_rate=st.sampled_from([0.25, 0.5, 1.0]),
    slow_call_s=st.sampled_from([1.0, 100.0]),
    slow_rate=st.sampled_from([0.5, 1.0]),
    min_calls=st.integers(1, 5),
    wait_s=st.just(8.0),
    half_open_probes=st.integers(1, 4),
)


class RateBreakerMachine(RuleBasedStateMachine):
    """Attempts begin and end in any order, while time passes in exact steps."""

    @initialize(config=configs)
    def begin(self, config):
        """Take a breaker and its reference."""
        self.clock = HandClock()
        self.breaker = RateBreaker(self.clock, config)
        self.naive = Naive(config)
        self.sent: list[tuple[float, bool]] = []

    @rule(seconds=st.sampled_from([0.25, 0.5, 1.0, 2.0, 8.0]))
    def wait(self, seconds):
        """Time passes."""
        self.clock.now_s += seconds
        self.naive.wait(seconds)

    @rule()
    def send(self):
        """An attempt asks for leave, and is under way if it gets it."""
        admitted = self.breaker.try_acquire(A)
        assert admitted == (self.naive.places() > 0)
        if admitted:
            probe = self.naive.state == "half_open"
            if probe:
                self.naive.until_s.append(self.naive.now_s + self.naive.config.wait_s)
            self.sent.append((self.clock.now_s, probe))

    @precondition(lambda self: self.sent)
    @rule(data=st.data(), ok=st.sampled_from([True, False, None]))
    def end(self, data, ok):
        """An attempt ends with a result, or without one."""
        place = data.draw(st.integers(0, len(self.sent) - 1))
        sent_s, probe = self.sent.pop(place)
        if probe:
            self.breaker.release(A)
            del self.naive.until_s[-1:]
        if ok is not None:
            self.breaker.record_attempt(A, ok, sent_s)
            self.naive.result(ok, sent_s)

    @invariant()
    def agree(self):
        """Both are in the same state, and let as many pass."""
        if hasattr(self, "breaker"):
            assert self.breaker.state(A).value == self.naive.state
            assert self.breaker.is_open(A) == (self.naive.places() <= 0)
            assert (self.breaker.state(A) is CircuitState.OPEN) <= self.breaker.is_open(A)


RateBreakerMachine.TestCase.settings = settings(stateful_step_count=50)
TestRateBreaker = RateBreakerMachine.TestCase
