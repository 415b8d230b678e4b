"""circuitbreaker as the gateway's circuit breaker: ``circuit_breaker: circuitbreaker``.

Needs circuitbreaker, extra ``circuitbreaker``. Source: https://github.com/fabfuel/circuitbreaker.
"""

from __future__ import annotations

import importlib
from contextlib import suppress
from typing import Any, ClassVar

from fedsim.adapters.circuits import Circuits, Failed
from fedsim.federation.contracts import CircuitState, NodeId

_STATES = {
    "closed": CircuitState.CLOSED,
    "open": CircuitState.OPEN,
    "half_open": CircuitState.HALF_OPEN,
}


class CircuitbreakerCircuits(Circuits):
    """One ``circuitbreaker.CircuitBreaker`` for each node, with the defaults of the library.

    Rule: the 5th failure in a row opens a circuit for 30 s; then every call is let through, a
    success closes the circuit, a failure opens it for another 30 s. The library refuses calls in
    its decorator alone, which asks ``opened``; ``call`` and ``with`` let all through, so it is
    asked here as the decorator does. Example: failures at t = 1, 2, 3, 4, 5 s open it until
    t = 35 s. Failure: a half-open circuit bounds no calls. Source: circuitbreaker 2.1.
    """

    modules: ClassVar = ("circuitbreaker",)

    def _build(self, node_id: NodeId) -> Any:
        return self._library.CircuitBreaker(name=node_id)

    def _state(self, circuit: Any) -> CircuitState:
        return _STATES[circuit.state]

    def _admit(self, circuit: Any) -> bool:
        return not circuit.opened

    def _report(self, circuit: Any, failed: bool) -> None:
        if circuit.opened:
            return
        with suppress(Failed), circuit:
            if failed:
                raise Failed


def breaker() -> type[CircuitbreakerCircuits]:
    """Return the class of breakers; raises ``ImportError`` without circuitbreaker."""
    importlib.import_module("circuitbreaker")
    return CircuitbreakerCircuits
