"""The gateway: the entry point for requests, with deadlines, retries, middleware and reports."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
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
from fedsim.federation.decisions import DecisionObserver
from fedsim.federation.prefixes import PrefixIndex
from fedsim.federation.retries import RetryBudget, backoff_s
from fedsim.federation.runtime import Clock, Random, Tasks, Transport
from fedsim.federation.streams import GatewayStream

COUNTED = (Internal, NodeUnreachable, Timeout)
"""Errors of an attempt that lie with the node: breaker and health checker count them."""

_RETRYABLE_ATTEMPTS = (*COUNTED, NoCapacity, CircuitOpen)
_RETRYABLE_ROUTES = (AllNodesUnhealthy, CircuitOpen)


class _DeadlinePassed(Exception):
    """The request's own deadline passed while it waited for something."""


class Gateway:
    """Serves requests through a federation.

    A request passes the middleware, is routed, sent and reported; an attempt that fails for a
    reason that another node need not have is tried again elsewhere, after a backoff. Errors that a
    retry cannot mend (no capacity at all, privacy, quality of service, the request's own deadline)
    end it at once. `stats` adds up: total = successful + failed + in progress, plus requests and
    streams that were cancelled.
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
        prefixes: PrefixIndex | None = None,
        decisions: DecisionObserver | None = None,
    ) -> None:
        self.router = router
        self.health = health
        self.breaker = breaker
        self.prefixes = prefixes
        self._decisions = decisions
        self._transport = transport
        self.clock = clock
        self._tasks = tasks
        self._rng = rng
        self._middlewares = tuple(middlewares)
        self._config = config or GatewayConfig()
        timeout, retries = self._config.timeout, self._config.retries
        self._attempt_s = (timeout.attempt_s if timeout else None) or math.inf
        self._request_s = (timeout.request_s if timeout else None) or math.inf
        self._retries = retries
        budget = retries.budget if retries else None
        self._budget = None if budget is None else RetryBudget(budget, clock)
        self._direct = self._request_s == math.inf or getattr(router, "immediate", False)
        self.on_start: Callable[..., Any] = getattr(router, "on_start", _ignore)
        self.on_first_token: Callable[..., Any] = getattr(router, "on_first_token", _ignore)
        self.on_complete: Callable[..., Any] = getattr(router, "on_complete", _ignore)
        self._route_excluding: Callable[..., Any] | None = getattr(router, "route_excluding", None)
        self._try_acquire: Callable[[NodeId], bool] | None = getattr(breaker, "try_acquire", None)
        self._record: Callable[..., Any] | None = getattr(breaker, "record_attempt", None)
        self.troubled: object = breaker is not None and getattr(breaker, "troubled", True)
        self.release: Callable[[NodeId], None] = getattr(breaker, "release", _ignore)
        self.report_success: Callable[..., Any] = getattr(health, "report_success", _ignore)
        self.report_failure: Callable[..., Any] = getattr(health, "report_failure", _ignore)
        self._total = self._succeeded = self._failed = 0
        self._tokens = self._streams = 0
        self._latency_sum_s = 0.0

    # The contract

    async def infer(self, request: InferenceRequest) -> InferenceResponse:
        """Serve *request* and return the response, or raise the ``FederationError`` it ended in."""
        started_s = self.clock.now()
        self._total += 1
        try:
            if self._middlewares:
                request = self._before_route(request)
            response: Any = await self._attempts(request, started_s, streamed=False)
            if self._middlewares:
                response = self._after_infer(request, response)
        except Exception:
            self._failed += 1
            raise
        self._succeeded += 1
        self._latency_sum_s += self.clock.now() - started_s
        self._tokens += response.tokens or 0
        served: InferenceResponse = response
        return served

    async def infer_stream(self, request: InferenceRequest) -> TokenStream:
        """Serve *request* token by token; the stream raises the ``FederationError`` it ends in."""
        started_s = self.clock.now()
        self._total += 1
        try:
            request = self._before_route(request)
            stream: Any = await self._attempts(request, started_s, streamed=True)
        except Exception:
            self._failed += 1
            raise
        self._streams += 1
        opened: TokenStream = stream
        return opened

    def stats(self) -> GatewayStats:
        """Return the statistics so far."""
        succeeded = self._succeeded
        mean_s = self._latency_sum_s / succeeded if succeeded else 0.0
        return GatewayStats(
            self._total, succeeded, self._failed, self._tokens, mean_s, self._streams
        )

    # Attempts

    async def _attempts(
        self, request: InferenceRequest, started_s: float, streamed: bool
    ) -> InferenceResponse | GatewayStream:
        """Route and send *request* until it is served or may not be tried again.

        The request's deadline bounds every wait: for a router that suspends, for an attempt, and
        for a backoff.
        """
        if self._budget is not None:
            self._budget.count_request(started_s)
        tried: list[NodeId] = []
        retry = 0
        failure: FederationError | None = None
        while True:
            target = attempt = None
            try:
                anew = tried or not self._direct or self._decisions is not None
                target = await (
                    self._route(request, tried, started_s) if anew else self.router.route(request)
                )
                if isinstance(failure, NoCapacity) and target.node_id in tried:
                    self._give_back_retry()
                    break  # the queue was full, and there is nowhere else to go
                attempt = Attempt(self, target, request)
                result = await self._carry(attempt, started_s, streamed)
            except BaseException as thrown:
                failure = self._failure(thrown, attempt, request)
                if failure is None:
                    raise
            else:
                return attempt.served(result, started_s, streamed)
            retry += 1
            if not self._may_retry(failure, target, retry):
                break
            if target is not None:
                tried.append(target.node_id)
            if target is None or not isinstance(failure, NoCapacity):
                await self._back_off(request, retry, started_s)
        assert failure is not None
        raise failure

    def _left_s(self, started_s: float) -> float:
        """Return the time until the deadline of a request that came at *started_s*, in seconds."""
        now_s = self.clock.now()
        if now_s == started_s:
            return self._request_s
        return max(0.0, started_s + self._request_s - now_s)

    async def _route(
        self, request: InferenceRequest, tried: list[NodeId], started_s: float
    ) -> RouteTarget:
        if self._decisions is None:
            return await self._choose(request, tried, started_s)
        try:
            target = await self._choose(request, tried, started_s)
        except FederationError as error:
            await self._tell_decision(request, tried, error)
            raise
        await self._tell_decision(request, tried, target)
        return target

    async def _tell_decision(
        self,
        request: InferenceRequest,
        tried: list[NodeId],
        decision: RouteTarget | FederationError,
    ) -> None:
        assert self._decisions is not None
        await self._decisions.decided(
            request, tried, decision, self.router, self.health, self.breaker
        )

    async def _choose(
        self, request: InferenceRequest, tried: list[NodeId], started_s: float
    ) -> RouteTarget:
        choice: Awaitable[RouteTarget]
        if tried and self._route_excluding is not None:
            choice = self._route_excluding(request, tuple(tried))
        else:
            choice = self.router.route(request)
        if self._direct:
            return await choice
        try:
            return await self._tasks.within(choice, self._left_s(started_s))
        except TimeoutError:
            raise _DeadlinePassed from None

    def _carry(self, attempt: Attempt, started_s: float, streamed: bool) -> Awaitable[Any]:
        """Hand an attempt to the transport, within the deadline that comes first."""
        left_s = self._request_s if attempt.sent_s == started_s else self._left_s(started_s)
        attempt.last = left_s <= self._attempt_s
        limit_s = left_s if attempt.last else self._attempt_s
        carry = self._transport.open_stream if streamed else self._transport.send
        work: Awaitable[Any] = carry(attempt.target, attempt.request)
        return work if limit_s == math.inf else self._tasks.within(work, limit_s)

    def _failure(
        self, thrown: BaseException, attempt: Attempt | None, request: InferenceRequest
    ) -> FederationError | None:
        """Report that routing or an attempt failed, and return the error that it ended in.

        None stands for what is no outcome of an attempt and has to be raised further.

        Raises:
            Timeout: The request's deadline has passed.
        """
        late = isinstance(thrown, TimeoutError) and attempt is not None
        failure: FederationError
        if isinstance(thrown, FederationError):
            failure = thrown
        elif late and attempt is not None and not attempt.last:
            failure = Timeout(self._attempt_s)
        else:
            if attempt is not None:
                attempt.cancelled()
            if late or isinstance(thrown, _DeadlinePassed):
                raise self.request_timeout(request) from None
            return None
        if attempt is not None:
            attempt.ended(failure)
        self.tell_middleware(request, failure)
        return failure

    def _may_retry(self, error: FederationError, target: RouteTarget | None, retry: int) -> bool:
        """Return whether another attempt may mend *error*, and limit and budget allow it."""
        retryable = _RETRYABLE_ROUTES if target is None else _RETRYABLE_ATTEMPTS
        if self._retries is None or not isinstance(error, retryable):
            return False
        if retry > self._retries.limit:
            return False
        return self._budget is None or self._budget.try_spend()

    def _give_back_retry(self) -> None:
        if self._budget is not None:
            self._budget.give_back()

    async def _back_off(self, request: InferenceRequest, retry: int, started_s: float) -> None:
        assert self._retries is not None
        wait_s = backoff_s(self._retries, retry, self._rng)
        left_s = self._left_s(started_s)
        await self.clock.sleep(min(wait_s, left_s))
        if wait_s >= left_s:
            raise self.request_timeout(request)

    def request_timeout(self, request: InferenceRequest) -> Timeout:
        """Return the error of a request whose deadline has passed; the middleware is told."""
        error = Timeout(self._request_s)
        self.tell_middleware(request, error)
        return error

    # Streams

    async def next_of(self, stream: GatewayStream) -> bytes | None:
        """Return the next token of the transport's stream.

        Raises:
            TimeoutError: The request's deadline has passed.
        """
        if self._request_s == math.inf:
            return await stream.source.next_token()
        left_s = self._left_s(stream.started_s)
        return await self._tasks.within(stream.source.next_token(), left_s)

    def stream_ended(self, stream: GatewayStream, error: FederationError | None) -> None:
        """Count a stream that was served to its end, or failed."""
        self._streams -= 1
        self._tokens += stream.tokens
        if error is None:
            self._succeeded += 1
            self._latency_sum_s += self.clock.now() - stream.started_s
        else:
            self._failed += 1

    def stream_cancelled(self, stream: GatewayStream) -> None:
        """Count a stream that its reader cancelled."""
        self._streams -= 1
        self._tokens += stream.tokens

    # What attempts report to

    def acquire(self, node_id: NodeId) -> bool:
        """Ask the breaker for leave to send, and return whether the attempt is one of its probes.

        Raises:
            CircuitOpen: The breaker forbids it.
        """
        if self._try_acquire is None or self.breaker is None:
            return False
        if not self._try_acquire(node_id):
            raise CircuitOpen(node_id)
        return self.breaker.state(node_id) is CircuitState.HALF_OPEN

    def tell_breaker(self, node_id: NodeId, ok: bool, sent_s: float) -> None:
        """Tell the breaker how an attempt ended, and when it was sent where the breaker asks."""
        breaker = self.breaker
        if breaker is None:
            return
        if self._record is not None:
            self._record(node_id, ok, sent_s)
        elif ok:
            breaker.record_success(node_id)
        else:
            breaker.record_failure(node_id)

    # Middleware

    def _before_route(self, request: InferenceRequest) -> InferenceRequest:
        try:
            for middleware in self._middlewares:
                request = middleware.before_route(request) or request
        except FederationError as error:
            self.tell_middleware(request, error)
            raise
        return request

    def _after_infer(
        self, request: InferenceRequest, response: InferenceResponse
    ) -> InferenceResponse:
        try:
            for middleware in self._middlewares:
                response = middleware.after_infer(request, response) or response
        except FederationError as error:
            self.tell_middleware(request, error)
            raise
        return response

    def tell_middleware(self, request: InferenceRequest, error: FederationError) -> None:
        """Show *error* to all middleware."""
        for middleware in self._middlewares:
            middleware.on_error(request, error)


class Attempt:
    """One request on its way to one node; reports exactly once how it ended.

    Attributes:
        target: The node.
        request: The request.
        sent_s: Clock time of the dispatch, in seconds.
        last: Whether the request's own deadline comes no later than the attempt's.
    """

    __slots__ = ("_ended", "_gateway", "_probe", "last", "request", "sent_s", "target")

    def __init__(self, gateway: Gateway, target: RouteTarget, request: InferenceRequest) -> None:
        self._gateway = gateway
        self.target = target
        self.request = request
        self._ended = self.last = False
        self._probe = bool(gateway.troubled) and gateway.acquire(target.node_id)
        self.sent_s = gateway.clock.now()
        if request.blocks and gateway.prefixes is not None:
            gateway.prefixes.sent(target.node_id, request)
        gateway.on_start(target, request)

    def first_token(self) -> None:
        """Report that the first token has come."""
        self._gateway.on_first_token(self.target, self.request)

    def served(
        self, result: Any, started_s: float, streamed: bool
    ) -> InferenceResponse | GatewayStream:
        """Return the transport's *result*; a response has come, a stream has yet to end."""
        if streamed:
            return GatewayStream(self._gateway, self, result, started_s)
        self.succeeded()
        response: InferenceResponse = result
        return response

    def succeeded(self) -> None:
        """Report that the node served the request."""
        gateway, node_id = self._gateway, self.target.node_id
        latency_s = self._end("ok")
        if gateway.troubled:
            gateway.tell_breaker(node_id, ok=True, sent_s=self.sent_s)
        gateway.report_success(node_id, latency_s)

    def ended(self, error: FederationError) -> None:
        """Report that the attempt failed; only what lies with the node counts against it."""
        gateway, node_id = self._gateway, self.target.node_id
        self._end(error.kind)
        if isinstance(error, COUNTED):
            gateway.tell_breaker(node_id, ok=False, sent_s=self.sent_s)
            gateway.report_failure(node_id)

    def cancelled(self) -> None:
        """Report that nobody waits for the attempt any more; that counts against nobody."""
        if not self._ended:
            self._end("cancelled")

    def _end(self, outcome: str) -> float:
        gateway = self._gateway
        self._ended = True
        latency_s = gateway.clock.now() - self.sent_s
        if self._probe:
            gateway.release(self.target.node_id)
        gateway.on_complete(self.target, self.request, outcome, latency_s)
        return latency_s


def _ignore(*_: object) -> None:
    """Stand in for a hook that a plug-in does not have."""
