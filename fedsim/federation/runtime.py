"""What the federation's objects need of the place they run in, and nothing more.

A gateway is the same object in production (a monotonic clock, asyncio tasks, an HTTP transport)
and in the simulator (the kernel's clock and tasks, the world's transport).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from fedsim.federation.contracts import (
    CircuitState,
    HealthState,
    InferenceRequest,
    InferenceResponse,
    NodeHealth,
    NodeId,
    RegionId,
    RouteTarget,
    TokenStream,
)
from fedsim.federation.decisions import DecisionObserver
from fedsim.federation.scopes import Scope

T = TypeVar("T")

NOWHERE = RegionId("")
"""The region of a gateway that has none."""


class Clock(Protocol):
    """Time, real or simulated."""

    def now(self) -> float:
        """Return the time in seconds since some fixed start; never runs backwards."""
        ...

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Suspend the caller for *seconds*."""
        ...


class TaskHandle(Protocol):
    """A task that was spawned."""

    def cancel(self) -> Any:
        """Stop the task at its next suspension."""
        ...


class Tasks(Protocol):
    """Concurrency: background work, deadlines and races."""

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> TaskHandle:
        """Run *coroutine* concurrently from now on."""
        ...

    def within(self, awaitable: Awaitable[T], seconds: float) -> Awaitable[T]:
        """Return what *awaitable* gives, or stop it after *seconds* and raise ``TimeoutError``.

        What *awaitable* gives at the very time of the deadline counts.
        """
        ...

    def wait_out(self, seconds: float) -> Awaitable[None]:
        """Suspend the caller for *seconds*, and until all else due by then has happened.

        That includes deadlines.
        """
        ...

    def first(self, *awaitables: Awaitable[T]) -> Awaitable[T]:
        """Return what the first of *awaitables* to return gives, and cancel the others.

        One that raises leaves the race to the others; when all have, what the last one raised is
        raised. All have ended before the result is given.
        """
        ...


class Transport(Protocol):
    """The way to the nodes. All failures are ``FederationError`` s."""

    def send(self, target: RouteTarget, request: InferenceRequest) -> Awaitable[InferenceResponse]:
        """Send *request* to *target* and wait for the response."""
        ...

    def open_stream(self, target: RouteTarget, request: InferenceRequest) -> Awaitable[TokenStream]:
        """Send *request* to *target* and return its stream once the node has taken it."""
        ...

    def probe(self, node_id: NodeId) -> Awaitable[NodeHealth]:
        """Ask a node for its telemetry; its status, latencies and last check are not used."""
        ...


class Prober(Protocol):
    """The part of a transport that health checkers need."""

    def probe(self, node_id: NodeId) -> Awaitable[NodeHealth]:
        """Ask a node for its telemetry, as `Transport.probe` does."""
        ...


class Random(Protocol):
    """A source of randomness such as ``random.Random``."""

    def random(self) -> float:
        """Return a float in [0, 1)."""
        ...


class Observer(Protocol):
    """Called with what the federation's objects find out; *at_s* is when it became true."""

    def health_changed(
        self, at_s: float, node_id: NodeId, before: HealthState, after: HealthState, reason: str
    ) -> None:
        """Called when a node's health status changes."""
        ...

    def circuit_changed(
        self, at_s: float, node_id: NodeId, before: CircuitState, after: CircuitState, reason: str
    ) -> None:
        """Called when a node's circuit changes its state."""
        ...

    def admission_changed(
        self, at_s: float, scope: Scope, part: str, before: str, after: str, reason: str
    ) -> None:
        """Called when a gateway begins to turn requests of a scope away, or stops.

        *part* is what does it: ``concurrency``, ``shedding`` or ``throttle``. It goes from ``open``
        to ``turning_away`` and back.
        """
        ...

    def outlier_changed(self, at_s: float, node_id: NodeId, ejected: bool, reason: str) -> None:
        """Called when a node is ejected as an outlier, or readmitted."""
        ...

    def panic_changed(self, at_s: float, scope: Scope, panicking: bool, reason: str) -> None:
        """Called when panic mode begins for a scope, or ends."""
        ...


class Insight(Protocol):
    """What a simulator knows and no real gateway can: the present state of nodes, at no cost.

    Strategies that are studied as an ideal use it, such as joining the shortest queue.
    """

    def depth(self, node_id: NodeId) -> int:
        """Return how many requests the node has in service and waiting at this moment."""
        ...

    def on_idle(self, report: Callable[[NodeId], None]) -> None:
        """Have *report* called with a node that has become idle and reports here.

        An idle node reports to one gateway, drawn at random, one network leg later.
        """
        ...


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a gateway's parts need and do not own; the builder and plug-ins get the same.

    Attributes:
        transport: The way to the nodes.
        clock: Time.
        tasks: Background tasks and deadlines.
        random_for: Gives a source of randomness by purpose: ``health`` (probe jitter),
            ``strategy``, ``turns`` (where they begin), ``outliers`` (when intervals begin),
            ``slow_start``, ``retries`` (backoff), ``concurrency`` and ``throttle``.
        region: The gateway's region, which locality prefers; `NOWHERE` for none.
        observer: Notified of what health checker, breaker and router find out; or None.
        insight: What only a simulator knows, for strategies that are studied as an ideal; or None.
        decisions: Notified of every decision of the gateway; or None.
    """

    transport: Transport
    clock: Clock
    tasks: Tasks
    random_for: Callable[[str], Random]
    region: RegionId = NOWHERE
    observer: Observer | None = None
    insight: Insight | None = None
    decisions: DecisionObserver | None = None
