"""A weighted sum of scorers, as llm-d's endpoint picker uses them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Protocol

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import InferenceRequest, NodeId, RouteTarget
from fedsim.federation.fleet import Fleet
from fedsim.federation.health import NodeRecord
from fedsim.federation.strategies.base import Candidates

LOAD_SCALE_REQUESTS = 128
"""Waiting requests from which on the load-aware score is 0."""

TOKEN_SCALE = 4_194_304
"""Tokens in flight at which the token-load score is 0."""

SESSIONS = 65_536
"""Sessions whose node is remembered before the oldest is forgotten."""


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


class View:
    """What the scorers see of a decision.

    Attributes:
        fleet: The nodes.
        positions: Those to choose from.
        request: The request.
        records: What is known of each, None where its telemetry is stale or missing.
        matches: Blocks of the prompt that each node has, of those that have any.
    """

    __slots__ = ("fleet", "matches", "positions", "records", "request")

    def __init__(
        self,
        fleet: Fleet,
        positions: Sequence[int],
        request: InferenceRequest,
        records: list[NodeRecord | None],
        matches: Mapping[NodeId, int],
    ) -> None:
        self.fleet = fleet
        self.positions = positions
        self.request = request
        self.records = records
        self.matches = matches


def between(values: Sequence[float | None]) -> list[float]:
    """Return 1 for the least, 0 for the most, linear between; all 1 where equal, None gives 0."""
    known = [value for value in values if value is not None]
    least, most = min(known, default=0), max(known, default=0)
    width = most - least
    return [
        0.0 if value is None else 1.0 if not width else (most - value) / width for value in values
    ]


def queue(view: View) -> list[float]:
    """Score the requests that wait: 1 for the fewest, 0 for the most."""
    return between([None if record is None else record.queue_depth for record in view.records])


def running(view: View) -> list[float]:
    """Score the requests that run: 1 for the fewest, 0 for the most."""
    return between([None if record is None else record.running for record in view.records])


def kv(view: View) -> list[float]:
    """Score the free share of the cache; a node that has no cache counts as an empty one."""
    return [0.0 if record is None else 1.0 - (record.kv_usage or 0.0) for record in view.records]


def load_aware(view: View) -> list[float]:
    """Score the requests that wait, from 0.5 for none to 0 for 128."""
    scale = LOAD_SCALE_REQUESTS
    return [
        0.0 if record is None else 0.5 * (1.0 - min(record.queue_depth, scale) / scale)
        for record in view.records
    ]


def prefix(view: View) -> list[float]:
    """Score the share of the prompt's blocks that a node has."""
    if not view.matches:
        return [0.0] * len(view.positions)
    node_ids, matches, total = view.fleet.node_ids, view.matches, len(view.request.blocks)
    return [matches.get(node_ids[position], 0) / total for position in view.positions]


def active_request(view: View) -> list[float]:
    """Score this gateway's requests in flight: 1 for none, 0 for the most."""
    in_flight = view.fleet.in_flight
    loads = [in_flight[position] for position in view.positions]
    most = max(loads)
    return [1.0 if load == 0 else (most - load) / most for load in loads]


class Scorer(Protocol):
    """Scores all nodes of a decision, each from 0 to 1, higher being better."""

    def __call__(self, view: View) -> list[float]:
        """Return a score for each of ``view.positions``."""
        ...


class TokenLoad:
    """Scores the prompt tokens in flight from this gateway."""

    def __init__(self) -> None:
        self.tokens: dict[NodeId, int] = {}

    def __call__(self, view: View) -> list[float]:
        """Return 1 for no tokens, 0 for 4194304."""
        node_ids, tokens = view.fleet.node_ids, self.tokens
        return [
            max(0.0, 1.0 - tokens.get(node_ids[position], 0) / TOKEN_SCALE)
            for position in view.positions
        ]

    def started(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Count the tokens of a request."""
        self._add(target.node_id, len(request.blocks) * request.block_tokens)

    def ended(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Uncount them."""
        self._add(target.node_id, -len(request.blocks) * request.block_tokens)

    def _add(self, node_id: NodeId, tokens: int) -> None:
        self.tokens[node_id] = self.tokens.get(node_id, 0) + tokens


class Session:
    """Scores the node to which the tenant was sent last; llm-d reads it from a header."""

    def __init__(self) -> None:
        self._nodes: dict[str, NodeId] = {}

    def __call__(self, view: View) -> list[float]:
        """Return 1 for that node, 0 for all others."""
        node_id = self._nodes.get(view.request.tenant_id or "")
        node_ids = view.fleet.node_ids
        return [float(node_ids[position] == node_id) for position in view.positions]

    def started(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Remember the node of a tenant."""
        tenant = request.tenant_id
        if tenant:
            self._nodes.pop(tenant, None)
            self._nodes[tenant] = target.node_id
            if len(self._nodes) > SESSIONS:
                del self._nodes[next(iter(self._nodes))]


class NoHitLru:
    """Scores how long ago a node was sent a prompt that no node knew, so that these spread."""

    def __init__(self) -> None:
        self._used: dict[NodeId, None] = {}
        self._cold = False

    def __call__(self, view: View) -> list[float]:
        """Return 1 for the node that waits longest down to 0; 0.5 for all where any has a match."""
        self._cold = not view.matches
        count = len(view.positions)
        if not self._cold:
            return [0.5] * count
        if count == 1:
            return [1.0]
        node_ids = [view.fleet.node_ids[position] for position in view.positions]
        eligible = dict.fromkeys(node_ids)
        waited = [node_id for node_id in node_ids if node_id not in self._used]
        waited += [node_id for node_id in self._used if node_id in eligible]
        ranks = {node_id: rank for rank, node_id in enumerate(waited)}
        return [1.0 - ranks[node_id] / (count - 1) for node_id in node_ids]

    def started(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Remember that the node was sent what no node knew."""
        if self._cold:
            self._used.pop(target.node_id, None)
            self._used[target.node_id] = None


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
    llm-d and the Kubernetes Gateway API Inference Extension; the default weights are those of
    llm-d's chart.
    """

    def __init__(self, context: GatewayContext, settings: LlmDSettings) -> None:
        self._prefixes = context.prefixes
        self._clock = context.clock
        self._rng = context.rng
        self._stale_after_s = settings.stale_after_s
        self._tokens = TokenLoad()
        self._session = Session()
        self._no_hit = NoHitLru()
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
        return ties[0] if len(ties) == 1 else ties[int(self._rng.random() * len(ties))]

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
