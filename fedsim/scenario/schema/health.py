"""Health checkers in the scenario file."""

from __future__ import annotations

from pydantic import Field

from fedsim.scenario.schema.base import Settings
from fedsim.scenario.schema.foreign import OffPlugInOr
from fedsim.scenario.schema.types import CountFrom1, Duration, Percentage, PositiveDuration


class HealthSettings(Settings):
    """Settings of the health checker of each gateway."""

    interval: PositiveDuration = Field(
        default=10.0, description="Time between two probes of a node."
    )
    timeout: PositiveDuration = Field(
        default=5.0, description="A probe that takes longer has failed."
    )
    jitter: Percentage = Field(
        default=0.1, description="Share of the interval by which waits are lengthened at random."
    )
    failure_threshold: CountFrom1 = Field(
        default=3, description="Consecutive failures that make a node unhealthy."
    )
    recovery_threshold: CountFrom1 = Field(
        default=2, description="Consecutive successful probes that end unhealthy."
    )
    degraded_latency: PositiveDuration | None = Field(
        default=None,
        description=(
            "A node whose median latency is above it is degraded; where not given, a node is "
            "compared with its pool instead."
        ),
    )
    degraded_factor: float = Field(
        default=3.0, gt=1, description="A median above this multiple of the pool's is degraded."
    )
    window: PositiveDuration = Field(
        default=60.0, description="Age after which a latency is forgotten."
    )
    window_samples: CountFrom1 = Field(default=100, description="Most latencies kept for a node.")
    delay: Duration = Field(
        default=0.0,
        description=(
            "Age that what a probe says of a node's load has when it is known, as behind a metrics "
            "pipeline; that the node answers is known at once."
        ),
    )
    loss: Percentage = Field(
        default=0.0, description="Share of the probes that get no answer, whatever the node."
    )


HealthChoice = OffPlugInOr[HealthSettings]
"""Settings of a health checker, ``off``, or a class."""
