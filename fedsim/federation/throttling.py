"""Client-side throttling: a gateway that is refused often turns requests away by itself."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Annotated

from fedsim.federation.runtime import Clock, Random
from fedsim.federation.settings import Limits, PositiveSeconds


@dataclass(frozen=True, slots=True)
class ThrottleConfig:
    """Client-side throttling in each gateway and capability, by the rule of the SRE book.

    Attributes:
        accepts: Requests let through per request that nodes took: the K of the rule.
        window_s: Time over which both are counted, in seconds.
    """

    accepts: Annotated[float, Limits(at_least=1.0)] = 2.0
    window_s: PositiveSeconds = 120.0


class Throttle:
    """Turns a request away with probability max(0, (requests - K accepts) / (requests + 1)).

    Both are counted over a window; a request that is turned away counts among the requests, which
    lets the probability rise until about K requests are sent for each that is accepted. With K = 2,
    100 requests and 30 accepts: 40 / 101 = 0.396. Cost: a draw per request while it is above 0.
    Failure: requests that are still under way count as not accepted, so a window that is short
    against their latency throttles for no reason. Source: Site Reliability Engineering, 2016,
    chapter 21, "Client-Side Throttling" (K = 2, two minutes).
    """

    def __init__(self, config: ThrottleConfig, clock: Clock, rng: Random) -> None:
        self._factor = config.accepts
        self._window_s = config.window_s
        self._clock = clock
        self._rng = rng
        self._requests: deque[float] = deque()
        self._accepts: deque[float] = deque()

    @property
    def probability(self) -> float:
        """With which the next request is turned away."""
        oldest_s = self._clock.now() - self._window_s
        for times_s in (self._requests, self._accepts):
            while times_s and times_s[0] <= oldest_s:
                times_s.popleft()
        requests, accepts = len(self._requests), len(self._accepts)
        return max(0.0, (requests - self._factor * accepts) / (requests + 1))

    def admits(self) -> bool:
        """Count a request, and return whether it may be sent."""
        probability = self.probability
        self._requests.append(self._clock.now())
        return probability == 0.0 or self._rng.random() >= probability

    def accepted(self) -> None:
        """Count a request that a node took."""
        self._accepts.append(self._clock.now())
