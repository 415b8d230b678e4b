"""What a plug-in may have beyond its contract, and what is lost without it.

The classes here are types and fallbacks, not bases that a plug-in must inherit: `has` asks for a
capability by its names, and `bind` takes those names that a plug-in has and falls back to what the
class does, mostly nothing, for the rest. Built-in objects and users' are asked in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, ClassVar, TypeGuard, TypeVar

from fedsim.federation.contracts import (
    InferenceRequest,
    InferenceResponse,
    NodeId,
    RouteCandidate,
    RouteTarget,
)

if TYPE_CHECKING:
    from fedsim.federation.health import NodeRecord

C = TypeVar("C")


def names(kind: type) -> tuple[str, ...]:
    """Return the names of the methods and attributes of a capability."""
    return _names(kind)


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(name for name in dir(kind) if not name.startswith("_"))


def has(plugin: object, kind: type[C]) -> TypeGuard[C]:
    """Return whether *plugin* has every method and attribute of *kind*; None counts as lacking."""
    return all(getattr(plugin, name, None) is not None for name in names(kind))


def bind(plugin: object, kind: type[C]) -> C:
    """Return the capability *kind* of *plugin*; what it lacks is as *kind* has it.

    Bound once, a method costs its caller no more than one of the plug-in's own.
    """
    bound = kind()
    for name in names(kind):
        own = getattr(plugin, name, None)
        if own is not None:
            setattr(bound, name, own)
    return bound


def announces(plugin: object) -> bool:
    """Return whether *plugin* announces all that changes its answers (`AnnouncesChanges`).

    A class has to say so itself: its base class cannot know what it overrides.
    """
    return "announces" in vars(type(plugin)) and bool(getattr(plugin, "announces", False))


class AttemptHooks:
    """A router or a strategy that follows the attempts; each method on its own."""

    def on_start(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Called when an attempt is about to be sent."""

    def on_complete(
        self, target: RouteTarget, request: InferenceRequest, outcome: str, latency_s: float
    ) -> None:
        """Called when an attempt has ended in ``ok``, the kind of an error, or ``cancelled``."""


class RouterHooks(AttemptHooks):
    """What else a router may have; each on its own.

    Attributes:
        immediate: Whether its ``route`` never suspends, and so needs no deadline.
    """

    immediate: bool = False

    def on_first_token(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Called when the first token of a stream has come."""

    def on_response(
        self, target: RouteTarget, request: InferenceRequest, response: InferenceResponse
    ) -> None:
        """Called with a node's response, right before ``on_complete``."""


class RoutesRetries:
    """A router that avoids the nodes that were tried."""

    async def route_excluding(
        self, request: InferenceRequest, excluded: Sequence[NodeId]
    ) -> RouteTarget:
        """Return a node for a retry; *excluded* are the nodes tried, in the order of trial."""
        raise NotImplementedError


class CountsRequests:
    """A router that knows how many requests are under way."""

    def requests_in_flight(self) -> Mapping[NodeId, int]:
        """Return by node the requests that its gateway has sent and that have not ended."""
        raise NotImplementedError


class PolicyHooks:
    """What a policy may declare; each on its own.

    Attributes:
        weight: The weight of its score, >= 0, where none is given.
        rejects_as: The error where it leaves no node: ``qos``, ``privacy`` or ``health``.
    """

    weight: float = 1.0
    rejects_as: str = "qos"


class ExplainsRejections:
    """A policy that says in words why a candidate is not eligible."""

    def rejection(self, candidate: RouteCandidate, request: InferenceRequest) -> str:
        """Return the reason."""
        raise NotImplementedError


class GatesAttempts:
    """A circuit breaker that bounds the attempts while a circuit is half-open."""

    def try_acquire(self, node_id: NodeId) -> bool:
        """Take the right to send a request to the node; False where the circuit forbids it."""
        raise NotImplementedError


class BreakerHooks:
    """What else a circuit breaker may have; each on its own.

    Attributes:
        troubled: False, or empty, while every request may be sent and successes change nothing.
    """

    troubled: object = True

    def release(self, node_id: NodeId) -> None:
        """Called when an attempt that was let through half-open has ended in whatever way."""


class TimesResults:
    """A circuit breaker that is given the time of dispatch with each result."""

    def record_attempt(self, node_id: NodeId, ok: bool, sent_s: float) -> None:
        """Record how an attempt ended that was sent at *sent_s*, in seconds."""
        raise NotImplementedError


class ForetellsTrials:
    """A circuit breaker that knows when it will let requests through again."""

    def half_opens_at_s(self, node_id: NodeId) -> float:
        """Return the clock time of the node's next trial by time alone, in seconds."""
        raise NotImplementedError


class LearnsFromTraffic:
    """A health checker that learns from requests; each method on its own."""

    def report_success(self, node_id: NodeId, latency_s: float) -> None:
        """Called when the node has served a request in *latency_s* seconds, network included."""

    def report_failure(self, node_id: NodeId) -> None:
        """Called when a request has failed for a reason that lies with the node."""


class KeepsRecords:
    """A health checker whose live records of registered nodes the router reads as they are.

    Of any other the router asks ``get_cached_health`` whenever it looks at a node, and knows no
    medians of pools.
    """

    def register_node(self, node_id: NodeId, pool: str) -> None:
        """Begin a record of a node."""
        raise NotImplementedError

    def deregister_node(self, node_id: NodeId) -> None:
        """Drop the record of a node."""
        raise NotImplementedError

    def record(self, node_id: NodeId) -> NodeRecord | None:
        """Return the record of a node, or None for one that is not registered."""
        raise NotImplementedError

    def pool_median_s(self, record: NodeRecord) -> float:
        """Return the median latency of the node's pool in seconds; 0 where unknown."""
        raise NotImplementedError

    def add_latency_limit(self, limit_s: float | None) -> None:
        """Announce a node also when its estimate crosses *limit_s*; None adds nothing."""
        raise NotImplementedError

    def add_throughput_limit(self, least: int | None) -> None:
        """Announce a node also when its throughput crosses *least*; None adds nothing."""
        raise NotImplementedError


class AnnouncesChanges:
    """A health checker or circuit breaker that announces all that changes its answers.

    With such parts, and policies with ``announces = True``, the router examines a node again only
    when a change is announced; else for every request. A policy has nothing to subscribe to: it
    promises that its verdict on a node changes only when catalog, breaker or health checker
    announce a change of that node.

    Attributes:
        announces: The promise; a subclass has to make it again (`announces`).
    """

    announces: ClassVar[bool] = True

    def subscribe(self, on_change: Callable[[NodeId], None]) -> None:
        """Have *on_change* called with each node whose health, or circuit, has changed.

        What time alone changes is announced as well, unless `ForetellsTrials` says when.
        """
        raise NotImplementedError


class Settles:
    """A gateway or breaker that reports some changes late."""

    def settle(self) -> None:
        """Report the changes that have happened and were not reported yet."""


LOSSES: Mapping[str, Mapping[str, str]] = {
    "router": {"route_excluding": "a retry may go to the node that has just failed."},
    "health": {
        "report_success": "it hears nothing of the requests that nodes serve.",
        "report_failure": "it hears nothing of the requests that nodes fail.",
    },
    "circuit_breaker": {
        "try_acquire": "half-open it lets through whatever comes while is_open says no.",
        "record_attempt": "late results count as if they were sent after the circuit's rest.",
    },
}
"""What a gateway goes without where a plug-in lacks a method, by the key of the federation."""
