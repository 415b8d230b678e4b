"""The reference's circuit breaker: a count of failures in a row, which asking it changes."""

from __future__ import annotations

import math

from fedsim.federation.contracts import CircuitState, NodeId
from fedsim.federation.reference.config import ReferenceBreakerConfig
from fedsim.federation.reference.durations import nanoseconds
from fedsim.federation.runtime import Clock, Observer


class _Circuit:
    __slots__ = ("failures", "last_failure_s", "state", "successes")

    def __init__(self) -> None:
        self.state = CircuitState.CLOSED
        self.failures = 0
        self.successes = 0
        self.last_failure_s = -math.inf


class ReferenceBreaker:
    """Opens a circuit after ``failure_threshold`` failures in a row.

    Open: late failures lengthen the time, a late success closes the circuit at once. The first call
    of ``is_open`` that comes ``reset_timeout_s`` after the last failure makes it half-open; until
    then ``state`` goes on to say open. Half-open: every request passes, however many are under way;
    ``half_open_successes`` successes close the circuit and one failure opens it.
    """

    def __init__(
        self,
        clock: Clock,
        config: ReferenceBreakerConfig | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._clock = clock
        self._config = config or ReferenceBreakerConfig()
        self._observer = observer
        self._circuits: dict[NodeId, _Circuit] = {}

    def is_open(self, node_id: NodeId) -> bool:
        """Return whether the node should be skipped; makes the circuit half-open when it is due."""
        circuit = self._circuits.get(node_id)
        if circuit is None or circuit.state is not CircuitState.OPEN:
            return False
        passed_s = self._clock.now() - circuit.last_failure_s
        if nanoseconds(passed_s) < nanoseconds(self._config.reset_timeout_s):
            return True
        circuit.successes = 0
        self._move(node_id, circuit, CircuitState.HALF_OPEN, "asked after the reset timeout")
        return False

    def state(self, node_id: NodeId) -> CircuitState:
        """Return the state as it was left; closed for an unknown node."""
        circuit = self._circuits.get(node_id)
        return CircuitState.CLOSED if circuit is None else circuit.state

    def record_success(self, node_id: NodeId) -> None:
        """Record that an attempt on the node succeeded."""
        circuit = self._circuits.get(node_id)
        if circuit is None:
            return
        if circuit.state is CircuitState.HALF_OPEN:
            circuit.successes += 1
            if circuit.successes < self._config.half_open_successes:
                return
            reason = f"{circuit.successes} successes while half-open"
        else:
            reason = "a late success"
        circuit.failures = 0
        self._move(node_id, circuit, CircuitState.CLOSED, reason)

    def record_failure(self, node_id: NodeId) -> None:
        """Record that an attempt on the node failed, for whatever reason."""
        circuit = self._circuits.setdefault(node_id, _Circuit())
        circuit.failures += 1
        circuit.last_failure_s = self._clock.now()
        if circuit.state is CircuitState.HALF_OPEN:
            circuit.successes = 0
            self._move(node_id, circuit, CircuitState.OPEN, "a failure while half-open")
        elif circuit.failures >= self._config.failure_threshold:
            reason = f"{circuit.failures} failures in a row"
            self._move(node_id, circuit, CircuitState.OPEN, reason)

    def _move(self, node_id: NodeId, circuit: _Circuit, after: CircuitState, reason: str) -> None:
        before, circuit.state = circuit.state, after
        if self._observer is not None and before is not after:
            now_s = self._clock.now()
            self._observer.circuit_changed(now_s, node_id, before, after, reason)
