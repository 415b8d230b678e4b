"""The router: which nodes may serve a request, and which of them shall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from heapq import heappop, heappush

from fedsim.federation.availability import NodeAvailability
from fedsim.federation.capabilities import (
    AnnouncesChanges,
    AttemptHooks,
    ForetellsTrials,
    KeepsRecords,
    announces,
    bind,
    has,
)
from fedsim.federation.catalog import CatalogMirror, DeploymentSource, announced
from fedsim.federation.contracts import (
    Capability,
    CircuitBreakerTrait,
    HealthCheckerTrait,
    InferenceRequest,
    ModelCatalogTrait,
    NodeId,
    QoSRequirements,
    RegionId,
    RouteCandidate,
    RouteScores,
    RouteTarget,
    RoutingPolicyTrait,
)
from fedsim.federation.eligibility import BREAKER, QOS, Eligibility, Rejection
from fedsim.federation.fleet import Fleet
from fedsim.federation.outliers import OutlierConfig, OutlierDetector
from fedsim.federation.panic import PanicMode, SetsPanicRule
from fedsim.federation.runtime import Clock, Random
from fedsim.federation.scopes import Scope, scope_of
from fedsim.federation.slow_start import SlowStart, SlowStartConfig
from fedsim.federation.strategies.base import REMEMBERED, Candidates, Strategy, Turn

UNASKED = RouteScores(*[math.nan] * 6)
"""The scores of a candidate that no policy was asked for."""

_GPU_REASON = "the request prefers a GPU, this node has none, and one that has is eligible"


@dataclass(frozen=True, slots=True)
class RouterConfig:
    """Settings of the parts that only the built-in router has; None switches a part off.

    Attributes:
        outliers: Outlier ejection.
        panic_threshold: Share of usable nodes, 0 to 1, below which health and ejections are
            ignored.
        slow_start: The slow start of nodes that have recovered.
    """

    outliers: OutlierConfig | None = None
    panic_threshold: float | None = None
    slow_start: SlowStartConfig | None = None


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

    ``route`` looks at capability, model, deployment status, policies, circuit breaker and health,
    and lets the strategy choose among the nodes that are eligible. Where the request prefers a GPU,
    nodes without one are left out as long as one with a GPU is eligible. Outlier ejection counts as
    health does, panic mode overrules both, and slow start holds the strategy to a share of its
    decisions for a node that has recovered; each may be off.

    Eligibility is worked out once for each kind of request (capability, model and quality of
    service) and then only for nodes of which catalog, breaker or health checker say that something
    changed, by the code that ``get_candidates`` uses for its explanation, so that the two agree.
    Where a policy, the breaker or the health checker announces nothing (`AnnouncesChanges`), it is
    worked out every time. A catalog that does not announce its changes is asked before every
    decision.

    Attributes:
        fleet: The nodes as this gateway knows them.
        immediate: Whether ``route`` never suspends, and so needs no deadline: not with a catalog
            that has to be asked.
    """

    def __init__(
        self,
        catalog: ModelCatalogTrait | DeploymentSource,
        strategy: Strategy,
        clock: Clock,
        region: RegionId,
        rng: Random,
        health: HealthCheckerTrait | None = None,
        breaker: CircuitBreakerTrait | None = None,
        policies: Sequence[RoutingPolicyTrait] = (),
        outliers: OutlierDetector | None = None,
        panic: PanicMode | None = None,
        slow_start: SlowStart | None = None,
    ) -> None:
        catalog = announced(catalog)
        self._mirror = catalog if isinstance(catalog, CatalogMirror) else None
        self.immediate = self._mirror is None
        self.fleet = Fleet(catalog, health, policies, clock, region)
        self._strategy = strategy
        hooks = bind(strategy, AttemptHooks)
        self._started, self._completed = hooks.on_start, hooks.on_complete
        self._clock = clock
        self._rng = rng
        self._health = health
        self._breaker = breaker
        self._kinds: dict[tuple[Scope, QoSRequirements], _Kind] = {}
        self._kinds_by_id: dict[tuple[Capability, int, str | None], _Kind] = {}
        self._sets: dict[tuple[int, ...], Candidates] = {}
        self._rechecks: list[tuple[float, int]] = []
        parts = [part for part in (*policies, health, breaker) if part is not None]
        self._announced = all(announces(part) for part in parts)
        if panic is not None and has(strategy, SetsPanicRule):
            panic.rule = partial(strategy.panicking, self.fleet)
        self._outliers = outliers
        self._slow_start = slow_start
        self._availability: NodeAvailability | None = None
        if outliers is not None or panic is not None or slow_start is not None:
            self._availability = NodeAvailability(self.fleet, breaker, outliers, panic, slow_start)
            self._availability.begin()
        self._eligibility = Eligibility(
            self.fleet, breaker, policies, self._availability, self._announced
        )
        catalog.subscribe(self._rebuild)
        for part in (health, breaker):
            if has(part, AnnouncesChanges):
                part.subscribe(self._node_changed)
        if outliers is not None:
            outliers.subscribe(self._node_changed)

    # The contract

    async def route(self, request: InferenceRequest) -> RouteTarget:
        """Return the chosen node, or raise the ``FederationError`` that says why there is none."""
        if self._mirror is not None:
            await self._mirror.follow(request.capability)
        return self._choose(request, ())

    async def route_excluding(
        self, request: InferenceRequest, excluded: Sequence[NodeId]
    ) -> RouteTarget:
        """Return a node that is not among *excluded*, which lists nodes in the order of trial.

        Where no other is eligible it is one of them, but still not the last, if that can be.
        """
        if self._mirror is not None:
            await self._mirror.follow(request.capability)
        return self._choose(request, excluded)

    async def get_candidates(self, request: InferenceRequest) -> list[RouteCandidate]:
        """Return every node with its scores, and why it may not serve; changes nothing.

        The scores are those that our policies give, and of a policy that there is none of what is
        known of the node.
        """
        if self._mirror is not None:
            await self._mirror.follow(request.capability)
        scored = self.fleet.score_all(range(len(self.fleet.node_ids)), request)
        return [
            replace(
                candidate,
                target=replace(candidate.target, score=scored.totals[position]),
                scores=scored.of(position, candidate.scores),
            )
            for position, candidate in enumerate(self._explained(request))
        ]

    def considered(self, request: InferenceRequest) -> list[RouteCandidate]:
        """Return every node with the scores on which the decision just made rests.

        A score that the strategy did not ask for is not a number: all of them under one that does
        not choose by scores.
        """
        scored = self.fleet.scored
        return [
            replace(
                candidate,
                scores=UNASKED if scored is None else scored.of(position, UNASKED),
            )
            for position, candidate in enumerate(self._explained(request))
        ]

    def _explained(self, request: InferenceRequest) -> list[RouteCandidate]:
        """Return every node as it is known, and why it may not serve."""
        fleet = self.fleet
        found = [
            self._eligibility.examine(position, request) for position in range(len(fleet.node_ids))
        ]
        gpus = request.qos.prefer_gpu and any(
            rejection is None and fleet.deployments[position].gpu is not None
            for position, (_, rejection) in enumerate(found)
        )
        explained = []
        for position, (candidate, rejection) in enumerate(found):
            reason = None if rejection is None else rejection.reason
            if reason is None and gpus and fleet.deployments[position].gpu is None:
                reason = _GPU_REASON
            eligible = reason is None
            explained.append(replace(candidate, eligible=eligible, rejection_reason=reason))
        return explained

    def on_start(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Count a request that the gateway is about to send."""
        position = self.fleet.positions.get(target.node_id)
        if position is not None:
            self.fleet.in_flight[position] += 1
        self._started(target, request)

    def on_complete(
        self, target: RouteTarget, request: InferenceRequest, outcome: str, latency_s: float
    ) -> None:
        """Uncount a request that has ended, in whatever way."""
        position = self.fleet.positions.get(target.node_id)
        if position is not None:
            self.fleet.in_flight[position] -= 1
        elif target.node_id in self.fleet.departed:
            self.fleet.departed[target.node_id] -= 1
        if self._outliers is not None:
            self._outliers.record(target.node_id, outcome)
        self._completed(target, request, outcome, latency_s)

    def requests_in_flight(self) -> dict[NodeId, int]:
        """Return by node the requests that the gateway has sent and that have not ended."""
        return dict(zip(self.fleet.node_ids, self.fleet.in_flight, strict=True))

    # Choosing

    def _choose(self, request: InferenceRequest, excluded: Sequence[NodeId]) -> RouteTarget:
        fleet, strategy, slow_start = self.fleet, self._strategy, self._slow_start
        fleet.scored = None
        candidates = self.eligible(request, excluded)
        if slow_start is not None and slow_start.since_s:
            position = slow_start.choose(
                fleet, candidates, lambda among: strategy.select(fleet, among, request)
            )
        else:
            position = strategy.select(fleet, candidates, request)
        return fleet.target(position, request)

    def eligible(self, request: InferenceRequest, excluded: Sequence[NodeId] = ()) -> Candidates:
        """Return the eligible nodes, for other code that wants to choose.

        Args:
            request: The request.
            excluded: Nodes to leave out where others are eligible, in the order of trial.

        Raises:
            FederationError: There is none, and this is why.
        """
        kind = self._kinds_by_id.get((request.capability, id(request.qos), request.model))
        if kind is None or kind.dirty or self._rechecks:
            candidates = self._candidates(request)
        else:
            candidates = kind.candidates
        if candidates is None:
            self._eligibility.refuse(request)
        return self._without(candidates, request, excluded) if excluded else candidates

    def _candidates(self, request: InferenceRequest) -> Candidates | None:
        """Return the nodes to choose from, None where there are none."""
        kind = self._kind(request)
        rechecks = self._rechecks
        if rechecks and rechecks[0][0] <= self._clock.now():
            self._recheck()
        if kind.dirty:
            for position in kind.dirty:
                rejection = self._eligibility.examine(position, request)[1]
                kind.eligible[position] = rejection is None
                if rejection is not None and self._announced:
                    self._foresee(position, rejection)
            kind.dirty.clear()
            eligible = [node for node, may in enumerate(kind.eligible) if may]
            kind.candidates = (
                self._set(self._preferred(eligible, request), kind.candidates) if eligible else None
            )
        return kind.candidates

    def _kind(self, request: InferenceRequest) -> _Kind:
        """Return the kind of a request; the same objects are found without comparing them."""
        qos = request.qos
        key = request.capability, id(qos), request.model
        kind = self._kinds_by_id.get(key)
        if kind is not None:
            return kind
        scope = scope_of(request)
        kind = self._kinds.get((scope, qos))
        if kind is None or not self._announced:
            if self._availability is not None:
                self._availability.refresh(scope)
            self._make_room()
            before = None if kind is None else kind.candidates
            kind = _Kind(len(self.fleet.node_ids), qos)
            kind.candidates = before  # a new set of nodes goes on at its turn
            self._kinds[scope, qos] = kind
            if has(self._health, KeepsRecords):
                self._health.add_latency_limit(qos.max_latency_s)
                self._health.add_throughput_limit(qos.min_throughput)
        if self._announced and kind.qos is qos:
            self._kinds_by_id[key] = kind
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
        """Return what is left of *candidates*; a retry takes the next turn of the whole set."""
        kind = self._kinds[scope_of(request), request.qos]
        for avoided in (excluded, excluded[-1:]):
            remaining = [
                node
                for node, may in enumerate(kind.eligible)
                if may and self.fleet.node_ids[node] not in avoided
            ]
            if remaining:
                return candidates.part(self._preferred(remaining, request))
        return candidates

    def _set(self, positions: tuple[int, ...], before: Candidates | None) -> Candidates:
        """Return the one object for a set of nodes, in which strategies keep their turn.

        A new set goes on where *before*, which it takes the place of, has come to.
        """
        candidates = self._sets.get(positions)
        if candidates is None:
            if len(self._sets) >= REMEMBERED:
                self._sets.clear()
            candidates = (
                Candidates.drawn(positions, self._rng)
                if before is None
                else Candidates(positions, Turn(before.turn.place))
            )
            self._sets[positions] = candidates
        return candidates

    # Changes

    def _rebuild(self) -> None:
        """Apply the catalog's changes, and examine every node again.

        A set of nodes keeps its turn as long as no node is removed and positions stay the same.
        """
        before = self.fleet.node_ids
        self.fleet.rebuild()
        if self.fleet.node_ids[: len(before)] != before:
            self._sets.clear()
        self._kinds.clear()
        self._kinds_by_id.clear()
        self._rechecks.clear()
        if self._availability is not None:
            self._availability.rebuilt()

    def _node_changed(self, node_id: NodeId) -> None:
        """Have a node examined again for every kind of request."""
        position = self.fleet.positions.get(node_id)
        if position is None:
            return
        self.fleet.refresh_record(position)
        for kind in self._kinds.values():
            kind.dirty[position] = None
        if self._availability is not None:
            self._panic_changed(self._availability.changed(position))

    def _panic_changed(self, scopes: Sequence[Scope]) -> None:
        """Have every node examined again for the scopes whose panic began or ended."""
        for (scope, _), kind in self._kinds.items():
            if scope in scopes:
                kind.dirty.update(dict.fromkeys(range(len(self.fleet.node_ids))))

    def _foresee(self, position: int, rejection: Rejection) -> None:
        """Have a rejected node examined again when time alone will have lifted the rejection."""
        record, breaker = self.fleet.records[position], self._breaker
        if rejection.stage == QOS and record is not None:
            when_s = record.window.expires_s
        elif rejection.stage == BREAKER and has(breaker, ForetellsTrials):
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
