"""Stands between the federation and routers that do nothing but choose among nodes."""

from __future__ import annotations

from collections.abc import Sequence

from fedsim.federation.catalog import DeploymentSource
from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import InferenceRequest, NodeId, RouteCandidate, RouteTarget
from fedsim.federation.fleet import Fleet
from fedsim.federation.router import Router
from fedsim.federation.strategies.base import Candidates


class Chooser:
    """The part of a router that is not the choice: who may serve, and how many are in flight.

    Who may serve is worked out as for our own strategies: capability and status, policies, circuit
    breaker, health. So a policy that knows nothing of privacy breaks none.

    A subclass has ``route``, and ``route_excluding`` if other nodes can be left out on a retry.

    Attributes:
        context: What the gateway gives its plug-ins.
        fleet: The nodes as this gateway knows them.
    """

    def __init__(self, context: GatewayContext) -> None:
        if not isinstance(context.catalog, DeploymentSource):
            msg = "a router of another project needs a catalog that announces its deployments"
            raise TypeError(msg)
        self.context = context
        self._router = Router(
            context.catalog,
            _Nobody(),
            context.clock,
            context.region,
            context.rng,
            getattr(context.health, "checker", context.health),
            context.breaker,
            context.policies,
        )
        self.fleet = self._router.fleet

    def eligible(self, request: InferenceRequest, excluded: Sequence[NodeId] = ()) -> Candidates:
        """Return the nodes that may serve, none of *excluded* as long as there are others.

        Raises:
            FederationError: There is none, and this is why.
        """
        return self._router.eligible(request, excluded)

    def node_ids(self, candidates: Candidates) -> list[NodeId]:
        """Return the nodes that may be chosen, in the order of the catalog."""
        return [self.fleet.node_ids[position] for position in candidates.positions]

    def target(self, node_id: NodeId, request: InferenceRequest) -> RouteTarget:
        """Return the chosen node as a target."""
        return self.fleet.target(self.fleet.positions[node_id], request)

    async def get_candidates(self, request: InferenceRequest) -> list[RouteCandidate]:
        """Return every node with our scores and, where it may not serve, the reason."""
        return await self._router.get_candidates(request)

    def on_start(self, target: RouteTarget, request: InferenceRequest) -> None:
        """Count a request that the gateway is about to send."""
        self._router.on_start(target, request)

    def on_complete(
        self, target: RouteTarget, request: InferenceRequest, outcome: str, latency_s: float
    ) -> None:
        """Uncount a request that has ended, in whatever way."""
        self._router.on_complete(target, request, outcome, latency_s)


class _Nobody:
    """The strategy of a router that is only asked who may serve."""

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Choose no node."""
        raise NotImplementedError
