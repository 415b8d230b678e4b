"""Attempts: one request on its way to one node, and what becomes known of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fedsim.federation.contracts import (
    FederationError,
    InferenceRequest,
    Internal,
    NodeUnreachable,
    RouteTarget,
    Timeout,
)

if TYPE_CHECKING:
    from fedsim.federation.gateway import Gateway

COUNTED = (Internal, NodeUnreachable, Timeout)
"""Errors of an attempt that lie with the node: breaker and health checker count them."""


class DeadlinePassed(Exception):
    """The request's own deadline passed while it waited for something."""


class Attempt:
    """One request on its way to one node; reports exactly once how it ended.

    Attributes:
        target: The node.
        request: The request.
        sent_s: Clock time of the dispatch, in seconds.
        first: Whether the request has been sent to no node before.
        limit_s: The attempt's deadline, from its dispatch, in seconds.
        last: Whether the request's own deadline comes no later than the attempt's.
    """

    __slots__ = (
        "_ended",
        "_gateway",
        "_probe",
        "first",
        "last",
        "limit_s",
        "request",
        "sent_s",
        "target",
    )

    def __init__(self, gateway: Gateway, target: RouteTarget, request: InferenceRequest) -> None:
        self._gateway = gateway
        self.target = target
        self.request = request
        self._ended = self.first = self.last = False
        self.limit_s = math.inf
        self._probe = bool(gateway.troubled) and gateway.acquire(target.node_id)
        self.sent_s = gateway.clock.now()
        if request.blocks and gateway.prefixes is not None:
            gateway.prefixes.sent(target.node_id, request)
        gateway.on_start(target, request)

    def first_token(self) -> None:
        """Report that the first token has come."""
        self._gateway.on_first_token(self.target, self.request)

    def succeeded(self) -> None:
        """Report that the node served the request."""
        gateway, node_id = self._gateway, self.target.node_id
        latency_s = self._end("ok")
        if gateway.troubled:
            gateway.report_to_breaker(node_id, ok=True, sent_s=self.sent_s)
        gateway.report_success(node_id, latency_s)

    def failed(self, thrown: BaseException) -> BaseException:
        """Report that *thrown* stopped the attempt, and return what that means for the request.

        That is a ``FederationError``, `DeadlinePassed`, or *thrown* itself where it is no outcome
        of an attempt.
        """
        if isinstance(thrown, TimeoutError):
            thrown = DeadlinePassed() if self.last else Timeout(self.limit_s)
        if isinstance(thrown, FederationError):
            self.ended(thrown)
        else:
            self.cancelled()
        return thrown

    def ended(self, error: FederationError) -> None:
        """Report that the attempt failed; only what lies with the node counts against it."""
        if self._ended:
            return
        gateway, node_id = self._gateway, self.target.node_id
        self._end(error.kind)
        if isinstance(error, COUNTED):
            gateway.report_to_breaker(node_id, ok=False, sent_s=self.sent_s)
            gateway.report_failure(node_id)

    def cancelled(self) -> None:
        """Report that the attempt is no longer wanted; that counts against no node."""
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
