"""Ray Serve's request routers: ``ray/power_of_two``, ``ray/round_robin``, ``ray/consistent_hash``.

Needs ray[serve], extra ``ray``, of the very version that the extra names: the routers are private
parts of Ray. Ray is not started; no process but this one takes part. Source:
https://github.com/ray-project/ray, ``python/ray/serve/_private/request_router``.
"""

from __future__ import annotations

import importlib
import logging
import random
from pathlib import Path
from typing import Any, ClassVar

from fedsim.adapters.choosers import Chooser
from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import (
    InferenceRequest,
    NodeId,
    PrivacyLevel,
    RouteTarget,
)
from fedsim.federation.scopes import Scope, scope_of
from fedsim.kernel.foreign_globals import ForeignGlobals

KINDS = {
    "power_of_two": (
        "ray.serve._private.request_router.pow_2_router",
        "PowerOfTwoChoicesRequestRouter",
    ),
    "round_robin": ("ray.serve.experimental.round_robin_router", "RoundRobinRouter"),
    "consistent_hash": (
        "ray.serve.experimental.consistent_hash_router",
        "ConsistentHashRouter",
    ),
}
"""The routers that work without Ray's actors, by the name that stands behind ``ray/``."""

MAX_ONGOING_REQUESTS = 5
"""Requests that a replica takes at once; Ray Serve's default."""

_REQUEST_ROUTER = "ray.serve._private.request_router"
_MODULES = ("common", "request_router")


class RayServeRouter(Chooser):
    """Lets a request router of Ray Serve choose among the nodes that may serve.

    A deployment of Ray Serve is a set of equal replicas, so each capability, model and privacy of
    requests gets a router of its own, whose replicas are updated when the nodes that may serve
    change. A replica's queue length is asked from the node itself, by a probe that takes a round
    trip, within the router's own deadline of 0.1 s (doubled up to 1 s); or taken from the router's
    cache, which is notified of each request that is sent and has ended. A replica with
    `MAX_ONGOING_REQUESTS` counts as full; while all are full the router tries again and again, so
    requests need a deadline. As in Ray Serve nothing keeps a retry from the replica that just
    failed.

    Attributes:
        place: Module and name of the router's class; set by `router`.
    """

    place: ClassVar[tuple[str, str]]

    def __init__(self, context: GatewayContext) -> None:
        super().__init__(context)
        self._common: Any = importlib.import_module("ray.serve._private.common")
        self._pending: Any = importlib.import_module(f"{_REQUEST_ROUTER}.common")
        module = importlib.import_module(self.place[0])
        shared = [importlib.import_module(f"{_REQUEST_ROUTER}.{name}") for name in _MODULES]
        rng = random.Random(int(context.rng.random() * 2**53))
        self._step = ForeignGlobals([module, *shared], context.clock.now, rng)
        self._kind = _seeded(getattr(module, self.place[1]), self._step)
        self._replicas: dict[NodeId, _Replica] = {}
        self._deployments: dict[tuple[Scope, PrivacyLevel], _Deployment] = {}

    async def route(self, request: InferenceRequest) -> RouteTarget:
        """Return the replica that the router chooses; may wait for one that is not full."""
        node_ids = self.node_ids(self.eligible(request))
        deployment = self._deployment(request)
        if deployment.node_ids != node_ids:
            deployment.node_ids = node_ids
            with self._step:
                deployment.router.update_replicas([self._replica(each) for each in node_ids])
        choice = deployment.router._choose_replica_for_request(self._pending_request(request))
        replica = await self._step.steps(choice)
        return self.target(replica.node_id, request)

    def on_start(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Notify the router that a request is about to be sent."""
        super().on_start(target, request)
        with self._step:
            replica_id = self._replica(target.node_id).replica_id
            self._deployment(request).router.on_send_request(replica_id)

    def on_complete(
        self, target: RouteTarget, request: InferenceRequest, outcome: str, latency_s: float
    ) -> None:
        """Notify the router that a request has ended."""
        super().on_complete(target, request, outcome, latency_s)
        router = self._deployment(request).router
        with self._step:
            replica_id = self._replica(target.node_id).replica_id
            router.decrement_queue_len_cache(replica_id)
            router.on_request_completed(replica_id, request.request_id)

    def _pending_request(self, request: InferenceRequest) -> Any:
        metadata = self._common.RequestMetadata(
            request_id=request.request_id,
            internal_request_id=request.request_id,
            session_id=request.tenant_id or "",
        )
        with self._step:
            return self._pending.PendingRequest(args=[], kwargs={}, metadata=metadata)

    def _deployment(self, request: InferenceRequest) -> _Deployment:
        key = (scope_of(request), request.qos.privacy)
        deployment = self._deployments.get(key)
        if deployment is None:
            common = self._common
            with self._step:
                router = self._kind(
                    deployment_id=common.DeploymentID(name=f"{key[0]} {key[1].name}"),
                    handle_source=common.DeploymentHandleSource.UNKNOWN,
                    use_replica_queue_len_cache=True,
                    get_curr_time_s=self.context.clock.now,
                )
                router.initialize_state()
            deployment = self._deployments[key] = _Deployment(router)
        return deployment

    def _replica(self, node_id: NodeId) -> _Replica:
        """Return a node as a replica of Ray's.

        Ray keeps replicas in sets, whose order follows from hashes; Python's of texts differ from
        process to process, so each replica is given one of its own.
        """
        replica = self._replicas.get(node_id)
        if replica is None:
            common = self._common
            replica_id = common.ReplicaID(node_id, common.DeploymentID(name="nodes"))
            object.__setattr__(replica_id, "_hash", len(self._replicas))
            replica = self._replicas[node_id] = _Replica(node_id, replica_id, self.context)
        return replica


class _Deployment:
    """One of Ray's routers, and the nodes that it knows."""

    __slots__ = ("node_ids", "router")

    def __init__(self, router: Any) -> None:
        self.router = router
        self.node_ids: list[NodeId] = []


class _Replica:
    """A node as Ray's routers see a replica.

    Attributes:
        node_id: The node; it is Ray's node too.
        replica_id: Ray's name for it.
        max_ongoing_requests: Requests from which it counts as full.
        availability_zone: None; nothing is known of zones.
        multiplexed_model_ids: None of them.
    """

    max_ongoing_requests = MAX_ONGOING_REQUESTS
    availability_zone = None
    multiplexed_model_ids: frozenset[str] = frozenset()

    def __init__(self, node_id: NodeId, replica_id: Any, context: GatewayContext) -> None:
        self.node_id = node_id
        self.replica_id = replica_id
        self._context = context

    async def get_queue_len(self, *, deadline_s: float) -> int:
        """Return how many requests the node has in service and waiting; asks it by a probe."""
        assert self._context.probe is not None
        answer = await self._context.probe(self.node_id)
        return answer.queue_depth + (answer.running or 0)


def router(choice: str, _directory: Path) -> type[RayServeRouter]:
    """Return the class of routers for one of Ray Serve's.

    Args:
        choice: One of `KINDS`.
        _directory: The scenario's directory, where nothing is looked for.

    Raises:
        ImportError: ray[serve] is not installed.
        ValueError: There is no such router, or it needs Ray's actors.
    """
    if choice not in KINDS:
        msg = (
            f"there is no router {choice!r} of Ray Serve that works without Ray's actors: use one "
            f"of {', '.join(KINDS)}"
        )
        raise ValueError(msg)
    importlib.import_module(KINDS[choice][0])
    logging.getLogger("ray.serve").setLevel(logging.ERROR)  # it logs each probe without answer
    members = {"place": KINDS[choice], "__module__": __name__}
    return type("RayServeRouter", (RayServeRouter,), members)


def _seeded(kind: type[Any], step: ForeignGlobals) -> type[Any]:
    """Return a router's class with each of its choices made inside *step*.

    The rest of its code, which runs in tasks of its own, neither draws nor measures time but for
    Ray's own figures.
    """

    class Seeded(kind):  # type: ignore[misc]
        async def choose_replicas(self, *args: Any, **kwargs: Any) -> Any:
            return await step.steps(super().choose_replicas(*args, **kwargs))

    return Seeded
