"""Circuit breakers in the scenario file: after failures in a row, by rates, or one of your own."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from fedsim.adapters import BREAKERS
from fedsim.scenario.schema.base import Settings, error, shown, suggestion
from fedsim.scenario.schema.foreign import check_form
from fedsim.scenario.schema.types import (
    PLUGIN_JSON,
    CountFrom1,
    Percentage,
    Period,
    PositiveDuration,
    stands_for_class,
)
from fedsim.scenario.units import DURATION

KINDS = ("consecutive", "rate")


class BreakerSettings(Settings):
    """Settings of circuit breakers that open after failures in a row."""

    kind: Literal["consecutive"] = Field(
        default="consecutive", description="What opens a circuit: consecutive, or rate."
    )
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


def _whole_seconds(value: float) -> float:
    if not value.is_integer():
        message = f"{DURATION.format(value)} is not a whole number of seconds."
        raise error(message, "Write whole seconds, such as 60s, or a number of results.")
    return value


def _tag_of_window(value: Any) -> str:
    return "<calls>" if isinstance(value, int) else "<time>"


Window = Annotated[
    Annotated[CountFrom1, Tag("<calls>")]
    | Annotated[Period, AfterValidator(_whole_seconds), Tag("<time>")],
    Discriminator(_tag_of_window),
]
"""A number of results, or the whole seconds of which results count."""


class RateBreakerSettings(Settings):
    """Settings of circuit breakers that go by the rates of failures and of slow calls."""

    kind: Literal["rate"] = Field(
        description="What opens a circuit: the rates of the last results."
    )
    window: Window = Field(
        default=100, description="The newest results that count, or their age in whole seconds."
    )
    failure_rate: Percentage = Field(
        default=0.5, description="Share of failures that opens a circuit."
    )
    slow_call: PositiveDuration = Field(
        default=60.0, description="A request that takes longer is slow."
    )
    slow_rate: Percentage = Field(
        default=1.0, description="Share of slow requests that opens a circuit."
    )
    min_calls: CountFrom1 = Field(
        default=100,
        description="Results from which the rates count; at most a window that counts results.",
    )
    wait: PositiveDuration = Field(default=60.0, description="Time that a circuit stays open.")
    half_open_probes: CountFrom1 = Field(
        default=10,
        description="Requests that pass a half-open circuit, and whose rates then decide.",
    )


def _breaker_word(value: str) -> str:
    if value == "off" or value in BREAKERS or stands_for_class(value):
        return value
    message = f"{shown(value)} is neither a mapping, off, a class, nor a library's name."
    known = ", ".join(BREAKERS)
    raise error(message, f"Write a mapping with settings, off, module:Class, or one of {known}.")


BreakerWord = Annotated[
    str,
    AfterValidator(_breaker_word),
    Field(json_schema_extra={"anyOf": [{"const": "off"}, {"enum": list(BREAKERS)}, PLUGIN_JSON]}),
]
"""The word ``off``, a library's name such as ``pybreaker``, or a class as ``module:Class``."""


def _check_kind(value: Any) -> Any:
    check_form(value)
    if isinstance(value, dict) and value.get("kind", KINDS[0]) not in KINDS:
        message = f"There is no kind of circuit breaker {shown(value['kind'])}."
        raise error(message, suggestion(value["kind"], list(KINDS)), "kind")
    return value


def _tag_of_breaker(value: Any) -> str:
    if isinstance(value, str):
        return "<word>"
    kind = value.get("kind", KINDS[0]) if isinstance(value, dict) else value.kind
    return f"<{kind}>"


BreakerChoice = Annotated[
    Annotated[BreakerSettings, Tag("<consecutive>")]
    | Annotated[RateBreakerSettings, Tag("<rate>")]
    | Annotated[BreakerWord, Tag("<word>")],
    Discriminator(_tag_of_breaker),
    BeforeValidator(_check_kind),
]
"""Settings of a circuit breaker, ``off``, a library's name, or a class."""
