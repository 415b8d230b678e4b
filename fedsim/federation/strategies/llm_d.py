"""A weighted sum of scorers, as llm-d's endpoint picker takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import InferenceRequest, RouteTarget
from fedsim.federation.fleet import Fleet
from fedsim.federation.strategies.base import Candidates
from fedsim.federation.strategies.choices import any_of
from fedsim.federation.strategies.scorers import (
    NoHitLru,
    Scorer,
    Session,
    TokenLoad,
    View,
    active_request,
    kv,
    load_aware,
    prefix,
    queue,
    running,
)


@dataclass(frozen=True, slots=True)
class LlmDSettings:
    """Weights of the scorers; one of weight 0 is not asked.

    Attributes:
        queue: Weight of the requests waiting at the last probe, between the least and the most.
        kv: Weight of the share of the key-value cache that is free.
        prefix: Weight of the share of the prompt's blocks that the node was sent before.
        running: Weight of the requests running at the last probe, between the least and the most.
        load_aware: Weight of the requests waiting on a fixed scale of 128.
        active_request: Weight of this gateway's requests in flight, against the most of them.
        token_load: Weight of the prompt tokens in flight from this gateway, on a scale of 4194304.
        session: Weight of being the node that served the tenant last.
        no_hit_lru: Weight of having waited longest for a prompt that no node knew.
        stale_after_s: Age from which a node's telemetry is not believed any more, and the node
            counts as saturated, in seconds. llm-d says 0.2 s, and asks each 50 ms; set it to a few
            intervals of the health checker.
    """

    queue: float = 2.0
    kv: float = 2.0
    prefix: float = 3.0
    running: float = 0.0
    load_aware: float = 0.0
    active_request: float = 0.0
    token_load: float = 0.0
    session: float = 0.0
    no_hit_lru: float = 0.0
    stale_after_s: float = 60.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 0.0:
                msg = f"{field.name.removesuffix('_s')} cannot be negative: use 0 or more"
                raise ValueError(msg)


class LlmD:
    """The highest weighted sum of scorers, after llm-d's endpoint picker.

    Rule: the sum of weight x score, each score from 0 to 1; equal sums are drawn at random. Of
    telemetry: queue and running (most - own) / (most - least), all equal 1; kv 1 - usage;
    load_aware 0.5 (1 - min(queue, 128) / 128). Of this gateway's own traffic: prefix, blocks known
    / blocks of the prompt; active_request (most - own) / most, idle 1; token_load 1 - tokens /
    4194304; session, the tenant's last node; no_hit_lru, rank by the time since the last prompt
    that no node knew. A node without telemetry, or with telemetry older than stale_after, scores 0
    in what goes by it. Cost: O(n), about 0.6 us a node, 0.9 us with prompts. Example: queues 4, 0,
    2, cache in use 50, 20, 80 %, blocks known 8, 0, 4 of 8: with 2, 2, 3 the sums are 0 + 1.0 + 3 =
    4.0, 2 + 1.6 + 0 = 3.6 and 1 + 0.4 + 1.5 = 2.9, so the first. Failure: between two probes, nodes
    that looked idle get everything but for the prefix; a node that fails fast looks idle. Source:
    llm-d and the Kubernetes Gateway API Inference Extension as of late 2026; the default weights
    are those of llm-d's chart.
    """

    def __init__(self, context: GatewayContext, settings: LlmDSettings) -> None:
        self._prefixes = context.prefixes
        self._clock = context.clock
        self._rng = context.rng
        self._stale_after_s = settings.stale_after_s
        self._tokens = TokenLoad()
        self._session = Session()
        self._no_hit = NoHitLru(context.rng)
        every: list[tuple[float, Scorer]] = [
            (settings.queue, queue),
            (settings.kv, kv),
            (settings.prefix, prefix),
            (settings.running, running),
            (settings.load_aware, load_aware),
            (settings.active_request, active_request),
            (settings.token_load, self._tokens),
            (settings.session, self._session),
            (settings.no_hit_lru, self._no_hit),
        ]
        self._scorers = [(weight, scorer) for weight, scorer in every if weight]
        used = [scorer for _, scorer in self._scorers]
        self._matching = prefix in used or self._no_hit in used
        self._learning = [
            part for part in (self._tokens, self._session, self._no_hit) if part in used
        ]

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return a node with the highest sum."""
        sums = self.sums(fleet, candidates.positions, request)
        best = max(sums)
        ties = [
            position
            for position, total in zip(candidates.positions, sums, strict=True)
            if total == best
        ]
        return ties[0] if len(ties) == 1 else any_of(ties, self._rng)

    def sums(
        self, fleet: Fleet, positions: Sequence[int], request: InferenceRequest
    ) -> list[float]:
        """Return the weighted sum of the scores of each node."""
        oldest_s = self._clock.now() - self._stale_after_s
        records = [
            record
            if (record := fleet.records[position]) is not None and record.telemetry_s >= oldest_s
            else None
            for position in positions
        ]
        matches = self._prefixes.matches(request) if self._matching else {}
        view = View(fleet, positions, request, records, matches)
        sums = [0.0] * len(positions)
        for weight, scorer in self._scorers:
            sums = [total + weight * score for total, score in zip(sums, scorer(view), strict=True)]
        return sums

    def on_start(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Learn where a request is sent."""
        for part in self._learning:
            part.started(target, request)

    def on_complete(
        self, target: RouteTarget, request: InferenceRequest, outcome: str, latency_s: float
    ) -> None:
        """Learn that a request has ended."""
        if self._tokens in self._learning:
            self._tokens.ended(target, request)
