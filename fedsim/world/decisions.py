"""Reports what a gateway knew when it decided, candidate by candidate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from fedsim.federation.capabilities import CountsRequests, KeepsRecords, has
from fedsim.federation.contracts import (
    CircuitBreakerTrait,
    FederationError,
    HealthCheckerTrait,
    InferenceRequest,
    NodeId,
    RouteCandidate,
    RouterTrait,
    RouteTarget,
)
from fedsim.federation.decisions import ExplainsDecisions
from fedsim.kernel.environment import Environment
from fedsim.world.live import LiveRequest
from fedsim.world.nodes.base import Node
from fedsim.world.observer import WorldObserver

TRIED = "it was tried before"
LEFT_OUT = "the router left it out, and does not say why"


class DecisionReporter:
    """The federation's ``DecisionObserver`` for one gateway.

    Of a router that explains its decisions it reports the candidates with the scores on which the
    decision rested; of another one the choice and the gateway's own knowledge.

    Args:
        env: The environment.
        gateway: Code of the gateway.
        nodes: All nodes by id.
        live: All requests under way by id.
        observer: Receives the candidates.
        reported: Says by its id whether the decisions on a request are reported.
    """

    def __init__(
        self,
        env: Environment,
        gateway: int,
        nodes: Mapping[NodeId, Node],
        live: Mapping[str, LiveRequest],
        observer: WorldObserver,
        reported: Callable[[str], bool],
    ) -> None:
        self._env = env
        self._gateway = gateway
        self._nodes = nodes
        self._live = live
        self._observer = observer
        self._reported = reported

    async def decided(
        self,
        request: InferenceRequest,
        excluded: Sequence[NodeId],
        decision: RouteTarget | FederationError,
        router: RouterTrait,
        health: HealthCheckerTrait | None,
        breaker: CircuitBreakerTrait | None,
    ) -> None:
        """Report every candidate of a decision."""
        live = self._live.get(request.request_id)
        if live is None or not self._reported(request.request_id):
            return
        chosen, outcome = None, "ok"
        if isinstance(decision, RouteTarget):
            chosen = decision.node_id
        else:
            outcome = decision.kind
        explained: dict[NodeId, RouteCandidate] = {}
        in_flight: Mapping[NodeId, int] = {}
        explains = isinstance(router, ExplainsDecisions)
        if isinstance(router, ExplainsDecisions):
            found = router.considered(request)
            explained = {candidate.target.node_id: candidate for candidate in found}
        if has(router, CountsRequests):
            in_flight = router.requests_in_flight()
        for node_id, node in self._nodes.items():
            candidate = explained.get(node_id)
            eligible, reason = -1, ""
            if explains:
                tried = node_id in excluded and node_id != chosen
                eligible, reason = _eligibility(candidate, tried)
            known = None if health is None else health.get_cached_health(node_id)
            depth, age_s = _reported(health, node_id, self._env.now)
            self._observer.candidate_considered(
                request=live.row,
                attempt=live.attempts + 1,
                gateway=self._gateway,
                time_s=self._env.now,
                outcome=outcome,
                node=node.code,
                chosen=node_id == chosen,
                eligible=eligible,
                rejection_reason=reason,
                health="" if known is None else known.status.value,
                circuit="" if breaker is None else breaker.state(node_id).value,
                in_flight=in_flight.get(node_id, -1),
                reported_depth=depth,
                reported_age_s=age_s,
                actual_depth=node.running + node.queued,
                **({} if candidate is None else _scores(candidate)),
            )


def _scores(candidate: RouteCandidate) -> dict[str, float]:
    """Return the scores of a candidate; an estimate of 0 is none."""
    scores = candidate.scores
    return {
        "latency_score": scores.latency_score,
        "throughput_score": scores.throughput_score,
        "cost_score": scores.cost_score,
        "locality_score": scores.locality_score,
        "health_score": scores.health_score,
        "total_score": scores.total,
        "estimated_latency_s": candidate.target.estimated_latency_s or math.nan,
    }


def _eligibility(candidate: RouteCandidate | None, tried: bool) -> tuple[int, str]:
    """Return 1 or 0 for a node that is eligible or not, and why it is not."""
    if candidate is None:
        return 0, LEFT_OUT
    if candidate.eligible and tried:
        return 0, TRIED
    return int(candidate.eligible), candidate.rejection_reason or ""


def _reported(
    health: HealthCheckerTrait | None, node_id: NodeId, now_s: float
) -> tuple[int, float]:
    """Return the depth that a node last reported, -1 for none, and how long ago that was."""
    record = health.record(node_id) if has(health, KeepsRecords) else None
    if record is None or record.running is None:
        return -1, math.nan
    return record.running + record.queue_depth, now_s - record.telemetry_s
