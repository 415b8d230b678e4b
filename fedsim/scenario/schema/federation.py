"""The federation in the scenario file: which real objects run in the world, and their settings."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BeforeValidator, Discriminator, Field, Tag

from fedsim.federation.presets import PRESETS
from fedsim.scenario.schema.base import (
    Settings,
    error,
    off_or_mapping,
    only,
    shown,
    suggestion,
    tag_of_word,
)
from fedsim.scenario.schema.health import BreakerSettings, HealthSettings
from fedsim.scenario.schema.policies import POLICIES, Policies, PolicySettings
from fedsim.scenario.schema.resilience import RetrySettings, TimeoutSettings
from fedsim.scenario.schema.strategies import StrategySettingsByName
from fedsim.scenario.schema.types import CountFrom1, PlugInName, StrategyName

class Federation(Settings):
    """The real objects that run in the world."""

    preset: Annotated[Literal["default"], BeforeValidator(_known_preset)] = Field(
        default="default",
        description=(
            "Whose objects run, and where the settings come from that are not given: default is "
            "ours, apr the contracts' first implementation, which has fewer keys."
        ),
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
    strategy_settings: StrategySettingsByName = Field(
        default_factory=StrategySettingsByName,
        description="Settings by strategy, for wherever that strategy runs.",
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
