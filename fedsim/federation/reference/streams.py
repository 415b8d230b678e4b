"""Streams of the reference: they report a success of 50 ms at their end, and nothing else."""

from __future__ import annotations

import math

from fedsim.federation.contracts import CircuitBreakerTrait, NodeId, TokenStream
from fedsim.federation.reference.health import ReferenceHealth
from fedsim.federation.streams import can_be_awaited

REPORTED_LATENCY_S = 0.05
"""What a stream that was read to its end reports as its latency, whatever it took."""


class ReferenceStream:
    """A stream that its gateway does not hear of again, whether it ends, fails or is cancelled."""

    def __init__(
        self,
        source: TokenStream,
        node_id: NodeId,
        health: ReferenceHealth,
        breaker: CircuitBreakerTrait,
    ) -> None:
        self._source = source
        self._node_id = node_id
        self._health = health
        self._breaker = breaker
        self._over = False

    async def next_token(self) -> bytes | None:
        """Return the next token, or None at the end or after a cancellation."""
        if self._over:
            return None
        token = await self._source.next_token()
        if token is None and not self._over:
            self._over = True
            self._health.report_success(self._node_id, REPORTED_LATENCY_S)
            self._breaker.record_success(self._node_id)
        return token

    async def read_to_end(self) -> None:
        """Read on to the end, as token by token."""
        if can_be_awaited(self._source) and not self._over:
            await self._source.read_to_end(math.inf)
        while await self.next_token() is not None:
            pass

    async def cancel(self) -> None:
        """Stop the stream, and report nothing."""
        if not self._over:
            self._over = True
            await self._source.cancel()
