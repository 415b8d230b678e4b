"""The federation in the scenario file: which real objects run in the world, and their settings."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from fedsim.scenario.schema.base import (
    Settings,
    error,
    off_or_mapping,
    only,
    suggestion,
    tag_of_word,
)
from fedsim.scenario.schema.types import (
    PLUGIN_JSON,
    CountFrom1,
    Duration,
    DurationOrOff,
    Percentage,
    PercentageOrOff,
    PlugInName,
    PositiveDuration,
    StrategyName,
    Weight,
    is_plugin,
)
from fedsim.scenario.spec import DEFAULT_POLICIES

S = TypeVar("S", bound=Settings)

OffOr = Annotated[
    Annotated[S, Tag("<value>")] | Annotated[Literal["off"], Tag("<word>")],
    Discriminator(tag_of_word),
    BeforeValidator(off_or_mapping),
]
"""Settings, or ``off``."""


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


class BreakerSettings(Settings):
    """Settings of the circuit breakers of each gateway."""

    failure_threshold: CountFrom1 = Field(
        default=5, description="Consecutive failures that open a circuit."
    )
    reset_timeout: PositiveDuration = Field(
        default=30.0, description="Time that a circuit stays open."
    )
    half_open_successes: CountFrom1 = Field(
        default=3, description="Successful probe requests that close a half-open circuit."
    )
    half_open_probes: CountFrom1 = Field(
        default=1, description="Most probe requests in flight while half-open."
    )


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


class PolicySettings(Settings):
    """Settings of a policy."""

    weight: Weight | None = Field(
        default=None,
        description="Weight of its score among the policies'; 2 for health, 0 for privacy, which "
        "only excludes nodes, 1 for the others.",
    )
    max_latency: PositiveDuration | None = Field(
        default=None, description="Of the policy latency alone: the latency that scores 0."
    )


POLICIES = tuple(DEFAULT_POLICIES)
"""The names of the built-in policies."""


def _policy_name(value: str) -> str:
    if value in POLICIES or is_plugin(value):
        return value
    message = f"There is no policy {value!r}."
    raise error(message, f"{suggestion(value, list(POLICIES))} Or write module:Class.")


def _check_policies(value: dict[str, PolicySettings]) -> dict[str, PolicySettings]:
    for name, settings in value.items():
        if name != "latency" and settings.max_latency is not None:
            message = f"The policy {name} has no max_latency."
            raise error(message, "Remove it, or give it to the policy latency.", name)
        if name == "privacy" and settings.weight:
            message = "The policy privacy has no weight: it excludes nodes, and scores none."
            raise error(message, "Remove it.", name)
    return value


PolicyName = Annotated[
    str,
    AfterValidator(_policy_name),
    Field(json_schema_extra={"anyOf": [{"enum": list(POLICIES)}, PLUGIN_JSON]}),
]
"""A built-in policy, or a class as ``module:Class``."""

Policies = Annotated[dict[PolicyName, PolicySettings], AfterValidator(_check_policies)]
"""Settings by policy."""


class Federation(Settings):
    """The real objects that run in the world."""

    preset: Annotated[
        Literal["default"], BeforeValidator(only("default", unbuilt="Any preset but default"))
    ] = Field(
        default="default",
        description="Where the settings come from that are not given; keys beside it override it.",
    )
    gateways: dict[str, CountFrom1] | None = Field(
        default=None,
        min_length=1,
        description=(
            "Number of gateways by region, each with its own router, health view and breakers; "
            "one in each region that requests come from where not given."
        ),
    )
    strategy: StrategyName = Field(
        default="least_latency",
        description="How one of the eligible nodes is chosen: a built-in name, or module:Class.",
    )
    policies: Policies = Field(
        default_factory=lambda: {name: PolicySettings() for name in POLICIES},
        description=(
            "The policies that score nodes and rule them out; all six where not given, none where "
            "the mapping is empty. Other keys are module:Class."
        ),
    )
    router: PlugInName | None = Field(
        default=None, description="A router of your own in place of ours, as module:Class."
    )
    health: OffOr[HealthSettings] = Field(
        default_factory=HealthSettings, description="The health checkers, or off."
    )
    circuit_breaker: OffOr[BreakerSettings] = Field(
        default_factory=BreakerSettings, description="The circuit breakers, or off."
    )
    timeout: OffOr[TimeoutSettings] = Field(
        default_factory=TimeoutSettings, description="The deadlines, or off."
    )
    retries: OffOr[RetrySettings] = Field(
        default_factory=RetrySettings, description="The retries, or off."
    )
    hedge: Annotated[Literal["off"], BeforeValidator(only("off", unbuilt="Hedging"))] = Field(
        default="off", description="Hedged requests; only off in this version."
    )
    abort: Literal["on", "off"] = Field(
        default="on",
        description="Whether a deadline or a cancellation makes the node stop its work.",
    )
    middleware: list[PlugInName] = Field(
        default_factory=list, description="Middleware as module:Class, outermost first."
    )
