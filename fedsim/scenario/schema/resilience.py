"""Deadlines, retries, hedges and admission in the scenario file."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Discriminator, Field, Tag, model_validator

from fedsim.scenario.schema.base import Settings, error
from fedsim.scenario.schema.types import (
    CountFrom1,
    Duration,
    DurationOrOff,
    Percentage,
    PercentageOrOff,
    PositiveDuration,
)


class TimeoutSettings(Settings):
    """Deadlines of each gateway."""

    first_token: DurationOrOff | None = Field(
        default=None,
        description=(
            "From the send of an attempt whose answer is streamed to its first token, or off; "
            "attempt where that is given, else 30s."
        ),
    )
    idle: DurationOrOff = Field(
        default=30.0, description="From one token of a streamed answer to the next, or off."
    )
    attempt: DurationOrOff = Field(
        default=60.0,
        description="From the send of an attempt that is not streamed to its response, or off.",
    )
    request: DurationOrOff = Field(
        default=600.0, description="From the arrival at the gateway to the whole answer, or off."
    )


class BudgetSettings(Settings):
    """Settings of a retry budget."""

    ratio: Percentage = Field(
        default=0.2, description="Most retries as a share of the requests in the window."
    )
    floor: int = Field(
        default=10,
        ge=0,
        le=1_000_000,
        description="Retries in the window that are granted on top, however few the requests.",
    )
    window: PositiveDuration = Field(
        default=10.0, description="Time over which retries and requests are counted."
    )


def _tag_of_budget(value: Any) -> str:
    return "<settings>" if isinstance(value, (dict, BudgetSettings)) else "<value>"


def _tag_of_delay(value: Any) -> str:
    return "<word>" if isinstance(value, str) and value.startswith("p") else "<value>"


Budget = Annotated[
    Annotated[BudgetSettings, Tag("<settings>")] | Annotated[PercentageOrOff, Tag("<value>")],
    Discriminator(_tag_of_budget),
]
"""Settings of a budget, or its ratio alone, or ``off``."""

Delay = Annotated[
    Annotated[Literal["p50", "p75", "p90", "p95", "p99"], Tag("<word>")]
    | Annotated[PositiveDuration, Tag("<value>")],
    Discriminator(_tag_of_delay),
]
"""A duration in seconds, or a percentile."""


class RetrySettings(Settings):
    """How each gateway tries again."""

    limit: int = Field(default=3, ge=0, le=100, description="Most retries after the first try.")
    backoff: Duration = Field(
        default=0.1, description="Base of the backoff; it doubles with every retry."
    )
    backoff_max: Duration = Field(default=10.0, description="Longest backoff.")
    jitter: Literal["none", "full", "equal", "decorrelated"] = Field(
        default="full",
        description=(
            "none waits the backoff, full a random share of it, equal half of it and a random "
            "share of the other half; decorrelated a random time from backoff to three times the "
            "wait before."
        ),
    )
    budget: Budget = Field(
        default=0.2,
        description="Most retries as a share of the requests of the last 10 s, on top of 10, for "
        "each capability; or its settings; or off.",
    )


class HedgeSettings(Settings):
    """When each gateway sends a second attempt while the first is under way."""

    after: Delay = Field(
        default="p95",
        description=(
            "Time without an answer after which it does, or a percentile of the gateway's own "
            "recent latencies of the request's capability: p50, p75, p90, p95 or p99."
        ),
    )
    budget: PercentageOrOff = Field(
        default=0.1,
        description="Most hedges as a share of the requests of the last 10 s, for each "
        "capability; or off.",
    )


class ThrottleSettings(Settings):
    """Client-side throttling in each gateway and capability, by the rule of the SRE book."""

    accepts: float = Field(
        default=2.0,
        ge=1,
        description="Requests let through per request that nodes took: the K of the rule.",
    )
    window: PositiveDuration = Field(default=120.0, description="Time over which both are counted.")


class ConcurrencySettings(Settings):
    """The limit on each gateway's requests in flight for a capability, and how it adapts."""

    algorithm: Literal["aimd", "vegas", "gradient2", "fixed"] = Field(
        default="gradient2", description="How the limit adapts; fixed stays at initial."
    )
    initial: CountFrom1 = Field(default=20, description="The limit at first.")
    min: CountFrom1 = Field(default=1, description="The lowest limit.")
    max: CountFrom1 = Field(default=200, description="The highest limit.")
    slow: PositiveDuration | None = Field(
        default=None,
        description="With aimd, an answer that takes longer than this, 5 s where not given, "
        "lowers the limit.",
    )

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if not self.min <= self.initial <= self.max:
            message = f"The limit begins at {self.initial}, outside {self.min} to {self.max}."
            raise error(message, "Write min, initial and max in that order of size.", "initial")
        if self.slow is not None and self.algorithm != "aimd":
            message = f"The algorithm {self.algorithm} does not know slow answers."
            raise error(message, "Leave slow out, or write algorithm: aimd.", "slow")
        return self


class SheddingSettings(Settings):
    """What each gateway turns away first when it is full: streams of a higher priority number."""

    step: Percentage = Field(
        default=0.2,
        description=(
            "Share of the limit that every level of priority leaves free for the levels below it: "
            "with 20%, priority 0 may fill the limit, priority 1 80% of it, priority 2 60%."
        ),
    )
    limit: CountFrom1 | None = Field(
        default=None,
        description="A gateway's requests in flight for a capability that are full load; where "
        "not given, the limit of concurrency.",
    )


def check_shedding(shedding: SheddingSettings | str, concurrency: object) -> None:
    """Raise where load is to be shed at a limit that nobody sets."""
    if isinstance(shedding, SheddingSettings) and shedding.limit is None and concurrency == "off":
        message = "Load shedding has no limit to go by."
        raise error(message, "Add limit, or switch concurrency on.", "shedding")
