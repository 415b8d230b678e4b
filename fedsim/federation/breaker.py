"""The circuit breaker: keeps requests away from a node after failures in a row."""

from __future__ import annotations

from collections.abc import Callable

from fedsim.federation.config import BreakerConfig
from fedsim.federation.contracts import CircuitState, NodeId
from fedsim.federation.runtime import Clock, Observer


class _Circuit:
    """One node's circuit. ``state`` never says half-open before the breaker has taken note."""

    __slots__ = ("failures", "half_opens_s", "probes", "state", "successes")

    def __init__(self) -> None:
        self.state = CircuitState.CLOSED
        self.failures = 0
        self.successes = 0
        self.probes = 0
        self.half_opens_s = 0.0


class CircuitBreaker:
    """Opens a circuit after failures in a row, and lets few requests through to close it again.

    Closed: every success sets the count of failures back; the ``failure_threshold``-th failure in
    a row opens the circuit. Open: nothing passes for ``reset_timeout_s``; late results of requests
    that were under way change nothing. Half-open: at most ``half_open_probes`` requests at a time
    pass; ``half_open_successes`` successes close the circuit, one failure opens it again.

    With the defaults, five failures at t = 10 s open the circuit, from t = 40 s one request at a
    time passes, and the third success closes it. ``is_open`` and ``state`` are pure functions of
    the clock and the records, so that asking changes nothing.

    Attributes:
        troubled: Circuits that are not closed, count failures or have probes under way; while it
            is empty, every request may be sent, and successes change nothing.
    """

    def __init__(
        self, clock: Clock, config: BreakerConfig | None = None, observer: Observer | None = None
    ) -> None:
        self._clock = clock
        self._config = config or BreakerConfig()
        self._observer = observer
        self.troubled: dict[NodeId, _Circuit] = {}
        self._subscribers: list[Callable[[NodeId], None]] = []

    def subscribe(self, on_change: Callable[[NodeId], None]) -> None:
        """Have *on_change* called with a node when its ``is_open`` may have changed.

        Not when time alone changes it, which `half_opens_at_s` foretells.
        """
        self._subscribers.append(on_change)

    def state(self, node_id: NodeId) -> CircuitState:
        """Return the node's state now; closed for an unknown node."""
        circuit = self.troubled.get(node_id)
        return CircuitState.CLOSED if circuit is None else self._state(circuit)

    def is_open(self, node_id: NodeId) -> bool:
        """Return whether the node should be skipped: open, or half-open with every probe taken."""
        circuit = self.troubled.get(node_id)
        if circuit is None or circuit.state is CircuitState.CLOSED:
            return False
        if self._state(circuit) is CircuitState.OPEN:
            return True
        return circuit.probes >= self._config.half_open_probes

    def half_opens_at_s(self, node_id: NodeId) -> float:
        """Return when the node's open circuit will let a probe through, in seconds."""
        circuit = self.troubled.get(node_id)
        if circuit is None or circuit.state is CircuitState.CLOSED:
            return self._clock.now()
        return circuit.half_opens_s

    def try_acquire(self, node_id: NodeId) -> bool:
        """Take the right to send a request to the node; False when the circuit forbids it."""
        circuit = self.troubled.get(node_id)
        if circuit is None or circuit.state is CircuitState.CLOSED:
            return True
        if self.is_open(node_id):
            return False
        self._note_half_open(node_id, circuit)
        circuit.probes += 1
        self._changed(node_id)
        return True

    def release(self, node_id: NodeId) -> None:
        """Give back the right to a probe, when the probe has ended in whatever way."""
        circuit = self.troubled.get(node_id)
        if circuit is not None and circuit.probes > 0:
            circuit.probes -= 1
            self._changed(node_id)

    def record_success(self, node_id: NodeId) -> None:
        """Record that an attempt on the node succeeded."""
        circuit = self.troubled.get(node_id)
        if circuit is None:
            return
        self._note_half_open(node_id, circuit)
        if circuit.state is CircuitState.HALF_OPEN:
            circuit.successes += 1
            if circuit.successes >= self._config.half_open_successes:
                self._move(node_id, circuit, CircuitState.CLOSED, "enough successful probes")
        if circuit.state is CircuitState.CLOSED:
            circuit.failures = 0
            if not circuit.probes:
                del self.troubled[node_id]

    def record_failure(self, node_id: NodeId) -> None:
        """Record that an attempt on the node failed."""
        circuit = self.troubled.setdefault(node_id, _Circuit())
        self._note_half_open(node_id, circuit)
        if circuit.state is CircuitState.CLOSED:
            circuit.failures += 1
            if circuit.failures >= self._config.failure_threshold:
                self._open(node_id, circuit, f"{circuit.failures} failures in a row")
        elif circuit.state is CircuitState.HALF_OPEN:
            self._open(node_id, circuit, "a probe failed")

    def settle(self) -> None:
        """Take note of all transitions that time has brought about, for the observer's sake."""
        for node_id, circuit in self.troubled.items():
            self._note_half_open(node_id, circuit)

    def _state(self, circuit: _Circuit) -> CircuitState:
        if circuit.state is CircuitState.OPEN and self._clock.now() >= circuit.half_opens_s:
            return CircuitState.HALF_OPEN
        return circuit.state

    def _note_half_open(self, node_id: NodeId, circuit: _Circuit) -> None:
        if circuit.state is CircuitState.OPEN and self._state(circuit) is CircuitState.HALF_OPEN:
            circuit.successes = 0
            reason = "the reset timeout passed"
            self._move(node_id, circuit, CircuitState.HALF_OPEN, reason, circuit.half_opens_s)

    def _open(self, node_id: NodeId, circuit: _Circuit, reason: str) -> None:
        circuit.half_opens_s = self._clock.now() + self._config.reset_timeout_s
        self._move(node_id, circuit, CircuitState.OPEN, reason)

    def _move(
        self,
        node_id: NodeId,
        circuit: _Circuit,
        after: CircuitState,
        reason: str,
        at_s: float | None = None,
    ) -> None:
        before, circuit.state = circuit.state, after
        if self._observer is not None:
            when_s = self._clock.now() if at_s is None else at_s
            self._observer.circuit_changed(when_s, node_id, before, after, reason)
        self._changed(node_id)

    def _changed(self, node_id: NodeId) -> None:
        for on_change in self._subscribers:
            on_change(node_id)
