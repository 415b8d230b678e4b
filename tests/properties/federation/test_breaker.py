"""The breaker against a model of it, over random sequences of requests, results and waits."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
)

from fedsim.federation.breaker import BreakerConfig, CircuitBreaker
from fedsim.federation.contracts import CircuitState, NodeId
from tests.unit.federation.stand_ins import HandClock, Onlooker

A = NodeId("a")
RESET_S = 30.0


class BreakerMachine(RuleBasedStateMachine):
    """One node's circuit, used as a gateway does: acquire, then release and record, or cancel.

    Requests that were sent while the circuit was closed may end at any later time. The model
    knows no more than the docstring: counts, the time at which the circuit opened, and until when
    the probes in flight hold their places.
    """

    ordinary = Bundle("ordinary")
    probes = Bundle("probes")

    @initialize(failures=st.integers(1, 3), successes=st.integers(1, 3), allowed=st.integers(1, 3))
    def begin(self, failures, successes, allowed):
        """Take a configuration."""
        self.config = BreakerConfig(failures, RESET_S, successes, allowed)
        self.clock, self.seen = HandClock(), Onlooker()
        self.breaker = CircuitBreaker(self.clock, self.config, self.seen)
        self.expected = CircuitState.CLOSED
        self.failures = self.successes = 0
        self.until_s: list[float] = []
        self.opened_s = 0.0
        self.timeline: list[tuple[float, str]] = []

    def move(self, state, at_s=None):
        """Expect a transition."""
        self.expected = state
        self.timeline.append((self.clock.now_s if at_s is None else at_s, state.value))

    def catch_up(self):
        """Expect what time has brought about."""
        self.until_s = [until_s for until_s in self.until_s if until_s > self.clock.now_s]
        half_opens_s = self.opened_s + RESET_S
        if self.expected is CircuitState.OPEN and self.clock.now_s >= half_opens_s:
            self.successes = 0
            self.move(CircuitState.HALF_OPEN, half_opens_s)

    def open(self):
        """Expect the circuit to open now."""
        self.opened_s = self.clock.now_s
        self.move(CircuitState.OPEN)

    @rule(wait_s=st.sampled_from([0.1, 29.9, 30.0]))
    def wait(self, wait_s):
        """Let time pass."""
        self.clock.now_s += wait_s
        self.catch_up()

    @rule(target=ordinary)
    def send_ordinary(self):
        """Send while the circuit is closed."""
        if self.expected is not CircuitState.CLOSED:
            return multiple()
        assert self.breaker.try_acquire(A)
        return "request"

    @rule(target=probes)
    def send_probe(self):
        """Ask for leave while it is not closed: granted to so many at a time, half-open only."""
        if self.expected is CircuitState.CLOSED:
            return multiple()
        free = len(self.until_s) < self.config.half_open_probes
        granted = self.breaker.try_acquire(A)
        assert granted == (self.expected is CircuitState.HALF_OPEN and free)
        if not granted:
            return multiple()
        self.until_s.append(self.clock.now_s + RESET_S)
        return "probe"

    @rule(request=consumes(ordinary), ok=st.booleans())
    def ordinary_ends(self, request, ok):
        """An ordinary request ends, perhaps long after the circuit has opened."""
        self.record(ok)

    @rule(probe=consumes(probes), ok=st.sampled_from([True, False, None]))
    def probe_ends(self, probe, ok):
        """A probe ends well, badly or by cancellation, perhaps long after its time."""
        self.breaker.release(A)
        del self.until_s[-1:]
        if ok is not None:
            self.record(ok)

    def record(self, ok):
        """Record a result, and expect what it does in the present state."""
        if ok:
            self.breaker.record_success(A)
            self.failures = 0 if self.expected is CircuitState.CLOSED else self.failures
            if self.expected is CircuitState.HALF_OPEN:
                self.successes += 1
                if self.successes == self.config.half_open_successes:
                    self.failures = 0
                    self.move(CircuitState.CLOSED)
            return
        self.breaker.record_failure(A)
        if self.expected is CircuitState.HALF_OPEN:
            self.open()
        elif self.expected is CircuitState.CLOSED:
            self.failures += 1
            if self.failures == self.config.failure_threshold:
                self.open()

    @invariant()
    def agrees(self):
        """State, openness and timeline are the model's; asking twice changes nothing."""
        if not hasattr(self, "config"):
            return
        full = len(self.until_s) >= self.config.half_open_probes
        for _ in range(2):
            assert self.breaker.state(A) is self.expected
            assert self.breaker.is_open(A) == (
                self.expected is CircuitState.OPEN
                or (self.expected is CircuitState.HALF_OPEN and full)
            )
        assert len(self.until_s) <= self.config.half_open_probes
        told = [(at_s, after) for at_s, _, _, after in self.seen.circuits]
        assert told == self.timeline[: len(told)]  # half-open is told when next it matters
        assert len(self.timeline) - len(told) <= 1

    def teardown(self):
        """At the end the observer knows the whole timeline."""
        if hasattr(self, "config"):
            self.breaker.settle()
            assert [(at_s, after) for at_s, _, _, after in self.seen.circuits] == self.timeline


BreakerMachine.TestCase.settings = settings(stateful_step_count=40)
TestBreaker = BreakerMachine.TestCase
