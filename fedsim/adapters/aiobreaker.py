"""aiobreaker as the gateway's circuit breaker: ``circuit_breaker: aiobreaker``.

Needs aiobreaker, extra ``aiobreaker``. Source: https://github.com/arlyon/aiobreaker.
"""

from __future__ import annotations

import importlib
from typing import Any, ClassVar

from fedsim.adapters.circuits import CallingCircuits
from fedsim.federation.contracts import CircuitState, NodeId


class AiobreakerCircuits(CallingCircuits):
    """One ``aiobreaker.CircuitBreaker`` for each node, with the defaults of the library.

    Rule: the 5th failure in a row opens a circuit for 60 s; then every call is let through, and the
    first result decides. Example: failures at t = 1, 2, 3, 4, 5 s open it until t = 65 s. Failure:
    as with pybreaker, of which it is a fork, a half-open circuit bounds no calls. Source:
    aiobreaker 1.2.
    """

    modules: ClassVar = ("aiobreaker.state", "aiobreaker.circuitbreaker")

    def _build(self, node_id: NodeId) -> Any:
        library: Any = importlib.import_module("aiobreaker")
        memory: Any = importlib.import_module("aiobreaker.storage.memory")
        storage = memory.CircuitMemoryStorage(library.CircuitBreakerState.CLOSED)
        return library.CircuitBreaker(state_storage=storage, name=node_id), storage

    def _state(self, circuit: Any) -> CircuitState:
        breaker, storage = circuit
        states = self._library.CircuitBreakerState
        if breaker.current_state is states.CLOSED:
            return CircuitState.CLOSED
        if breaker.current_state is states.OPEN:
            opens = storage.opened_at + breaker.timeout_duration
            if self._library.datetime.utcnow() < opens:
                return CircuitState.OPEN
        return CircuitState.HALF_OPEN


def breaker() -> type[AiobreakerCircuits]:
    """Return the class of breakers; raises ``ImportError`` where aiobreaker is not installed."""
    importlib.import_module("aiobreaker")
    return AiobreakerCircuits
