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
    """A router that says what its last decision rests on."""

    def considered(self, request: InferenceRequest) -> list[RouteCandidate]:
        """Return the candidates of the decision on *request*, which was made just now.

        A score that the decision did not use is NaN.
        """
        ...


class DecisionObserver(Protocol):
    """Called with each decision of a gateway, before anything that it rests on has changed."""

    async def decided(
        self,
        request: InferenceRequest,
        excluded: Sequence[NodeId],
        decision: RouteTarget | FederationError,
        router: RouterTrait,
        health: HealthCheckerTrait | None,
        breaker: CircuitBreakerTrait | None,
    ) -> None:
        """Called right after a decision.

        Args:
            request: The request.
            excluded: The nodes tried before.
            decision: The node chosen, or why there is none.
            router: The router that decided; nothing has been sent since.
            health: The gateway's health checker.
            breaker: The gateway's circuit breaker.
        """
        ...
