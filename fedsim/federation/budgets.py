"""Budgets: how many retries or hedges a gateway may make beside its requests."""

from __future__ import annotations

from collections import deque

from fedsim.federation.runtime import Clock


class Budget:
    """Caps extra attempts as a share of requests, so that trouble is not answered with a storm.

    With a share of 0.2, a floor of 10, a window of 10 s and 100 requests in the last 10 s,
    10 + 20 extra attempts may be made in them. Source: Finagle's and Envoy's retry budgets.

    Args:
        clock: Time.
        share: Most extra attempts as a share of the requests in the window.
        floor: Extra attempts in the window that are granted on top.
        window_s: Time over which both are counted, in seconds.
    """

    def __init__(self, clock: Clock, share: float, floor: int, window_s: float) -> None:
        self._clock = clock
        self._share = share
        self._floor = floor
        self._window_s = window_s
        self._requests: deque[float] = deque()
        self._spent: deque[float] = deque()

    def count_request(self, now_s: float) -> None:
        """Count a request that arrives now, which raises the budget."""
        requests = self._requests
        requests.append(now_s)
        while requests[0] <= now_s - self._window_s:
            requests.popleft()

    def try_spend(self) -> bool:
        """Take one attempt from the budget; False when it is used up."""
        oldest_s = self._clock.now() - self._window_s
        for times_s in (self._requests, self._spent):
            while times_s and times_s[0] <= oldest_s:
                times_s.popleft()
        if len(self._spent) >= self._floor + self._share * len(self._requests):
            return False
        self._spent.append(self._clock.now())
        return True

    def give_back(self) -> None:
        """Return the attempt that was taken last and not made."""
        if self._spent:
            self._spent.pop()
