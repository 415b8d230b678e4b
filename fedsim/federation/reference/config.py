"""Settings of the reference, with the defaults of the original."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from fedsim.federation.contracts import PrivacyLevel, RegionId
from fedsim.federation.settings import CountFrom1, Limits, PositiveSeconds, Seconds

ENTERPRISE_DEFAULT: Mapping[str, float] = {
    "health": 2.0,
    "latency": 1.0,
    "privacy": 1.0,
    "locality": 1.0,
    "cost": 1.0,
}
"""The policies of the reference's own composite, in its order, with their weights."""


@dataclass(frozen=True, slots=True)
class ReferenceHealthConfig:
    """Settings of the reference's health checkers, which hear of traffic alone.

    Attributes:
        failure_threshold: Consecutive failures that make a node unhealthy.
        recovery_threshold: Consecutive successes that make a node healthy.
        degraded_latency_s: A single success that took longer makes a node degraded, in seconds.
    """

    failure_threshold: CountFrom1 = 3
    recovery_threshold: CountFrom1 = 2
    degraded_latency_s: PositiveSeconds = 1.0


@dataclass(frozen=True, slots=True)
class ReferenceBreakerConfig:
    """Settings of the reference's circuit breaker.

    Attributes:
        failure_threshold: Consecutive failures that open a circuit.
        reset_timeout_s: Time since the last failure after which it is half-open, in seconds.
        half_open_successes: Successes that close a half-open circuit.
    """

    failure_threshold: CountFrom1 = 5
    reset_timeout_s: PositiveSeconds = 30.0
    half_open_successes: CountFrom1 = 3


@dataclass(frozen=True, slots=True)
class ReferenceRetries:
    """How the reference's gateway tries again.

    Attributes:
        limit: Most attempts after the first.
        backoff_s: Wait after the first failed attempt, in seconds; twice as long after the second,
            and so on. Where there was no route there is no wait.
    """

    limit: Annotated[int, Limits(at_least=0, at_most=100)] = 3
    backoff_s: Seconds = 0.1


@dataclass(frozen=True, slots=True)
class ReferenceConfig:
    """Settings of a gateway of the reference and of its parts.

    Attributes:
        health: Settings of the health checker, or None where no node is registered with it.
        breaker: Settings of the circuit breaker.
        retries: How the gateway tries again.
        policies: Weights by policy, in order.
        max_latency_s: Where the latency policy's score is 0, in seconds; above it, it excludes.
        region_privacy: Levels of the regions; those that are not named count as internal.
    """

    health: ReferenceHealthConfig | None = field(default_factory=ReferenceHealthConfig)
    breaker: ReferenceBreakerConfig = field(default_factory=ReferenceBreakerConfig)
    retries: ReferenceRetries = field(default_factory=ReferenceRetries)
    policies: Mapping[str, float] = field(default_factory=lambda: dict(ENTERPRISE_DEFAULT))
    max_latency_s: float = 5.0
    region_privacy: Mapping[RegionId, PrivacyLevel] = field(default_factory=dict)
