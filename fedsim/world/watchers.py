"""Guards around foreign health checkers and circuit breakers."""

from __future__ import annotations

import math
from numbers import Real
from operator import attrgetter
from typing import Any

from fedsim.errors import PlugInError
from fedsim.federation.contracts import (
    CircuitState,
    FederationError,
    HealthState,
    NodeHealth,
    NodeId,
)
from fedsim.world.plugins import Guard
from fedsim.world.world import Site

HEALTH_METHODS = ("check_node", "get_cached_health", "start_monitoring", "stop_monitoring")
BREAKER_METHODS = ("is_open", "record_success", "record_failure", "state")

_NUMBERS = ("latency_p50_s", "latency_p99_s", "throughput", "queue_depth", "last_check_s")
_NUMBERS_OR_NONE = ("gpu_utilization", "running", "kv_usage", "samples")
_numbers = attrgetter(*_NUMBERS)
_numbers_or_none = attrgetter(*_NUMBERS_OR_NONE)


class HealthGuard(Guard):
    """Runs a foreign health checker as the gateway's ``HealthCheckerTrait``.

    Attributes:
        tells_latency: Whether it has ever said a latency of a node.
        tells_load: Whether it has ever said how many requests a node has, or how full its cache is.
    """

    def __init__(self, plugin: Any, site: Site) -> None:
        super().__init__(plugin, site)
        self.tells_latency = self.tells_load = False

    async def check_node(self, node_id: NodeId) -> NodeHealth:
        """Check one node now, for other plug-ins; the gateway itself does not."""
        health: NodeHealth = await self._invoke("check_node", None, node_id)
        return health

    def get_cached_health(self, node_id: NodeId) -> NodeHealth | None:
        """Return what the checker knows, which must be a ``NodeHealth`` or None."""
        known = self._tell("get_cached_health", None, node_id)
        if known is None:
            return None
        if isinstance(known, NodeHealth):
            self._check(known)
            self.tells_latency |= known.latency_p50_s > 0.0
            loads = (known.running, known.kv_usage, known.queue_depth or None)
            self.tells_load |= any(load is not None for load in loads)
            return known
        problem = f"get_cached_health() returned {known!r}; it must return a NodeHealth or None"
        raise self._error(problem, None)

    def _check(self, known: NodeHealth) -> None:
        """See to it that what strategies and policies compare are a state and numbers."""
        if not isinstance(known.status, HealthState):
            raise self._wrong(known.status, "status", "a HealthState")
        for name, value in zip(_NUMBERS, _numbers(known), strict=True):
            if not _is_number(value):
                raise self._wrong(value, name, "a number")
        for name, value in zip(_NUMBERS_OR_NONE, _numbers_or_none(known), strict=True):
            if value is not None and not _is_number(value):
                raise self._wrong(value, name, "a number or None")

    def _wrong(self, value: object, name: str, wanted: str) -> PlugInError:
        problem = f"get_cached_health() returned a {name} of {value!r}; it must be {wanted}"
        return self._error(problem, None)

    async def start_monitoring(self, interval_s: float) -> None:
        """Let the checker begin."""
        method = "start_monitoring"
        try:
            await self._await(method, None, interval_s)
        except FederationError as error:  # there is no request yet that could end in it
            raise self._raised(method, error, None) from error

    async def stop_monitoring(self) -> None:
        """Let the checker end."""
        await self._await("stop_monitoring", None)

    def report_success(self, node_id: NodeId, latency_s: float) -> None:
        """Tell the checker, if it wants to know, that a node served a request."""
        self._report("report_success", node_id, latency_s)

    def report_failure(self, node_id: NodeId) -> None:
        """Tell the checker, if it wants to know, that a node failed a request."""
        self._report("report_failure", node_id)

    def _report(self, method: str, *args: Any) -> None:
        if hasattr(self.plugin, method) and not self._loop.is_closed():
            self._tell(method, None, *args)


def _is_number(value: object) -> bool:
    return isinstance(value, (float, int, Real)) and not math.isnan(value)


class BreakerGuard(Guard):
    """Runs a foreign circuit breaker as the gateway's ``CircuitBreakerTrait``.

    A change of a circuit is reported when the gateway next sends to the node or tells how an
    attempt ended, or at the end of the run; one that time alone brought about may be older.
    """

    def __init__(self, plugin: Any, site: Site) -> None:
        super().__init__(plugin, site)
        self._states: dict[NodeId, CircuitState] = {}
        for method in ("try_acquire", "record_attempt", "half_opens_at_s"):
            if not hasattr(plugin, method):
                setattr(self, method, None)

    def is_open(self, node_id: NodeId) -> bool:
        """Return whether the breaker wants the node to be skipped."""
        return self._truth("is_open", self._tell("is_open", None, node_id), None)

    def state(self, node_id: NodeId) -> CircuitState:
        """Return the node's state, which must be a ``CircuitState``."""
        state = self._tell("state", None, node_id)
        if isinstance(state, CircuitState):
            return state
        problem = f"state() returned {state!r}; it must return a CircuitState"
        raise self._error(problem, None)

    def try_acquire(self, node_id: NodeId) -> bool:
        """Ask the breaker for leave to send."""
        granted = self._truth("try_acquire", self._tell("try_acquire", None, node_id), None)
        self._note(node_id)
        return granted

    def half_opens_at_s(self, node_id: NodeId) -> float:
        """Return when the breaker will let a probe through, in seconds."""
        return self._number("half_opens_at_s", self._tell("half_opens_at_s", None, node_id), None)

    def release(self, node_id: NodeId) -> None:
        """Tell the breaker that a probe has ended, in whatever way."""
        if hasattr(self.plugin, "release"):
            self._record("release", node_id)

    def record_success(self, node_id: NodeId) -> None:
        """Tell the breaker that an attempt succeeded."""
        self._record("record_success", node_id)

    def record_failure(self, node_id: NodeId) -> None:
        """Tell the breaker that an attempt failed."""
        self._record("record_failure", node_id)

    def record_attempt(self, node_id: NodeId, ok: bool, sent_s: float) -> None:
        """Tell the breaker how an attempt ended, and when it was sent."""
        self._record("record_attempt", node_id, ok, sent_s)

    def settle(self) -> None:
        """Report the changes that were not reported yet, at the end of a run."""
        for node_id in self._states:
            self._note(node_id)

    def _record(self, method: str, node_id: NodeId, *args: Any) -> None:
        """Tell the breaker something; what is dropped after the run does not count."""
        if not self._loop.is_closed():
            self._tell(method, None, node_id, *args)
            self._note(node_id)

    def _note(self, node_id: NodeId) -> None:
        """Report a change of a node's circuit."""
        before = self._states.get(node_id, CircuitState.CLOSED)
        after = self._states[node_id] = self.state(node_id)
        if after is not before:
            reason = f"as {self.plugin_name} says"
            self._reporter.circuit_changed(self._env.now, node_id, before, after, reason)
