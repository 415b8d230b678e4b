"""The reference's router: under every strategy but one, the candidate with the best score."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

from fedsim.federation.catalog import Deployment
from fedsim.federation.contracts import (
    AllNodesUnhealthy,
    Capability,
    CircuitBreakerTrait,
    HealthCheckerTrait,
    HealthState,
    InferenceRequest,
    LoadBalanceStrategy,
    NoCapacity,
    NodeHealth,
    RouteCandidate,
    RouteScores,
    RouteTarget,
)
from fedsim.federation.reference.entries import Entries
from fedsim.federation.reference.policies import CompositePolicy
from fedsim.federation.router import UNASKED
from fedsim.federation.runtime import Random

MAX_CANDIDATES = 10
"""How many of the best candidates the weighted draw is among."""

MIN_SCORE = 0.1
"""Least total of a candidate that is chosen; none that is eligible has so little."""

HEALTH_SCORES = {
    HealthState.HEALTHY: 1.0,
    HealthState.DEGRADED: 0.5,
    HealthState.UNKNOWN: 0.3,
    HealthState.UNHEALTHY: 0.0,
}

REJECTED = -math.inf
"""The total of a candidate that the policies reject."""

UNREGISTERED_P50_S = 1.0
"""Latency of a node that the health checker does not know, which stays unknown."""


class ReferenceRouter:
    """Routes to the candidate with the highest composite score; of equals, the first registered.

    Candidates are all deployments of models with the capability, whatever their status, without
    those whose circuit is open and then those that are unhealthy. Round robin, least connections
    and consistent hashing are names for the same choice as least latency; the weighted draw is
    among the best ten.

    Attributes:
        immediate: Says that ``route`` never suspends.
    """

    immediate: ClassVar[bool] = True

    def __init__(
        self,
        entries: Entries,
        health: HealthCheckerTrait,
        breaker: CircuitBreakerTrait,
        policy: CompositePolicy,
        rng: Random,
        strategy: LoadBalanceStrategy = LoadBalanceStrategy.LEAST_LATENCY,
        max_candidates: int = MAX_CANDIDATES,
        min_score: float = MIN_SCORE,
    ) -> None:
        self._entries = entries
        self._health = health
        self._breaker = breaker
        self._policy = policy
        self._rng = rng
        self._draws = strategy is LoadBalanceStrategy.WEIGHTED_RANDOM
        self._max_candidates = max_candidates
        self._min_score = min_score

    async def route(self, request: InferenceRequest) -> RouteTarget:
        """Return the chosen node.

        Raises:
            NoCapacity: No node has the capability, or all have an open circuit or are unhealthy.
            AllNodesUnhealthy: The policies, for whatever reason, leave none.
        """
        judged = self._judged(request)
        if not judged:
            raise NoCapacity(request.capability)
        good = [(total, candidate) for total, candidate in judged if total >= self._min_score]
        if not good:
            raise AllNodesUnhealthy(request.capability)
        good.sort(key=_best_first)
        kept = good[: self._max_candidates]
        total, candidate = self._drawn(kept) if self._draws else kept[0]
        return _scored(candidate.target, total)

    async def get_candidates(self, request: InferenceRequest) -> list[RouteCandidate]:
        """Return the candidates, best first; of the nodes left out before, it does not speak."""
        explained = [
            replace(candidate, eligible=False, rejection_reason="Policy rejected")
            if total == REJECTED
            else replace(
                candidate,
                target=_scored(candidate.target, total),
                scores=replace(candidate.scores, total=total),
            )
            for total, candidate in self._judged(request)
        ]
        return sorted(explained, key=lambda candidate: -candidate.scores.total)

    def considered(self, request: InferenceRequest) -> list[RouteCandidate]:
        """Return the candidates with the scores on which a decision rests: those of the policies.

        One that the policies reject is not scored.
        """
        return [
            replace(candidate, eligible=False, rejection_reason="Policy rejected", scores=UNASKED)
            if total == REJECTED
            else replace(
                candidate,
                scores=replace(UNASKED, **self._policy.parts(candidate, request), total=total),
            )
            for total, candidate in self._judged(request)
        ]

    def _judged(self, request: InferenceRequest) -> list[tuple[float, RouteCandidate]]:
        """Return the candidates with their totals, unsorted."""
        policy = self._policy
        return [
            (
                policy.score(candidate, request)
                if policy.is_eligible(candidate, request)
                else REJECTED,
                candidate,
            )
            for candidate in self._candidates(request.capability)
        ]

    def _candidates(self, capability: Capability) -> list[RouteCandidate]:
        found = []
        for deployment in self._entries.serving(capability):
            if self._breaker.is_open(deployment.node_id):
                continue
            health = self._health.get_cached_health(deployment.node_id)
            if health is None or health.status is not HealthState.UNHEALTHY:
                found.append(_candidate(deployment, health))
        return found

    def _drawn(self, kept: list[tuple[float, RouteCandidate]]) -> tuple[float, RouteCandidate]:
        """Return one of *kept*, each with the share that its total has of the sum."""
        left = self._rng.random() * sum(total for total, _ in kept)
        for each in kept:
            left -= each[0]
            if left < 0.0:
                return each
        return kept[-1]


def _best_first(judged: tuple[float, RouteCandidate]) -> float:
    return -judged[0]


def _scored(target: RouteTarget, total: float) -> RouteTarget:
    return RouteTarget(
        target.node_id, target.region_id, target.endpoint, target.estimated_latency_s, total
    )


def _candidate(deployment: Deployment, health: NodeHealth | None) -> RouteCandidate:
    """Return a node as a candidate; a total of 0 stands until the policies have been asked."""
    status = HealthState.UNKNOWN if health is None else health.status
    p50_s = UNREGISTERED_P50_S if health is None else health.latency_p50_s
    throughput = 0 if health is None else health.throughput
    target = RouteTarget(deployment.node_id, deployment.region_id, deployment.endpoint, p50_s)
    latency_score, throughput_score = 1.0 - min(p50_s / 5.0, 1.0), min(throughput / 1000.0, 1.0)
    scores = RouteScores(latency_score, throughput_score, 0.5, 0.5, HEALTH_SCORES[status], 0.0)
    return RouteCandidate(target, scores)
