"""Streams through a gateway: tokens one by one, with the same reports as a plain request."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeGuard, TypeVar

from fedsim.federation.contracts import FederationError, TokenStream
from fedsim.federation.runtime import Transport

if TYPE_CHECKING:
    from fedsim.federation.attempts import Attempt
    from fedsim.federation.gateway import Gateway

T = TypeVar("T")


class LongRead(TokenStream, Protocol):
    """A transport's stream that can be waited for as a whole, beyond the contract of streams.

    Attributes:
        received: Tokens that have come.
    """

    received: int

    async def read_to_end(self, idle_s: float) -> int:
        """Wait for the end, and return how many tokens came in this time.

        Raises:
            Timeout: None came for *idle_s* seconds; the stream is cancelled.
            FederationError: The stream has failed.
        """
        ...


def can_be_awaited(stream: TokenStream) -> TypeGuard[LongRead]:
    """Return whether a transport's stream can be waited for as a whole."""
    return hasattr(stream, "read_to_end")


async def read_to_end(stream: TokenStream) -> None:
    """Read a gateway's stream to its end, at once where it can be."""
    whole = getattr(stream, "read_to_end", None)
    if whole is not None:
        await whole()
        return
    while await stream.next_token() is not None:
        pass


@dataclass(slots=True)
class OpenedStream:
    """A transport's stream whose first token has come.

    Attributes:
        source: The stream.
        first: Its first token, or None where it has none.
    """

    source: TokenStream
    first: bytes | None

    async def cancel(self) -> None:
        """Stop the stream."""
        await self.source.cancel()


class StreamCancelled(Exception):
    """A stream's reader cancelled it, which is neither a success nor a failure."""


async def open_stream(transport: Transport, attempt: Attempt) -> OpenedStream:
    """Open the stream of *attempt*, and wait for its first token."""
    source = await transport.open_stream(attempt.target, attempt.request)
    try:
        first = await source.next_token()
    except FederationError:
        raise
    except BaseException:
        await source.cancel()
        raise
    return OpenedStream(source, first)


class GatewayStream:
    """A token stream that reports to its gateway exactly once: served, failed or cancelled.

    Attributes:
        source: The transport's stream.
        started_s: Clock time of the call of ``infer_stream``, in seconds.
        on_end: Is called once when it is over, with what it failed with.
    """

    def __init__(
        self, gateway: Gateway, attempt: Attempt, opened: OpenedStream, started_s: float
    ) -> None:
        self.source = opened.source
        self._delivered = 0
        self._whole: LongRead | None = None
        self.started_s = started_s
        self.on_end: Callable[[BaseException | None], None] | None = None
        self._unread: OpenedStream | None = opened
        self._gateway = gateway
        self._attempt = attempt
        self._over = False
        if opened.first is not None:
            attempt.first_token()

    @property
    def tokens(self) -> int:
        """Tokens delivered so far."""
        return self._delivered if self._whole is None else self._whole.received

    async def next_token(self) -> bytes | None:
        """Return the next token, or None when the stream is complete or was cancelled."""
        if self._over:
            return None
        token = await self._reading(self._next())
        if self._over:
            return None  # somebody cancelled the stream while this call was waiting
        if token is None:
            self._complete()
            return None
        self._delivered += 1
        return token

    async def read_to_end(self) -> None:
        """Read on until the stream is complete or was cancelled, whatever the tokens are.

        Where the transport's stream can be waited for as a whole, it costs the same however many
        tokens come.
        """
        if can_be_awaited(self.source) and await self.next_token() is not None:
            self._whole = self.source
            await self._reading(self._gateway.rest_of(self, self.source))
            if not self._over:
                self._complete()
        while await self.next_token() is not None:
            pass

    async def _reading(self, work: Awaitable[T]) -> T | None:
        """Return what a wait for tokens gives; whatever ends it ends the stream as well."""
        try:
            return await work
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

    async def _next(self) -> bytes | None:
        if self._unread is not None:
            first, self._unread = self._unread.first, None
            return first
        return await self._gateway.next_of(self)

    async def cancel(self) -> None:
        """Stop the stream; the node stops working on it, and it counts against no node."""
        if not self._over:
            self._end(StreamCancelled())
            self._attempt.cancelled()
            self._gateway.stream_cancelled(self)
            await self.source.cancel()

    def _complete(self) -> None:
        """Report that all has come; a middleware may fail the request even so."""
        self._end(None)
        try:
            self._gateway.stream_served(self, self._attempt)
        except Exception as error:
            self._gateway.stream_ended(self, error)
            raise
        self._gateway.stream_ended(self, None)

    def _end(self, error: Exception | None) -> None:
        self._over = True
        if self.on_end is not None:
            self.on_end(error)

    def _failed(self, error: FederationError) -> None:
        self._end(error)
        self._attempt.ended(error)
        self._gateway.stream_ended(self, error)
        self._gateway.report_to_middleware(self._attempt.request, error)

    def _timed_out(self) -> FederationError:
        """Report that the request's deadline passed, which is not the node's fault."""
        timeout = self._gateway.request_timeout(self._attempt.request)
        self._end(timeout)
        self._attempt.cancelled()
        self._gateway.stream_ended(self, timeout)
        return timeout
