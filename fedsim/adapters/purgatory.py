"""purgatory as the gateway's circuit breaker: ``circuit_breaker: purgatory``.

Needs purgatory, extra ``purgatory``. Source: https://github.com/mardiros/purgatory.
"""

from __future__ import annotations

import importlib
from contextlib import suppress
from typing import Any, ClassVar

from fedsim.adapters.circuits import Circuits, Failed
from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import CircuitState, NodeId

_STATES = {
    "closed": CircuitState.CLOSED,
    "opened": CircuitState.OPEN,
    "half-opened": CircuitState.HALF_OPEN,
}


class PurgatoryCircuits(Circuits):
    """One breaker of a ``SyncCircuitBreakerFactory`` for each node, with the library's defaults.

    Rule: the 5th failure in a row opens a circuit; when more than 30 s have passed every call is
    let through, and the first result decides. Example: failures at t = 1, 2, 3, 4, 5 s open it
    until just after t = 35 s. Failure: a half-open circuit bounds no calls. Source: purgatory 3.0.
    """

    modules: ClassVar = ("purgatory.domain.model",)

    def __init__(self, context: GatewayContext) -> None:
        super().__init__(context)
        library: Any = importlib.import_module("purgatory")
        self._factory = library.SyncCircuitBreakerFactory()

    def _build(self, node_id: NodeId) -> Any:
        return self._factory.get_breaker(node_id)

    def _state(self, circuit: Any) -> CircuitState:
        context = circuit.context
        state = _STATES[context.state]
        if state is CircuitState.OPEN:
            closes_s = context.opened_at + context.ttl
            return CircuitState.HALF_OPEN if self._library.time.time() > closes_s else state
        return state

    def _admit(self, circuit: Any) -> bool:
        """Enter the breaker and leave it open-ended; a refusal is foreseen, since it would raise.

        The library raises one and the same exception each time, whose traceback would grow.
        """
        if self._state(circuit) is CircuitState.OPEN:
            return False
        circuit.__enter__()
        return True

    def _report(self, circuit: Any, failed: bool) -> None:
        if self._state(circuit) is CircuitState.OPEN:
            return
        with suppress(Failed), circuit:
            if failed:
                raise Failed


def breaker() -> type[PurgatoryCircuits]:
    """Return the class of breakers; raises ``ImportError`` where purgatory is not installed."""
    importlib.import_module("purgatory")
    return PurgatoryCircuits
