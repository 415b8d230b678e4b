"""The policies of gorgo-lb as routers: ``gorgo/<policy>``, such as ``gorgo/gorgo``.

gorgo weighs the round trip to a node, the tokens of a prompt that its cache lacks and the tokens
that wait there; the package also ports the routing policies of AIBrix. Needs gorgo-lb, extra
``gorgo``. Source: https://github.com/atoniolo76/GORGO, arXiv:2602.11688.
"""

from __future__ import annotations

import importlib
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fedsim.adapters.choosers import Chooser
from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import FederationError, InferenceRequest, NodeId, RouteTarget
from fedsim.federation.prefixes import CAPACITY_BLOCKS, PrefixIndex
from fedsim.federation.strategies.base import Candidates
from fedsim.kernel.foreign_globals import ForeignGlobals

ROUND_TRIPS_EVERY_S = 30.0
"""How often round trips are measured, in seconds; gorgo's own proxy asks for metrics as often."""

CACHE_TOKENS = 16 * CAPACITY_BLOCKS
"""Tokens that a node's cache is taken to hold; telemetry has only the share in use."""

SESSION_TOKENS = 256
"""Tokens of a prompt that policies look at themselves."""

_MODULES = ("gorgo.policy.base", "gorgo.policy.lb_aibrix", "gorgo.policy.gorgo")


class GorgoRouter(Chooser):
    """Lets one of gorgo's policies choose among the nodes that may serve.

    It is given what a gateway knows: its own requests in flight and their tokens, of its prompts
    the blocks that it has sent to each node, what nodes said of themselves at the last probe of its
    health checker, and round trips that it measures by a probe of each node every
    `ROUND_TRIPS_EVERY_S`. Counts of tokens come from the blocks of prompts; a request without
    blocks has none.

    Attributes:
        policy: The policy's name; set by `router`.
    """

    policy = "gorgo"

    def __init__(self, context: GatewayContext) -> None:
        super().__init__(context)
        gorgo: Any = importlib.import_module("gorgo")
        self._gorgo = gorgo
        self._choose = gorgo.get_policy(self.policy).fn
        self._weights = gorgo.make_default_store()
        self._cached = _Cached(context.prefixes)
        self._round_trip_s: dict[NodeId, float] = {}
        self._measuring = False
        self._tokens: dict[NodeId, int] = {}
        self._uncached_tokens: dict[NodeId, int] = {}
        self._started: dict[tuple[str, NodeId], list[tuple[int, int]]] = {}
        modules = [importlib.import_module(name) for name in _MODULES]
        rng = random.Random(int(context.rng.random() * 2**53))
        self._step = ForeignGlobals(modules, context.clock.now, rng)

    def route(self, request: InferenceRequest) -> RouteTarget:
        """Return the policy's choice."""
        return self.route_excluding(request, ())

    def route_excluding(self, request: InferenceRequest, excluded: Sequence[NodeId]) -> RouteTarget:
        """Return the policy's choice among the nodes that were not tried."""
        candidates = self.eligible(request, excluded)
        seen = self._seen(candidates, request)
        with self._step:
            decision = self._choose(seen)
        if not self._measuring:
            self._measuring = True
            self.context.tasks.spawn(self._measure(), "gorgo measures round trips")
        return self.target(decision.target, request)

    def on_start(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Count the tokens that wait at a node."""
        super().on_start(target, request)
        node_id, tokens = target.node_id, _tokens(request)
        uncached = max(0, tokens - self.context.prefixes.hit_tokens(node_id, request))
        self._started.setdefault((request.request_id, node_id), []).append((tokens, uncached))
        self._count(node_id, tokens, uncached)

    def on_complete(
        self, target: RouteTarget, request: InferenceRequest, outcome: str, latency_s: float
    ) -> None:
        """Uncount the tokens of a request that has ended."""
        super().on_complete(target, request, outcome, latency_s)
        key = (request.request_id, target.node_id)
        started = self._started[key]
        tokens, uncached = started.pop()
        if not started:
            del self._started[key]
        self._count(target.node_id, -tokens, -uncached)

    def _count(self, node_id: NodeId, tokens: int, uncached: int) -> None:
        self._tokens[node_id] = self._tokens.get(node_id, 0) + tokens
        self._uncached_tokens[node_id] = self._uncached_tokens.get(node_id, 0) + uncached

    def _seen(self, candidates: Candidates, request: InferenceRequest) -> Any:
        """Return what the policy is given of the nodes and the request."""
        fleet = self.fleet
        node_ids = self.node_ids(candidates)
        self._cached.request = request
        return self._gorgo.RouteContext(
            replica_urls=node_ids,
            metrics={node_id: self._snapshot(node_id) for node_id in node_ids},
            endpoints_queued_tokens=self._tokens,
            endpoints_queued_uncached_tokens=self._uncached_tokens,
            endpoints_inflight_requests=dict(zip(fleet.node_ids, fleet.in_flight, strict=True)),
            radix_trie=self._cached,
            token_ids=_token_ids(request),
            request_tokens=_tokens(request),
            hyperparameters=self._weights,
            affinity_key=request.tenant_id,
        )

    def _snapshot(self, node_id: NodeId) -> Any:
        known = (
            None if self.context.health is None else self.context.health.get_cached_health(node_id)
        )
        round_trip_s = self._round_trip_s.get(node_id, 0.0)
        if known is None:
            return self._gorgo.ReplicaSnapshot(
                num_running_reqs=0,
                num_queue_reqs=0,
                num_used_tokens=0,
                latency=round_trip_s,
                network_rtt=round_trip_s,
            )
        return self._gorgo.ReplicaSnapshot(
            num_running_reqs=known.running or 0,
            num_queue_reqs=known.queue_depth,
            num_used_tokens=round((known.kv_usage or 0.0) * CACHE_TOKENS),
            latency=round_trip_s,
            network_rtt=round_trip_s,
            gen_throughput=float(known.throughput),
            utilization=known.gpu_utilization or 0.0,
        )

    async def _measure(self) -> None:
        """Measure the round trip to each node, all at the same time, again and again."""
        context = self.context
        while context.probe is not None:
            for node_id in self.fleet.node_ids:
                context.tasks.spawn(self._measure_one(node_id), f"gorgo measures {node_id}")
            await context.clock.sleep(ROUND_TRIPS_EVERY_S)

    async def _measure_one(self, node_id: NodeId) -> None:
        context = self.context
        assert context.probe is not None
        sent_s = context.clock.now()
        try:
            await context.probe(node_id)
        except FederationError:
            return
        self._round_trip_s[node_id] = context.clock.now() - sent_s


class _Cached:
    """In place of gorgo's trie of prompts: what the gateway thinks is in the nodes' caches.

    The trie of the package never forgets; the gateway's index is bounded and forgets what was sent
    longest ago, as caches do.
    """

    def __init__(self, prefixes: PrefixIndex) -> None:
        self._prefixes = prefixes
        self.request: InferenceRequest | None = None

    def cached_prefix_lengths(
        self, seq: Sequence[int], endpoints: Sequence[NodeId]
    ) -> dict[NodeId, int]:
        """Return how many tokens of the request's prompt each node is thought to have."""
        request = self.request
        assert request is not None
        blocks = self._prefixes.matches(request)
        return {node_id: blocks.get(node_id, 0) * request.block_tokens for node_id in endpoints}


def router(choice: str, _directory: Path) -> type[GorgoRouter]:
    """Return the class of routers for a policy.

    Args:
        choice: The policy's name.
        _directory: The scenario's directory, where nothing is looked for.

    Raises:
        ImportError: gorgo-lb is not installed.
        ValueError: There is no such policy.
    """
    policies = importlib.import_module("gorgo.policy")
    name = policies.normalize_policy(choice)
    known = sorted(policies.POLICY_REGISTRY)
    if name not in known:
        msg = f"gorgo has no policy {choice!r}: use one of {', '.join(known)}"
        raise ValueError(msg)
    return type("GorgoRouter", (GorgoRouter,), {"policy": name, "__module__": __name__})


def _tokens(request: InferenceRequest) -> int:
    return len(request.blocks) * request.block_tokens


def _token_ids(request: InferenceRequest) -> list[int]:
    """Return numbers for the first tokens of a prompt, equal where the prompts are."""
    count = request.block_tokens
    if not count:
        return []
    blocks = request.blocks[: -(-SESSION_TOKENS // count)]
    return [block for block in blocks for _ in range(count)][:SESSION_TOKENS]
