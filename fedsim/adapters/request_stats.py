"""What a router of the production stack sees of the requests that it has sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

WINDOW_S = 60.0
"""Time over which rates and means are taken, in seconds; the production stack's default."""


@dataclass(frozen=True, slots=True)
class RequestStats:
    """What is known of the requests sent to one engine; -1 where unknown.

    Attributes:
        qps: Requests sent in the window, per second of it.
        ttft: Mean time to the first token in the window, in seconds.
        in_prefill_requests: Requests under way without a token yet; all, where none is streamed.
        in_decoding_requests: Requests under way that have a token.
        finished_requests: Requests that have ended, in whatever way.
        uptime: Time since the router's first request, in seconds.
        avg_decoding_length: Not known; -1.
        avg_latency: Mean time from the sending to the end in the window, in seconds.
        avg_itl: Not known; -1.
        num_swapped_requests: Not known; 0.
    """

    qps: float
    ttft: float
    in_prefill_requests: int
    in_decoding_requests: int
    finished_requests: int
    uptime: float
    avg_decoding_length: float
    avg_latency: float
    avg_itl: float
    num_swapped_requests: int


class RequestStatsMonitor:
    """Keeps the statistics of requests by the engine that they were sent to.

    Args:
        now: Gives the time in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._engines: dict[str, _Engine] = {}
        self._first_s = 0.0

    def started(self, url: str, request_id: str) -> None:
        """Count a request that is about to be sent."""
        now_s = self._now()
        if not self._engines:
            self._first_s = now_s
        engine = self._engines.setdefault(url, _Engine())
        engine.sent_s[request_id] = now_s
        engine.arrivals.add(now_s, 1.0)

    def first_token(self, url: str, request_id: str) -> None:
        """Note that the first token of a stream has come."""
        engine, now_s = self._engines[url], self._now()
        engine.decoding[request_id] = None
        engine.first_tokens.add(now_s, now_s - engine.sent_s[request_id])

    def ended(self, url: str, request_id: str) -> None:
        """Uncount a request that has ended."""
        engine, now_s = self._engines[url], self._now()
        engine.decoding.pop(request_id, None)
        engine.finished += 1
        engine.latencies.add(now_s, now_s - engine.sent_s.pop(request_id))

    def stats(self) -> dict[str, RequestStats]:
        """Return what is known, by engine; engines that were never sent a request are not in it."""
        now_s = self._now()
        return {
            url: RequestStats(
                qps=engine.arrivals.count(now_s) / WINDOW_S,
                ttft=engine.first_tokens.mean(now_s),
                in_prefill_requests=len(engine.sent_s) - len(engine.decoding),
                in_decoding_requests=len(engine.decoding),
                finished_requests=engine.finished,
                uptime=now_s - self._first_s,
                avg_decoding_length=-1.0,
                avg_latency=engine.latencies.mean(now_s),
                avg_itl=-1.0,
                num_swapped_requests=0,
            )
            for url, engine in self._engines.items()
        }


class _Window:
    """Values of the last `WINDOW_S`, with their sum."""

    __slots__ = ("_sum", "_values")

    def __init__(self) -> None:
        self._values: deque[tuple[float, float]] = deque()
        self._sum = 0.0

    def add(self, now_s: float, value: float) -> None:
        """Add a value."""
        self._values.append((now_s, value))
        self._sum += value

    def count(self, now_s: float) -> int:
        """Return the number of values."""
        while self._values and self._values[0][0] < now_s - WINDOW_S:
            self._sum -= self._values.popleft()[1]
        return len(self._values)

    def mean(self, now_s: float) -> float:
        """Return the mean of the values, -1 where there is none."""
        count = self.count(now_s)
        return self._sum / count if count else -1.0


class _Engine:
    """The requests sent to one engine.

    Attributes:
        sent_s: When those under way were sent, in seconds.
        decoding: Those under way that have a token.
        finished: How many have ended.
    """

    __slots__ = ("arrivals", "decoding", "finished", "first_tokens", "latencies", "sent_s")

    def __init__(self) -> None:
        self.sent_s: dict[str, float] = {}
        self.decoding: dict[str, None] = {}
        self.finished = 0
        self.arrivals, self.first_tokens, self.latencies = _Window(), _Window(), _Window()
