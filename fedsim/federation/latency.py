"""Latencies of one node over a sliding window, with exact quantiles."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import deque

ENOUGH_SAMPLES = 5
"""Samples from which a median is believed."""


class LatencyWindow:
    """The newest latencies of a node: at most *samples* of them, all younger than *window_s*.

    Samples are forgotten when new ones come; when none has come for *window_s*, all are. Adding
    one costs about a microsecond.

    Attributes:
        newest_s: Clock time of the newest sample in seconds, or minus infinity.
        expires_s: Clock time at which the last sample is forgotten, in seconds.
        median_s: Median of the samples in seconds; 0 where there is none.
    """

    __slots__ = (
        "_latencies",
        "_samples",
        "_sorted",
        "_window_s",
        "expires_s",
        "median_s",
        "newest_s",
    )

    def __init__(self, window_s: float, samples: int) -> None:
        self._window_s = window_s
        self._samples = samples
        self._latencies: deque[tuple[float, float]] = deque()
        self._sorted: list[float] = []
        self.newest_s = self.expires_s = float("-inf")
        self.median_s = 0.0

    def add(self, now_s: float, latency_s: float) -> None:
        """Add a latency that was measured at *now_s*, and forget what is too old."""
        latencies, ranked, window_s = self._latencies, self._sorted, self._window_s
        latencies.append((now_s, latency_s))
        insort(ranked, latency_s)
        count = len(ranked)
        while count > self._samples or latencies[0][0] + window_s <= now_s:
            del ranked[bisect_left(ranked, latencies.popleft()[1])]
            count -= 1
        self.newest_s = now_s
        self.expires_s = now_s + window_s
        middle = count >> 1
        if count & 1:
            self.median_s = ranked[middle]
        else:
            self.median_s = 0.5 * (ranked[middle - 1] + ranked[middle])

    def count(self, now_s: float) -> int:
        """Return the number of samples that count at *now_s*."""
        return len(self._sorted) if now_s < self.expires_s else 0

    def quantile(self, share: float) -> float:
        """Return the *share*-quantile in seconds by linear interpolation; 0 without samples."""
        ranked = self._sorted
        if not ranked:
            return 0.0
        position = share * (len(ranked) - 1)
        low = int(position)
        high = min(low + 1, len(ranked) - 1)
        return ranked[low] + (position - low) * (ranked[high] - ranked[low])
