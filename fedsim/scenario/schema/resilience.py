"""Deadlines and retries in the scenario file."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from fedsim.scenario.schema.base import Settings
from fedsim.scenario.schema.types import Duration, DurationOrOff, PercentageOrOff


class TimeoutSettings(Settings):
    """Deadlines of each gateway."""

    attempt: DurationOrOff = Field(
        default=10.0, description="From the send of an attempt to its response, or off."
    )
    request: DurationOrOff = Field(
        default=30.0, description="From the arrival at the gateway to its answer, or off."
    )


class RetrySettings(Settings):
    """How each gateway tries again."""

    limit: int = Field(default=3, ge=0, le=100, description="Most retries after the first try.")
    backoff: Duration = Field(
        default=0.1, description="Base of the backoff; it doubles with every retry."
    )
    backoff_max: Duration = Field(default=10.0, description="Longest backoff.")
    jitter: Literal["full", "none"] = Field(
        default="full", description="full waits a random share of the backoff, none all of it."
    )
    budget: PercentageOrOff = Field(
        default=0.2,
        description="Most retries as a share of recent requests, with a floor of 10; or off.",
    )
