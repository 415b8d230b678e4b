"""The circuit breaker of the contract: keeps requests away after failures in a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fedsim.federation.circuits import Circuit, Circuits
from fedsim.federation.contracts import CircuitState, NodeId
from fedsim.federation.runtime import Clock, Observer
from fedsim.federation.settings import CountFrom1, PositiveSeconds


@dataclass(frozen=True, slots=True)
class BreakerConfig:
    """Settings of circuit breakers that open after failures in a row.

    Attributes:
        failure_threshold: Consecutive failures that open a circuit.
        reset_timeout_s: Time that a circuit stays open, in seconds.
        half_open_successes: Successful probe requests that close a half-open circuit.
        half_open_probes: Most probe requests in flight while half-open.
    """

    failure_threshold: CountFrom1 = 5
    reset_timeout_s: PositiveSeconds = 30.0
    half_open_successes: CountFrom1 = 3
    half_open_probes: CountFrom1 = 1


class _Streak(Circuit):
    """A circuit that counts failures in a row, and successes while half-open."""

    __slots__ = ("failures", "successes")

    def __init__(self) -> None:
        super().__init__()
        self.failures = 0
        self.successes = 0


class CircuitBreaker(Circuits[_Streak]):
    """Opens a circuit after failures in a row, and lets few requests through to close it again.

    Closed: every success sets the count of failures back; the ``failure_threshold``-th failure in
    a row opens the circuit. Open: nothing passes for ``reset_timeout_s``. Half-open: at most
    ``half_open_probes`` requests at a time pass; ``half_open_successes`` successes close the
    circuit, one failure opens it again; a probe without a result after ``reset_timeout_s`` makes
    room for another. Late results of requests that were under way when it
    opened change nothing until it is closed again.

    With the defaults, five failures at t = 10 s open the circuit, from t = 40 s one request at a
    time passes, and the third success closes it.

    Attributes:
        troubled: Circuits that are not closed, count failures or have probes under way; while it
            is empty, every request may be sent, and successes change nothing.
    """

    announces: ClassVar[bool] = True

    def __init__(
        self, clock: Clock, config: BreakerConfig | None = None, observer: Observer | None = None
    ) -> None:
        self._config = config or BreakerConfig()
        super().__init__(clock, self._config.reset_timeout_s, observer)
        self.troubled = self._circuits

    def record_attempt(self, node_id: NodeId, ok: bool, sent_s: float) -> None:
        """Record how an attempt on the node ended that was sent at *sent_s*, in seconds."""
        circuit = self.troubled.get(node_id)
        if circuit is None:
            if ok:
                return
            circuit = self.troubled[node_id] = _Streak()
        self._update_half_open(node_id, circuit)
        if circuit.state is CircuitState.HALF_OPEN and not self._is_late(circuit, sent_s):
            self._probe_ended(node_id, circuit, ok)
        elif circuit.state is CircuitState.CLOSED and not ok:
            circuit.failures += 1
            if circuit.failures >= self._config.failure_threshold:
                self._open(node_id, circuit, f"{circuit.failures} failures in a row")
        if circuit.state is CircuitState.CLOSED and ok:
            circuit.failures = 0
            if not circuit.probes(self._clock.now()):
                del self.troubled[node_id]

    def _probe_ended(self, node_id: NodeId, circuit: _Streak, ok: bool) -> None:
        if not ok:
            self._open(node_id, circuit, "a probe failed")
            return
        circuit.successes += 1
        if circuit.successes >= self._config.half_open_successes:
            self._move(node_id, circuit, CircuitState.CLOSED, "enough successful probes")

    def _lets_through(self, circuit: _Streak) -> bool:
        return circuit.probes(self._clock.now()) < self._config.half_open_probes

    def _half_opened(self, circuit: _Streak) -> None:
        circuit.successes = 0
