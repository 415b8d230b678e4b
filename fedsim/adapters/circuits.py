"""Stands between a gateway and circuit breakers of which there is one object for each node."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import suppress
from typing import Any, ClassVar

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import CircuitState, NodeId
from fedsim.kernel.foreign_globals import ForeignGlobals


class Failed(Exception):
    """The error of an attempt, where a library wants to see one."""


class Circuits(ABC):
    """A gateway's circuit breaker out of one object of a library for each node.

    A library guards calls that begin and end within one step; attempts take simulated time. So a
    node is admitted by what the library does before a call, and the result of an attempt is
    reported to it as a call that begins and ends when the result comes. A result that comes while
    the library would refuse a call counts for nothing, and one that comes later while it would let
    a trial call through counts as the trial.

    Attributes:
        modules: Names of the library's modules that read time.
    """

    modules: ClassVar[tuple[str, ...]]

    def __init__(self, context: GatewayContext) -> None:
        modules = [importlib.import_module(name) for name in self.modules]
        self._library: Any = modules[0]
        self._step = ForeignGlobals(modules, context.clock.now)
        self._circuits: dict[NodeId, Any] = {}

    def is_open(self, node_id: NodeId) -> bool:
        """Return whether the library would refuse a call now."""
        return self.state(node_id) is CircuitState.OPEN

    def state(self, node_id: NodeId) -> CircuitState:
        """Return the state now; an open circuit that would let a call through is half-open."""
        circuit = self._circuits.get(node_id)
        if circuit is None:
            return CircuitState.CLOSED
        with self._step:
            return self._state(circuit)

    def try_acquire(self, node_id: NodeId) -> bool:
        """Return whether the library lets a call through, which may move it to half-open."""
        circuit = self._circuits.get(node_id)
        if circuit is None:
            return True
        with self._step:
            return self._admit(circuit)

    def record_success(self, node_id: NodeId) -> None:
        """Report to the library that an attempt on the node succeeded."""
        self._record(node_id, failed=False)

    def record_failure(self, node_id: NodeId) -> None:
        """Report to the library that an attempt on the node failed."""
        self._record(node_id, failed=True)

    def _record(self, node_id: NodeId, *, failed: bool) -> None:
        with self._step:
            circuit = self._circuits.get(node_id)
            if circuit is None:
                circuit = self._circuits[node_id] = self._build(node_id)
            self._report(circuit, failed)

    @abstractmethod
    def _build(self, node_id: NodeId) -> Any:
        """Return the library's object for a node, with the library's own defaults."""

    @abstractmethod
    def _state(self, circuit: Any) -> CircuitState:
        """Return the state now, and change nothing."""

    @abstractmethod
    def _admit(self, circuit: Any) -> bool:
        """Let the library do what it does before a call; False where it refuses."""

    @abstractmethod
    def _report(self, circuit: Any, failed: bool) -> None:
        """Let the library see a call that fails or succeeds."""


class CallingCircuits(Circuits):
    """Circuits of a library whose object, the first of a pair, is notified by its ``call``."""

    def _admit(self, circuit: Any) -> bool:
        with suppress(self._library.CircuitBreakerError):
            circuit[0].call(later)
            return True
        return False

    def _report(self, circuit: Any, failed: bool) -> None:
        with suppress(self._library.CircuitBreakerError, Failed):
            circuit[0].call(fail if failed else succeed)


def fail() -> None:
    """Fail, as a call."""
    raise Failed


def succeed() -> None:
    """Succeed, as a call."""


def later() -> Generator[None]:
    """A call whose result comes later: a generator that is never begun."""
    yield
