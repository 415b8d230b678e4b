"""Budgets: how many retries or hedges a gateway may make in addition to its requests."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Annotated

from fedsim.federation.runtime import Clock
from fedsim.federation.settings import Limits, PositiveSeconds, Share


@dataclass(frozen=True, slots=True)
class BudgetConfig:
    """Settings of a retry budget.

    Attributes:
        ratio: Most retries as a share of the requests in the window.
        floor: Retries in the window that are granted on top, however few the requests.
        window_s: Time over which retries and requests are counted, in seconds.
    """

    ratio: Share = 0.2
    floor: Annotated[int, Limits(at_least=0, at_most=1_000_000)] = 10
    window_s: PositiveSeconds = 10.0


class Budget:
    """Caps extra attempts as a share of requests, so that trouble is not answered with a storm.

    With a share of 0.2, a floor of 10, a window of 10 s and 100 requests in the last 10 s,
    10 + 20 extra attempts may be made in them. What is charged is what is sent: an extra attempt is
    reserved when it is decided on, and then either sent, from when on it counts for the window, or
    given back. Source: Finagle's and Envoy's retry budgets.

    Args:
        clock: Time.
        share: Most extra attempts as a share of the requests in the window; None for any number.
        floor: Extra attempts in the window that are granted on top.
        window_s: Time over which both are counted, in seconds.
    """

    def __init__(
        self, clock: Clock, share: float | None, floor: int = 0, window_s: float = 10.0
    ) -> None:
        self._clock = clock
        self._share = share
        self._floor = floor
        self._window_s = window_s
        self._requests: deque[float] = deque()
        self._sent: deque[float] = deque()
        self._reserved = 0

    def count_request(self, now_s: float) -> None:
        """Count a request that arrives now, which raises the budget."""
        if self._share is not None:
            self._requests.append(now_s)
            self._forget(self._requests, now_s)

    def reserve(self) -> bool:
        """Reserve an extra attempt; False when the budget is used up."""
        if self._share is not None:
            now_s = self._clock.now()
            self._forget(self._requests, now_s)
            self._forget(self._sent, now_s)
            used = len(self._sent) + self._reserved
            if used >= self._floor + self._share * len(self._requests):
                return False
        self._reserved += 1
        return True

    def spend(self) -> None:
        """Count an attempt that was reserved and is sent now."""
        self._reserved -= 1
        if self._share is not None:
            self._sent.append(self._clock.now())

    def give_back(self) -> None:
        """Return an attempt that was reserved and is not sent."""
        self._reserved -= 1

    def _forget(self, times_s: deque[float], now_s: float) -> None:
        while times_s and times_s[0] <= now_s - self._window_s:
            times_s.popleft()


class Charge:
    """What one request is charged: its attempts but the first, which is free, as they are sent.

    Args:
        budget: What the request's retries are taken from.
        now_s: When the request came, in seconds.
    """

    __slots__ = ("_budget", "_reserved", "_sent")

    def __init__(self, budget: Budget, now_s: float) -> None:
        self._budget = budget
        self._reserved = self._sent = False
        budget.count_request(now_s)

    def sent(self) -> bool:
        """Count an attempt that is sent now, and return whether it is the first."""
        first, self._sent = not self._sent, True
        if self._reserved:
            self._reserved = False
            self._budget.spend()
        return first

    def reserve(self) -> bool:
        """Return whether the request may be tried again, and reserve that.

        As long as no attempt was sent, as where no node was found, that costs nothing.
        """
        if self._sent and not self._reserved:
            self._reserved = self._budget.reserve()
            return self._reserved
        return True

    def close(self) -> None:
        """Give back what was reserved and not sent."""
        if self._reserved:
            self._reserved = False
            self._budget.give_back()
