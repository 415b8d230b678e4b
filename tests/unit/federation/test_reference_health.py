"""The reference's health checker and circuit breaker, against the figures of the original."""

from __future__ import annotations

import pytest

from fedsim.federation.contracts import CircuitState, HealthState, NodeId, NodeUnreachable
from fedsim.federation.reference.breaker import ReferenceBreaker
from fedsim.federation.reference.config import ReferenceBreakerConfig, ReferenceHealthConfig
from fedsim.federation.reference.health import ReferenceHealth
from tests.unit.federation.stand_ins import HandClock, Onlooker, drive

A = NodeId("a")
FAST, SLOW, FAILED = 0.05, 1.001, None


class Patient:
    """A health checker with one node, which is told how requests went."""

    def __init__(self, **config):
        self.clock = HandClock()
        self.onlooker = Onlooker()
        settings = ReferenceHealthConfig(**config)
        self.health = ReferenceHealth(self.clock, settings, self.onlooker)
        self.health.register_node(A)

    def after(self, *results):
        """Report successes by their latencies and failures by None; return the status."""
        for result in results:
            if result is None:
                self.health.report_failure(A)
            else:
                self.health.report_success(A, result)
        return self.known.status.value

    @property
    def known(self):
        """What is known of the node."""
        known = self.health.get_cached_health(A)
        assert known is not None
        return known

    @property
    def p50_ms(self):
        """The moving average in milliseconds."""
        return round(self.known.latency_p50_s * 1000.0)


@pytest.mark.parametrize(
    ("results", "status"),
    [
        ([], "unknown"),
        ([FAST], "unknown"),
        ([FAST, FAST], "healthy"),
        ([FAILED], "degraded"),
        ([FAST, FAILED], "degraded"),
        ([FAST, FAST, FAILED], "degraded"),
        ([FAILED, FAILED], "degraded"),
        ([FAILED] * 3, "unhealthy"),
        ([FAST, FAST, *[FAILED] * 3], "unhealthy"),
        ([FAILED, FAST], "degraded"),
        ([FAILED, FAST, FAST], "healthy"),
        ([*[FAILED] * 3, FAST], "unhealthy"),
        ([*[FAILED] * 3, FAST, FAST], "healthy"),
        ([*[FAILED] * 3, FAST, FAILED], "degraded"),
        ([*[FAILED] * 3, SLOW], "degraded"),
        ([SLOW], "degraded"),
        ([FAST, FAST, SLOW], "degraded"),
        ([SLOW, FAST], "healthy"),
        ([SLOW, SLOW, SLOW], "degraded"),
        ([1.0], "unknown"),
        ([1.0, 1.0], "healthy"),
        ([FAILED, FAILED, FAST, FAILED, FAILED], "degraded"),
    ],
)
def test_states(results, status):
    """Every transition of the table of states, with the default thresholds."""
    assert Patient().after(*results) == status


def test_thresholds():
    """The thresholds are settings: five failures, one success, another bound on latency."""
    patient = Patient(failure_threshold=5, recovery_threshold=1, degraded_latency_s=0.2)
    assert patient.after(*[FAILED] * 4) == "degraded"
    assert patient.after(FAILED) == "unhealthy"
    assert patient.after(0.2) == "healthy"
    assert patient.after(0.201) == "degraded"


@pytest.mark.parametrize(
    ("latency_ms", "fixed_ms"), [(45, 36), (100, 91), (10, 1), (9, 0), (1, 0), (1000, 991)]
)
def test_average_from_below(latency_ms, fixed_ms):
    """Truncation keeps the average 9 ms below a constant latency for ever."""
    patient = Patient()
    patient.after(*[latency_ms / 1000.0] * 500)
    assert patient.p50_ms == fixed_ms


def test_average_from_above():
    """From above it comes down to the latency itself."""
    patient = Patient()
    patient.after(*[4.0] * 50)
    patient.after(*[0.1] * 500)
    assert patient.p50_ms == 100


def test_average_starts_from_nothing():
    """The first successes show 10, 19 and 27.1 percent of the truth."""
    patient = Patient()
    seen = []
    for _ in range(3):
        patient.after(1.0)
        seen.append(patient.p50_ms)
    assert seen == [100, 190, 271]


def test_latency_is_in_whole_milliseconds():
    """A latency counts in milliseconds, truncated; what floats make of 100 ms is 100 ms."""
    patient = Patient()
    patient.after(0.0199999)
    assert patient.p50_ms == 1
    start_s = 1234.1
    other = Patient()
    other.after(start_s + 0.1 - start_s)
    assert other.p50_ms == 10


def test_failures_leave_the_average():
    """A failure says nothing about latency."""
    patient = Patient()
    patient.after(0.1, 0.1)
    before = patient.p50_ms
    patient.after(FAILED)
    assert patient.p50_ms == before


def test_what_is_never_learned():
    """99th percentile, throughput, GPU and queue stay as they were at the registration."""
    patient = Patient()
    patient.after(*[0.5] * 20)
    known = patient.known
    assert (known.latency_p99_s, known.throughput, known.gpu_utilization, known.queue_depth) == (
        0.0,
        0,
        None,
        0,
    )


def test_unregistered_nodes_are_ignored():
    """Reports on a node that nobody registered are lost, and asking for it fails."""
    health = ReferenceHealth(HandClock())
    health.report_success(A, 0.1)
    health.report_failure(A)
    assert health.get_cached_health(A) is None
    with pytest.raises(NodeUnreachable):
        drive(health.check_node(A))


def test_registering_again_starts_again():
    """A node that is registered twice is unknown again, which is the only way back."""
    patient = Patient()
    patient.after(0.1, 0.1, *[FAILED] * 3)
    patient.health.register_node(A)
    assert patient.known.status is HealthState.UNKNOWN
    assert patient.p50_ms == 0
    assert patient.onlooker.health[-1] == (0.0, "a", "unhealthy", "unknown")


def test_monitoring_is_a_flag():
    """Monitoring can be started and stopped, and asks nobody."""
    health = Patient().health
    drive(health.start_monitoring(10.0))
    assert health.is_monitoring
    drive(health.stop_monitoring())
    assert not health.is_monitoring


def test_counts_and_events():
    """Only healthy nodes count as healthy; each change is told once, with its time."""
    patient = Patient()
    patient.health.register_node(NodeId("b"))
    patient.clock.now_s = 7.0
    patient.after(FAST, FAST, FAST)
    assert (patient.health.healthy_count(), patient.health.total_count()) == (1, 2)
    assert patient.onlooker.health == [(7.0, "a", "unknown", "healthy")]
    patient.health.deregister_node(A)
    assert patient.health.all_statuses() == {"b": HealthState.UNKNOWN}


class Circuit:
    """A breaker with one node, on a clock that is set by hand."""

    def __init__(self, **config):
        self.clock = HandClock(100.0)
        self.onlooker = Onlooker()
        settings = ReferenceBreakerConfig(**config)
        self.breaker = ReferenceBreaker(self.clock, settings, self.onlooker)

    def fail(self, count=1):
        """Record failures."""
        for _ in range(count):
            self.breaker.record_failure(A)

    def succeed(self, count=1):
        """Record successes."""
        for _ in range(count):
            self.breaker.record_success(A)

    @property
    def state(self):
        """The state, which asking for does not change."""
        return self.breaker.state(A).value


def test_circuit_opens_on_the_fifth_failure_in_a_row():
    """Four failures, a success and four more keep it closed."""
    circuit = Circuit()
    circuit.fail(4)
    circuit.succeed()
    circuit.fail(4)
    assert circuit.state == "closed"
    circuit.fail()
    assert circuit.state == "open"
    assert circuit.breaker.is_open(A)


def test_asking_makes_it_half_open():
    """After 30 s it still says open, until somebody asks whether it is."""
    circuit = Circuit()
    circuit.fail(5)
    circuit.clock.now_s = 129.999
    assert circuit.breaker.is_open(A)
    circuit.clock.now_s = 130.0
    assert circuit.state == "open"
    assert not circuit.breaker.is_open(A)
    assert circuit.state == "half_open"


def test_half_open_lets_all_pass():
    """A hundred requests at once pass a half-open circuit."""
    circuit = Circuit()
    circuit.fail(5)
    circuit.clock.now_s = 130.0
    assert not any(circuit.breaker.is_open(A) for _ in range(100))


def test_three_successes_close_it_and_one_failure_opens_it():
    """Two successes leave it half-open; a failure starts the 30 s anew."""
    circuit = Circuit()
    circuit.fail(5)
    circuit.clock.now_s = 130.0
    circuit.breaker.is_open(A)
    circuit.succeed(2)
    assert circuit.state == "half_open"
    circuit.fail()
    assert circuit.state == "open"
    circuit.clock.now_s = 159.0
    assert circuit.breaker.is_open(A)
    circuit.clock.now_s = 160.0
    circuit.breaker.is_open(A)
    circuit.succeed(3)
    assert circuit.state == "closed"
    circuit.fail(4)
    assert circuit.state == "closed"


def test_late_results():
    """A late failure lengthens the time, and a late success closes the circuit at once."""
    circuit = Circuit()
    circuit.fail(5)
    circuit.clock.now_s = 120.0
    circuit.fail()
    circuit.clock.now_s = 140.0
    assert circuit.breaker.is_open(A)
    circuit.succeed()
    assert circuit.state == "closed"


def test_circuits_of_unknown_nodes_are_closed():
    """A node of which nothing was recorded may be used."""
    circuit = Circuit()
    assert circuit.breaker.state(A) is CircuitState.CLOSED
    assert not circuit.breaker.is_open(A)
    circuit.succeed()
    assert circuit.state == "closed"


def test_changes_of_circuits_are_told():
    """Each change of state is told with its time."""
    circuit = Circuit(failure_threshold=2, reset_timeout_s=10.0, half_open_successes=1)
    circuit.fail(3)
    circuit.clock.now_s = 110.0
    circuit.breaker.is_open(A)
    circuit.succeed()
    assert circuit.onlooker.circuits == [
        (100.0, "a", "closed", "open"),
        (110.0, "a", "open", "half_open"),
        (110.0, "a", "half_open", "closed"),
    ]
