"""pybreaker as the gateway's circuit breaker: ``circuit_breaker: pybreaker``.

Needs pybreaker, extra ``pybreaker``. Source: https://github.com/danielfm/pybreaker.
"""

from __future__ import annotations

import importlib
from datetime import timedelta
from typing import Any, ClassVar

from fedsim.adapters.circuits import CallingCircuits
from fedsim.federation.contracts import CircuitState, NodeId


class PybreakerCircuits(CallingCircuits):
    """One ``pybreaker.CircuitBreaker`` for each node, with the defaults of the library.

    Rule: the 5th failure in a row opens a circuit for 60 s; then every call is let through, and the
    first result decides: a success closes the circuit, a failure opens it for another 60 s.
    Example: failures at t = 1, 2, 3, 4, 5 s open it until t = 65 s. Failure: nothing bounds the
    calls that a half-open circuit lets through, so a node that has just come back gets all its
    traffic at once. Source: pybreaker 1.4.
    """

    modules: ClassVar = ("pybreaker",)

    def _build(self, node_id: NodeId) -> Any:
        storage = self._library.CircuitMemoryStorage(self._library.STATE_CLOSED)
        return self._library.CircuitBreaker(state_storage=storage, name=node_id), storage

    def _state(self, circuit: Any) -> CircuitState:
        breaker, storage = circuit
        if breaker.current_state == self._library.STATE_CLOSED:
            return CircuitState.CLOSED
        if breaker.current_state == self._library.STATE_OPEN:
            opens = storage.opened_at + timedelta(seconds=breaker.reset_timeout)
            if self._library.datetime.now(self._library.UTC) < opens:
                return CircuitState.OPEN
        return CircuitState.HALF_OPEN


def breaker() -> type[PybreakerCircuits]:
    """Return the class of breakers; raises ``ImportError`` where pybreaker is not installed."""
    importlib.import_module("pybreaker")
    return PybreakerCircuits
