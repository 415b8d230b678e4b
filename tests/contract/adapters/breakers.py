"""A clock and a context for circuit breakers of other projects, outside of a world."""

from __future__ import annotations

from random import Random
from typing import Any

from fedsim.federation.catalog import ModelCatalog
from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import CircuitState, NodeId, RegionId
from fedsim.federation.runtime import Surroundings

NODE = NodeId("n0")
OTHER = NodeId("n1")


class HandClock:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def now(self) -> float:
        """Return the time in seconds."""
        return self.now_s

    async def sleep(self, seconds: float) -> None:
        """Do not sleep."""
        raise NotImplementedError


class Bench:
    """A breaker, its clock, and what a gateway does with it.

    Attributes:
        breaker: The adapter.
        clock: Its clock.
    """

    def __init__(self, kind) -> None:
        self.clock = HandClock()
        nowhere: Any = None
        surroundings = Surroundings(nowhere, self.clock, nowhere, Random, RegionId("here"))
        context = GatewayContext(surroundings, ModelCatalog(), nowhere, Random(1))
        self.breaker = kind(context)

    def results(self, word: str, node: NodeId = NODE) -> None:
        """Record a result for each letter: f for a failure, s for a success."""
        for letter in word:
            self.result(letter == "f", node)

    def result(self, failed: bool, node: NodeId = NODE) -> None:
        """Record a result."""
        record = self.breaker.record_failure if failed else self.breaker.record_success
        record(node)

    def at(self, time_s: float) -> CircuitState:
        """Move the clock, and return the node's state."""
        self.clock.now_s = time_s
        state: CircuitState = self.breaker.state(NODE)
        return state

    def attempt(self, failed: bool) -> bool:
        """Make an attempt as a gateway does, and return whether it was let through."""
        if not self.breaker.try_acquire(NODE):
            return False
        if self.breaker.state(NODE) is CircuitState.HALF_OPEN and hasattr(self.breaker, "release"):
            self.breaker.release(NODE)
        self.result(failed)
        return True
