"""SkyPilot's load balancing policies as routers: ``skypilot/<file.py>:<Class>``.

The class is one of the user's own file, written against the interface of SkyPilot's
``LoadBalancingPolicy``; SkyPilot itself is not needed. Source of the interface:
https://github.com/skypilot-org/skypilot, ``sky/serve/load_balancing_policies.py``.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from fedsim.adapters.choosers import Chooser
from fedsim.adapters.files import class_in_file, modules_of
from fedsim.adapters.http import Request
from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import (
    InferenceRequest,
    NoCapacity,
    NodeId,
    PrivacyLevel,
    RouteTarget,
)
from fedsim.federation.scopes import Scope, scope_of
from fedsim.kernel.foreign_globals import ForeignGlobals

SELECT = ("select_replica", "_select_replica")
"""Methods that select a replica, the one that is asked first where there are both."""


@dataclass(slots=True)
class _Service:
    """The replicas of one service, and the policy that balances them."""

    policy: Any
    ready: list[NodeId]


class SkyPilotRouter(Chooser):
    """Lets a policy of SkyPilot's kind select among the nodes that may serve.

    A service of SkyPilot has one model and one balancer, so each capability, model and privacy of
    requests gets a policy object of its own. ``set_ready_replicas`` is called when the nodes that
    may serve have changed, ``select_replica(request)`` (or ``_select_replica``) for each attempt,
    and ``pre_execute_hook`` and ``post_execute_hook`` when an attempt is sent and has ended, if
    there are such methods. As in SkyPilot nothing keeps a retry from the replica that just failed;
    what the policy answers with None ends in ``NoCapacity``.

    Attributes:
        policy: The class of policies; set by `router`.
    """

    policy: ClassVar[type[Any]]

    def __init__(self, context: GatewayContext) -> None:
        super().__init__(context)
        rng = random.Random(int(context.rng.random() * 2**53))
        self._step = ForeignGlobals(modules_of(self.policy), context.clock.now, rng)
        self._services: dict[tuple[Scope, PrivacyLevel], _Service] = {}

    def route(self, request: InferenceRequest) -> RouteTarget:
        """Return the replica that the policy selects."""
        ready = self.node_ids(self.eligible(request))
        service = self._service(request)
        with self._step:
            if service.ready != ready:
                service.ready = ready
                service.policy.set_ready_replicas(list(ready))
            select = next(
                method for name in SELECT if (method := getattr(service.policy, name, None))
            )
            chosen = select(Request.of(request))
        if chosen is None:
            raise NoCapacity(request.capability, model=request.model)
        return self.target(chosen, request)

    def on_start(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Call the policy's hook before an attempt is sent."""
        super().on_start(target, request)
        self._tell("pre_execute_hook", target.node_id, request)

    def on_complete(
        self, target: RouteTarget, request: InferenceRequest, outcome: str, latency_s: float
    ) -> None:
        """Call the policy's hook when an attempt has ended, in whatever way."""
        super().on_complete(target, request, outcome, latency_s)
        self._tell("post_execute_hook", target.node_id, request)

    def _tell(self, hook: str, node_id: NodeId, request: InferenceRequest) -> None:
        policy = self._service(request).policy
        if hasattr(policy, hook):
            with self._step:
                getattr(policy, hook)(node_id, Request.of(request))

    def _service(self, request: InferenceRequest) -> _Service:
        key = (scope_of(request), request.qos.privacy)
        service = self._services.get(key)
        if service is None:
            with self._step:
                service = self._services[key] = _Service(self.policy(), [])
        return service


def router(choice: str, directory: Path) -> type[SkyPilotRouter]:
    """Return the class of routers for a policy.

    Args:
        choice: The policy as ``<file.py>:<Class>``.
        directory: The scenario's directory.

    Raises:
        ValueError: There is no such class, or it is no load balancing policy.
    """
    policy = class_in_file(choice, directory)
    if not hasattr(policy, "set_ready_replicas") or not any(hasattr(policy, n) for n in SELECT):
        msg = (
            f"{choice} is no load balancing policy: it needs set_ready_replicas() and {SELECT[0]}()"
        )
        raise ValueError(msg)
    return type("SkyPilotRouter", (SkyPilotRouter,), {"policy": policy, "__module__": __name__})
