"""Streams through a gateway: tokens one by one, with the same reports as a plain request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedsim.federation.contracts import FederationError, TokenStream

if TYPE_CHECKING:
    from fedsim.federation.gateway import Attempt, Gateway


class GatewayStream:
    """A token stream that reports to its gateway exactly once: served, failed or cancelled.

    Attributes:
        source: The transport's stream.
        tokens: Tokens delivered so far.
        started_s: Clock time of the call of ``infer_stream``, in seconds.
    """

    def __init__(
        self, gateway: Gateway, attempt: Attempt, source: TokenStream, started_s: float
    ) -> None:
        self.source = source
        self.tokens = 0
        self.started_s = started_s
        self._gateway = gateway
        self._attempt = attempt
        self._over = False

    async def next_token(self) -> bytes | None:
        """Return the next token, or None when the stream is complete or was cancelled."""
        if self._over:
            return None
        try:
            token = await self._gateway.next_of(self)
        except FederationError as error:
            if self._over:
                return None
            self._failed(error)
            raise
        except TimeoutError:
            if self._over:
                return None
            timeout = self._timed_out()
            await self.source.cancel()
            raise timeout from None
        except BaseException:
            await self.cancel()
            raise
        if self._over:
            return None  # somebody cancelled the stream while this call was waiting
        if token is None:
            self._over = True
            self._attempt.succeeded()
            self._gateway.stream_ended(self, None)
            return None
        self.tokens += 1
        if self.tokens == 1:
            self._attempt.first_token()
        return token

    async def cancel(self) -> None:
        """Stop the stream; the node stops working on it, and it counts against nobody."""
        if not self._over:
            self._over = True
            self._attempt.cancelled()
            self._gateway.stream_cancelled(self)
            await self.source.cancel()

    def _failed(self, error: FederationError) -> None:
        self._over = True
        self._attempt.ended(error)
        self._gateway.stream_ended(self, error)
        self._gateway.tell_middleware(self._attempt.request, error)

    def _timed_out(self) -> FederationError:
        """Report that the request's deadline passed, which is not the node's fault."""
        self._over = True
        self._attempt.cancelled()
        timeout = self._gateway.request_timeout(self._attempt.request)
        self._gateway.stream_ended(self, timeout)
        return timeout
