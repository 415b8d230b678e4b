from __future__ import annotations

import random
import time
from importlib import import_module
from itertools import pairwise

import pytest

from fedsim.errors import PlugInError
from fedsim.federation.contracts import CircuitBreakerTrait, CircuitState
from tests.contract.adapters.breakers import NODE, OTHER, Bench
from tests.contract.adapters.runs import run, runs_alike

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN

RESET_S = {"pybreaker": 60.0, "circuitbreaker": 30.0, "aiobreaker": 60.0, "purgatory": 30.0}
"""How long circuits stay open by the defaults of each library that counts failures in a row."""

A_MOMENT_S = 1e-5

ILL = [{"kind": "errors", "node": "workers-2", "at": "5s", "lasts": "80s", "probability": 0.9}]
"""An illness that begins sooner than the scenario's."""


def kind_of(name):
    """Return the class of an adapter, or skip the test where its package is not installed."""
    pytest.importorskip(name)
    return import_module(f"fedsim.adapters.{name}").breaker()


@pytest.fixture(params=RESET_S)
def name(request):
    """Return the name of a library that counts failures in a row."""
    return request.param


@pytest.fixture
def bench(name):
    """Return a breaker of that library."""
    return Bench(kind_of(name))


class TestInARow:
    def test_the_fifth_failure_opens(self, bench):
        """Four failures in a row leave a circuit closed, the fifth opens it."""
        bench.results("ffff")
        assert bench.at(0.0) is CLOSED
        assert bench.breaker.try_acquire(NODE)

        bench.results("f")
        assert bench.at(0.0) is OPEN
        assert bench.breaker.is_open(NODE)
        assert not bench.breaker.try_acquire(NODE)

    def test_a_success_resets_the_count(self, bench):
        """A success between failures sets the count back."""
        bench.results("ffffsffff")
        assert bench.at(0.0) is CLOSED

    def test_nodes_are_apart(self, bench):
        """Another node's circuit stays closed."""
        bench.results("fffff")
        assert bench.breaker.state(OTHER) is CLOSED
        assert not bench.breaker.is_open(OTHER)
        assert bench.breaker.try_acquire(OTHER)

    def test_it_stays_open_for_the_librarys_time(self, name, bench):
        """An open circuit is half-open after 60 s or 30 s, as the library's default says."""
        bench.clock.now_s = 100.0
        bench.results("fffff")

        assert bench.at(100.0 + RESET_S[name] - A_MOMENT_S) is OPEN
        assert not bench.breaker.try_acquire(NODE)
        assert bench.at(100.0 + RESET_S[name] + A_MOMENT_S) is HALF_OPEN
        assert not bench.breaker.is_open(NODE)

    def test_asking_changes_nothing(self, name, bench):
        """`state` and `is_open` have no effect, however often they are asked."""
        bench.results("fffff")
        for _ in range(3):
            assert bench.at(RESET_S[name] + 1.0) is HALF_OPEN
            assert bench.at(1.0) is OPEN

    def test_probes_are_not_limited(self, name, bench):
        """A half-open circuit lets any number of attempts through."""
        bench.results("fffff")
        bench.at(RESET_S[name] + 1.0)
        assert all(bench.breaker.try_acquire(NODE) for _ in range(20))

    def test_the_first_success_closes(self, name, bench):
        """One good probe closes the circuit, and the count starts anew."""
        bench.results("fffff")
        bench.at(RESET_S[name] + 1.0)
        assert bench.attempt(failed=False)
        assert bench.breaker.state(NODE) is CLOSED

        bench.results("ffff")
        assert bench.breaker.state(NODE) is CLOSED
        bench.results("f")
        assert bench.breaker.state(NODE) is OPEN

    def test_the_first_failure_reopens(self, name, bench):
        """One bad probe opens the circuit for the same time again."""
        bench.results("fffff")
        probed_s = RESET_S[name] + 1.0
        bench.at(probed_s)
        assert bench.attempt(failed=True)

        assert bench.at(probed_s + RESET_S[name] - A_MOMENT_S) is OPEN
        assert bench.at(probed_s + RESET_S[name] + A_MOMENT_S) is HALF_OPEN

    def test_late_results(self, name, bench):
        """What comes while the circuit is open neither closes it nor keeps it open for longer."""
        bench.results("fffff")
        bench.at(RESET_S[name] / 2)
        bench.results("sfsf")

        assert bench.breaker.state(NODE) is OPEN
        assert bench.at(RESET_S[name] + A_MOMENT_S) is HALF_OPEN


class TestInterlock:
    @pytest.fixture
    def bench(self):
        """Return a breaker of interlock."""
        return Bench(kind_of("interlock"))

    def test_half_of_ten(self, bench):
        """Five failures among nine results do nothing; the tenth result opens the circuit."""
        bench.results("fsfsfsfsf")
        assert bench.at(0.0) is CLOSED
        bench.results("s")
        assert bench.at(0.0) is OPEN
        assert not bench.breaker.try_acquire(NODE)

    def test_it_stays_open_for_60_s(self, bench):
        """An open circuit is half-open after 60 s."""
        bench.clock.now_s = 100.0
        bench.results("f" * 10)

        assert bench.at(160.0 - A_MOMENT_S) is OPEN
        assert bench.at(160.0) is HALF_OPEN
        assert not bench.breaker.is_open(NODE)

    def test_one_probe_at_a_time(self, bench):
        """While a probe is under way no other passes; a probe that is given up frees the place."""
        bench.results("f" * 10)
        bench.at(60.0)

        assert bench.breaker.try_acquire(NODE)
        assert bench.breaker.is_open(NODE)
        assert not bench.breaker.try_acquire(NODE)
        bench.breaker.release(NODE)
        assert not bench.breaker.is_open(NODE)

    def test_ten_probes_decide(self, bench):
        """The circuit closes after ten probes of which fewer than half have failed."""
        bench.results("f" * 10)
        bench.at(60.0)
        for number in range(10):
            assert bench.breaker.state(NODE) is HALF_OPEN
            assert bench.attempt(failed=number < 4)

        assert bench.breaker.state(NODE) is CLOSED

    def test_half_of_the_probes_fail(self, bench):
        """Five failures of ten probes open the circuit again."""
        bench.results("f" * 10)
        bench.at(60.0)
        for number in range(10):
            assert bench.attempt(failed=number < 5)

        assert bench.breaker.state(NODE) is OPEN
        assert bench.at(120.0) is HALF_OPEN

    def test_results_from_before(self, bench):
        """Results of attempts that were sent while the circuit was closed decide nothing later."""
        bench.results("f" * 10)
        bench.results("s" * 20)
        assert bench.at(0.0) is OPEN

        bench.at(60.0)
        assert bench.breaker.try_acquire(NODE)
        for _ in range(20):
            bench.breaker.record_attempt(NODE, True, 0.0)
        assert bench.breaker.state(NODE) is HALF_OPEN

    def test_slow_calls(self, bench):
        """Ten attempts of 60 s are all slow, which opens the circuit though they succeed."""
        bench.clock.now_s = 1_000.0
        for _ in range(9):
            bench.breaker.record_attempt(NODE, True, 940.0)
        assert bench.breaker.state(NODE) is CLOSED
        bench.breaker.record_attempt(NODE, True, 940.0)
        assert bench.breaker.state(NODE) is OPEN
        assert bench.at(1_060.0) is HALF_OPEN


@pytest.mark.parametrize("name", [*RESET_S, "interlock"])
class TestAll:
    def test_the_contract(self, name):
        """It is a circuit breaker, and an unknown node's circuit is closed."""
        bench = Bench(kind_of(name))
        assert isinstance(bench.breaker, CircuitBreakerTrait)
        assert bench.at(5.0) is CLOSED
        assert not bench.breaker.is_open(NODE)

    def test_the_process_is_left_alone(self, name):
        """The process's clocks, random numbers and the library's module are as they were."""
        kind = kind_of(name)
        modules = [import_module(each) for each in getattr(kind, "modules", ())]
        before = [dict(vars(module)) for module in modules]
        state, clock = random.getstate(), time.monotonic

        bench = Bench(kind)
        bench.results("f" * 10)
        bench.at(61.0)
        bench.attempt(failed=False)

        assert [dict(vars(module)) for module in modules] == before
        assert random.getstate() == state
        assert time.monotonic is clock

    def test_repeatable(self, name):
        """The scenario runs twice alike."""
        kind_of(name)
        runs_alike("breakers", federation__circuit_breaker=name, duration="50s", faults=ILL)

    def test_errors_name_the_breaker(self, name, monkeypatch):
        """What the library raises beyond its contract stops the run, by name and time."""

        def fails(self, node_id):
            return self._circuits["absent"]

        monkeypatch.setattr(kind_of(name), "state", fails)
        with pytest.raises(PlugInError) as caught:
            run("breakers", federation__circuit_breaker=name)

        assert caught.value.plugin.startswith(f"fedsim.adapters.{name}:")
        assert caught.value.time_s is not None


@pytest.mark.parametrize("name", RESET_S)
def test_the_ill_node_is_left_alone(name):
    """While its circuit is open no attempt goes to the ill node, as long as the library says."""
    kind_of(name)
    chosen = {"federation__circuit_breaker": name, "faults": ILL}
    attempts = run("breakers", duration="90s", **chosen).attempts
    ill = attempts[attempts["node"] == "workers-2"]
    failed_s = ill.loc[ill["outcome"] == "internal", "finished_s"].sort_values()
    idle_s = ill["started_s"].sort_values().diff().max()

    assert failed_s.min() > 5.0
    assert RESET_S[name] - 1.0 < idle_s < RESET_S[name] + 2.0


def test_changes_of_circuits_are_events():
    """What a foreign breaker makes of a node stands in the events, as of our own."""
    pytest.importorskip("pybreaker")
    events = run("breakers", federation__circuit_breaker="pybreaker", faults=ILL).events
    told = events[events["kind"] == "breaker"]

    assert told["subject"].unique().tolist() == ["workers-2"]
    changes = list(zip(told["before"], told["after"], strict=True))
    assert changes[0] == ("closed", "open")
    assert all(one[1] == other[0] for one, other in pairwise(changes))
    assert told["detail"].iloc[0].startswith("as fedsim.adapters.pybreaker:")
