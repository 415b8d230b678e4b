"""Why a node may not serve a request, and which error comes of it when none may."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from fedsim.federation.availability import NodeAvailability
from fedsim.federation.capabilities import ExplainsRejections, ForetellsTrials, PolicyHooks, has
from fedsim.federation.catalog import DeploymentStatus
from fedsim.federation.contracts import (
    AllNodesUnhealthy,
    CircuitBreakerTrait,
    CircuitOpen,
    InferenceRequest,
    NoCapacity,
    NodeId,
    PrivacyViolation,
    QoSViolation,
    RouteCandidate,
    RoutingPolicyTrait,
)
from fedsim.federation.fleet import Fleet
from fedsim.federation.scopes import scope_of

# The stages of examination, in the order in which they are examined and reported.
CAPABILITY, PRIVACY, QOS, BREAKER, HEALTH = range(5)
STAGES = {"qos": QOS, "privacy": PRIVACY, "health": HEALTH}
"""The stage that a policy's ``rejects_as`` means."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """The first reason against a node.

    Attributes:
        stage: Where it was found: ``CAPABILITY``, ``PRIVACY``, ``QOS``, ``BREAKER``, ``HEALTH``.
        reason: It in words.
    """

    stage: int
    reason: str


class Eligibility:
    """Examines nodes for requests; examining changes nothing.

    Attributes:
        announced: Whether all that it looks at announces its changes.
    """

    def __init__(
        self,
        fleet: Fleet,
        breaker: CircuitBreakerTrait | None,
        policies: Sequence[RoutingPolicyTrait],
        availability: NodeAvailability | None,
        announced: bool,
    ) -> None:
        self._fleet = fleet
        self._breaker = breaker
        self._policies = tuple(policies)
        self._availability = availability
        self.announced = announced

    def examine(
        self, position: int, request: InferenceRequest
    ) -> tuple[RouteCandidate, Rejection | None]:
        """Return a node as a candidate, and the first reason against it."""
        candidate = self._fleet.candidate(position, scope_of(request))
        return candidate, self._rejection(position, candidate, request)

    def refuse(self, request: InferenceRequest) -> NoReturn:
        """Raise the error of the stage that the nodes that came furthest failed at."""
        rejections = [
            (position, rejection)
            for position in range(len(self._fleet.node_ids))
            if (rejection := self.examine(position, request)[1]) is not None
        ]
        furthest = max((rejection.stage for _, rejection in rejections), default=CAPABILITY)
        if furthest == CAPABILITY:
            raise NoCapacity(request.capability, model=request.model)
        reasons = [rejection.reason for _, rejection in rejections if rejection.stage == furthest]
        if furthest == PRIVACY:
            raise PrivacyViolation(reasons[0])
        if furthest == QOS:
            raise QoSViolation(reasons[0])
        blocked = [position for position, found in rejections if found.stage == BREAKER]
        if furthest == BREAKER:
            raise CircuitOpen(self._first_to_half_open(blocked))
        raise AllNodesUnhealthy(request.capability)

    def _first_to_half_open(self, positions: list[int]) -> NodeId:
        nodes = [self._fleet.node_ids[position] for position in positions]
        breaker = self._breaker
        return (
            min(nodes, key=breaker.half_opens_at_s) if has(breaker, ForetellsTrials) else nodes[0]
        )

    def _rejection(
        self, position: int, candidate: RouteCandidate, request: InferenceRequest
    ) -> Rejection | None:
        found = self._unserved(position, request)
        if found is not None:
            return found
        found = self._policy_rejection(candidate, request)
        if found is not None and found.stage < BREAKER:
            return found
        node_id = candidate.target.node_id
        if self._breaker is not None and self._breaker.is_open(node_id):
            state = self._breaker.state(node_id).value.replace("_", "-")
            return Rejection(BREAKER, f"its circuit is {state}")
        return self._unusable(position, found, candidate, request)

    def _unserved(self, position: int, request: InferenceRequest) -> Rejection | None:
        """Return what a node's deployments lack: the capability, the model, or being ready."""
        models = self._fleet.models[position]
        able = [model for model in models if request.capability in model.capabilities]
        if not able:
            return Rejection(CAPABILITY, f"it has no capability {request.capability}")
        scope = scope_of(request)
        statuses = [model.status for model in able if model.serves(scope)]
        if not statuses:
            served = ", ".join(model.model_id for model in able)
            return Rejection(CAPABILITY, f"it serves {served}, not the model {request.model}")
        if DeploymentStatus.READY not in statuses:
            return Rejection(CAPABILITY, f"its deployment is {statuses[0].value}")
        return None

    def _unusable(
        self,
        position: int,
        found: Rejection | None,
        candidate: RouteCandidate,
        request: InferenceRequest,
    ) -> Rejection | None:
        """Return what health and ejection say against a node, and nothing where panic opens it."""
        availability = self._availability
        if availability is not None and availability.opens(
            position, scope_of(request), self.announced
        ):
            return None
        if found is None and candidate.scores.health_score == 0.0:
            return Rejection(HEALTH, "the node is unhealthy")
        node_id = candidate.target.node_id
        ejection = None if availability is None else availability.ejection(node_id)
        if found is None and ejection is not None:
            return Rejection(HEALTH, f"it is ejected as an outlier: {ejection}")
        return found

    def _policy_rejection(
        self, candidate: RouteCandidate, request: InferenceRequest
    ) -> Rejection | None:
        """Return the rejection of the first stage; of several policies in it, the first one's."""
        first: tuple[int, RoutingPolicyTrait] | None = None
        for policy in self._policies:
            if not policy.is_eligible(candidate, request):
                stage = STAGES.get(getattr(policy, "rejects_as", PolicyHooks.rejects_as), QOS)
                if first is None or stage < first[0]:
                    first = (stage, policy)
        if first is None:
            return None
        stage, policy = first
        if has(policy, ExplainsRejections):
            return Rejection(stage, policy.rejection(candidate, request))
        return Rejection(stage, f"policy {policy.name()} refuses it")
