"""Windows over the results of attempts: how many there are, how many failed, how many were slow."""

from __future__ import annotations

import math
from collections import deque
from typing import Protocol


class ResultWindow(Protocol):
    """Counts the results that still count.

    Attributes:
        calls: All of them.
        failures: Those that failed.
        slow: Those that were slow, failed or not.
    """

    calls: int
    failures: int
    slow: int

    def add(self, now_s: float, failed: bool, slow: bool) -> None:
        """Add a result that came at *now_s* seconds, and forget what does not count any more."""
        ...


class CallWindow:
    """The newest *size* results, >= 1; adding one takes constant time."""

    def __init__(self, size: int) -> None:
        self.calls = self.failures = self.slow = 0
        self._size = size
        self._results: deque[tuple[bool, bool]] = deque()

    def add(self, now_s: float, failed: bool, slow: bool) -> None:
        """Add a result, and forget the oldest one where there are too many."""
        self._results.append((failed, slow))
        self.calls += 1
        self.failures += failed
        self.slow += slow
        if self.calls > self._size:
            failed, slow = self._results.popleft()
            self.calls -= 1
            self.failures -= failed
            self.slow -= slow


class TimeWindow:
    """The results of the last *seconds* seconds of the clock, >= 1, the current one included.

    Results are kept by whole second, so that a window of 60 s covers 59 to 60 s.
    """

    def __init__(self, seconds: int) -> None:
        self.calls = self.failures = self.slow = 0
        self._seconds = seconds
        self._buckets: deque[list[int]] = deque()

    def add(self, now_s: float, failed: bool, slow: bool) -> None:
        """Add a result to its second, and forget the seconds that are too long ago."""
        second, buckets = math.floor(now_s), self._buckets
        while buckets and buckets[0][0] <= second - self._seconds:
            _, calls, failures, slow_calls = buckets.popleft()
            self.calls -= calls
            self.failures -= failures
            self.slow -= slow_calls
        if not buckets or buckets[-1][0] != second:
            buckets.append([second, 0, 0, 0])
        newest = buckets[-1]
        newest[1] += 1
        newest[2] += failed
        newest[3] += slow
        self.calls += 1
        self.failures += failed
        self.slow += slow
