"""The benchmark world with parts of the federation left out, to see what each part costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from benchmarks.choice import LeastConnections
from benchmarks.world import Variant, default_federation
from fedsim.federation.contracts import (
    GatewayStats,
    InferenceRequest,
    InferenceResponse,
    LoadBalanceStrategy,
    RouteTarget,
    TokenStream,
)
from fedsim.federation.policies import DEFAULT_POLICIES
from fedsim.world.world import Site


class Direct:
    """What is left of a gateway when it only chooses a node and sends: no federation at all."""

    def __init__(self, site: Site) -> None:
        self._transport = site.transport
        self._targets = [
            RouteTarget(deployment.node_id, deployment.region_id)
            for deployment in site.catalog.deployments()
        ]
        nodes = len(self._targets)
        turn = int(site.random_for("turns").random() * nodes)
        self._balancer = LeastConnections(nodes, turn)

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        """Send *request* to one of the least loaded nodes."""
        node = self._balancer.select()
        response = await self._transport.send(self._targets[node], request)
        self._balancer.in_flight[node] -= 1
        return response

    async def infer_stream(self, request: InferenceRequest) -> TokenStream:
        """Refuse: the benchmark world has no streams of tokens."""
        raise NotImplementedError

    def stats(self) -> GatewayStats:
        """Return nothing of interest."""
        return GatewayStats(0, 0, 0, 0, 0.0, 0)


class Unrecorded:
    """An observer that keeps nothing."""

    def request_arrived(self, **_: object) -> int:
        """Return the same row for all."""
        return 0

    def attempt_started(self, **_: object) -> int:
        """Return the same row for all."""
        return 0

    def ignore(self, *_: object, **__: object) -> None:
        """Do nothing."""

    turn_taken = request_finished = request_cost_added = attempt_finished = ignore
    node_sampled = event = node_totals = candidate_considered = ignore


def _steps() -> Mapping[str, Variant]:
    """Return variants each of which has one part more than the one before."""
    full = default_federation()
    nothing = replace(full.config, timeout=None, retries=None)
    bare = replace(full, policies={}, health=None, circuit_breaker=None, config=nothing)
    retries = replace(bare, config=replace(nothing, retries=full.config.retries))
    timeout = replace(retries, config=full.config)
    breaker = replace(timeout, circuit_breaker=full.circuit_breaker)
    health = replace(breaker, health=full.health)
    return {
        "kernel and world": Variant(bare, Direct, Unrecorded()),
        "records and tables": Variant(bare, Direct),
        "gateway and router": Variant(bare),
        "retries": Variant(retries),
        "deadlines": Variant(timeout),
        "circuit breaker": Variant(breaker),
        "health checks": Variant(health),
        "six policies": Variant(full),
    }


def _without_policy(name: str) -> Variant:
    policies = {other: value for other, value in DEFAULT_POLICIES.items() if other != name}
    return Variant(replace(default_federation(), policies=policies))


STEPS = _steps()
"""From the bare world to the full one, a part at a time."""

WITHOUT_POLICY = {name: _without_policy(name) for name in DEFAULT_POLICIES}
"""The full world but for one policy."""

STRATEGIES = {
    strategy.value: Variant(replace(default_federation(), strategy=strategy.value))
    for strategy in LoadBalanceStrategy
}
"""The full world with each of the strategies."""
