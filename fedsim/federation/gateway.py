"""The gateway: the entry point for requests, with deadlines, retries, middleware and reports."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from fedsim.federation.admission import Admission
from fedsim.federation.attempts import COUNTED, Attempt, DeadlinePassed
from fedsim.federation.budgets import Budget, Charge
from fedsim.federation.capabilities import (
    BreakerHooks,
    GatesAttempts,
    LearnsFromTraffic,
    RouterHooks,
    RoutesRetries,
    Settles,
    TimesResults,
    bind,
    has,
)
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
    NoCapacity,
    NodeId,
    RouterTrait,
    RouteTarget,
    Timeout,
    TokenStream,
)
from fedsim.federation.decisions import DecisionObserver
from fedsim.federation.hedging import HedgeConfig, Hedging
from fedsim.federation.limits import ConcurrencyConfig
from fedsim.federation.prefixes import PrefixIndex
from fedsim.federation.retries import AT_ONCE, RetryConfig, RetryPolicy, backoff_s
from fedsim.federation.runtime import Clock, Random, Tasks, Transport
from fedsim.federation.scopes import Scope, Scoped, scope_of
from fedsim.federation.settings import Follows, PositiveSeconds
from fedsim.federation.shedding import SheddingConfig
from fedsim.federation.streams import GatewayStream, LongRead, open_stream
from fedsim.federation.throttling import ThrottleConfig


@dataclass(frozen=True, slots=True)
class TimeoutConfig:
    """Deadlines of each gateway.

    Attributes:
        first_token_s: From the send of an attempt whose answer is streamed to its first token, in
            seconds; None for none. Where a file leaves it out it is attempt, if that is given,
            or else 30 s.
        idle_s: From one token of a streamed answer to the next, in seconds; None for none.
        attempt_s: From the send of an attempt that is not streamed to its response, in seconds;
            None for none.
        request_s: From the arrival at the gateway to the whole answer, in seconds, retries and
            backoff included; None for none.
    """

    attempt_s: PositiveSeconds | None = 60.0
    request_s: PositiveSeconds | None = 600.0
    first_token_s: Annotated[PositiveSeconds | None, Follows("attempt_s")] = 30.0
    idle_s: PositiveSeconds | None = 30.0


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """Settings of a gateway; None switches a part off."""

    timeout: TimeoutConfig | None = TimeoutConfig()
    retries: RetryConfig | None = field(default_factory=RetryConfig)
    hedge: HedgeConfig | None = None
    throttle: ThrottleConfig | None = None
    concurrency: ConcurrencyConfig | None = None
    shedding: SheddingConfig | None = None


T = TypeVar("T")

RETRYABLE_ATTEMPTS = (*COUNTED, NoCapacity, CircuitOpen)
"""Errors of an attempt that another attempt may avoid."""

RETRYABLE_ROUTES = (AllNodesUnhealthy, CircuitOpen)
"""Errors of routing that a later attempt may avoid."""


class Gateway:
    """Serves requests through a federation.

    A request passes the middleware, is routed, sent and reported; an attempt that fails for a
    reason that another node need not have is tried again elsewhere, after a backoff. Errors that a
    retry cannot avoid (no capacity at all, privacy, quality of service, the request's own deadline)
    end it at once. Where the configuration says so, a hedge is sent next to an attempt that takes
    too long (`hedging`), and requests are turned away before they are routed (`admission`), which
    no retry avoids either. `stats` adds up: total = successful + failed + in progress, plus
    requests and streams that were cancelled.
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
        admission: Scoped[Scope, Admission] | None = None,
        retry_policy: RetryPolicy | None = None,
    ) -> None:
        self.router = router
        self.health = health
        self.breaker = breaker
        self.prefixes = prefixes
        self._decisions = decisions
        self._transport = transport
        self.clock = clock
        self.tasks = tasks
        self._rng = rng
        self._middlewares = tuple(middlewares)
        self._config = config or GatewayConfig()
        retries = self._config.retries
        timeout = self._config.timeout or TimeoutConfig(None, None, None, None)
        limits = (timeout.attempt_s, timeout.request_s, timeout.first_token_s, timeout.idle_s)
        self._attempt_s, self._request_s, self._first_token_s, self._idle_s = (
            limit_s or math.inf for limit_s in limits
        )
        self._retries = retries
        self._retry_policy = retry_policy
        self._budgets: Scoped[Scope, Budget] = Scoped(self._budget)
        hedge = self._config.hedge
        self._hedging: Scoped[Scope, Hedging] | None = (
            None if hedge is None else Scoped(lambda _: Hedging(hedge, clock))
        )
        self.admission = admission
        hooks = bind(router, RouterHooks)
        self._direct = self._request_s == math.inf or hooks.immediate
        self.on_start, self.on_complete = hooks.on_start, hooks.on_complete
        self.on_first_token, self._on_response = hooks.on_first_token, hooks.on_response
        self._route_excluding = router.route_excluding if has(router, RoutesRetries) else None
        self._try_acquire = breaker.try_acquire if has(breaker, GatesAttempts) else None
        self._record = breaker.record_attempt if has(breaker, TimesResults) else None
        gates = bind(breaker, BreakerHooks)
        self.troubled: object = breaker is not None and gates.troubled
        self.release = gates.release
        hears = bind(health, LearnsFromTraffic)
        self.report_success, self.report_failure = hears.report_success, hears.report_failure
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
            response: Any = await (
                self._attempts(request, started_s, streamed=False)
                if self.admission is None
                else self._admitted(request, started_s, streamed=False)
            )
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
        """Serve *request* token by token; the stream raises the ``FederationError`` it ends in.

        It is returned when its first token has come: until then it fails over to other nodes, as
        any other request does, and attempts have a deadline. After that nothing is tried again: an
        error, or too long a pause between two tokens, is what the stream ends in. Middleware sees
        the response, its tokens and its latency when all has come.
        """
        started_s = self.clock.now()
        self._total += 1
        try:
            request = self._before_route(request)
            stream: Any = await (
                self._attempts(request, started_s, streamed=True)
                if self.admission is None
                else self._admitted(request, started_s, streamed=True)
            )
        except Exception:
            self._failed += 1
            raise
        self._streams += 1
        opened: TokenStream = stream
        return opened

    def settle(self) -> None:
        """Report the changes of admission and breaker that were not reported yet."""
        for admission in (self.admission or {}).values():
            admission.settle()
        bind(self.breaker, Settles).settle()

    def stats(self) -> GatewayStats:
        """Return the statistics so far."""
        succeeded = self._succeeded
        mean_s = self._latency_sum_s / succeeded if succeeded else 0.0
        return GatewayStats(
            self._total, succeeded, self._failed, self._tokens, mean_s, self._streams
        )

    # Attempts

    async def _admitted(
        self, request: InferenceRequest, started_s: float, streamed: bool
    ) -> InferenceResponse | GatewayStream:
        """Serve *request* if it is let in; a stream is in until its end."""
        assert self.admission is not None
        try:
            ticket = self.admission[scope_of(request)].enter(request)
        except FederationError as error:
            self.report_to_middleware(request, error)
            raise
        try:
            served = await self._attempts(request, started_s, streamed)
        except BaseException as error:
            ticket.left(error)
            raise
        if isinstance(served, GatewayStream):
            served.on_end = ticket.left
        else:
            ticket.left(None)
        return served

    async def _attempts(
        self, request: InferenceRequest, started_s: float, streamed: bool
    ) -> InferenceResponse | GatewayStream:
        """Route and send *request* until it is served or may not be tried again.

        The request's deadline bounds every wait: for a router that suspends, and for an attempt. A
        backoff that would outlast it is not begun.
        """
        charge = Charge(self._budgets[scope_of(request)], started_s)
        tried: list[NodeId] = []
        retry, wait_s = 0, None
        failure: FederationError | None = None
        try:
            while True:
                target = attempt = None
                try:
                    guarded = tried or not self._direct or self._decisions is not None
                    route = (
                        self.route(request, tried, started_s)
                        if guarded
                        else self.router.route(request)
                    )
                    target = await route
                    if isinstance(failure, NoCapacity) and target.node_id in tried:
                        break  # the queue was full, and there is nowhere else to go
                    attempt = Attempt(self, target, request)
                    attempt.first = charge.sent()
                    if self._hedging is None:
                        result = await self.carry(attempt, started_s, streamed)
                    else:
                        hedging = self._hedging[scope_of(request)]
                        attempt, result = await hedging.carry(
                            self, attempt, tried, started_s, streamed
                        )
                except BaseException as thrown:
                    failure = self._failure(thrown, attempt, request)
                    if failure is None:
                        raise
                else:
                    return self._served(attempt, result, started_s, streamed)
                retry += 1
                pause_s = self._pause_s(request, failure, target, retry, wait_s, started_s)
                if pause_s is None or not charge.reserve():
                    break
                if target is not None:
                    tried.append(target.node_id)
                if pause_s >= 0.0:
                    wait_s = pause_s
                    await self.clock.sleep(pause_s)
        finally:
            charge.close()
        assert failure is not None
        raise failure

    def _served(
        self, attempt: Attempt, result: Any, started_s: float, streamed: bool
    ) -> InferenceResponse | GatewayStream:
        """Return an attempt's *result*; a response has come, a stream has yet to end."""
        if streamed:
            return GatewayStream(self, attempt, result, started_s)
        response: InferenceResponse = result
        self._answered(attempt, response)
        return response

    def _answered(self, attempt: Attempt, response: InferenceResponse) -> None:
        """Report that all of a response has come."""
        self._on_response(attempt.target, attempt.request, response)
        attempt.succeeded()

    def _left_s(self, started_s: float) -> float:
        """Return the time until the deadline of a request that came at *started_s*, in seconds."""
        now_s = self.clock.now()
        if now_s == started_s:
            return self._request_s
        return max(0.0, started_s + self._request_s - now_s)

    async def route(
        self, request: InferenceRequest, tried: list[NodeId], started_s: float
    ) -> RouteTarget:
        """Return a node for *request*, one that was not *tried* if there is one.

        Raises:
            DeadlinePassed: The request's own deadline has passed.
        """
        if self._decisions is None:
            return await self._choose(request, tried, started_s)
        try:
            target = await self._choose(request, tried, started_s)
        except FederationError as error:
            await self._report_decision(request, tried, error)
            raise
        await self._report_decision(request, tried, target)
        return target

    async def _report_decision(
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
            return await self.tasks.within(choice, self._left_s(started_s))
        except TimeoutError:
            raise DeadlinePassed from None

    def carry(self, attempt: Attempt, started_s: float, streamed: bool) -> Awaitable[Any]:
        """Hand an attempt to the transport, within the deadline that comes first.

        A stream's attempt lasts until its first token.
        """
        left_s = self._request_s if attempt.sent_s == started_s else self._left_s(started_s)
        attempt.limit_s = limit_s = self._first_token_s if streamed else self._attempt_s
        if left_s <= limit_s:
            attempt.last, limit_s = True, left_s
        work: Awaitable[Any]
        if streamed:
            work = open_stream(self._transport, attempt)
        else:
            work = self._transport.send(attempt.target, attempt.request)
        return work if limit_s == math.inf else self.tasks.within(work, limit_s)

    def _failure(
        self, thrown: BaseException, attempt: Attempt | None, request: InferenceRequest
    ) -> FederationError | None:
        """Report that routing or an attempt failed, and return the error that it ended in.

        None means that *thrown* is no outcome of an attempt and has to be raised again.

        Raises:
            Timeout: The request's deadline has passed.
        """
        failure = thrown if attempt is None else attempt.failed(thrown)
        if isinstance(failure, DeadlinePassed):
            raise self.request_timeout(request) from None
        if not isinstance(failure, FederationError):
            return None
        self.report_to_middleware(request, failure)
        return failure

    def _pause_s(
        self,
        request: InferenceRequest,
        error: FederationError,
        target: RouteTarget | None,
        retry: int,
        previous_s: float | None,
        started_s: float,
    ) -> float | None:
        """Return how long to wait before a retry that may avoid *error*, in seconds.

        None means no retry, as where the wait would outlast the request's deadline, and
        `AT_ONCE` for one without a wait.
        """
        retryable = RETRYABLE_ROUTES if target is None else RETRYABLE_ATTEMPTS
        if not isinstance(error, retryable):
            return None
        retries, wait_s = self._retries, None
        if self._retry_policy is not None:
            elapsed_s = self.clock.now() - started_s
            wait_s = self._retry_policy.next_wait_s(request, retry, error, elapsed_s)
        elif retries is not None and retry <= retries.limit:
            at_once = target is not None and isinstance(error, NoCapacity)
            wait_s = AT_ONCE if at_once else backoff_s(retries, retry, self._rng, previous_s)
        if wait_s is None or max(wait_s, 0.0) >= self._left_s(started_s):
            return None
        return wait_s

    def _budget(self, _: Scope) -> Budget:
        retries = self._retries
        if retries is None:
            return Budget(self.clock, None)
        budget = retries.budget
        if budget is None:
            return Budget(self.clock, None)
        return Budget(self.clock, budget.ratio, budget.floor, budget.window_s)

    def request_timeout(self, request: InferenceRequest) -> Timeout:
        """Return the error of a request whose deadline has passed; the middleware is notified."""
        error = Timeout(self._request_s)
        self.report_to_middleware(request, error)
        return error

    # Streams

    async def next_of(self, stream: GatewayStream) -> bytes | None:
        """Return the next token of the transport's stream.

        Raises:
            Timeout: None has come for too long.
            TimeoutError: The request's deadline has passed.
        """
        left_s = self._left_s(stream.started_s)
        if left_s <= self._idle_s:
            return await self._before_deadline(stream.source.next_token(), left_s)
        try:
            return await self.tasks.within(stream.source.next_token(), self._idle_s)
        except TimeoutError:
            await stream.source.cancel()
            raise Timeout(self._idle_s) from None

    async def rest_of(self, stream: GatewayStream, source: LongRead) -> int:
        """Wait for the end of the transport's stream, and return how many tokens came.

        Raises:
            Timeout: None has come for too long.
            TimeoutError: The request's deadline has passed.
        """
        left_s = self._left_s(stream.started_s)
        return await self._before_deadline(source.read_to_end(self._idle_s), left_s)

    def _before_deadline(self, work: Awaitable[T], left_s: float) -> Awaitable[T]:
        return work if left_s == math.inf else self.tasks.within(work, left_s)

    def stream_served(self, stream: GatewayStream, attempt: Attempt) -> None:
        """Report that all of a stream has come, to router, breaker, health and middleware.

        Raises:
            FederationError: A middleware fails the request.
        """
        latency_s = self.clock.now() - attempt.sent_s
        response = InferenceResponse(b"", attempt.target.node_id, latency_s, stream.tokens)
        self._answered(attempt, response)
        self._after_infer(attempt.request, response)

    def stream_ended(self, stream: GatewayStream, error: Exception | None) -> None:
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

    def report_to_breaker(self, node_id: NodeId, ok: bool, sent_s: float) -> None:
        """Report the end of an attempt, with the time of dispatch where the breaker takes it."""
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
            self.report_to_middleware(request, error)
            raise
        return request

    def _after_infer(
        self, request: InferenceRequest, response: InferenceResponse
    ) -> InferenceResponse:
        try:
            for middleware in self._middlewares:
                response = middleware.after_infer(request, response) or response
        except FederationError as error:
            self.report_to_middleware(request, error)
            raise
        return response

    def report_to_middleware(self, request: InferenceRequest, error: FederationError) -> None:
        """Show *error* to all middleware."""
        for middleware in self._middlewares:
            middleware.on_error(request, error)
