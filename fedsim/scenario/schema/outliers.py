"""Outlier ejection, panic mode and slow start in the scenario file."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from fedsim.scenario.schema.base import Settings, error, shown
from fedsim.scenario.schema.off import OffOr
from fedsim.scenario.schema.types import CountFrom1, Percentage, PositiveDuration


def _count_or_off(value: Any) -> Any:
    if isinstance(value, str) and value != "off":
        message = f"{shown(value)} is neither a whole number nor off."
        raise error(message, "Write a number of failures, or off.")
    return value


def _tag_of_count(value: Any) -> str:
    return "<word>" if isinstance(value, str) else "<count>"


CountOrOff = Annotated[
    Annotated[CountFrom1, Tag("<count>")] | Annotated[Literal["off"], Tag("<word>")],
    Discriminator(_tag_of_count),
    BeforeValidator(_count_or_off),
]
"""A whole number of 1 or more, or ``off``."""


class SuccessRateSettings(Settings):
    """When a node's success rate is an outlier among those of its pool."""

    stdev_factor: float = Field(
        default=1.9,
        gt=0,
        description="A rate is one below the mean less this many standard deviations.",
    )
    min_nodes: CountFrom1 = Field(
        default=5, description="Nodes with enough requests, at least, for a comparison."
    )
    volume: CountFrom1 = Field(
        default=20, description="Requests from this gateway in an interval that are enough."
    )


class FailureShareSettings(Settings):
    """When a node's share of failures is an outlier, whatever that of other nodes."""

    threshold: Percentage = Field(
        default=0.85, description="Share of failures from which a node is ejected."
    )
    min_nodes: CountFrom1 = Field(
        default=5, description="Nodes with enough requests, at least, for a verdict."
    )
    volume: CountFrom1 = Field(
        default=20, description="Requests from this gateway in an interval that are enough."
    )


class OutlierSettings(Settings):
    """Settings of outlier ejection, which compares the nodes of a pool."""

    consecutive_failures: CountOrOff = Field(
        default=5, description="Failures in a row that eject a node, or off."
    )
    interval: PositiveDuration = Field(
        default=10.0, description="Time between two looks at rates and at ejected nodes."
    )
    base_ejection: PositiveDuration = Field(
        default=30.0, description="Length of a first ejection; the n-th takes n times as long."
    )
    max_ejection: PositiveDuration = Field(
        default=300.0, description="Longest ejection; base_ejection, where that is longer."
    )
    max_ejected: Percentage = Field(
        default=0.5, description="Share of a pool's nodes that may be ejected at once."
    )
    always_eject_one: bool = Field(
        default=True, description="Whether one node of each pool may be ejected in any case."
    )
    success_rate: OffOr[SuccessRateSettings] = Field(
        default_factory=SuccessRateSettings,
        description="The rule about success rates, or off.",
    )
    failure_share: OffOr[FailureShareSettings] = Field(
        default="off", description="The rule about shares of failures; off where not given."
    )


class PanicSettings(Settings):
    """Settings of panic mode."""

    threshold: Percentage = Field(
        default=0.5,
        description=(
            "Health and ejections are ignored while the share of nodes, of those ready for a "
            "capability, that are neither unhealthy nor ejected is below it; with levels, of the "
            "nodes of a level, as long as all levels together do not carry the load."
        ),
    )


class SlowStartSettings(Settings):
    """Settings of the slow start of nodes that have recovered."""

    window: PositiveDuration = Field(default=30.0, description="Length of a slow start.")
    aggression: float = Field(
        default=1.0, gt=0, description="1 grows linearly with time; more grows faster at first."
    )
    min: Percentage = Field(
        default=0.1, description="Least factor of a node's weight, which it has at first."
    )
