"""Guards around plug-ins: they run unchanged, and what they do wrong is reported by name.

A `FederationError` that a plug-in raises is an outcome. Anything else, or a value that the contract
does not allow, stops the run with a `PlugInError` that names the plug-in, the request and the
simulated time. An awaitable of a plug-in runs on the asyncio loop in simulated time.

A guard has the methods of the contract, and of the optional ones those that its plug-in has: the
gateway asks a guard for its capabilities as it asks any other object.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Collection, Sequence, Set
from numbers import Integral, Real
from operator import attrgetter
from types import CoroutineType
from typing import Any

import numpy as np

from fedsim.errors import PlugInError, in_words
from fedsim.federation.capabilities import PolicyHooks, announces, bind
from fedsim.federation.contracts import (
    CircuitState,
    FederationError,
    HealthState,
    InferenceRequest,
    InferenceResponse,
    NodeHealth,
    NodeId,
    RouteCandidate,
    RouteTarget,
)
from fedsim.federation.eligibility import STAGES
from fedsim.federation.fleet import Fleet
from fedsim.federation.policies import Columns
from fedsim.federation.strategies.base import Candidates
from fedsim.kernel.asyncio_loop import SimLoop
from fedsim.kernel.foreign import run_foreign
from fedsim.kernel.tasks import Cancelled
from fedsim.world.plugins import plugin_name
from fedsim.world.reporter import FederationReporter
from fedsim.world.scaling import ScalerSite
from fedsim.world.world import Site

HEALTH_METHODS = ("check_node", "get_cached_health", "start_monitoring", "stop_monitoring")
BREAKER_METHODS = ("is_open", "record_success", "record_failure", "state")

_NUMBERS = ("latency_p50_s", "latency_p99_s", "throughput", "queue_depth", "last_check_s")
_NUMBERS_OR_NONE = ("gpu_utilization", "running", "kv_usage", "samples")
_numbers = attrgetter(*_NUMBERS)
_numbers_or_none = attrgetter(*_NUMBERS_OR_NONE)


class Guard:
    """What all guards share: the plug-in, its name, and how its mistakes are reported."""

    def __init__(self, plugin: Any, site: Site | ScalerSite) -> None:
        self.plugin = plugin
        self.plugin_name = plugin_name(plugin)
        self._env = site.env
        self._loop: SimLoop = site.loop
        self._reporter: FederationReporter = site.observer

    def _offer(self, *methods: Callable[..., Any]) -> None:
        """Have those of the guarded *methods* under their public names that the plug-in has."""
        for method in methods:
            name = method.__name__.removeprefix("_")
            try:
                offered = getattr(self.plugin, name, None) is not None
            except Exception as error:  # a property of the plug-in's
                problem = f"its {name} raised {in_words(error)}"
                raise PlugInError(self.plugin_name, problem) from error
            if offered:
                setattr(self, name, method)

    def _error(self, problem: str, request: InferenceRequest | None) -> PlugInError:
        request_id = None if request is None else request.request_id
        return PlugInError(self.plugin_name, problem, request_id, self._env.now)

    def _call(self, method: str, request: InferenceRequest | None, *args: Any) -> Any:
        """Call a plain method."""
        result = self._invoke(method, request, *args)
        if isinstance(result, CoroutineType):
            result.close()
            problem = f"{method}() is async; it must be a plain method, which cannot wait"
            raise self._error(problem, request)
        return result

    def _report(self, method: str, request: InferenceRequest | None, *args: Any) -> Any:
        """Call a plain method that cannot fail a request: no error of the contracts leaves it."""
        try:
            return self._call(method, request, *args)
        except FederationError as error:
            raise self._raised(method, error, request) from error

    async def _await(self, method: str, request: InferenceRequest | None, *args: Any) -> Any:
        """Call a method that may be async, and await it in simulated time."""
        result = self._invoke(method, request, *args)
        if not inspect.isawaitable(result):
            return result
        try:
            return await run_foreign(self._loop, result, f"{self.plugin_name} {method}")
        except FederationError:
            raise
        except PlugInError as error:
            problem = f"{method}() {error.problem}"
            raise self._error(problem, request) from error
        except Exception as error:
            raise self._raised(method, error, request) from error

    def _invoke(self, method: str, request: InferenceRequest | None, *args: Any) -> Any:
        """Call a method; what it raises beyond the contract becomes a `PlugInError`."""
        try:
            return getattr(self.plugin, method)(*args)
        except (FederationError, PlugInError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise self._raised(method, error, request) from error

    def _raised(
        self, method: str, error: BaseException, request: InferenceRequest | None
    ) -> PlugInError:
        return self._error(f"{method}() raised {in_words(error)}", request)

    def _number(self, method: str, value: object, request: InferenceRequest | None) -> float:
        if isinstance(value, (float, int, Real)) and math.isfinite(value):
            return float(value)
        problem = f"{method}() returned {value!r}; it must be a finite number"
        raise self._error(problem, request)

    def _truth(self, method: str, value: object, request: InferenceRequest | None) -> bool:
        if isinstance(value, (bool, np.bool_)):
            return bool(value)
        problem = f"{method}() returned {value!r}; it must be True or False"
        raise self._error(problem, request)


class RouterGuard(Guard):
    """Runs a foreign router, sync or async, as the gateway's ``RouterTrait``."""

    def __init__(self, plugin: Any, site: Site) -> None:
        super().__init__(plugin, site)
        self._offer(self._on_start, self._on_first_token, self._on_response, self._on_complete)
        self._offer(self._route_excluding)

    async def route(self, request: InferenceRequest) -> RouteTarget:
        """Return the router's choice."""
        return await self._route("route", request, request)

    async def _route_excluding(
        self, request: InferenceRequest, excluded: Collection[NodeId]
    ) -> RouteTarget:
        return await self._route("route_excluding", request, request, excluded)

    async def get_candidates(self, request: InferenceRequest) -> list[RouteCandidate]:
        """Return the router's explanation."""
        candidates: list[RouteCandidate] = await self._await("get_candidates", request, request)
        return candidates

    def _on_start(self, target: RouteTarget, request: InferenceRequest) -> None:
        self._report("on_start", request, target, request)

    def _on_first_token(self, target: RouteTarget, request: InferenceRequest) -> None:
        self._report("on_first_token", request, target, request)

    def _on_response(
        self, target: RouteTarget, request: InferenceRequest, response: InferenceResponse
    ) -> None:
        self._report("on_response", request, target, request, response)

    def _on_complete(
        self, target: RouteTarget, request: InferenceRequest, outcome: str, latency_s: float
    ) -> None:
        # Tasks that are dropped after the run end then, which the plug-in must not hear of.
        if not self._loop.is_closed():
            self._report("on_complete", request, target, request, outcome, latency_s)

    async def _route(self, method: str, request: InferenceRequest, *args: Any) -> RouteTarget:
        try:
            target = await self._await(method, request, *args)
        except (Exception, GeneratorExit, Cancelled):
            raise
        except BaseException:
            self._reporter.plugin(
                self.plugin_name,
                f"request {request.request_id}: {method}() was still running when the request's "
                "deadline passed",
            )
            raise
        if not isinstance(target, RouteTarget) or not isinstance(target.node_id, str):
            problem = f"{method}() returned {target!r}; it must return a RouteTarget"
            raise self._error(problem, request)
        return target


class PolicyGuard(Guard):
    """Runs a foreign policy."""

    def __init__(self, plugin: Any, site: Site) -> None:
        super().__init__(plugin, site)
        declared = bind(plugin, PolicyHooks)
        self.weight = self._checked(getattr(plugin, "weight", declared.weight))
        self.rejects_as = declared.rejects_as
        if self.rejects_as not in STAGES:
            problem = (
                f"its rejects_as is {self.rejects_as!r}; it must be one of {', '.join(STAGES)}"
            )
            raise PlugInError(self.plugin_name, problem)
        self._offer(self._rejection, self._scores)

    @property
    def announces(self) -> bool:
        """Whether the policy says that its verdicts change only with what others announce."""
        return announces(self.plugin)

    def _checked(self, weight: object) -> float:
        if isinstance(weight, Real) and 0.0 <= float(weight) < math.inf:
            return float(weight)
        problem = f"its weight is {weight!r}; it must be a finite number, 0 or more"
        raise PlugInError(self.plugin_name, problem)

    def name(self) -> str:
        """Return the policy's name."""
        return str(self._call("name", None))

    def score(self, candidate: RouteCandidate, request: InferenceRequest) -> float:
        """Return the policy's score, which must be a finite number."""
        return self._number("score", self._call("score", request, candidate, request), request)

    def _scores(self, columns: Columns, request: InferenceRequest) -> list[float]:
        """Return the policy's scores of several candidates, a finite number for each."""
        method = "scores"
        answer = self._call(method, request, columns, request)
        try:
            found = list(answer)
        except Exception as error:  # no iterable, or a generator that raises
            raise self._raised(method, error, request) from error
        if len(found) != len(columns.node_ids):
            problem = f"scores() returned {len(found)} numbers for {len(columns.node_ids)} nodes"
            raise self._error(problem, request)
        return [self._number("scores", value, request) for value in found]

    def is_eligible(self, candidate: RouteCandidate, request: InferenceRequest) -> bool:
        """Return the policy's verdict."""
        verdict = self._call("is_eligible", request, candidate, request)
        return self._truth("is_eligible", verdict, request)

    def _rejection(self, candidate: RouteCandidate, request: InferenceRequest) -> str:
        return str(self._call("rejection", request, candidate, request))


class StrategyGuard(Guard):
    """Runs a foreign strategy inside our router."""

    def __init__(self, plugin: Any, site: Site) -> None:
        super().__init__(plugin, site)
        self._offer(self._on_start, self._on_complete, self._panicking)

    def _panicking(
        self, fleet: Fleet, members: Sequence[int], usable: Sequence[bool], threshold: float
    ) -> frozenset[int]:
        opened = self._call("panicking", None, fleet, members, usable, threshold)
        if isinstance(opened, Set) and opened <= set(members):
            return frozenset(opened)
        problem = f"panicking() returned {opened!r}; it must be a set of the members"
        raise self._error(problem, None)

    def _on_start(self, target: RouteTarget, request: InferenceRequest) -> None:
        self._report("on_start", request, target, request)

    def _on_complete(
        self, target: RouteTarget, request: InferenceRequest, outcome: str, latency_s: float
    ) -> None:
        if not self._loop.is_closed():
            self._report("on_complete", request, target, request, outcome, latency_s)

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the strategy's choice, which must be one of the candidates."""
        chosen = self._call("select", request, fleet, candidates, request)
        position = int(chosen) if isinstance(chosen, (int, Integral)) else -1
        if position not in candidates:
            problem = (
                f"select() returned {chosen!r}; it must be one of candidates.positions, "
                f"{list(candidates.positions)[:10]}"
            )
            raise self._error(problem, request)
        return position


class MiddlewareGuard(Guard):
    """Runs a foreign middleware."""

    def before_route(self, request: InferenceRequest) -> InferenceRequest | None:
        """Let the middleware look at a request."""
        changed = self._call("before_route", request, request)
        if changed is None:
            return None
        if not isinstance(changed, InferenceRequest):
            raise self._wrong_kind(request, changed, "before_route", "an InferenceRequest")
        if changed.request_id != request.request_id:
            problem = (
                f"before_route() changed the request_id to {changed.request_id!r}; it may replace "
                "a request, but must keep its request_id"
            )
            raise self._error(problem, request)
        return changed

    def after_infer(
        self, request: InferenceRequest, response: InferenceResponse
    ) -> InferenceResponse | None:
        """Let the middleware look at a response."""
        changed = self._call("after_infer", request, request, response)
        if changed is None or isinstance(changed, InferenceResponse):
            return changed
        raise self._wrong_kind(request, changed, "after_infer", "an InferenceResponse")

    def on_error(self, request: InferenceRequest, error: FederationError) -> None:
        """Let the middleware look at an error."""
        self._call("on_error", request, request, error)

    def _wrong_kind(
        self, request: InferenceRequest, value: object, method: str, wanted: str
    ) -> PlugInError:
        problem = f"{method}() returned {value!r}; it must return {wanted} or None"
        return self._error(problem, request)


class _AnnouncingGuard(Guard):
    """What the guards of health checkers and circuit breakers share: `AnnouncesChanges`."""

    def _offer_changes(self) -> None:
        if not announces(self.plugin):
            return
        if not callable(getattr(self.plugin, "subscribe", None)):
            problem = "it says that it announces its changes, and lacks subscribe()"
            raise PlugInError(self.plugin_name, problem)
        self._offer(self._subscribe)

    def _subscribe(self, on_change: Callable[[NodeId], None]) -> None:
        self._call("subscribe", None, on_change)


class HealthGuard(_AnnouncingGuard):
    """Runs a foreign health checker as the gateway's ``HealthCheckerTrait``.

    Attributes:
        knows_latency: Whether it has ever reported a latency of a node.
        knows_load: Whether it has ever reported the requests of a node, or the use of its cache.
    """

    def __init__(self, plugin: Any, site: Site) -> None:
        super().__init__(plugin, site)
        self.knows_latency = self.knows_load = False
        self._offer(self._report_success, self._report_failure)
        self._offer_changes()

    @property
    def announces(self) -> bool:
        """Whether the checker says that it announces every change of what it knows."""
        return announces(self.plugin)

    async def check_node(self, node_id: NodeId) -> NodeHealth:
        """Check one node now, for other plug-ins; the gateway itself does not."""
        health: NodeHealth = await self._invoke("check_node", None, node_id)
        return health

    def get_cached_health(self, node_id: NodeId) -> NodeHealth | None:
        """Return what the checker knows, which must be a ``NodeHealth`` or None."""
        known = self._report("get_cached_health", None, node_id)
        if known is None:
            return None
        if isinstance(known, NodeHealth):
            self._check(known)
            self.knows_latency |= known.latency_p50_s > 0.0
            loads = (known.running, known.kv_usage, known.queue_depth or None)
            self.knows_load |= any(load is not None for load in loads)
            return known
        problem = f"get_cached_health() returned {known!r}; it must return a NodeHealth or None"
        raise self._error(problem, None)

    def _check(self, known: NodeHealth) -> None:
        """Check that what strategies and policies compare are a state and numbers."""
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

    def _report_success(self, node_id: NodeId, latency_s: float) -> None:
        if not self._loop.is_closed():
            self._report("report_success", None, node_id, latency_s)

    def _report_failure(self, node_id: NodeId) -> None:
        if not self._loop.is_closed():
            self._report("report_failure", None, node_id)


def _is_number(value: object) -> bool:
    return isinstance(value, (float, int, Real)) and not math.isnan(value)


class BreakerGuard(_AnnouncingGuard):
    """Runs a foreign circuit breaker as the gateway's ``CircuitBreakerTrait``.

    A change of a circuit is reported when the gateway next sends to the node or an attempt on it
    ends, or at the end of the run; one that time alone brought about may be older.
    """

    def __init__(self, plugin: Any, site: Site) -> None:
        super().__init__(plugin, site)
        self._states: dict[NodeId, CircuitState] = {}
        self._offer(self._try_acquire, self._release, self._record_attempt, self._half_opens_at_s)
        self._offer_changes()

    @property
    def announces(self) -> bool:
        """Whether the breaker says that it announces every change of its circuits."""
        return announces(self.plugin)

    def is_open(self, node_id: NodeId) -> bool:
        """Return whether the breaker wants the node to be skipped."""
        return self._truth("is_open", self._report("is_open", None, node_id), None)

    def state(self, node_id: NodeId) -> CircuitState:
        """Return the node's state, which must be a ``CircuitState``."""
        state = self._report("state", None, node_id)
        if isinstance(state, CircuitState):
            return state
        problem = f"state() returned {state!r}; it must return a CircuitState"
        raise self._error(problem, None)

    def _try_acquire(self, node_id: NodeId) -> bool:
        granted = self._truth("try_acquire", self._report("try_acquire", None, node_id), None)
        self._note(node_id)
        return granted

    def _half_opens_at_s(self, node_id: NodeId) -> float:
        return self._number("half_opens_at_s", self._report("half_opens_at_s", None, node_id), None)

    def _release(self, node_id: NodeId) -> None:
        self._record("release", node_id)

    def record_success(self, node_id: NodeId) -> None:
        """Record that an attempt succeeded."""
        self._record("record_success", node_id)

    def record_failure(self, node_id: NodeId) -> None:
        """Record that an attempt failed."""
        self._record("record_failure", node_id)

    def _record_attempt(self, node_id: NodeId, ok: bool, sent_s: float) -> None:
        self._record("record_attempt", node_id, ok, sent_s)

    def settle(self) -> None:
        """Report the changes that were not reported yet, at the end of a run."""
        for node_id in self._states:
            self._note(node_id)

    def _record(self, method: str, node_id: NodeId, *args: Any) -> None:
        """Notify the breaker, unless the run is over."""
        if not self._loop.is_closed():
            self._report(method, None, node_id, *args)
            self._note(node_id)

    def _note(self, node_id: NodeId) -> None:
        """Report a change of a node's circuit."""
        before = self._states.get(node_id, CircuitState.CLOSED)
        after = self._states[node_id] = self.state(node_id)
        if after is not before:
            reason = f"as {self.plugin_name} says"
            self._reporter.circuit_changed(self._env.now, node_id, before, after, reason)


class RetryGuard(Guard):
    """Runs a foreign policy as the gateway's ``RetryPolicy``."""

    def next_wait_s(
        self, request: InferenceRequest, retry: int, error: FederationError, elapsed_s: float
    ) -> float | None:
        """Return the wait in seconds, which must be a number of 0 or more, or None."""
        wait_s = self._call("next_wait_s", request, request, retry, error, elapsed_s)
        if wait_s is None:
            return None
        number = self._number("next_wait_s", wait_s, request)
        if number < 0.0:
            problem = f"next_wait_s() returned {wait_s!r}; a wait is 0 or more"
            raise self._error(problem, request)
        return number
