"""The circuit breaker, with the reference's figures: 5 failures, 30 s, 3 successes, 1 probe."""

from __future__ import annotations

import math

import pytest

from fedsim.federation.breaker import BreakerConfig, CircuitBreaker
from fedsim.federation.contracts import CircuitState, NodeId
from tests.unit.federation.stand_ins import HandClock, Onlooker

A, B = NodeId("a"), NodeId("b")
CLOSED, HALF_OPEN, OPEN = CircuitState.CLOSED, CircuitState.HALF_OPEN, CircuitState.OPEN


class Scene:
    """A breaker with its clock and an onlooker."""

    def __init__(self, **config):
        self.clock = HandClock()
        self.seen = Onlooker()
        self.breaker = CircuitBreaker(self.clock, BreakerConfig(**config), self.seen)

    def fail(self, count=1, at_s=None, node=A):
        """Record failures."""
        self.at(at_s)
        for _ in range(count):
            self.breaker.record_failure(node)

    def succeed(self, count=1, at_s=None, node=A):
        """Record successes."""
        self.at(at_s)
        for _ in range(count):
            self.breaker.record_success(node)

    def probe(self, at_s=None, *, ok):
        """Send a probe request and record its result, as a gateway does."""
        self.at(at_s)
        assert self.breaker.try_acquire(A)
        self.breaker.release(A)
        (self.succeed if ok else self.fail)()

    def at(self, at_s):
        """Set the clock."""
        if at_s is not None:
            self.clock.now_s = at_s

    def state(self, at_s=None):
        """Return the state of node a."""
        self.at(at_s)
        return self.breaker.state(A)


def test_timeline_of_a_scripted_failure():
    """Five failures open, 30 s half-open, a failed probe opens again, three good ones close."""
    scene = Scene()
    for at_s in (1.0, 2.0, 3.0, 4.0, 10.25):
        scene.fail(at_s=at_s)
    scene.probe(41.0, ok=True)
    scene.probe(41.5, ok=False)
    scene.probe(72.0, ok=True)
    scene.probe(73.0, ok=True)
    scene.probe(74.5, ok=True)

    assert scene.seen.circuits == [
        (10.25, "a", "closed", "open"),
        (40.25, "a", "open", "half_open"),
        (41.5, "a", "half_open", "open"),
        (71.5, "a", "open", "half_open"),
        (74.5, "a", "half_open", "closed"),
    ]
    assert scene.seen.reasons == [
        "5 failures in a row",
        "the reset timeout passed",
        "a probe failed",
        "the reset timeout passed",
        "enough successful probes",
    ]


def test_nothing_happens_before_the_fifth_failure():
    """Four failures leave the circuit closed, and a success sets the count back."""
    scene = Scene()
    scene.fail(4)
    scene.succeed()
    scene.fail(4)
    assert scene.state() is CLOSED
    assert not scene.breaker.is_open(A)

    scene.fail()
    assert scene.state() is OPEN
    assert scene.breaker.is_open(A)


def test_nodes_have_circuits_of_their_own():
    """Failures of one node leave the other's circuit alone; an unknown node's is closed."""
    scene = Scene()
    scene.fail(5)

    assert scene.breaker.state(B) is CLOSED
    assert scene.breaker.try_acquire(B)


@pytest.mark.parametrize("opened_s", [0.0, 0.1, 10.25, 1e9 / 3.0])
def test_half_open_at_exactly_the_timeout(opened_s):
    """The circuit is open up to the last instant before the timeout, and half-open at it."""
    scene = Scene()
    scene.fail(5, at_s=opened_s)
    half_opens_s = opened_s + 30.0

    assert scene.breaker.half_opens_at_s(A) == half_opens_s
    assert scene.state(math.nextafter(half_opens_s, 0.0)) is OPEN
    assert scene.breaker.is_open(A)
    assert not scene.breaker.try_acquire(A)
    assert scene.state(half_opens_s) is HALF_OPEN
    assert not scene.breaker.is_open(A)
    assert scene.breaker.try_acquire(A)


def test_asking_changes_nothing():
    """`is_open` and `state` tell the observer nothing and leave everything as it is."""
    scene = Scene()
    scene.fail(5, at_s=0.0)
    scene.clock.now_s = 31.0
    told: list[str] = []
    scene.breaker.subscribe(told.append)
    for _ in range(3):
        assert scene.breaker.state(A) is HALF_OPEN
        assert not scene.breaker.is_open(A)
    scene.clock.now_s = 29.0

    assert scene.breaker.state(A) is OPEN  # a clock set back shows that nothing was noted
    assert len(scene.seen.circuits) == 1
    assert told == []


def test_settling_tells_the_observer_what_time_has_done():
    """A circuit that nobody used is reported as half-open, at the time at which it became so."""
    scene = Scene()
    scene.fail(5, at_s=2.0)
    scene.at(100.0)
    scene.breaker.settle()
    scene.breaker.settle()

    assert scene.seen.circuits[1:] == [(32.0, "a", "open", "half_open")]


def test_late_failures_do_not_extend_an_open_circuit():
    """Failures of requests that were under way when the circuit opened change nothing."""
    scene = Scene()
    scene.fail(5, at_s=0.0)
    scene.fail(3, at_s=29.0)

    assert scene.breaker.half_opens_at_s(A) == 30.0
    assert scene.state(30.0) is HALF_OPEN


def test_a_late_success_does_not_close_an_open_circuit():
    """A success of a request that was under way when the circuit opened changes nothing."""
    scene = Scene()
    scene.fail(5, at_s=0.0)
    scene.succeed(5, at_s=29.0)

    assert scene.state() is OPEN
    assert scene.state(30.0) is HALF_OPEN
    assert len(scene.seen.circuits) == 1


def test_one_probe_at_a_time():
    """Half-open, a second request is refused until the first has ended."""
    scene = Scene()
    scene.fail(5, at_s=0.0)
    scene.at(30.0)
    assert scene.breaker.try_acquire(A)
    assert scene.breaker.is_open(A)
    assert scene.state() is HALF_OPEN
    assert not scene.breaker.try_acquire(A)

    scene.breaker.release(A)
    assert not scene.breaker.is_open(A)
    assert scene.breaker.try_acquire(A)


def test_as_many_probes_as_allowed():
    """With three probes allowed, the fourth is refused."""
    scene = Scene(half_open_probes=3)
    scene.fail(5, at_s=0.0)
    scene.at(30.0)

    assert [scene.breaker.try_acquire(A) for _ in range(5)] == [True] * 3 + [False] * 2


def test_a_cancelled_probe_counts_for_nothing():
    """A probe that is given back without a result leaves the circuit half-open."""
    scene = Scene()
    scene.fail(5, at_s=0.0)
    scene.at(30.0)
    for _ in range(10):
        assert scene.breaker.try_acquire(A)
        scene.breaker.release(A)

    assert scene.state() is HALF_OPEN


@pytest.mark.parametrize("probes", [1, 2])
def test_a_probe_that_never_ends_loses_its_place(probes):
    """After the reset timeout another request may try, whatever has become of the first."""
    scene = Scene(half_open_probes=probes)
    scene.fail(5, at_s=0.0)
    scene.at(40.0)
    for _ in range(probes):
        assert scene.breaker.try_acquire(A)
    scene.at(69.9)
    assert scene.breaker.is_open(A)
    assert not scene.breaker.try_acquire(A)
    assert scene.breaker.half_opens_at_s(A) == 70.0
    scene.at(70.0)
    assert not scene.breaker.is_open(A)
    for _ in range(3):
        scene.probe(ok=True)

    assert scene.state() is CLOSED


def test_a_probe_of_an_earlier_time_takes_no_place():
    """A probe that outlives its half-open period holds nobody up in the next one."""
    scene = Scene()
    scene.fail(5, at_s=0.0)
    scene.at(30.0)
    assert scene.breaker.try_acquire(A)  # it will take very long
    scene.fail(at_s=31.0)
    scene.at(61.0)
    assert scene.state() is HALF_OPEN

    assert [scene.breaker.try_acquire(A) for _ in range(2)] == [True, False]


def test_successes_are_counted_from_each_half_opening():
    """Two good probes before a bad one do not help after it."""
    scene = Scene()
    scene.fail(5, at_s=0.0)
    scene.probe(30.0, ok=True)
    scene.probe(30.0, ok=True)
    scene.probe(30.0, ok=False)
    scene.probe(60.0, ok=True)
    scene.probe(60.0, ok=True)
    assert scene.state() is HALF_OPEN

    scene.probe(60.0, ok=True)
    assert scene.state() is CLOSED


def test_a_closed_circuit_begins_at_zero():
    """After it has closed, a circuit takes five failures again to open."""
    scene = Scene()
    scene.fail(5, at_s=0.0)
    for _ in range(3):
        scene.probe(30.0, ok=True)
    scene.fail(4)
    assert scene.state() is CLOSED

    scene.fail()
    assert scene.state() is OPEN


def test_without_acquiring_results_count_all_the_same():
    """A gateway that knows the contract alone closes a circuit by recording successes."""
    scene = Scene()
    scene.fail(5, at_s=0.0)
    scene.succeed(3, at_s=30.0)

    assert scene.state() is CLOSED


def test_giving_back_what_was_not_taken_is_harmless():
    """A release too many does not let more probes through."""
    scene = Scene()
    scene.breaker.release(A)
    scene.fail(5, at_s=0.0)
    scene.at(30.0)
    scene.breaker.release(A)

    assert [scene.breaker.try_acquire(A) for _ in range(2)] == [True, False]


def test_subscribers_hear_of_every_change_that_time_does_not_bring():
    """Opening, closing, and the taking and giving back of probes are announced."""
    scene = Scene(half_open_successes=1)
    told: list[tuple[str, bool]] = []
    scene.breaker.subscribe(lambda node: told.append((node, scene.breaker.is_open(node))))
    scene.fail(5, at_s=0.0)
    assert told == [("a", True)]

    scene.at(30.0)
    scene.breaker.try_acquire(A)
    assert told[-1] == ("a", True)
    scene.breaker.release(A)
    assert told[-1] == ("a", False)
    scene.succeed()
    assert told[-1] == ("a", False)
    assert scene.state() is CLOSED


def test_defaults_are_the_reference_numbers():
    """Five failures, 30 s, three successes; and one probe at a time, which it does not have."""
    assert BreakerConfig() == BreakerConfig(5, 30.0, 3, 1)


class TestLateResults:
    """Results of attempts that were sent before the circuit was half-open."""

    @pytest.mark.parametrize("ok", [True, False])
    def test_decide_nothing_while_half_open(self, ok):
        """Neither three late successes nor a late failure move a half-open circuit."""
        scene = Scene()
        scene.fail(5, at_s=10.0)
        scene.at(45.0)
        for _ in range(3):
            scene.breaker.record_attempt(A, ok, sent_s=9.0)
        assert scene.breaker.state(A) is HALF_OPEN
        scene.breaker.record_attempt(A, ok=False, sent_s=40.0)
        assert scene.breaker.state(A) is OPEN

    def test_count_once_it_is_closed(self):
        """A late failure after the circuit has closed is a failure like any other."""
        scene = Scene(failure_threshold=1, half_open_successes=1)
        scene.fail(1, at_s=10.0)
        scene.at(40.0)
        scene.breaker.record_attempt(A, ok=True, sent_s=40.0)
        assert scene.breaker.state(A) is CLOSED
        scene.breaker.record_attempt(A, ok=False, sent_s=9.0)
        assert scene.breaker.state(A) is OPEN
