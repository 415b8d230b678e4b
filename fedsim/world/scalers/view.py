"""What a scaler sees of its pool, and what it decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

NodeState = Literal["ready", "starting", "down"]
"""Takes requests; was ordered and has not started yet; has failed, or restarts after a failure."""


@dataclass(frozen=True, slots=True)
class NodeView:
    """A node that is paid for and does not drain.

    What is measured is that of the window of the scaler's signal; None where there is no sample, as
    of a node that is not ready.

    Attributes:
        name: The node.
        state: Whether it is ready, starting or down.
        value: The scaler's signal.
        in_flight: Requests in service and waiting.
        queued: Requests that wait.
        kv_share: Share of the key-value cache in use, 0 to 1; None without an engine.
        kv_tokens: Room of the key-value cache in use, in tokens; None without an engine.
        kv_capacity: Tokens that the key-value cache holds; None without an engine.
        utilization: Share of the time in use, 0 to 1.
    """

    name: str
    state: NodeState = "ready"
    value: float | None = None
    in_flight: float | None = None
    queued: float | None = None
    kv_share: float | None = None
    kv_tokens: float | None = None
    kv_capacity: float | None = None
    utilization: float | None = None


@dataclass(frozen=True, slots=True)
class PoolView:
    """What a scaler knows of its pool when it decides.

    Attributes:
        time_s: The simulated time, in seconds.
        nodes: The nodes that are ordered and do not drain.
        min: Fewest nodes that it may want.
        max: Most nodes that it may want.
        total: The scaler's signal over the pool: the sum of the nodes' over the window, a
            percentile of latency times the number of ready nodes; None where nothing is known.
        recent: The same over the short window, where the preset has one.
        draining: Nodes that finish what they have and then are gone.
        pool: The pool's name.
    """

    time_s: float
    nodes: Sequence[NodeView]
    min: int
    max: int
    total: float | None = None
    recent: float | None = None
    draining: int = 0
    pool: str = field(default="", compare=False)

    @property
    def ordered(self) -> int:
        """Nodes that are ready, starting or down: what a decision is compared with."""
        return len(self.nodes)

    @property
    def ready(self) -> int:
        """Nodes that take requests."""
        return sum(node.state == "ready" for node in self.nodes)

    @property
    def starting(self) -> int:
        """Nodes that were ordered and have not started yet."""
        return sum(node.state == "starting" for node in self.nodes)

    @property
    def mean(self) -> float | None:
        """The signal of a ready node; None where nothing is known."""
        return None if self.total is None or not self.ready else self.total / self.ready


@dataclass(frozen=True, slots=True)
class Decision:
    """How many nodes a scaler wants, and why.

    Attributes:
        nodes: The number of nodes.
        reason: Why, as words without a full stop; empty where it wants as many as there are.
        capped: Whether it would want more than the pool may have.
    """

    nodes: int
    reason: str = ""
    capped: bool = False


class Rule(Protocol):
    """Makes a number of nodes of what is seen, before limits and damping."""

    def wanted(self, view: PoolView) -> Decision:
        """Return how many nodes the pool should have."""
        ...
