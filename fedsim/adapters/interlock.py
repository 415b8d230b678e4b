"""interlock as the gateway's circuit breaker: ``circuit_breaker: interlock``.

Needs interlock-cb, extra ``interlock``.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from contextvars import Context, copy_context
from typing import Any

from fedsim.adapters.circuits import Failed, fail, succeed
from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import CircuitState, NodeId
from fedsim.federation.runtime import Clock


class InterlockCircuits:
    """One ``interlock.CircuitBreaker`` for each node, with the library's defaults and our clock.

    Rule: at least 10 results, half of the last 100 of them failures (or all of them slower than
    60 s), open a circuit for 60 s; then 10 probes, one at a time, decide by the same rates.
    Example: the 10th of ten failures at t = 10 s opens it until t = 70 s; with an attempt of 2 s it
    closes at t = 90 s at the earliest. Failure: the library drops results of calls that were let
    through before the state changed, and so does this: while half-open only those of probes count.
    Source: interlock-cb 2.8, after Resilience4j.
    """

    def __init__(self, context: GatewayContext) -> None:
        self._library: Any = importlib.import_module("interlock")
        self._config = self._library.Config()
        self._clock = _BreakerClock(context.clock)
        self._circuits: dict[NodeId, _Circuit] = {}

    def is_open(self, node_id: NodeId) -> bool:
        """Return whether a call would be refused: open, or half-open with every probe taken."""
        state = self.state(node_id)
        if state is CircuitState.HALF_OPEN:
            most: int = self._config.max_concurrent_probes
            return len(self._circuits[node_id].probes) >= most
        return state is CircuitState.OPEN

    def state(self, node_id: NodeId) -> CircuitState:
        """Return the state now; an open circuit whose wait is over is half-open."""
        circuit = self._circuits.get(node_id)
        if circuit is None or circuit.breaker.state is self._library.State.CLOSED:
            return CircuitState.CLOSED
        if circuit.breaker.state is self._library.State.OPEN:
            waited_s = self._clock.monotonic() - circuit.changed_s
            if waited_s < self._config.wait_duration_in_open:
                return CircuitState.OPEN
        return CircuitState.HALF_OPEN

    def try_acquire(self, node_id: NodeId) -> bool:
        """Return whether the library lets a call through; a probe holds its place until the end."""
        if self.state(node_id) is CircuitState.CLOSED:
            return True
        circuit = self._circuits[node_id]
        block = copy_context()  # the library keeps the blocks that are under way in the context
        try:
            block.run(circuit.breaker.__enter__)
        except self._library.CircuitOpenError:
            return False
        circuit.probes.append(block)
        return True

    def release(self, node_id: NodeId) -> None:
        """Give back the place of a probe that has ended; its result, if any, is reported later."""
        circuit = self._circuits[node_id]
        end = circuit.probes.pop(0).run
        end(circuit.breaker.__exit__, GeneratorExit, GeneratorExit(), None)

    def record_success(self, node_id: NodeId) -> None:
        """Record an attempt that succeeded at once."""
        self.record_attempt(node_id, True, self._clock.monotonic())

    def record_failure(self, node_id: NodeId) -> None:
        """Record an attempt that failed at once."""
        self.record_attempt(node_id, False, self._clock.monotonic())

    def record_attempt(self, node_id: NodeId, ok: bool, sent_s: float) -> None:
        """Report to the library how an attempt on the node ended that was sent at *sent_s*."""
        circuit = self._circuits.get(node_id)
        if circuit is None:
            circuit = self._circuits[node_id] = self._build(node_id)
        if sent_s < circuit.changed_s:
            return
        result = succeed if ok else fail
        with suppress(self._library.CircuitOpenError, Failed), self._clock.set_back(sent_s):
            circuit.breaker.call_sync(self._clock.in_the_present, result)

    def _build(self, node_id: NodeId) -> _Circuit:
        circuit = _Circuit(self._clock)
        circuit.breaker = self._library.CircuitBreaker(
            name=node_id, config=self._config, clock=self._clock, listener=circuit
        )
        return circuit


class _Circuit:
    """One node's breaker, and what it says of itself.

    Attributes:
        breaker: The library's object.
        changed_s: When its state changed last, in seconds.
        probes: The blocks of the library that the probes under way are in, oldest first.
    """

    def __init__(self, clock: _BreakerClock) -> None:
        self._clock = clock
        self.breaker: Any = None
        self.changed_s = -math.inf
        self.probes: list[Context] = []

    def on_state_change(self, *, name: str, old: Any, new: Any) -> None:
        """Note when the breaker's state changes."""
        self.changed_s = self._clock.monotonic()


class _BreakerClock:
    """The clock that the library is given, which shows when a call began that is reported late."""

    def __init__(self, clock: Clock) -> None:
        self._now = clock.now
        self._begun_s: float | None = None

    def monotonic(self) -> float:
        """Return the time in seconds."""
        return self._now() if self._begun_s is None else self._begun_s

    @contextmanager
    def set_back(self, begun_s: float) -> Generator[None]:
        """Show *begun_s* from now on, until the call comes back to the present."""
        self._begun_s = begun_s
        try:
            yield
        finally:
            self._begun_s = None

    def in_the_present(self, result: Callable[[], None]) -> None:
        """Come back to the present, and give the result of the call."""
        self._begun_s = None
        result()


def breaker() -> type[InterlockCircuits]:
    """Return the class of breakers; raises ``ImportError`` where interlock-cb is not installed."""
    importlib.import_module("interlock")
    return InterlockCircuits
