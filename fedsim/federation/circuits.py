"""What circuit breakers of all kinds share: a circuit for each node, and its three states."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from fedsim.federation.contracts import CircuitState, NodeId
from fedsim.federation.runtime import Clock, Observer

TOLERANCE_S = 1e-9
"""What the times of an attempt may be off by rounding, in seconds."""


class Circuit:
    """One node's circuit. ``state`` lags: it becomes half-open when the breaker next looks at it.

    Attributes:
        state: Its state when the breaker last looked at it.
        lapses_s: For each attempt under way that was let through while half-open, in their order,
            the clock time from which it holds its place no longer, in seconds.
        half_opens_s: Clock time at which it became, or becomes, half-open; 0 before it ever opened.
    """

    __slots__ = ("half_opens_s", "lapses_s", "state")

    def __init__(self) -> None:
        self.state = CircuitState.CLOSED
        self.lapses_s: list[float] = []
        self.half_opens_s = 0.0

    def probes(self, now_s: float) -> int:
        """Return how many places are taken at *now_s*, and forget those that have lapsed."""
        lapses_s = self.lapses_s
        while lapses_s and lapses_s[0] <= now_s:
            del lapses_s[0]
        return len(lapses_s)


C = TypeVar("C", bound=Circuit)


class Circuits(Generic[C]):
    """Circuits by node; what opens and closes them is up to each kind of breaker.

    ``is_open`` and ``state`` are pure functions of the clock and the records, so that asking
    changes nothing. A late result, one of an attempt that was sent before its circuit became
    half-open, is not counted while the circuit is open or half-open: it says nothing of the node
    after its rest. That takes the time of the dispatch, which only ``record_attempt`` has;
    ``record_success`` and ``record_failure`` count every result as new.

    A probe holds its place until it is released, but no longer than a circuit stays open: one that
    never ends, or whose router acquired it and did not send, does not keep its node out forever.

    Args:
        clock: Time.
        open_s: How long a circuit stays open, in seconds.
        observer: Notified of every change; or None.
    """

    def __init__(self, clock: Clock, open_s: float, observer: Observer | None) -> None:
        self._clock = clock
        self._open_s = open_s
        self._observer = observer
        self._circuits: dict[NodeId, C] = {}
        self._subscribers: list[Callable[[NodeId], None]] = []

    def subscribe(self, on_change: Callable[[NodeId], None]) -> None:
        """Have *on_change* called with a node when its ``is_open`` or state may have changed.

        Not when time alone changes it, which `half_opens_at_s` foretells.
        """
        self._subscribers.append(on_change)

    def state(self, node_id: NodeId) -> CircuitState:
        """Return the node's state now; closed for an unknown node."""
        circuit = self._circuits.get(node_id)
        return CircuitState.CLOSED if circuit is None else self._state(circuit)

    def is_open(self, node_id: NodeId) -> bool:
        """Return whether the node should be skipped: open, or half-open with every probe taken."""
        circuit = self._circuits.get(node_id)
        if circuit is None or circuit.state is CircuitState.CLOSED:
            return False
        if self._state(circuit) is CircuitState.OPEN:
            return True
        return not self._lets_through(circuit)

    def half_opens_at_s(self, node_id: NodeId) -> float:
        """Return when the node's circuit will let a probe through by time alone, in seconds."""
        circuit = self._circuits.get(node_id)
        if circuit is None or circuit.state is CircuitState.CLOSED:
            return self._clock.now()
        if circuit.lapses_s and self._state(circuit) is CircuitState.HALF_OPEN:
            return max(circuit.half_opens_s, circuit.lapses_s[0])
        return circuit.half_opens_s

    def try_acquire(self, node_id: NodeId) -> bool:
        """Take the right to send a request to the node; False when the circuit forbids it."""
        circuit = self._circuits.get(node_id)
        if circuit is None or circuit.state is CircuitState.CLOSED:
            return True
        if self.is_open(node_id):
            return False
        self._update_half_open(node_id, circuit)
        circuit.lapses_s.append(self._clock.now() + self._open_s)
        self._changed(node_id)
        return True

    def release(self, node_id: NodeId) -> None:
        """Give back the right to a probe, when the probe has ended in whatever way."""
        circuit = self._circuits.get(node_id)
        if circuit is not None and circuit.probes(self._clock.now()):
            circuit.lapses_s.pop()
            self._changed(node_id)

    def record_success(self, node_id: NodeId) -> None:
        """Record that an attempt on the node succeeded."""
        self.record_attempt(node_id, ok=True, sent_s=self._clock.now())

    def record_failure(self, node_id: NodeId) -> None:
        """Record that an attempt on the node failed."""
        self.record_attempt(node_id, ok=False, sent_s=self._clock.now())

    def record_attempt(self, node_id: NodeId, ok: bool, sent_s: float) -> None:
        """Record how an attempt on the node ended that was sent at *sent_s*, in seconds."""
        raise NotImplementedError

    def settle(self) -> None:
        """Report the transitions that time has brought about."""
        for node_id, circuit in self._circuits.items():
            self._update_half_open(node_id, circuit)

    def _lets_through(self, circuit: C) -> bool:
        """Return whether a half-open circuit lets one more probe through."""
        raise NotImplementedError

    def _half_opened(self, circuit: C) -> None:
        """Make a circuit ready for the results of its probes."""
        raise NotImplementedError

    def _is_late(self, circuit: C, sent_s: float) -> bool:
        return sent_s < circuit.half_opens_s - TOLERANCE_S

    def _state(self, circuit: C) -> CircuitState:
        if circuit.state is CircuitState.OPEN and self._clock.now() >= circuit.half_opens_s:
            return CircuitState.HALF_OPEN
        return circuit.state

    def _update_half_open(self, node_id: NodeId, circuit: C) -> None:
        if circuit.state is CircuitState.OPEN and self._state(circuit) is CircuitState.HALF_OPEN:
            self._half_opened(circuit)
            reason = "the reset timeout passed"
            self._move(node_id, circuit, CircuitState.HALF_OPEN, reason, circuit.half_opens_s)

    def _open(self, node_id: NodeId, circuit: C, reason: str) -> None:
        circuit.half_opens_s = self._clock.now() + self._open_s
        self._move(node_id, circuit, CircuitState.OPEN, reason)

    def _move(
        self,
        node_id: NodeId,
        circuit: C,
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
