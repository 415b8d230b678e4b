"""The federation in the scenario file: which real objects run in the world, and their settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from fedsim.federation.gateway import TimeoutConfig
from fedsim.federation.hedging import HedgeConfig
from fedsim.federation.limits import ConcurrencyConfig
from fedsim.federation.outliers import OutlierConfig
from fedsim.federation.panic import PanicConfig
from fedsim.federation.policies import DEFAULT_POLICIES
from fedsim.federation.retries import RetryConfig
from fedsim.federation.shedding import SheddingConfig
from fedsim.federation.slow_start import SlowStartConfig
from fedsim.federation.throttling import ThrottleConfig
from fedsim.scenario.schema.base import OffOr, Settings, error, shown, suggestion
from fedsim.scenario.schema.derived import SettingsOf, default_of
from fedsim.scenario.schema.parts import (
    BreakerChoice,
    BreakerSettings,
    HealthChoice,
    HealthSettings,
    RetryChoice,
)
from fedsim.scenario.schema.policies import Policies, PolicySettings
from fedsim.scenario.schema.strategies import StrategySettingsByName
from fedsim.scenario.schema.types import CountFrom1, PlugInName, RouterName, StrategyName
from fedsim.world.config import WorldConfig

PRESETS: Mapping[str, str] = {"apr": "fedsim.scenario.reference.factory"}
"""The module of each preset but ``default``; `schema.presets` has the models of their settings."""


def _known_preset(value: Any) -> Any:
    if value != "default":
        message = f"There is no preset {shown(value)}."
        raise error(message, suggestion(value, ["default", *PRESETS]))
    return value


OwnPreset = Annotated[Literal["default"], BeforeValidator(_known_preset)]
"""The preset of the default objects; a name that no preset has is an error here."""

Gateways = Annotated[
    dict[str, CountFrom1] | None,
    Field(
        min_length=1,
        description=(
            "Number of gateways by region, each with its own router, health view and breakers; "
            "one in each region that requests come from where not given."
        ),
    ),
]
"""Number of gateways by region."""

GatewayChoice = Annotated[
    Literal["random", "tenant", "turn"],
    Field(
        description=(
            "Which gateway of its region a request goes to: random draws one for each, tenant has "
            "one for each tenant, turn takes one after the other."
        ),
    ),
]
"""How the gateway of a request is found."""


class Federation(Settings):
    """The real objects that run in the world."""

    preset: OwnPreset = Field(
        default="default",
        description=(
            "Whose objects run, and where the settings come from that are not given: default is "
            "ours, apr the contracts' first implementation, which has fewer keys."
        ),
    )
    gateways: Gateways = None
    gateway_choice: GatewayChoice = default_of(WorldConfig, "gateway_choice")
    strategy: StrategyName = Field(
        default="least_latency",
        description="How one of the eligible nodes is chosen: a built-in name, or module:Class.",
    )
    strategy_settings: StrategySettingsByName = Field(
        default_factory=StrategySettingsByName,
        description="Settings by strategy, for wherever that strategy runs.",
    )
    policies: Policies = Field(
        default_factory=lambda: {name: PolicySettings() for name in DEFAULT_POLICIES},
        description=(
            "The policies that score nodes and rule them out; all six where not given, none where "
            "the mapping is empty. Other keys are module:Class."
        ),
    )
    router: RouterName | None = Field(
        default=None,
        description=(
            "A router in place of ours: one of your own as module:Class, or another project's as "
            "an adapter and what is chosen there, such as litellm/least-busy."
        ),
    )
    health: HealthChoice = Field(
        default_factory=HealthSettings,
        description="The health checkers, off, or a class of your own.",
    )
    circuit_breaker: BreakerChoice = Field(
        default_factory=BreakerSettings,
        description=(
            "The circuit breakers, off, a class of your own, or a library that an adapter runs: "
            "aiobreaker, circuitbreaker, interlock, purgatory or pybreaker."
        ),
    )
    outliers: OffOr[SettingsOf[OutlierConfig]] = Field(
        default="off", description="Outlier ejection, or off."
    )
    panic: OffOr[SettingsOf[PanicConfig]] = Field(default="off", description="Panic mode, or off.")
    slow_start: OffOr[SettingsOf[SlowStartConfig]] = Field(
        default="off", description="The slow start of nodes that have recovered, or off."
    )
    timeout: OffOr[SettingsOf[TimeoutConfig]] = Field(
        default_factory=SettingsOf[TimeoutConfig], description="The deadlines, or off."
    )
    retries: RetryChoice = Field(
        default_factory=SettingsOf[RetryConfig],
        description=(
            "The retries, off, or a policy of tenacity's as tenacity/module:name, which decides in "
            "place of limit, backoff and budget."
        ),
    )
    hedge: OffOr[SettingsOf[HedgeConfig]] = Field(
        default="off", description="Hedged requests, or off."
    )
    throttle: OffOr[SettingsOf[ThrottleConfig]] = Field(
        default="off", description="Client-side throttling, or off."
    )
    concurrency: OffOr[SettingsOf[ConcurrencyConfig]] = Field(
        default="off", description="The limit on a gateway's requests in flight, or off."
    )
    shedding: OffOr[SettingsOf[SheddingConfig]] = Field(
        default="off", description="Load shedding by priority, or off."
    )
    abort: Literal["on", "off"] = Field(
        default="on",
        description="Whether a deadline or a cancellation makes the node stop its work.",
    )
    middleware: list[PlugInName] = Field(
        default_factory=list, description="Middleware as module:Class, outermost first."
    )

    @model_validator(mode="after")
    def _sheds_at_a_limit(self) -> Self:
        if (
            self.concurrency == "off"
            and isinstance(self.shedding, SettingsOf)
            and self.shedding.build().limit is None
        ):
            message = "Load shedding has no limit to go by."
            raise error(message, "Add limit, or switch concurrency on.", "shedding")
        return self

    @model_validator(mode="after")
    def _are_of_our_router(self) -> Self:
        for key in ("outliers", "panic", "slow_start"):
            if self.router is not None and getattr(self, key) != "off":
                message = f"{key} is a part of our router, and router names another."
                raise error(message, f"Remove {key}, or router.", key)
        return self
