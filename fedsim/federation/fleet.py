"""The fleet as one gateway knows it: what strategies and policies see of the nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from fedsim.federation.capabilities import KeepsRecords, has
from fedsim.federation.catalog import Deployment, DeploymentSource
from fedsim.federation.contracts import (
    HealthCheckerTrait,
    HealthState,
    InferenceRequest,
    NodeId,
    RegionId,
    RouteCandidate,
    RouteScores,
    RouteTarget,
    RoutingPolicyTrait,
)
from fedsim.federation.health import NodeRecord, Pool
from fedsim.federation.policies import (
    NAMES,
    NEUTRAL_SCORE,
    Columns,
    Scored,
    Scorer,
)
from fedsim.federation.reported import ReportedRecord
from fedsim.federation.runtime import Clock
from fedsim.federation.scopes import Scope, Scoped, scope_of

LATENCY_SCALE_S = 5.0
"""Latency at which a candidate's latency score is 0, in seconds."""

HEALTH_SCORES = {
    HealthState.HEALTHY: 1.0,
    HealthState.DEGRADED: 0.5,
    HealthState.UNKNOWN: 0.5,
    HealthState.UNHEALTHY: 0.0,
}


class LiveCandidate:
    """A candidate that is not frozen: our own policies rate it without one being built each time.

    It has all that a `RouteCandidate` has, its target and its scores being itself. Its entries
    hold until the fleet looks at the same node again, so it is handed to no foreign policy.
    """

    __slots__ = (
        "cost_score",
        "eligible",
        "endpoint",
        "estimated_latency_s",
        "health_score",
        "locality_score",
        "node_id",
        "region_id",
        "rejection_reason",
        "score",
        "scores",
        "target",
        "throughput_score",
        "total",
    )

    def __init__(self, deployment: Deployment, cost_score: float, locality_score: float) -> None:
        self.node_id = deployment.node_id
        self.region_id = deployment.region_id
        self.endpoint = deployment.endpoint
        self.cost_score = cost_score
        self.locality_score = locality_score
        self.estimated_latency_s = 0.0
        self.throughput_score = NEUTRAL_SCORE
        self.health_score = HEALTH_SCORES[HealthState.UNKNOWN]
        self.score = self.total = NEUTRAL_SCORE
        self.eligible = True
        self.rejection_reason: str | None = None
        self.target = self.scores = self

    @property
    def latency_score(self) -> float:
        """From 1 at no latency down to 0; neutral where it is not known."""
        if self.estimated_latency_s == 0.0:
            return NEUTRAL_SCORE
        return max(0.0, 1.0 - self.estimated_latency_s / LATENCY_SCALE_S)

    def frozen(self, total: float) -> RouteCandidate:
        """Return it as it is now, with *total* as its score."""
        scores = RouteScores(
            self.latency_score,
            self.throughput_score,
            self.cost_score,
            self.locality_score,
            self.health_score,
            total,
        )
        return RouteCandidate(self.at(total), scores)

    def at(self, total: float) -> RouteTarget:
        """Return the node as a target with *total* as its score."""
        return RouteTarget(
            self.node_id, self.region_id, self.endpoint, self.estimated_latency_s, total
        )


@dataclass(slots=True)
class _Scale:
    """Nodes as candidates for one scope: scores compare them with those that serve it.

    Attributes:
        live: Every node.
        pools: The pools of the nodes that serve the scope.
    """

    live: list[LiveCandidate]
    pools: list[Pool]


class Fleet:
    """All nodes of the catalog, in the order of registration, with what one gateway knows of them.

    A node is known by its position. Strategies read the lists; only the router writes to them.

    Attributes:
        version: Grows when nodes are added, removed or changed in the catalog.
        deployments: The first deployment of each node, which speaks for the node itself.
        models: All deployments of each node.
        node_ids: All nodes.
        region_ids: Their regions.
        in_flight: Requests that this gateway has sent to each and that have not ended.
        records: What the health checker knows of each; None for a node that is not registered.
        positions: Position of each node.
        departed: Requests in flight to nodes that the catalog does not have any more.
        scored: What the policies made of nodes when the strategy last asked in this decision; None
            where it has not asked.
        unusable: Nodes that are unhealthy or ejected; known with panic mode only, without which no
            such node is ever eligible.
        opened: By scope, the nodes that panic mode opens whatever their health; None without panic
            mode.
    """

    def __init__(
        self,
        catalog: DeploymentSource,
        health: HealthCheckerTrait | None,
        policies: Sequence[RoutingPolicyTrait],
        clock: Clock,
        region: RegionId,
    ) -> None:
        self._catalog = catalog
        self._health = health
        self._scorer = Scorer(policies)
        self._clock = clock
        self._region = region
        # Not a permission: built-in policies can read a candidate that is not frozen, which is
        # cheaper; any other policy may keep what it is given.
        self._own = all(type(policy) in NAMES for policy in policies)
        self._records_of = health if has(health, KeepsRecords) else None
        self._scales: Scoped[Scope, _Scale] = Scoped(self._scale)
        self._reported: dict[NodeId, ReportedRecord] = {}
        self.version = 0
        self.node_ids: list[NodeId] = []
        self.in_flight: list[int] = []
        self.departed: dict[NodeId, int] = {}
        self.scored: Scored | None = None
        self.unusable: frozenset[int] = frozenset()
        self.opened: dict[Scope, frozenset[int]] | None = None
        self.rebuild()

    def rebuild(self) -> None:
        """Read the catalog's deployments again; requests in flight stay counted."""
        counts = self.departed | dict(zip(self.node_ids, self.in_flight, strict=True))
        nodes: dict[NodeId, list[Deployment]] = {}
        for deployment in self._catalog.deployments():
            nodes.setdefault(deployment.node_id, []).append(deployment)
        self.models = list(nodes.values())
        self.deployments = [models[0] for models in self.models]
        self.node_ids = list(nodes)
        self.region_ids = [deployment.region_id for deployment in self.deployments]
        self.in_flight = [counts.pop(node_id, 0) for node_id in self.node_ids]
        self.departed = {node_id: count for node_id, count in counts.items() if count}
        self.positions = {node_id: place for place, node_id in enumerate(self.node_ids)}
        self._scales.clear()
        self.records: list[NodeRecord | None] = [None] * len(self.node_ids)
        for position in range(len(self.node_ids)):
            self.refresh_record(position)
        self.version += 1

    def members(self, scope: Scope) -> list[int]:
        """Return the positions of the nodes that serve *scope*, ready or not."""
        return [
            position
            for position, models in enumerate(self.models)
            if any(model.serves(scope) for model in models)
        ]

    def _scale(self, scope: Scope) -> _Scale:
        members = self.members(scope)
        prices = [deployment.cost_usd_per_hour for deployment in self.deployments]
        highest = max((prices[member] or 0.0 for member in members), default=0.0)
        live = [
            LiveCandidate(
                deployment,
                NEUTRAL_SCORE if price is None or not highest else max(0.0, 1.0 - price / highest),
                float(deployment.region_id == self._region),
            )
            for deployment, price in zip(self.deployments, prices, strict=True)
        ]
        records = [self.records[member] for member in members]
        return _Scale(live, list(dict.fromkeys(record.pool for record in records if record)))

    def refresh_record(self, position: int) -> None:
        """Look up a node's record again."""
        node_id = self.node_ids[position]
        if self._records_of is not None:
            record: NodeRecord | None = self._records_of.record(node_id)
        elif self._health is not None:
            record = self._reported.setdefault(node_id, ReportedRecord(node_id))
        else:
            return
        if record is not self.records[position]:
            self.records[position] = record
            self._scales.clear()

    # What is known of a node

    def is_unhealthy(self, position: int) -> bool:
        """Return whether a node is known to be unhealthy."""
        record = self.records[position]
        if record is None:
            return False
        if self._records_of is None:
            self._ask(record)
        return record.status is HealthState.UNHEALTHY

    def look_at(self, position: int, scope: Scope) -> LiveCandidate:
        """Return a node as it is known now, as a candidate for *scope*.

        Holds until the next look at the same node.
        """
        scale = self._scales[scope]
        live = scale.live[position]
        record = self.records[position]
        if record is None:
            live.health_score = HEALTH_SCORES[HealthState.UNKNOWN]
            return live
        if self._records_of is None:
            self._ask(record)
        window, status = record.window, record.status
        known = self._clock.now() < window.expires_s
        live.estimated_latency_s = window.median_s if known else 0.0
        live.health_score = 1.0 if status is HealthState.HEALTHY else HEALTH_SCORES[status]
        throughput, live.throughput_score = record.throughput, NEUTRAL_SCORE
        if throughput:
            best = max([throughput, *[pool.best_throughput for pool in scale.pools]])
            live.throughput_score = throughput / best
        return live

    def pool_median_s(self, record: NodeRecord) -> float:
        """Return the median of a node's pool in seconds; 0 where the health checker keeps none."""
        return 0.0 if self._records_of is None else self._records_of.pool_median_s(record)

    def _ask(self, record: NodeRecord) -> None:
        """Ask a health checker that keeps no records what it knows now."""
        assert isinstance(record, ReportedRecord)
        assert self._health is not None
        record.update(self._health.get_cached_health(record.node_id))

    def candidate(self, position: int, scope: Scope) -> RouteCandidate:
        """Return a node as a candidate: what is known of it, which no policy has scored yet."""
        return self.look_at(position, scope).frozen(NEUTRAL_SCORE)

    def target(self, position: int, request: InferenceRequest) -> RouteTarget:
        """Return a node as a target with its score, that of the decision where it was scored."""
        live, scored = self.look_at(position, scope_of(request)), self.scored
        if scored is not None and position in scored.positions:
            return live.at(scored.totals[scored.positions.index(position)])
        return live.at(self._scorer.total(self._shown(live), request))

    def _shown(self, live: LiveCandidate) -> RouteCandidate:
        """Return a node as the policies may see it."""
        return cast("RouteCandidate", live) if self._own else live.frozen(NEUTRAL_SCORE)

    def scores(self, positions: Sequence[int], request: InferenceRequest) -> Sequence[float]:
        """Return the policies' total score of several nodes, all at once where they can."""
        self.scored = self.score_all(positions, request)
        return self.scored.totals

    def score_all(self, positions: Sequence[int], request: InferenceRequest) -> Scored:
        """Return what the policies make of several nodes."""
        scope = scope_of(request)
        looks = [self.look_at(position, scope) for position in positions]
        if not self._scorer.columnar:
            shown = [self._shown(live) for live in looks]
            return self._scorer.score_all(positions, shown, request)
        columns = Columns(
            [live.node_id for live in looks],
            [live.region_id for live in looks],
            [live.estimated_latency_s for live in looks],
            [live.throughput_score for live in looks],
            [live.cost_score for live in looks],
            [live.locality_score for live in looks],
            [live.health_score for live in looks],
        )
        return self._scorer.score_all(positions, columns, request)
