"""Settings of the federation's own objects, with the defaults of the preset ``default``.

The numbers follow the reference implementation of the contracts where it has one (probe interval
10 s, probe timeout 5 s, 3 failures to unhealthy, 2 successes to recover; breaker 5 failures, 30 s,
3 successes; 4 attempts, 100 ms backoff).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HealthConfig:
    """Settings of a health checker.

    Attributes:
        interval_s: Time between two probes of a node, in seconds.
        timeout_s: A probe that takes longer has failed, in seconds.
        jitter: Share of the interval by which each wait is lengthened at random, 0 to 1.
        failure_threshold: Consecutive failures that make a node unhealthy.
        recovery_threshold: Consecutive successful probes that end unhealthy.
        degraded_latency_s: A median above it is degraded, in seconds; None compares with the
            node's pool instead.
        degraded_factor: A median above this multiple of the pool's is degraded.
        window_s: Age after which a latency sample is forgotten, in seconds.
        window_samples: Most latency samples kept for a node.
    """

    interval_s: float = 10.0
    timeout_s: float = 5.0
    jitter: float = 0.1
    failure_threshold: int = 3
    recovery_threshold: int = 2
    degraded_latency_s: float | None = None
    degraded_factor: float = 3.0
    window_s: float = 60.0
    window_samples: int = 100


@dataclass(frozen=True, slots=True)
class BreakerConfig:
    """Settings of a circuit breaker.

    Attributes:
        failure_threshold: Consecutive failures that open a circuit.
        reset_timeout_s: Time that a circuit stays open, in seconds.
        half_open_successes: Successful probe requests that close it again.
        half_open_probes: Most probe requests in flight while half-open.
    """

    failure_threshold: int = 5
    reset_timeout_s: float = 30.0
    half_open_successes: int = 3
    half_open_probes: int = 1


@dataclass(frozen=True, slots=True)
class TimeoutConfig:
    """Deadlines of a gateway, in seconds; None sets none.

    Attributes:
        attempt_s: From the send of an attempt to its response.
        request_s: From the call of the gateway to its answer, retries and backoff included.
    """

    attempt_s: float | None = 10.0
    request_s: float | None = 30.0


@dataclass(frozen=True, slots=True)
class RetryConfig:
    """How a gateway tries again.

    Attributes:
        limit: Most retries after the first attempt.
        backoff_s: Base of the backoff, in seconds; it doubles with every retry.
        backoff_max_s: Longest backoff, in seconds.
        jitter: ``none`` waits the backoff, ``full`` a uniform share of it.
        budget: Most retries as a share of the requests of the last 10 s, with a floor of 10
            retries; None sets no budget.
    """

    limit: int = 3
    backoff_s: float = 0.1
    backoff_max_s: float = 10.0
    jitter: str = "full"
    budget: float | None = 0.2


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """Settings of a gateway; None switches a part off."""

    timeout: TimeoutConfig | None = TimeoutConfig()
    retries: RetryConfig | None = RetryConfig()
