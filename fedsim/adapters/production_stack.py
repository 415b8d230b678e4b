"""Routing logic of vLLM's production stack: ``production-stack/<file.py>:<Class>``.

The class is one of the user's own file, written against the interface of the production stack's
``RoutingInterface``; the stack itself, which is in no package index, is not needed. Source of the
interface: https://github.com/vllm-project/production-stack,
``src/vllm_router/routers/routing_logic.py`` and ``src/vllm_router/stats``.
"""

from __future__ import annotations

import inspect
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from fedsim.adapters.choosers import Chooser
from fedsim.adapters.files import class_in_file, modules_of
from fedsim.adapters.http import SESSION_HEADER, Request, body
from fedsim.adapters.request_stats import RequestStatsMonitor
from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import InferenceRequest, NodeId, RouteTarget
from fedsim.federation.strategies.base import Candidates
from fedsim.kernel.foreign_globals import ForeignGlobals


@dataclass(frozen=True, slots=True)
class EndpointInfo:
    """One engine, as the production stack's service discovery describes it.

    Attributes:
        url: The node.
        model_names: The models it serves.
        Id: The node.
        added_timestamp: When it was found, in seconds.
        model_label: The node's pool.
        sleep: Whether it sleeps.
    """

    url: str
    model_names: list[str]
    Id: str
    added_timestamp: float
    model_label: str
    sleep: bool = False


@dataclass(frozen=True, slots=True)
class EngineStats:
    """What an engine said of itself at the last probe.

    Attributes:
        num_running_requests: Requests in its batch.
        num_queuing_requests: Requests that wait.
        gpu_prefix_cache_hit_rate: Not known; 0.
        gpu_prefix_cache_hits_total: Not known; 0.
        gpu_prefix_cache_queries_total: Not known; 0.
        gpu_cache_usage_perc: Share of the key-value cache in use, 0 to 1.
    """

    num_running_requests: int = 0
    num_queuing_requests: int = 0
    gpu_prefix_cache_hit_rate: float = 0.0
    gpu_prefix_cache_hits_total: int = 0
    gpu_prefix_cache_queries_total: int = 0
    gpu_cache_usage_perc: float = 0.0


class ProductionStackRouter(Chooser):
    """Lets routing logic of the production stack's kind choose among the nodes that may serve.

    ``route_request(endpoints, engine_stats, request_stats, request)`` is called for each attempt,
    plain or async, with the body as a fifth argument where it takes one, and returns the url of an
    endpoint. A constructor that takes ``session_key`` gets the header that carries the tenant. The
    logic of the stack keeps one instance for the whole process; here each gateway has its own.

    Attributes:
        logic: The class of routing logic; set by `router`.
    """

    logic: ClassVar[type[Any]]

    def __init__(self, context: GatewayContext) -> None:
        super().__init__(context)
        rng = random.Random(int(context.rng.random() * 2**53))
        self._step = ForeignGlobals(modules_of(self.logic), context.clock.now, rng)
        with self._step:
            self._logic = _instance(self.logic)
        self._takes_body = len(inspect.signature(self._logic.route_request).parameters) > 4
        self._endpoints: dict[tuple[NodeId, ...], list[EndpointInfo]] = {}
        self._monitor = RequestStatsMonitor(context.clock.now)

    async def route(self, request: InferenceRequest) -> RouteTarget:
        """Return the endpoint that the logic chooses."""
        return await self.route_excluding(request, ())

    async def route_excluding(
        self, request: InferenceRequest, excluded: Sequence[NodeId]
    ) -> RouteTarget:
        """Return the endpoint that the logic chooses among those that were not tried."""
        endpoints = self._endpoints_of(self.eligible(request, excluded))
        arguments: list[Any] = [
            endpoints,
            {endpoint.url: self._engine_stats(endpoint.url) for endpoint in endpoints},
            self._monitor.stats(),
            Request.of(request),
        ]
        if self._takes_body:
            arguments.append(body(request))
        with self._step:
            chosen = self._logic.route_request(*arguments)
        if inspect.isawaitable(chosen):
            chosen = await self._step.steps(chosen)
        return self.target(chosen, request)

    def on_start(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Count a request that is about to be sent."""
        super().on_start(target, request)
        self._monitor.started(target.node_id, request.request_id)

    def on_first_token(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Note that the first token of a stream has come."""
        self._monitor.first_token(target.node_id, request.request_id)

    def on_complete(
        self, target: RouteTarget, request: InferenceRequest, outcome: str, latency_s: float
    ) -> None:
        """Uncount a request that has ended."""
        super().on_complete(target, request, outcome, latency_s)
        self._monitor.ended(target.node_id, request.request_id)

    def _endpoints_of(self, candidates: Candidates) -> list[EndpointInfo]:
        """Return the endpoints to choose from; the same list for the same nodes.

        Round robin of the production stack knows a list again by its ``id``, so no new one may take
        the place of an old one.
        """
        node_ids = tuple(self.node_ids(candidates))
        endpoints = self._endpoints.get(node_ids)
        if endpoints is None:
            now_s = self.context.clock.now()
            endpoints = self._endpoints[node_ids] = [
                EndpointInfo(
                    node_id,
                    [str(model.model_id) for model in self.fleet.models[position]],
                    node_id,
                    now_s,
                    self.fleet.deployments[position].pool,
                )
                for node_id, position in zip(node_ids, candidates.positions, strict=True)
            ]
        return endpoints

    def _engine_stats(self, node_id: str) -> EngineStats:
        known = self.context.health.get_cached_health(NodeId(node_id))
        if known is None:
            return EngineStats()
        return EngineStats(
            known.running or 0, known.queue_depth, gpu_cache_usage_perc=known.kv_usage or 0.0
        )


def router(choice: str, directory: Path) -> type[ProductionStackRouter]:
    """Return the class of routers for a routing logic.

    Args:
        choice: The logic as ``<file.py>:<Class>``.
        directory: The scenario's directory.

    Raises:
        ValueError: There is no such class, or it is no routing logic.
    """
    logic = class_in_file(choice, directory)
    if not hasattr(logic, "route_request"):
        msg = f"{choice} is no routing logic: it needs route_request()"
        raise ValueError(msg)
    members = {"logic": logic, "__module__": __name__}
    return type("ProductionStackRouter", (ProductionStackRouter,), members)


def _instance(logic: type[Any]) -> Any:
    """Return a new instance, also of a class that keeps only one."""
    instance: Any = object.__new__(logic)
    takes_key = "session_key" in inspect.signature(logic.__init__).parameters
    instance.__init__(**({"session_key": SESSION_HEADER} if takes_key else {}))
    return instance
