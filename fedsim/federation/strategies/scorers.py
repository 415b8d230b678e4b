"""Scorers of nodes, after those of llm-d's endpoint picker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from fedsim.federation.contracts import InferenceRequest, NodeId, RouteTarget
from fedsim.federation.fleet import Fleet
from fedsim.federation.health import NodeRecord
from fedsim.federation.runtime import Random
from fedsim.federation.scopes import Scope, scope_of

LOAD_SCALE_REQUESTS = 128
"""Waiting requests from which on the load-aware score is 0."""

TOKEN_SCALE = 4_194_304
"""Tokens in flight at which the token-load score is 0."""

SESSIONS = 65_536
"""Sessions whose node is remembered before the oldest is forgotten."""


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
    """Scores the node to which the tenant was sent last; llm-d reads it from a header.

    A tenant has a node for each capability and model, as llm-d has a picker for each pool of
    models.
    """

    def __init__(self) -> None:
        self._nodes: dict[tuple[Scope, str], NodeId] = {}

    def __call__(self, view: View) -> list[float]:
        """Return 1 for that node, 0 for all others."""
        request = view.request
        node_id = self._nodes.get((scope_of(request), request.tenant_id or ""))
        node_ids = view.fleet.node_ids
        return [float(node_ids[position] == node_id) for position in view.positions]

    def started(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Remember the node of a tenant."""
        tenant = request.tenant_id
        if tenant:
            session = scope_of(request), tenant
            self._nodes.pop(session, None)
            self._nodes[session] = target.node_id
            if len(self._nodes) > SESSIONS:
                del self._nodes[next(iter(self._nodes))]


class NoHitLru:
    """Scores how long ago a node was sent a prompt that no node knew, so that these spread.

    Nodes that never were come first, in the order of the catalog from one that is drawn, so that
    gateways which begin together do not begin with the same.

    Args:
        rng: Draws that one.
    """

    def __init__(self, rng: Random) -> None:
        self._start = rng.random()
        self._used: dict[NodeId, None] = {}
        self._cold = False

    def __call__(self, view: View) -> list[float]:
        """Return 1 for the node that waits longest down to 0; 0.5 for all where any has a match."""
        node_ids = [view.fleet.node_ids[position] for position in view.positions]
        count = len(node_ids)
        self._cold = not any(node_id in view.matches for node_id in node_ids)
        if not self._cold:
            return [0.5] * count
        if count == 1:
            return [1.0]
        eligible = dict.fromkeys(node_ids)
        start = int(self._start * count)
        in_turn = node_ids[start:] + node_ids[:start]
        waited = [node_id for node_id in in_turn if node_id not in self._used]
        waited += [node_id for node_id in self._used if node_id in eligible]
        ranks = {node_id: rank for rank, node_id in enumerate(waited)}
        return [1.0 - ranks[node_id] / (count - 1) for node_id in node_ids]

    def started(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Remember that the node was sent what no node knew."""
        if self._cold:
            self._used.pop(target.node_id, None)
            self._used[target.node_id] = None
