"""The reference's gateway: four attempts, wherever the router leads each time."""

from __future__ import annotations

from collections.abc import Sequence

from fedsim.federation.capabilities import Settles, bind
from fedsim.federation.contracts import (
    CircuitBreakerTrait,
    CircuitOpen,
    FederationError,
    GatewayMiddleware,
    GatewayStats,
    InferenceRequest,
    InferenceResponse,
    Internal,
    NodeId,
    RouterTrait,
    RouteTarget,
    TokenStream,
)
from fedsim.federation.decisions import DecisionObserver
from fedsim.federation.reference.config import ReferenceRetries
from fedsim.federation.reference.durations import milliseconds
from fedsim.federation.reference.health import ReferenceHealth
from fedsim.federation.reference.streams import ReferenceStream
from fedsim.federation.runtime import Clock, Transport


class ReferenceGateway:
    """Serves requests as the reference does.

    Every error is tried again, and counts against the node that it came from, whatever its kind.
    After the n-th failed attempt it waits n times 100 ms; where there was no route, it does not
    wait. No node is left out for having been tried, nothing has a deadline, and a request that
    fails ends in the error of its last attempt, which need not be the cause.
    """

    def __init__(
        self,
        router: RouterTrait,
        transport: Transport,
        clock: Clock,
        health: ReferenceHealth,
        breaker: CircuitBreakerTrait,
        middlewares: Sequence[GatewayMiddleware] = (),
        retries: ReferenceRetries | None = None,
        decisions: DecisionObserver | None = None,
    ) -> None:
        self.router = router
        self.health = health
        self.breaker = breaker
        self._transport = transport
        self._clock = clock
        self._middlewares = tuple(middlewares)
        self._retries = retries or ReferenceRetries()
        self._decisions = decisions
        self._total = self._succeeded = self._failed = 0
        self._tokens = self._streams = 0
        self._latency_sum_ms = 0

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        """Serve *request* and return the response, or raise the error of the last attempt.

        An error of a middleware ends it at once; before routing it counts neither as a success nor
        as a failure, and after the response the request has been counted as a success.
        """
        self._total += 1
        for middleware in self._middlewares:
            request = middleware.before_route(request) or request
        failure: FederationError = Internal("All retries exhausted")
        for attempt in range(self._retries.limit + 1):
            try:
                target = await self._route(request)
            except FederationError as error:
                failure = error
                continue
            if self.breaker.is_open(target.node_id):
                failure = CircuitOpen(target.node_id)
                continue
            sent_s = self._clock.now()
            try:
                response = await self._transport.send(target, request)
            except FederationError as error:
                failure = error
            else:
                latency_s = self._clock.now() - sent_s
                return self._served(request, target.node_id, response, latency_s)
            self._not_served(request, target.node_id, failure)
            if attempt < self._retries.limit:
                await self._clock.sleep(self._retries.backoff_s * (attempt + 1))
        self._failed += 1
        raise failure

    async def _route(self, request: InferenceRequest) -> RouteTarget:
        if self._decisions is None:
            return await self.router.route(request)
        decision: RouteTarget | FederationError
        try:
            decision = await self.router.route(request)
        except FederationError as error:
            decision = error
        await self._decisions.decided(request, (), decision, self.router, self.health, self.breaker)
        if isinstance(decision, FederationError):
            raise decision
        return decision

    def _served(
        self,
        request: InferenceRequest,
        node_id: NodeId,
        response: InferenceResponse,
        latency_s: float,
    ) -> InferenceResponse:
        self.health.report_success(node_id, latency_s)
        self.breaker.record_success(node_id)
        self._succeeded += 1
        self._latency_sum_ms += milliseconds(latency_s)
        self._tokens += response.tokens or 0
        for middleware in self._middlewares:
            response = middleware.after_infer(request, response) or response
        return response

    def _not_served(
        self, request: InferenceRequest, node_id: NodeId, failure: FederationError
    ) -> None:
        self.health.report_failure(node_id)
        self.breaker.record_failure(node_id)
        for middleware in self._middlewares:
            middleware.on_error(request, failure)

    async def infer_stream(self, request: InferenceRequest) -> TokenStream:
        """Serve *request* token by token: one route, no retry, no middleware, and no end counted.

        The stream counts as active from now on, forever.
        """
        self._total += 1
        self._streams += 1
        target = await self._route(request)
        source = await self._transport.open_stream(target, request)
        return ReferenceStream(source, target.node_id, self.health, self.breaker)

    def settle(self) -> None:
        """Report the changes of the breaker that were not reported yet."""
        bind(self.breaker, Settles).settle()

    def stats(self) -> GatewayStats:
        """Return the statistics so far; the mean latency is that of successful attempts alone."""
        succeeded = self._succeeded
        mean_ms = self._latency_sum_ms // succeeded if succeeded else 0
        return GatewayStats(
            self._total, succeeded, self._failed, self._tokens, mean_ms / 1000.0, self._streams
        )
