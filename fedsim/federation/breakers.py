"""Our circuit breakers by their settings."""

from __future__ import annotations

from fedsim.federation.breaker import BreakerConfig, CircuitBreaker
from fedsim.federation.rate_breaker import RateBreaker, RateBreakerConfig
from fedsim.federation.runtime import Clock, Observer


def build_breaker(
    clock: Clock, config: BreakerConfig | RateBreakerConfig, observer: Observer | None = None
) -> CircuitBreaker | RateBreaker:
    """Return the breaker that *config* is for."""
    if isinstance(config, RateBreakerConfig):
        return RateBreaker(clock, config, observer)
    return CircuitBreaker(clock, config, observer)
