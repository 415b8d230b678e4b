"""The federation of ``preset: apr`` in the scenario file: the keys that it can honour."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from fedsim.federation.contracts import LoadBalanceStrategy
from fedsim.federation.reference.config import (
    ENTERPRISE_DEFAULT,
    ReferenceBreakerConfig,
    ReferenceHealthConfig,
    ReferenceRetries,
)
from fedsim.federation.retries import RetryConfig
from fedsim.scenario.schema.base import (
    OffOr,
    Settings,
    Wording,
    error,
    fields_by_key,
    listed,
    shown,
    tag_of_word,
)
from fedsim.scenario.schema.derived import SettingsOf, default_of, model_of
from fedsim.scenario.schema.federation import Federation, GatewayChoice, Gateways
from fedsim.scenario.schema.parts import BreakerSettings, HealthSettings, RateBreakerSettings
from fedsim.scenario.schema.policies import PolicySettings, check_settings
from fedsim.scenario.schema.types import PlugInName
from fedsim.world.config import WorldConfig

_OR_OURS = "or write preset: default"
_STRATEGIES = [strategy.value for strategy in LoadBalanceStrategy]
_POLICIES = list(ENTERPRISE_DEFAULT)
_MISSING = {
    "strategy_settings": "has no strategies with settings",
    "router": "takes no router but its own",
    "kind": "knows circuits of the kind consecutive alone",
    "half_open_probes": "lets any number of requests pass while half-open",
    "interval": "never probes a node",
    "jitter": "waits and probes without jitter",
    "budget": "has no budget of retries",
    "window": "never forgets a latency",
}
"""What the reference does about some of the keys that it lacks."""


def _lacks(own: Collection[str] | type, *ours: type[Settings]) -> dict[str, Wording]:
    """Return what to say of each key of *ours* that is none of the reference's *own*."""
    if isinstance(own, type):
        own = fields_by_key(model_of(own))
    return {
        key: (
            f"The preset apr {_MISSING.get(key, f'has no {key}')}.",
            f"Remove it, {_OR_OURS}.",
        )
        for each in ours
        for key in fields_by_key(each)
        if key not in own
    }


def _only_off(fact: str) -> Callable[[Any], Any]:
    """Return a validator that lets ``off`` pass, which the reference is already."""

    def check(value: Any) -> Any:
        if value != "off":
            message = f"The preset apr {fact}."
            raise error(message, f"Remove it, write off, {_OR_OURS}.")
        return value

    return check


def _never_off(value: Any) -> Any:
    if value == "off":
        message = "The preset apr has no way to switch its circuit breakers off."
        raise error(message, f"Remove it, {_OR_OURS}.")
    return value


def _known_strategy(value: Any) -> Any:
    if value not in _STRATEGIES:
        message = f"The preset apr has no strategy {shown(value)}."
        raise error(message, f"Write {listed(_STRATEGIES)}, {_OR_OURS}.")
    return value


def _policies_or_word(value: Any) -> Any:
    if value == "enterprise_default" or isinstance(value, dict):
        return value
    message = f"{shown(value)} is neither a mapping nor enterprise_default."
    raise error(message, "Write the policies as a mapping, or remove the key.")


def _known_policy(value: str) -> str:
    if value not in _POLICIES:
        message = f"The preset apr has no policy {value!r}."
        raise error(message, f"Write {listed(_POLICIES)}, {_OR_OURS}.")
    return value


def _check_policies(value: dict[str, PolicySettings]) -> dict[str, PolicySettings]:
    for name, settings in value.items():
        check_settings(name, settings)
        if name == "privacy" and settings.weight is not None:
            message = "The policy privacy has no weight: it scores every node 1."
            raise error(message, "Remove it.", name)
    return value


class ReferenceHealthSettings(SettingsOf[ReferenceHealthConfig]):
    """Settings of the health checkers of ``preset: apr``, which hear of traffic alone."""

    lacks: ClassVar[Mapping[str, Wording]] = _lacks(ReferenceHealthConfig, HealthSettings)


class ReferenceBreakerSettings(SettingsOf[ReferenceBreakerConfig]):
    """Settings of the circuit breakers of ``preset: apr``."""

    lacks: ClassVar[Mapping[str, Wording]] = _lacks(
        ReferenceBreakerConfig, BreakerSettings, RateBreakerSettings
    )


class ReferenceRetrySettings(SettingsOf[ReferenceRetries]):
    """How each gateway of ``preset: apr`` tries again."""

    lacks: ClassVar[Mapping[str, Wording]] = _lacks(ReferenceRetries, SettingsOf[RetryConfig])


PolicyName = Annotated[
    str, AfterValidator(_known_policy), Field(json_schema_extra={"enum": _POLICIES})
]
"""A policy of the reference."""

ReferencePolicies = Annotated[
    Annotated[dict[PolicyName, PolicySettings], AfterValidator(_check_policies), Tag("<value>")]
    | Annotated[Literal["enterprise_default"], Tag("<word>")],
    Discriminator(tag_of_word),
    BeforeValidator(_policies_or_word),
]
"""Settings by policy, or the reference's own composite."""


class ReferenceFederation(Settings):
    """The federation of ``preset: apr``: the contracts' first implementation, faults included."""

    abort: ClassVar[str] = "on"
    """It has no deadlines and no cancellations, so that nothing is ever aborted."""

    preset: Literal["apr"] = Field(description="Whose objects run: the reference's.")
    gateways: Gateways = None
    gateway_choice: GatewayChoice = default_of(WorldConfig, "gateway_choice")
    strategy: Annotated[
        Literal[
            "round_robin",
            "least_connections",
            "least_latency",
            "weighted_random",
            "consistent_hash",
        ],
        BeforeValidator(_known_strategy),
    ] = Field(
        default="least_latency",
        description=(
            "weighted_random draws among the ten best by their score; each of the others takes "
            "the best."
        ),
    )
    policies: ReferencePolicies = Field(
        default="enterprise_default",
        description=(
            "The policies, whose mean score counts. enterprise_default has all five, health with "
            "weight 2, and takes every region for internal; a mapping knows the regions' levels."
        ),
    )
    health: OffOr[ReferenceHealthSettings] = Field(
        default_factory=ReferenceHealthSettings,
        description="The health checkers; off registers no node with them.",
    )
    circuit_breaker: Annotated[ReferenceBreakerSettings, BeforeValidator(_never_off)] = Field(
        default_factory=ReferenceBreakerSettings, description="The circuit breakers."
    )
    timeout: Annotated[Literal["off"], BeforeValidator(_only_off("sets no deadlines"))] = Field(
        default="off", description="The deadlines: only off, for it has none."
    )
    retries: OffOr[ReferenceRetrySettings] = Field(
        default_factory=ReferenceRetrySettings, description="The retries, or off."
    )
    hedge: Annotated[Literal["off"], BeforeValidator(_only_off("does not hedge"))] = Field(
        default="off", description="Hedged requests: only off."
    )
    middleware: list[PlugInName] = Field(
        default_factory=list, description="Middleware as module:Class, outermost first."
    )

    lacks: ClassVar[Mapping[str, Wording]] = _lacks(
        {
            "preset",
            "gateways",
            "gateway_choice",
            "strategy",
            "policies",
            "health",
            "circuit_breaker",
            "timeout",
            "retries",
            "hedge",
            "middleware",
        },
        Federation,
    )
