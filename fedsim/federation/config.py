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
        delay_s: Time from a probe's answer until what it says of load counts, in seconds, as where
            it comes through a metrics pipeline. That the node answers is known at once.
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
    delay_s: float = 0.0


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
class RateBreakerConfig:
    """Settings of a circuit breaker that goes by rates, with the defaults of Resilience4j.

    Attributes:
        window_calls: Results that count, the newest ones, >= 1; the window where ``window_s`` is
            None.
        window_s: Whole seconds whose results count, the current one included; None counts calls.
        failure_rate: Share of failures that opens a circuit, 0 to 1.
        slow_call_s: A result that took longer is slow, in seconds.
        slow_rate: Share of slow results that opens a circuit, 0 to 1.
        min_calls: Results from which the rates count; at most the window, where that counts calls.
        wait_s: Time that a circuit stays open, in seconds.
        half_open_probes: Probe requests whose results decide whether it closes.
    """

    window_calls: int = 100
    window_s: int | None = None
    failure_rate: float = 0.5
    slow_call_s: float = 60.0
    slow_rate: float = 1.0
    min_calls: int = 100
    wait_s: float = 60.0
    half_open_probes: int = 10


@dataclass(frozen=True, slots=True)
class SuccessRateConfig:
    """When a node's success rate is an outlier among those of its pool.

    Attributes:
        stdev_factor: A rate is one below the mean less this many standard deviations.
        min_nodes: Nodes with enough requests, at least, for a comparison.
        volume: Requests in an interval that are enough.
    """

    stdev_factor: float = 1.9
    min_nodes: int = 5
    volume: int = 20


@dataclass(frozen=True, slots=True)
class FailureShareConfig:
    """When a node's share of failures is an outlier, whatever that of other nodes.

    Attributes:
        threshold: Share of failures from which it is one, 0 to 1.
        min_nodes: Nodes with enough requests, at least, for a verdict.
        volume: Requests in an interval that are enough.
    """

    threshold: float = 0.85
    min_nodes: int = 5
    volume: int = 20


@dataclass(frozen=True, slots=True)
class OutlierConfig:
    """Settings of outlier ejection; shares and volumes are those of a federation of few nodes.

    Attributes:
        consecutive_failures: Failures in a row that eject a node; None for no such rule.
        interval_s: Time between two looks at rates and at ejected nodes, in seconds.
        base_ejection_s: Length of a first ejection, in seconds; the n-th takes n times as long.
        max_ejection_s: Longest ejection, in seconds.
        max_ejected: Share of a pool's nodes that may be ejected at once, 0 to 1.
        always_eject_one: Whether one node of each pool may be ejected in any case.
        success_rate: The rule about success rates, or None for none.
        failure_share: The rule about shares of failures, or None for none.
    """

    consecutive_failures: int | None = 5
    interval_s: float = 10.0
    base_ejection_s: float = 30.0
    max_ejection_s: float = 300.0
    max_ejected: float = 0.5
    always_eject_one: bool = True
    success_rate: SuccessRateConfig | None = SuccessRateConfig()
    failure_share: FailureShareConfig | None = None


@dataclass(frozen=True, slots=True)
class SlowStartConfig:
    """Settings of the slow start of nodes that have recovered.

    Attributes:
        window_s: Length of a slow start, in seconds.
        aggression: 1 grows linearly with time, more grows faster at first, > 0.
        least: Least factor of a node's weight, which it has at first, 0 to 1.
    """

    window_s: float = 30.0
    aggression: float = 1.0
    least: float = 0.1


@dataclass(frozen=True, slots=True)
class TimeoutConfig:
    """Deadlines of a gateway, in seconds; None sets none.

    Attributes:
        attempt_s: From the send of an attempt to its response, where that is no stream.
        request_s: From the call of the gateway to the end of its answer, retries and backoff
            included.
        first_token_s: From the send of a stream's attempt to its first token.
        idle_s: From one token of a stream to the next.
    """

    attempt_s: float | None = 60.0
    request_s: float | None = 600.0
    first_token_s: float | None = 30.0
    idle_s: float | None = 30.0


@dataclass(frozen=True, slots=True)
class RetryConfig:
    """How a gateway tries again.

    Attributes:
        limit: Most retries after the first attempt.
        backoff_s: Base of the backoff, in seconds; it doubles with every retry.
        backoff_max_s: Longest backoff, in seconds.
        jitter: ``none``, ``full``, ``equal`` or ``decorrelated``; see `retries.backoff_s`.
        budget: Most retries as a share of the requests in the budget's window, on top of its
            floor, for each capability; None sets no budget.
        budget_floor: Retries in the window that are granted however few the requests.
        budget_window_s: Time over which the budget counts, in seconds.
    """

    limit: int = 3
    backoff_s: float = 0.1
    backoff_max_s: float = 10.0
    jitter: str = "full"
    budget: float | None = 0.2
    budget_floor: int = 10
    budget_window_s: float = 10.0


@dataclass(frozen=True, slots=True)
class HedgeConfig:
    """When a gateway sends a second attempt while the first is under way.

    Attributes:
        after_s: Time without an answer after which it does, in seconds; None goes by the
            percentile.
        percentile: The same as a percentile of the gateway's recent latencies of the request's
            capability, 0.5 to 0.99.
        budget: Most hedges as a share of the requests of the last 10 s, for each capability; None
            sets no budget.
    """

    after_s: float | None = None
    percentile: float = 0.95
    budget: float | None = 0.1


@dataclass(frozen=True, slots=True)
class ThrottleConfig:
    """Settings of client-side throttling, which goes by capability.

    Attributes:
        accepts: Requests let through per request that nodes took, >= 1: the K of the rule.
        window_s: Time over which both are counted, in seconds.
    """

    accepts: float = 2.0
    window_s: float = 120.0


@dataclass(frozen=True, slots=True)
class ConcurrencyConfig:
    """Settings of the limit on a gateway's requests in flight for a capability.

    Attributes:
        algorithm: ``aimd``, ``vegas``, ``gradient2``, or ``fixed`` for one that stays as it is.
        initial: The limit at first, in requests.
        least: The lowest limit, in requests.
        most: The highest limit, in requests.
        slow_s: With ``aimd``, an answer that takes longer lowers the limit, in seconds.
    """

    algorithm: str = "gradient2"
    initial: int = 20
    least: int = 1
    most: int = 200
    slow_s: float = 5.0


@dataclass(frozen=True, slots=True)
class SheddingConfig:
    """Settings of load shedding: what is less important is turned away first.

    Attributes:
        step: Share of the limit that every level of priority leaves free for more important ones.
        limit: Requests in flight for a capability that are full load; None takes the concurrency
            limit.
    """

    step: float = 0.2
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """Settings of a gateway; None switches a part off."""

    timeout: TimeoutConfig | None = TimeoutConfig()
    retries: RetryConfig | None = RetryConfig()
    hedge: HedgeConfig | None = None
    throttle: ThrottleConfig | None = None
    concurrency: ConcurrencyConfig | None = None
    shedding: SheddingConfig | None = None
