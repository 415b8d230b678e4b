"""Limits on requests in flight that adapt to latency, after Netflix's concurrency-limits.

Each takes a sample per request that has ended: its latency, how many were in flight when it began
(itself included), and whether it was dropped, by a deadline or for want of capacity. A dropped
request says nothing of latency: unlike the originals, whose round-trip times a fast refusal
spoils, its time is not used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

from fedsim.federation.runtime import Random
from fedsim.federation.settings import CountFrom1, PositiveSeconds, SettingError

SLOW_S = 5.0
"""With ``aimd``, an answer that takes longer is slow where the settings do not say, in seconds."""


@dataclass(frozen=True, slots=True)
class ConcurrencyConfig:
    """The limit on each gateway's requests in flight for a capability, and how it adapts.

    Attributes:
        algorithm: How the limit adapts; fixed stays at initial.
        initial: The limit at first.
        min: The lowest limit.
        max: The highest limit.
        slow_s: With aimd, an answer that takes longer than this lowers the limit, in seconds; 5 s
            where None.

    Raises:
        SettingError: The limit begins outside its bounds, or another algorithm has *slow_s*.
    """

    algorithm: Literal["aimd", "vegas", "gradient2", "fixed"] = "gradient2"
    initial: CountFrom1 = 20
    min: CountFrom1 = 1
    max: CountFrom1 = 200
    slow_s: PositiveSeconds | None = None

    def __post_init__(self) -> None:
        if not self.min <= self.initial <= self.max:
            message = (
                f"the limit begins at {self.initial}, outside {self.min} to {self.max}: write min, "
                "initial and max in that order of size"
            )
            raise SettingError(message, "initial")
        if self.slow_s is not None and self.algorithm != "aimd":
            message = (
                f"the algorithm {self.algorithm} does not know slow answers: leave slow out, or "
                "write algorithm: aimd"
            )
            raise SettingError(message, "slow_s")


class Limit(Protocol):
    """A limit on requests in flight."""

    @property
    def limit(self) -> int:
        """The most requests in flight, >= 1."""
        ...

    def sample(self, latency_s: float, in_flight: int, dropped: bool) -> None:
        """Learn from a request that has ended."""
        ...


class Fixed:
    """A limit that stays as it is."""

    def __init__(self, config: ConcurrencyConfig) -> None:
        self.limit = config.initial

    def sample(self, latency_s: float, in_flight: int, dropped: bool) -> None:
        """Learn nothing."""


class Aimd:
    """Additive increase, multiplicative decrease, as TCP.

    A request that was dropped or slow lowers the limit to 0.9 of it, rounded down; any other raises
    it by 1 if at least half of it was in use. From 20: a slow answer gives 18, the next good one
    19. Failure: it knows only drops and one latency; where that is never reached, it grows to its
    highest value. Source: Netflix concurrency-limits, AIMDLimit (20 to 200, x0.9, 5 s).
    """

    def __init__(self, config: ConcurrencyConfig) -> None:
        self.limit = config.initial
        self._least, self._most = config.min, config.max
        self._slow_s = SLOW_S if config.slow_s is None else config.slow_s

    def sample(self, latency_s: float, in_flight: int, dropped: bool) -> None:
        """Lower the limit, raise it by 1, or leave it."""
        limit = self.limit
        if dropped or latency_s > self._slow_s:
            limit = int(limit * 0.9)
        elif 2 * in_flight >= limit:
            limit += 1
        self.limit = min(self._most, max(self._least, limit))


class Vegas:
    """Keeps the estimated queue short, as TCP Vegas.

    The queue is estimated as ceil(L (1 - rtt0 / rtt)), rtt0 being the shortest latency seen. With
    ``log`` the whole part of log10 L, at least 1: a queue up to ``log`` raises L by 6 log, one
    below 3 log by ``log``, one above 6 log (or a drop) lowers it by ``log``; L stays while less
    than half of it is in use. With L = 20, rtt0 = 1 s, rtt = 1.5 s: the queue is 7, above 6, so L
    becomes 19. Every 30 L samples, times a random share of 0.5 to 1, the next latency becomes rtt0,
    so that it can grow. Failure: latencies that vary by nature, such as those of answers of
    different length, look like a queue, and the limit falls to its lowest value. Source: Netflix
    concurrency-limits, VegasLimit (20, at most 1,000).
    """

    def __init__(self, config: ConcurrencyConfig, rng: Random) -> None:
        self._estimate = float(config.initial)
        self._least, self._most = config.min, config.max
        self._rng = rng
        self._shortest_s = math.inf
        self._samples = 0
        self._jitter = self._draw()

    @property
    def limit(self) -> int:
        """The most requests in flight."""
        return int(self._estimate)

    def sample(self, latency_s: float, in_flight: int, dropped: bool) -> None:
        """Compare a latency with the shortest one, and move the limit."""
        if dropped:
            self._move(-self._log())
            return
        self._samples += 1
        if self._samples >= self._jitter * 30.0 * self._estimate:
            self._jitter = self._draw()
            self._samples = 0
            self._shortest_s = latency_s
        elif latency_s < self._shortest_s:
            self._shortest_s = latency_s
        elif 2 * in_flight >= self._estimate:
            self._adapt(latency_s)

    def _adapt(self, latency_s: float) -> None:
        log = self._log()
        waiting = 1.0 - self._shortest_s / latency_s if latency_s > 0.0 else 0.0
        queue = math.ceil(self._estimate * waiting)
        if queue <= log:
            self._move(6 * log)
        elif queue < 3 * log:
            self._move(log)
        elif queue > 6 * log:
            self._move(-log)

    def _log(self) -> int:
        return max(1, int(math.log10(self._estimate)))

    def _move(self, step: int) -> None:
        self._estimate = min(float(self._most), max(float(self._least), self._estimate + step))

    def _draw(self) -> float:
        return 0.5 + 0.5 * self._rng.random()


class Gradient2:
    """Follows the ratio of the long-term to the present latency.

    The gradient g = 1.5 long / latency is kept within 0.5 and 1, and the limit becomes
    0.8 L + 0.2 (g L + 4); it stays while less than half of it is in use. ``long`` is the mean of
    the first 10 latencies and from then on an exponential average over 600; while it is more than
    twice the present one it falls by 5 % a sample. A drop counts as the lowest gradient. With L =
    20, long = 1 s and a latency of 2 s: g = 0.75, and L becomes 16 + 0.2 x 19 = 19.8. Failure: a
    slow rise of the latency is learnt as normal, and the limit grows with it. Source: Netflix
    concurrency-limits, Gradient2Limit (20, 20 to 200).
    """

    def __init__(self, config: ConcurrencyConfig) -> None:
        self._estimate = float(config.initial)
        self._least, self._most = config.min, config.max
        self._long_s = 0.0
        self._warmup = 0

    @property
    def limit(self) -> int:
        """The most requests in flight."""
        return int(self._estimate)

    def sample(self, latency_s: float, in_flight: int, dropped: bool) -> None:
        """Follow a latency, or a drop."""
        gradient = 0.5 if dropped else self._gradient(latency_s)
        if 2 * in_flight < self._estimate:
            return
        limit = self._estimate
        limit = 0.8 * limit + 0.2 * (gradient * limit + 4.0)
        self._estimate = max(float(self._least), min(float(self._most), limit))

    def _gradient(self, latency_s: float) -> float:
        if self._warmup < 10:
            self._warmup += 1
            self._long_s += (latency_s - self._long_s) / self._warmup
        else:
            self._long_s += (latency_s - self._long_s) * 2.0 / 601.0
        if latency_s <= 0.0:
            return 1.0
        gradient = max(0.5, min(1.0, 1.5 * self._long_s / latency_s))
        if self._long_s > 2.0 * latency_s:
            self._long_s *= 0.95
        return gradient


def build_limit(config: ConcurrencyConfig, rng: Random) -> Limit:
    """Return the limit that *config* asks for."""
    match config.algorithm:
        case "aimd":
            return Aimd(config)
        case "vegas":
            return Vegas(config, rng)
        case "gradient2":
            return Gradient2(config)
        case _:
            return Fixed(config)
