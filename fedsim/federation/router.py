"""The router: which nodes may serve a request, and which of them shall."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import ClassVar, NoReturn

from fedsim.federation.breaker import CircuitBreaker
from fedsim.federation.catalog import DeploymentStatus, ModelCatalog
from fedsim.federation.contracts import (
    AllNodesUnhealthy,
    Capability,
    CircuitBreakerTrait,
    CircuitOpen,
    HealthCheckerTrait,
    InferenceRequest,
    NoCapacity,
    NodeId,
    PrivacyViolation,
    QoSRequirements,
    QoSViolation,
    RegionId,
    RouteCandidate,
    RouteTarget,
    RoutingPolicyTrait,
)
from fedsim.federation.fleet import Fleet
from fedsim.federation.health import HealthChecker
from fedsim.federation.policies import OWN_POLICIES
from fedsim.federation.runtime import Clock
from fedsim.federation.strategies.base import Candidates, Strategy

REMEMBERED = 1024
"""Sets of nodes, or kinds of request, that a router remembers before it forgets them all."""

# What can stand against a node, in the order in which it is looked at and reported.
_CAPABILITY, _PRIVACY, _QOS, _BREAKER, _HEALTH = range(5)
_STAGES = {"privacy": _PRIVACY, "qos": _QOS, "health": _HEALTH}
_GPU_REASON = "the request prefers a GPU, this node has none, and one that has is eligible"


@dataclass(frozen=True, slots=True)
class _Rejection:
    stage: int
    reason: str


class _Kind:
    """The eligible nodes for one kind of request, kept up to date node by node.

    Attributes:
        qos: The quality of service, kept so that its ``id`` stays its own.
        eligible: By position, whether the node may serve.
        dirty: Positions of the nodes that have to be examined again.
        candidates: The nodes to choose from, or None where there are none.
    """

    __slots__ = ("candidates", "dirty", "eligible", "qos")

    def __init__(self, nodes: int, qos: QoSRequirements) -> None:
        self.qos = qos
        self.eligible = [False] * nodes
        self.dirty: dict[int, None] = dict.fromkeys(range(nodes))
        self.candidates: Candidates | None = None


class Router:
    """Routes the requests of one gateway.

    ``route`` looks at capability, deployment status, policies, circuit breaker and health, and
    lets the strategy choose among the nodes that nothing stands against. Where the request prefers
    a GPU, nodes without one are left out as long as one with a GPU is eligible.

    Eligibility is worked out once for each kind of request (capability and quality of service) and
    then only for nodes of which catalog, breaker or health checker say that something changed, by
    the code that ``get_candidates`` uses for its explanation, so that the two agree. With foreign
    policies, breakers or health checkers, which announce nothing, it is worked out every time.

    Attributes:
        fleet: The nodes as this gateway knows them.
        immediate: Says that ``route`` never suspends, and so needs no deadline.
    """

    immediate: ClassVar[bool] = True

    def __init__(
        self,
        catalog: ModelCatalog,
        strategy: Strategy,
        clock: Clock,
        region: RegionId,
        health: HealthCheckerTrait | None = None,
        breaker: CircuitBreakerTrait | None = None,
        policies: Sequence[RoutingPolicyTrait] = (),
    ) -> None:
        self.fleet = Fleet(catalog, health, policies, clock, region)
        self._strategy = strategy
        self._tell_start: Callable[..., None] | None = getattr(strategy, "on_start", None)
        self._tell_complete: Callable[..., None] | None = getattr(strategy, "on_complete", None)
        self._clock = clock
        self._health = health
        self._breaker = breaker
        self._policies = tuple(policies)
        self._kinds: dict[tuple[Capability, QoSRequirements], _Kind] = {}
        self._kinds_by_id: dict[tuple[Capability, int], _Kind] = {}
        self._sets: dict[tuple[int, ...], Candidates] = {}
        self._rechecks: list[tuple[float, int]] = []
        self._announced = (
            all(type(policy) in OWN_POLICIES for policy in policies)
            and (health is None or type(health) is HealthChecker)
            and (breaker is None or type(breaker) is CircuitBreaker)
        )
        catalog.subscribe(self._rebuild)
        for source in (health, breaker):
            if isinstance(source, (HealthChecker, CircuitBreaker)):
                source.subscribe(self._node_changed)

    # The contract

    async def route(self, request: InferenceRequest) -> RouteTarget:
        """Return the chosen node, or raise the ``FederationError`` that says why there is none."""
        return self._choose(request, ())

    async def route_excluding(
        self, request: InferenceRequest, excluded: Sequence[NodeId]
    ) -> RouteTarget:
        """Return a node that is not among *excluded*, which lists nodes in the order of trial.

        Where no other is eligible it is one of them, but still not the last, if that can be.
        """
        return self._choose(request, excluded)

    async def get_candidates(self, request: InferenceRequest) -> list[RouteCandidate]:
        """Return every node with its scores, and why it may not serve; changes nothing."""
        fleet = self.fleet
        found = [self._examine(position, request) for position in range(len(fleet.node_ids))]
        gpus = request.qos.prefer_gpu and any(
            rejection is None and self.fleet.deployments[position].gpu is not None
            for position, (_, rejection) in enumerate(found)
        )
        explained = []
        for position, (candidate, rejection) in enumerate(found):
            reason = None if rejection is None else rejection.reason
            if reason is None and gpus and self.fleet.deployments[position].gpu is None:
                reason = _GPU_REASON
            eligible = reason is None
            explained.append(replace(candidate, eligible=eligible, rejection_reason=reason))
        return explained

    def on_start(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Count a request that the gateway is about to send."""
        position = self.fleet.positions.get(target.node_id)
        if position is not None:
            self.fleet.in_flight[position] += 1
        if self._tell_start is not None:
            self._tell_start(target, request)

    def on_complete(
        self, target: RouteTarget, request: InferenceRequest, outcome: str, latency_s: float
    ) -> None:
        """Uncount a request that has ended, in whatever way."""
        position = self.fleet.positions.get(target.node_id)
        if position is not None:
            self.fleet.in_flight[position] -= 1
        elif target.node_id in self.fleet.departed:
            self.fleet.departed[target.node_id] -= 1
        if self._tell_complete is not None:
            self._tell_complete(target, request, outcome, latency_s)

    # Choosing

    def _choose(self, request: InferenceRequest, excluded: Sequence[NodeId]) -> RouteTarget:
        candidates = self.eligible(request, excluded)
        fleet = self.fleet
        return fleet.target(self._strategy.select(fleet, candidates, request), request)

    def eligible(self, request: InferenceRequest, excluded: Sequence[NodeId] = ()) -> Candidates:
        """Return the nodes that nothing stands against, for whoever else wants to choose.

        Args:
            request: The request.
            excluded: Nodes to leave out where others are eligible, in the order of trial.

        Raises:
            FederationError: There is none, and this is why.
        """
        kind = self._kinds_by_id.get((request.capability, id(request.qos)))
        if kind is None or kind.dirty or self._rechecks:
            candidates = self._candidates(request)
        else:
            candidates = kind.candidates
        if candidates is None:
            self._refuse(request)
        return self._without(candidates, request, excluded) if excluded else candidates

    def _candidates(self, request: InferenceRequest) -> Candidates | None:
        """Return the nodes to choose from, None where there are none."""
        kind = self._kind(request)
        rechecks = self._rechecks
        if rechecks and rechecks[0][0] <= self._clock.now():
            self._recheck()
        if kind.dirty:
            for position in kind.dirty:
                rejection = self._examine(position, request)[1]
                kind.eligible[position] = rejection is None
                if rejection is not None and self._announced:
                    self._foresee(position, rejection)
            kind.dirty.clear()
            eligible = [node for node, may in enumerate(kind.eligible) if may]
            kind.candidates = self._set(self._preferred(eligible, request)) if eligible else None
        return kind.candidates

    def _kind(self, request: InferenceRequest) -> _Kind:
        """Return the kind of a request; the same objects are found without comparing them."""
        qos = request.qos
        kind = self._kinds_by_id.get((request.capability, id(qos)))
        if kind is not None:
            return kind
        kind = self._kinds.get((request.capability, qos))
        if kind is None or not self._announced:
            self._make_room()
            kind = _Kind(len(self.fleet.node_ids), qos)
            self._kinds[request.capability, qos] = kind
            if isinstance(self._health, HealthChecker):
                self._health.watch_latency(qos.max_latency_s)
                self._health.watch_throughput(qos.min_throughput)
        if self._announced and kind.qos is qos:
            self._kinds_by_id[request.capability, id(qos)] = kind
        return kind

    def _make_room(self) -> None:
        if len(self._kinds) >= REMEMBERED:
            self._kinds.clear()
            self._kinds_by_id.clear()

    def _preferred(self, eligible: list[int], request: InferenceRequest) -> tuple[int, ...]:
        if request.qos.prefer_gpu:
            with_gpu = [node for node in eligible if self.fleet.deployments[node].gpu is not None]
            eligible = with_gpu or eligible
        return tuple(eligible)

    def _without(
        self, candidates: Candidates, request: InferenceRequest, excluded: Sequence[NodeId]
    ) -> Candidates:
        kind = self._kinds[request.capability, request.qos]
        for avoided in (excluded, excluded[-1:]):
            remaining = [
                node
                for node, may in enumerate(kind.eligible)
                if may and self.fleet.node_ids[node] not in avoided
            ]
            if remaining:
                return self._set(self._preferred(remaining, request))
        return candidates

    def _set(self, positions: tuple[int, ...]) -> Candidates:
        """Return the one object for a set of nodes, in which strategies keep their turn."""
        candidates = self._sets.get(positions)
        if candidates is None:
            if len(self._sets) >= REMEMBERED:
                self._sets.clear()
            candidates = self._sets[positions] = Candidates(positions)
        return candidates

    def _refuse(self, request: InferenceRequest) -> NoReturn:
        """Raise the error that says what stands against the nodes that came furthest."""
        rejections = [
            (position, rejection)
            for position in range(len(self.fleet.node_ids))
            if (rejection := self._examine(position, request)[1]) is not None
        ]
        furthest = max((rejection.stage for _, rejection in rejections), default=_CAPABILITY)
        if furthest == _CAPABILITY:
            raise NoCapacity(request.capability)
        reasons = [rejection.reason for _, rejection in rejections if rejection.stage == furthest]
        if furthest == _PRIVACY:
            raise PrivacyViolation(reasons[0])
        if furthest == _QOS:
            raise QoSViolation(reasons[0])
        blocked = [position for position, found in rejections if found.stage == _BREAKER]
        if furthest == _BREAKER:
            raise CircuitOpen(self._first_to_half_open(blocked))
        raise AllNodesUnhealthy(request.capability)

    def _first_to_half_open(self, positions: list[int]) -> NodeId:
        nodes = [self.fleet.node_ids[position] for position in positions]
        half_opens_at_s = getattr(self._breaker, "half_opens_at_s", None)
        return nodes[0] if half_opens_at_s is None else min(nodes, key=half_opens_at_s)

    # What is known of a node

    def _examine(
        self, position: int, request: InferenceRequest
    ) -> tuple[RouteCandidate, _Rejection | None]:
        """Return a node as a candidate with all its scores, and what stands against it first."""
        candidate = self.fleet.candidate(position, request)
        return candidate, self._rejection(position, candidate, request)

    def _rejection(
        self, position: int, candidate: RouteCandidate, request: InferenceRequest
    ) -> _Rejection | None:
        models = self.fleet.models[position]
        statuses = [model.status for model in models if request.capability in model.capabilities]
        if not statuses:
            return _Rejection(_CAPABILITY, f"it has no capability {request.capability}")
        if DeploymentStatus.READY not in statuses:
            return _Rejection(_CAPABILITY, f"its deployment is {statuses[0].value}")
        found = self._policy_rejection(candidate, request)
        if found is not None and found.stage < _BREAKER:
            return found
        node_id = candidate.target.node_id
        if self._breaker is not None and self._breaker.is_open(node_id):
            state = self._breaker.state(node_id).value.replace("_", "-")
            return _Rejection(_BREAKER, f"its circuit is {state}")
        if found is None and candidate.scores.health_score == 0.0:
            return _Rejection(_HEALTH, "the node is unhealthy")
        return found

    def _policy_rejection(
        self, candidate: RouteCandidate, request: InferenceRequest
    ) -> _Rejection | None:
        """Return the rejection of the first stage; of several policies in it, the first one's."""
        first: tuple[int, RoutingPolicyTrait] | None = None
        for policy in self._policies:
            if not policy.is_eligible(candidate, request):
                stage = _STAGES.get(getattr(policy, "rejects_as", "qos"), _QOS)
                if first is None or stage < first[0]:
                    first = (stage, policy)
        if first is None:
            return None
        stage, policy = first
        word = getattr(policy, "rejection", None)
        reason = word(candidate, request) if word else f"policy {policy.name()} refuses it"
        return _Rejection(stage, reason)

    # Changes

    def _rebuild(self) -> None:
        """Take over the catalog's changes, and examine every node again.

        A set of nodes keeps its turn as long as no node is removed and positions stay the same.
        """
        before = self.fleet.node_ids
        self.fleet.rebuild()
        if self.fleet.node_ids[: len(before)] != before:
            self._sets.clear()
        self._kinds.clear()
        self._kinds_by_id.clear()
        self._rechecks.clear()

    def _node_changed(self, node_id: NodeId) -> None:
        """Have a node examined again for every kind of request."""
        position = self.fleet.positions.get(node_id)
        if position is None:
            return
        self.fleet.refresh_record(position)
        for kind in self._kinds.values():
            kind.dirty[position] = None

    def _foresee(self, position: int, rejection: _Rejection) -> None:
        """Have a rejected node examined again when time alone will have lifted the rejection."""
        record, breaker = self.fleet.records[position], self._breaker
        if rejection.stage == _QOS and record is not None:
            when_s = record.window.expires_s
        elif rejection.stage == _BREAKER and isinstance(breaker, CircuitBreaker):
            when_s = breaker.half_opens_at_s(self.fleet.node_ids[position])
        else:
            return
        if when_s > self._clock.now():
            heappush(self._rechecks, (when_s, position))

    def _recheck(self) -> None:
        now_s = self._clock.now()
        while self._rechecks and self._rechecks[0][0] <= now_s:
            _, position = heappop(self._rechecks)
            for kind in self._kinds.values():
                kind.dirty[position] = None
