"""What a gateway reports when it has decided where a request goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

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


@runtime_checkable
class ExplainsDecisions(Protocol):
    """A router that says on what its last decision rests."""

    def considered(self, request: InferenceRequest) -> list[RouteCandidate]:
        """Return the nodes of the decision on *request* that was made just now.

        A score that had no part in it is not a number.
        """
        ...


class DecisionObserver(Protocol):
    """Receives a gateway's decisions, while all that they rest on is still as it was."""

    async def decided(
        self,
        request: InferenceRequest,
        excluded: Sequence[NodeId],
        decision: RouteTarget | FederationError,
        router: RouterTrait,
        health: HealthCheckerTrait | None,
        breaker: CircuitBreakerTrait | None,
    ) -> None:
        """Record a decision that was made just now.

        Args:
            request: The request.
            excluded: The nodes tried before.
            decision: The node chosen, or why there is none.
            router: What decided; nothing has been sent since.
            health: What it may have known of nodes.
            breaker: The gateway's circuit breaker.
        """
        ...
