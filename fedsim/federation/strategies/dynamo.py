"""The cost of prompt work and cache blocks, as NVIDIA Dynamo's router weighs them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import exp

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import InferenceRequest, NodeId, RouteTarget
from fedsim.federation.fleet import Fleet
from fedsim.federation.prefixes import depth_of
from fedsim.federation.runtime import Random
from fedsim.federation.strategies.base import Candidates


@dataclass(frozen=True, slots=True)
class DynamoKvSettings:
    """Weights of the cost, and how strictly the cheapest node is taken.

    Attributes:
        prefill_load_scale: Weight of a block of prompt to be computed against one held while
            tokens are generated.
        overlap_credit: Share of a block's cost that is saved where the node has it in its cache.
        active_request: Cost of each request in flight, in blocks.
        temperature: 0 takes the lowest cost; above it, nodes are drawn by their cost.
        prefill_rate_tps: Prompt tokens that a node is taken to compute in a second, after
            which they do not count any more as prompt work under way. Dynamo learns of each first
            token instead.
    """

    prefill_load_scale: float = 1.0
    overlap_credit: float = 1.0
    active_request: float = 0.0
    temperature: float = 0.0
    prefill_rate_tps: float = 10_000.0

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 0.0:
                msg = f"{field.name} cannot be negative: use 0 or more"
                raise ValueError(msg)
        if not self.prefill_rate_tps:
            msg = "prefill_rate_tps cannot be 0: use a positive number"
            raise ValueError(msg)


class Worker:
    """What is under way on a node from this gateway.

    Attributes:
        blocks: The distinct blocks of the requests in flight, and how many of them have each.
        requests: Requests in flight.
        backlog_tokens: Prompt tokens to be computed, as of *drained_s*.
        drained_s: When the backlog was last worked out, in seconds.
    """

    __slots__ = ("backlog_tokens", "blocks", "drained_s", "requests")

    def __init__(self) -> None:
        self.blocks: dict[int, int] = {}
        self.requests = 0
        self.backlog_tokens = 0.0
        self.drained_s = 0.0

    def drain(self, now_s: float, tokens_per_s: float) -> float:
        """Return the prompt tokens that are left to compute at *now_s*."""
        done = (now_s - self.drained_s) * tokens_per_s
        self.backlog_tokens = max(0.0, self.backlog_tokens - done) if self.requests else 0.0
        self.drained_s = now_s
        return self.backlog_tokens

    def start(self, request: InferenceRequest, new_tokens: float) -> None:
        """Count a request."""
        blocks = self.blocks
        for block in request.blocks:
            blocks[block] = blocks.get(block, 0) + 1
        self.requests += 1
        self.backlog_tokens += new_tokens

    def end(self, request: InferenceRequest) -> None:
        """Uncount a request."""
        blocks = self.blocks
        for block in request.blocks:
            left = blocks[block] - 1
            if left:
                blocks[block] = left
            else:
                del blocks[block]
        self.requests -= 1


def cost(
    settings: DynamoKvSettings, prefill: float, hits: int, decode: float, requests: int
) -> float:
    """Return what a node costs, in blocks.

    Args:
        settings: The weights.
        prefill: Blocks of prompts to be computed, with this one and those under way.
        hits: Blocks of this prompt that are in the node's cache.
        decode: Distinct blocks of the requests in flight and of this one.
        requests: Requests in flight.
    """
    left = max(0.0, prefill - settings.overlap_credit * hits)
    return settings.prefill_load_scale * left + decode + settings.active_request * requests


def draw(costs: Sequence[float], temperature: float, rng: Random) -> int:
    """Return the index of the lowest cost, or one drawn by a softmax where *temperature* > 0.

    Equal lowest costs are drawn evenly. Above 0 the costs are divided by their range, and an index
    has the weight exp(-cost / range / temperature).
    """
    least = min(costs)
    width = max(costs) - least
    if temperature and width:
        weights = [exp((least - cost) / width / temperature) for cost in costs]
        mark = rng.random() * sum(weights)
        for index, weight in enumerate(weights):
            mark -= weight
            if mark < 0.0:
                return index
        return len(costs) - 1
    ties = [index for index, cost in enumerate(costs) if cost == least]
    return ties[0] if len(ties) == 1 else ties[int(rng.random() * len(ties))]


class DynamoKv:
    """The node where prompt work and cache blocks cost least, after Dynamo's KV router.

    Rule: cost = prefill_load_scale x max(0, prompt blocks under way + blocks of this prompt -
    overlap_credit x blocks of it in the node's cache) + distinct blocks of the requests in flight
    with this one + active_request x requests in flight; the lowest is taken, equal ones are drawn
    (Dynamo's own draw cannot be seeded). A temperature above 0 draws with weight exp(-cost / range
    / temperature). Only what this gateway sent is known, and blocks are its prompts' alone. Cost:
    O(n), about 1.3 us a node, and 0.15 us a block of each request that starts and ends. Example: a
    prompt of 10 blocks, with 10, 5 and 9 blocks in flight and 2, 5 and 8 blocks of it in the cache
    but not in flight: 8 + 20 = 28, 5 + 15 = 20, 2 + 19 = 21, so the second. Failure: a node that
    fails fast has nothing under way and attracts traffic until the breaker opens; after a restart
    it is still thought to have its cache. Source: NVIDIA Dynamo 1.6.1, KV router.
    """

    def __init__(self, context: GatewayContext, settings: DynamoKvSettings) -> None:
        self._prefixes = context.prefixes
        self._clock = context.clock
        self._rng = context.rng
        self._settings = settings
        self._workers: dict[NodeId, Worker] = {}
        self._chosen: tuple[str, int] | None = None

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the node with the lowest cost."""
        hits = self._prefixes.matches(request)
        costs = self._costs(fleet, candidates.positions, request, hits)
        position = candidates.positions[draw(costs, self._settings.temperature, self._rng)]
        self._chosen = (request.request_id, hits.get(fleet.node_ids[position], 0))
        return position

    def _costs(
        self,
        fleet: Fleet,
        positions: Sequence[int],
        request: InferenceRequest,
        hits: Mapping[NodeId, int],
    ) -> list[float]:
        settings, now_s = self._settings, self._clock.now()
        blocks, block_tokens = request.blocks, request.block_tokens or 1
        node_ids, in_flight, workers = fleet.node_ids, fleet.in_flight, self._workers
        total, shared = len(blocks), 0
        costs = []
        for position in positions:
            node_id = node_ids[position]
            worker = workers.get(node_id)
            prefill = decode = float(total)
            if worker is not None and worker.requests:
                prefill += worker.drain(now_s, settings.prefill_rate_tps) / block_tokens
                shared = depth_of(worker.blocks, blocks, shared)
                decode += len(worker.blocks) - shared
            costs.append(cost(settings, prefill, hits.get(node_id, 0), decode, in_flight[position]))
        return costs

    def on_start(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Count a request, and the part of its prompt that the node has to compute."""
        chosen, self._chosen = self._chosen, None
        known = chosen[1] if chosen is not None and chosen[0] == request.request_id else 0
        worker = self._workers.setdefault(target.node_id, Worker())
        worker.drain(self._clock.now(), self._settings.prefill_rate_tps)
        worker.start(request, (len(request.blocks) - known) * request.block_tokens)

    def on_complete(
        self, target: RouteTarget, request: InferenceRequest, outcome: str, latency_s: float
    ) -> None:
        """Uncount a request."""
        self._workers[target.node_id].end(request)
