"""When a gateway may try again, and how long it waits before."""

from __future__ import annotations

from collections import deque

from fedsim.federation.config import RetryConfig
from fedsim.federation.runtime import Clock, Random

BUDGET_WINDOW_S = 10.0
"""Time over which a budget counts requests and retries, in seconds."""

BUDGET_FLOOR = 10
"""Retries in that time that every gateway may make."""


def backoff_s(config: RetryConfig, retry: int, rng: Random) -> float:
    """Return the wait before the *retry*-th retry (from 1) in seconds.

    It doubles from ``backoff_s`` up to ``backoff_max_s``; full jitter waits a uniform share of it,
    so that clients which failed together do not come back together. With 100 ms: up to 100, 200,
    400 ms. Source: M. Brooker, Exponential Backoff and Jitter, 2015.
    """
    longest_s = min(config.backoff_max_s, config.backoff_s * 2.0 ** (retry - 1))
    return longest_s * rng.random() if config.jitter == "full" else longest_s


class RetryBudget:
    """Caps retries as a share of requests, so that an outage is not answered with a storm.

    With a share of 0.2 and 100 requests in the last 10 s, 10 + 20 retries may be made in them.
    """

    def __init__(self, share: float, clock: Clock) -> None:
        self._share = share
        self._clock = clock
        self._requests: deque[float] = deque()
        self._retries: deque[float] = deque()

    def count_request(self, now_s: float) -> None:
        """Count a request that arrives now, which raises the budget."""
        requests = self._requests
        requests.append(now_s)
        while requests[0] <= now_s - BUDGET_WINDOW_S:
            requests.popleft()

    def try_spend(self) -> bool:
        """Take one retry from the budget; False when it is used up."""
        now_s = self._clock.now()
        _forget(self._requests, now_s)
        _forget(self._retries, now_s)
        if len(self._retries) >= BUDGET_FLOOR + self._share * len(self._requests):
            return False
        self._retries.append(now_s)
        return True

    def give_back(self) -> None:
        """Return the retry that was taken last and not made."""
        if self._retries:
            self._retries.pop()


def _forget(times_s: deque[float], now_s: float) -> None:
    oldest_s = now_s - BUDGET_WINDOW_S
    while times_s and times_s[0] <= oldest_s:
        times_s.popleft()
