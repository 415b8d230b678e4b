"""Guards around plug-ins: they run unchanged, and what they do wrong is reported by name.

A `FederationError` that a plug-in raises is an outcome. Anything else, or a value that the contract
does not allow, stops the run with a `PlugInError` that names the plug-in, the request and the
simulated time. An awaitable of a plug-in runs on the asyncio loop in simulated time.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from numbers import Integral, Real
from traceback import walk_tb
from types import CoroutineType
from typing import Any

import numpy as np

from fedsim.errors import PlugInError, in_words
from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import (
    FederationError,
    InferenceRequest,
    InferenceResponse,
    NodeId,
    RouteCandidate,
    RouteTarget,
)
from fedsim.federation.fleet import Fleet
from fedsim.federation.policies import Columns
from fedsim.federation.strategies.base import Candidates
from fedsim.kernel.asyncio_loop import SimLoop
from fedsim.kernel.foreign import run_foreign
from fedsim.kernel.tasks import Cancelled
from fedsim.world.reporter import FederationReporter
from fedsim.world.world import Site


def plugin_name(plugin: object) -> str:
    """Return the name of a plug-in, such as ``my_routers:Sticky``."""
    named = plugin if hasattr(plugin, "__qualname__") else type(plugin)
    return f"{named.__module__}:{named.__qualname__}"


def build_plugin(plugin: Any, context: GatewayContext) -> Any:
    """Return a plug-in's object; a class is called with *context*, or with nothing.

    Raises:
        PlugInError: The class raised, or takes more than one argument.
    """
    if not isinstance(plugin, type):
        return plugin
    wanted = _required_arguments(plugin)
    if wanted > 1:
        problem = (
            f"its constructor needs {wanted} arguments; it may take one, the context (catalog, "
            "health, breaker, policies, clock, tasks, rng, region), or none"
        )
        raise PlugInError(plugin_name(plugin), problem)
    try:
        return plugin(context) if _takes_context(plugin) else plugin()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        problem = f"its constructor raised {in_words(error)}"
        raise PlugInError(plugin_name(plugin), problem) from error


@contextmanager
def exits_reported() -> Generator[None]:
    """Raise what may not leave the block, such as ``SystemExit``, as a `PlugInError`.

    fedsim never exits by itself: whatever does and comes past the guards (a property, a
    ``__bool__``, a callback of a library) is a plug-in's, and would end the process silently.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:
        frames = [frame for frame, _ in walk_tb(error.__traceback__)]
        where = frames[-1]
        name = f"{where.f_globals.get('__name__')}:{where.f_code.co_qualname}"
        raise PlugInError(name, f"raised {in_words(error)}") from error


def _parameters(plugin: type) -> list[inspect.Parameter]:
    try:
        parameters = inspect.signature(plugin).parameters.values()
    except (TypeError, ValueError):
        return []
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [parameter for parameter in parameters if parameter.kind in positional]


def _required_arguments(plugin: type) -> int:
    return sum(parameter.default is parameter.empty for parameter in _parameters(plugin))


def _takes_context(plugin: type) -> bool:
    """Return whether the first argument is meant for the context: required, or called so."""
    parameters = _parameters(plugin)
    return bool(parameters) and (
        parameters[0].default is inspect.Parameter.empty or parameters[0].name == "context"
    )


class Guard:
    """What all guards share: the plug-in, its name, and how its mistakes are reported."""

    def __init__(self, plugin: Any, site: Site) -> None:
        self.plugin = plugin
        self.plugin_name = plugin_name(plugin)
        self._env = site.env
        self._loop: SimLoop = site.loop
        self._reporter: FederationReporter = site.observer

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

    def _tell(self, method: str, request: InferenceRequest | None, *args: Any) -> Any:
        """Call a plain method that may not fail a request: no error of the contracts leaves it."""
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
        for hook in ("on_start", "on_first_token", "on_complete"):
            if not hasattr(plugin, hook):
                setattr(self, hook, _ignore)
        if not hasattr(plugin, "on_response"):
            self.on_response = None  # type: ignore[method-assign, assignment]
        if not hasattr(plugin, "route_excluding"):
            self.route_excluding = None  # type: ignore[method-assign, assignment]

    async def route(self, request: InferenceRequest) -> RouteTarget:
        """Return the router's choice."""
        return await self._route("route", request, request)

    async def route_excluding(
        self, request: InferenceRequest, excluded: Collection[NodeId]
    ) -> RouteTarget:
        """Return the router's choice for a retry."""
        return await self._route("route_excluding", request, request, excluded)

    async def get_candidates(self, request: InferenceRequest) -> list[RouteCandidate]:
        """Return the router's explanation."""
        candidates: list[RouteCandidate] = await self._await("get_candidates", request, request)
        return candidates

    def on_start(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Tell the router that a request is about to be sent."""
        self._tell("on_start", request, target, request)

    def on_first_token(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Tell the router that the first token of a stream has come."""
        self._tell("on_first_token", request, target, request)

    def on_response(
        self, target: RouteTarget, request: InferenceRequest, response: InferenceResponse
    ) -> None:
        """Tell the router what a node answered, just before it is told how the attempt ended."""
        self._tell("on_response", request, target, request, response)

    def on_complete(
        self, target: RouteTarget, request: InferenceRequest, outcome: str, latency_s: float
    ) -> None:
        """Tell the router how an attempt ended; what is dropped after the run does not count."""
        if not self._loop.is_closed():
            self._tell("on_complete", request, target, request, outcome, latency_s)

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
        self.weight = self._weight()
        if isinstance(getattr(plugin, "rejects_as", None), str):
            self.rejects_as = plugin.rejects_as
        if not hasattr(plugin, "rejection"):
            self.rejection = None  # type: ignore[method-assign, assignment]
        if hasattr(plugin, "scores"):
            self.scores = self._scores  # the router asks for it only where it is there

    def _weight(self) -> float:
        weight = getattr(self.plugin, "weight", 1.0)
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
        found = list(self._call("scores", request, columns, request))
        if len(found) != len(columns.node_ids):
            problem = f"scores() returned {len(found)} numbers for {len(columns.node_ids)} nodes"
            raise self._error(problem, request)
        return [self._number("scores", value, request) for value in found]

    def is_eligible(self, candidate: RouteCandidate, request: InferenceRequest) -> bool:
        """Return the policy's verdict."""
        verdict = self._call("is_eligible", request, candidate, request)
        return self._truth("is_eligible", verdict, request)

    def rejection(self, candidate: RouteCandidate, request: InferenceRequest) -> str:
        """Return the policy's words for why a candidate is not eligible."""
        return str(self._call("rejection", request, candidate, request))


class StrategyGuard(Guard):
    """Runs a foreign strategy inside our router."""

    def __init__(self, plugin: Any, site: Site) -> None:
        super().__init__(plugin, site)
        for hook in ("on_start", "on_complete"):
            if not hasattr(plugin, hook):
                setattr(self, hook, None)

    def on_start(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Tell the strategy that an attempt is about to be sent."""
        self._tell("on_start", request, target, request)

    def on_complete(
        self, target: RouteTarget, request: InferenceRequest, outcome: str, latency_s: float
    ) -> None:
        """Tell the strategy how an attempt ended; what is dropped after the run does not count."""
        if not self._loop.is_closed():
            self._tell("on_complete", request, target, request, outcome, latency_s)

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


def check_methods(plugin: Any, methods: Sequence[str], what: str) -> None:
    """Check that a plug-in has the methods of its contract.

    Raises:
        PlugInError: It lacks one.
    """
    missing = [method for method in methods if not callable(getattr(plugin, method, None))]
    if missing:
        problem = f"it is no {what}: it lacks {', '.join(f'{method}()' for method in missing)}"
        raise PlugInError(plugin_name(plugin), problem)


def _ignore(*_: object) -> None:
    """Stand in for a hook that a plug-in does not have."""
