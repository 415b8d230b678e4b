"""The gateway: the entry point for requests, with deadlines, retries, middleware and reports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fedsim.federation.config import GatewayConfig
from fedsim.federation.contracts import (
    AllNodesUnhealthy,
    CircuitBreakerTrait,
    CircuitOpen,
    CircuitState,
    FederationError,
    GatewayMiddleware,
    GatewayStats,
    HealthCheckerTrait,
    InferenceRequest,
    InferenceResponse,
    Internal,
    NoCapacity,
    NodeId,
    NodeUnreachable,
    RouterTrait,
    RouteTarget,
    Timeout,
    TokenStream,
)
from fedsim.federation.retries import RetryBudget, backoff_s
from fedsim.federation.runtime import Clock, Random, Tasks, Transport
from fedsim.federation.streams import GatewayStream

COUNTED = (Internal, NodeUnreachable, Timeout)
"""Errors of an attempt that lie with the node: breaker and health checker count them."""

_RETRYABLE_ATTEMPTS = (*COUNTED, NoCapacity, CircuitOpen)
_RETRYABLE_ROUTES = (AllNodesUnhealthy, CircuitOpen)


class Gateway:
    """Serves requests through a federation.

    A request passes the middleware, is routed, sent and reported; an attempt that fails for a
    reason that another node need not have is tried again elsewhere, after a backoff. Errors that a
    retry cannot mend (no capacity at all, privacy, quality of service, the request's own deadline)
    end it at once. `stats` adds up: total = successful + failed + in progress, plus streams that
    were cancelled.
    """

    def __init__(
        self,
        router: RouterTrait,
        transport: Transport,
        clock: Clock,
        tasks: Tasks,
        rng: Random,
        health: HealthCheckerTrait | None = None,
        breaker: CircuitBreakerTrait | None = None,
        middlewares: Sequence[GatewayMiddleware] = (),
        config: GatewayConfig | None = None,
    ) -> None:
        self.router = router
        self.health = health
        self.breaker = breaker
        self._transport = transport
        self._clock = clock
        self._tasks = tasks
        self._rng = rng
        self._middlewares = tuple(middlewares)
        self._config = config or GatewayConfig()
        timeout, retries = self._config.timeout, self._config.retries
        self._attempt_s = timeout.attempt_s if timeout else None
        self._request_s = timeout.request_s if timeout else None
        self._retries = retries
        budget = retries.budget if retries else None
        self._budget = None if budget is None else RetryBudget(budget, clock)
        self._on_start: Callable[..., Any] = getattr(router, "on_start", _ignore)
        self._on_first_token: Callable[..., Any] = getattr(router, "on_first_token", _ignore)
        self._on_complete: Callable[..., Any] = getattr(router, "on_complete", _ignore)
        self._route_excluding: Callable[..., Any] | None = getattr(router, "route_excluding", None)
        self._try_acquire: Callable[[NodeId], bool] | None = getattr(breaker, "try_acquire", None)
        self._release: Callable[[NodeId], None] = getattr(breaker, "release", _ignore)
        self._report_success: Callable[..., Any] = getattr(health, "report_success", _ignore)
        self._report_failure: Callable[..., Any] = getattr(health, "report_failure", _ignore)
        self._total = self._succeeded = self._failed = 0
        self._tokens = self._streams = 0
        self._latency_sum_s = 0.0

    # The contract

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        """Serve *request* and return the response, or raise the ``FederationError`` it ended in."""
        started_s = self._clock.now()
        self._total += 1
        try:
            request = self._before_route(request)
            response = await self._bounded(request, self._attempts(request, self._send))
            response = self._after_infer(request, response)
        except FederationError:
            self._failed += 1
            raise
        self._succeeded += 1
        self._latency_sum_s += self._clock.now() - started_s
        self._tokens += response.tokens or 0
        return response

    async def infer_stream(self, request: InferenceRequest) -> TokenStream:
        """Serve *request* token by token; the stream raises the ``FederationError`` it ends in."""
        started_s = self._clock.now()
        self._total += 1
        try:
            request = self._before_route(request)
            stream: GatewayStream = await self._bounded(
                request, self._attempts(request, self._open)
            )
        except FederationError:
            self._failed += 1
            raise
        stream.request_started_s = started_s
        self._streams += 1
        return stream

    def stats(self) -> GatewayStats:
        """Return the statistics so far."""
        succeeded = self._succeeded
        mean_s = self._latency_sum_s / succeeded if succeeded else 0.0
        return GatewayStats(
            self._total, succeeded, self._failed, self._tokens, mean_s, self._streams
        )

    # Attempts

    async def _bounded(self, request: InferenceRequest, work: Any) -> Any:
        """Await *work* within the request's deadline."""
        if self._request_s is None:
            return await work
        try:
            return await self._tasks.within(work, self._request_s)
        except TimeoutError:
            raise self.request_timeout(request) from None

    def request_timeout(self, request: InferenceRequest) -> Timeout:
        """Return the error of a request whose deadline has passed; the middleware is told."""
        assert self._request_s is not None
        error = Timeout(self._request_s)
        self._tell_middleware(request, error)
        return error

    async def _attempts(self, request: InferenceRequest, dispatch: Callable[..., Any]) -> Any:
        """Route and dispatch *request* until it is served or may not be tried again."""
        if self._budget is not None:
            self._budget.count_request()
        tried: list[NodeId] = []
        retry = 0
        failure: FederationError | None = None
        while True:
            target = None
            try:
                target = await self._route(request, tried)
                if isinstance(failure, NoCapacity) and target.node_id in tried:
                    raise failure  # the queue was full, and there is nowhere else to go
                return await self._attempt(target, request, dispatch)
            except FederationError as error:
                if error is not failure:
                    self._tell_middleware(request, error)
                failure = error
            retry += 1
            if not self._may_retry(failure, target, retry):
                raise failure
            await self._before_retry(failure, target, retry)
            if target is not None:
                tried.append(target.node_id)

    async def _route(self, request: InferenceRequest, tried: list[NodeId]) -> RouteTarget:
        if tried and self._route_excluding is not None:
            target: RouteTarget = await self._route_excluding(request, tuple(tried))
            return target
        return await self.router.route(request)

    def _may_retry(self, error: FederationError, target: RouteTarget | None, retry: int) -> bool:
        """Return whether another attempt may mend *error*, and limit and budget allow it."""
        retryable = _RETRYABLE_ROUTES if target is None else _RETRYABLE_ATTEMPTS
        if self._retries is None or not isinstance(error, retryable):
            return False
        if retry > self._retries.limit:
            return False
        return self._budget is None or self._budget.try_spend()

    async def _before_retry(
        self, error: FederationError, target: RouteTarget | None, retry: int
    ) -> None:
        """Wait the backoff; a node that was merely full is left for another at once."""
        if self._retries is not None and (target is None or not isinstance(error, NoCapacity)):
            await self._clock.sleep(backoff_s(self._retries, retry, self._rng))

    async def _attempt(
        self, target: RouteTarget, request: InferenceRequest, dispatch: Callable[..., Any]
    ) -> Any:
        """Send one attempt and report how it ended to router, breaker and health checker."""
        attempt = Attempt(self, target, request)
        try:
            result = await dispatch(attempt)
        except FederationError as error:
            attempt.ended(error)
            raise
        except BaseException:
            attempt.cancelled()
            raise
        return result

    async def _send(self, attempt: Attempt) -> InferenceResponse:
        work = self._transport.send(attempt.target, attempt.request)
        response: InferenceResponse = await self._within_attempt(work)
        attempt.succeeded()
        return response

    async def _open(self, attempt: Attempt) -> GatewayStream:
        work = self._transport.open_stream(attempt.target, attempt.request)
        return GatewayStream(self, attempt, await self._within_attempt(work))

    async def _within_attempt(self, work: Any) -> Any:
        if self._attempt_s is None:
            return await work
        try:
            return await self._tasks.within(work, self._attempt_s)
        except TimeoutError:
            raise Timeout(self._attempt_s) from None

    # Streams

    async def next_of(self, stream: GatewayStream) -> bytes | None:
        """Return the next token of the transport's stream.

        Raises:
            TimeoutError: The request's deadline has passed.
        """
        if self._request_s is None:
            return await stream.source.next_token()
        left_s = stream.request_started_s + self._request_s - self._clock.now()
        return await self._tasks.within(stream.source.next_token(), max(left_s, 0.0))

    def stream_ended(self, stream: GatewayStream, error: FederationError | None) -> None:
        """Count a stream that was served to its end, or failed."""
        self._streams -= 1
        self._tokens += stream.tokens
        if error is None:
            self._succeeded += 1
            self._latency_sum_s += self._clock.now() - stream.request_started_s
        else:
            self._failed += 1

    def stream_cancelled(self, stream: GatewayStream) -> None:
        """Count a stream that its reader cancelled."""
        self._streams -= 1
        self._tokens += stream.tokens

    # Middleware

    def _before_route(self, request: InferenceRequest) -> InferenceRequest:
        try:
            for middleware in self._middlewares:
                request = middleware.before_route(request) or request
        except FederationError as error:
            self._tell_middleware(request, error)
            raise
        return request

    def _after_infer(
        self, request: InferenceRequest, response: InferenceResponse
    ) -> InferenceResponse:
        try:
            for middleware in self._middlewares:
                response = middleware.after_infer(request, response) or response
        except FederationError as error:
            self._tell_middleware(request, error)
            raise
        return response

    def _tell_middleware(self, request: InferenceRequest, error: FederationError) -> None:
        for middleware in self._middlewares:
            middleware.on_error(request, error)


class Attempt:
    """One request on its way to one node; reports exactly once how it ended.

    Attributes:
        target: The node.
        request: The request.
    """

    __slots__ = ("_ended", "_gateway", "_probe", "_sent_s", "request", "target")

    def __init__(self, gateway: Gateway, target: RouteTarget, request: InferenceRequest) -> None:
        self._gateway = gateway
        self.target = target
        self.request = request
        self._probe = self._acquire(target.node_id)
        self._ended = False
        self._sent_s = gateway._clock.now()
        gateway._on_start(target, request)

    def _acquire(self, node_id: NodeId) -> bool:
        """Ask the breaker, and return whether the attempt is one of its probes."""
        gateway = self._gateway
        if gateway._try_acquire is None or gateway.breaker is None:
            return False
        probe = gateway.breaker.state(node_id) is CircuitState.HALF_OPEN
        if not gateway._try_acquire(node_id):
            raise CircuitOpen(node_id)
        return probe

    def first_token(self) -> None:
        """Report that the first token has come."""
        self._gateway._on_first_token(self.target, self.request)

    def succeeded(self) -> None:
        """Report that the node served the request."""
        gateway, node_id = self._gateway, self.target.node_id
        latency_s = self._end("ok")
        if gateway.breaker is not None:
            gateway.breaker.record_success(node_id)
        gateway._report_success(node_id, latency_s)

    def ended(self, error: FederationError) -> None:
        """Report that the attempt failed; only what lies with the node counts against it."""
        gateway, node_id = self._gateway, self.target.node_id
        self._end(error.kind)
        if isinstance(error, COUNTED):
            if gateway.breaker is not None:
                gateway.breaker.record_failure(node_id)
            gateway._report_failure(node_id)

    def cancelled(self) -> None:
        """Report that nobody waits for the attempt any more; that counts against nobody."""
        if not self._ended:
            self._end("cancelled")

    def _end(self, outcome: str) -> float:
        gateway = self._gateway
        self._ended = True
        latency_s = gateway._clock.now() - self._sent_s
        if self._probe:
            gateway._release(self.target.node_id)
        gateway._on_complete(self.target, self.request, outcome, latency_s)
        return latency_s


def _ignore(*_: object) -> None:
    """Stand in for a hook that a plug-in does not have."""
