"""Parts of a gateway in the scenario file that others may take the place of.

Health checkers, circuit breakers and retries are settings, ``off``, a class of one's own, or what
an adapter runs.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from fedsim.adapters import BREAKERS, RETRIES
from fedsim.federation.breaker import BreakerConfig
from fedsim.federation.health import HealthConfig
from fedsim.federation.rate_breaker import RateBreakerConfig
from fedsim.federation.retries import RetryConfig
from fedsim.scenario.schema.base import Later, Settings, error, shown, suggestion, tag_of_word
from fedsim.scenario.schema.derived import SettingsOf
from fedsim.scenario.schema.types import (
    PLUGIN_JSON,
    CountFrom1,
    Percentage,
    Period,
    is_plugin,
    names_class,
    require_present,
)
from fedsim.scenario.units import DURATION


def _off_or_plugin(value: str) -> str:
    require_present(value)
    if value == "off" or names_class(value):
        return value
    message = f"{shown(value)} is neither a mapping, off, nor a class."
    raise error(message, "Write a mapping with settings, off, or module:Class.")


def _check_form(value: Any) -> Any:
    """Return *value* if it is a mapping or a text, for use before the choice between them."""
    if isinstance(value, dict | str | Settings):
        return value
    message = f"{shown(value)} is neither a mapping, off, nor a class."
    raise error(message, "Write a mapping with settings, off, or module:Class.")


# Health checkers


class HealthSettings(SettingsOf[HealthConfig]):
    """Settings of the health checker of each gateway."""

    loss: Percentage = Field(
        default=0.0, description="Share of the probes that get no answer, whatever the node."
    )


_OffOrPlugIn = Annotated[
    str,
    AfterValidator(_off_or_plugin),
    Field(json_schema_extra={"anyOf": [{"const": "off"}, PLUGIN_JSON]}),
]

HealthChoice = Annotated[
    Annotated[HealthSettings, Tag("<value>")] | Annotated[_OffOrPlugIn, Tag("<word>")],
    Discriminator(tag_of_word),
    BeforeValidator(_check_form),
]
"""Settings of a health checker, ``off``, or a class."""


# Circuit breakers

KINDS = ("consecutive", "rate")


class _Consecutive(Settings):
    kind: Literal["consecutive"] = Field(
        default="consecutive", description="What opens a circuit: consecutive, or rate."
    )


class BreakerSettings(SettingsOf[BreakerConfig], _Consecutive):
    """Settings of circuit breakers that open after failures in a row."""


def _whole_seconds(value: float) -> float:
    if not value.is_integer():
        message = f"{DURATION.format(value)} is not a whole number of seconds."
        raise error(message, "Write whole seconds, such as 60s, or a number of results.")
    return value


def _tag_of_window(value: Any) -> str:
    return "<calls>" if isinstance(value, int) else "<time>"


_Window = Annotated[
    Annotated[CountFrom1, Tag("<calls>")]
    | Annotated[Period, AfterValidator(_whole_seconds), Tag("<time>")],
    Discriminator(_tag_of_window),
]


class _Rate(Settings):
    kind: Literal["rate"] = Field(
        description="What opens a circuit: the rates of the last results."
    )
    window: _Window = Field(
        default=RateBreakerConfig().window_calls,
        description="The newest results that count, or their age in whole seconds.",
    )


class RateBreakerSettings(SettingsOf[RateBreakerConfig], _Rate):
    """Settings of circuit breakers that go by the rates of failures and of slow calls."""

    def build(self, **others: object) -> RateBreakerConfig:
        """Return the settings of the breaker."""
        if isinstance(self.window, int):
            return super().build(window_calls=self.window, **others)
        return super().build(window_s=int(self.window), **others)


def _breaker_word(value: str) -> str:
    require_present(value)
    if value == "off" or value in BREAKERS or names_class(value):
        return value
    message = f"{shown(value)} is neither a mapping, off, a class, nor a library's name."
    known = ", ".join(BREAKERS)
    raise error(message, f"Write a mapping with settings, off, module:Class, or one of {known}.")


_BreakerWord = Annotated[
    str,
    AfterValidator(_breaker_word),
    Field(json_schema_extra={"anyOf": [{"const": "off"}, {"enum": list(BREAKERS)}, PLUGIN_JSON]}),
]


def _check_kind(value: Any) -> Any:
    _check_form(value)
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
    | Annotated[RateBreakerSettings, Later(), Tag("<rate>")]
    | Annotated[_BreakerWord, Tag("<word>")],
    Discriminator(_tag_of_breaker),
    BeforeValidator(_check_kind),
]
"""Settings of a circuit breaker, ``off``, a library's name such as ``pybreaker``, or a class."""


# Retries

_POLICY = f"^({'|'.join(RETRIES)})/.+:.+$"


def _no_retries(value: object) -> PydanticCustomError:
    message = f"{shown(value)} is neither a mapping, off, nor a retry policy."
    return error(message, "Write a mapping with settings, off, or tenacity/module:name.")


def _retry_word(value: str) -> str:
    adapter, _, policy = value.partition("/")
    if value == "off" or (adapter in RETRIES and is_plugin(policy)):
        return value
    raise _no_retries(value)


def _check_retries(value: Any) -> Any:
    if isinstance(value, dict | str | Settings):
        return value
    raise _no_retries(value)


_RetryWord = Annotated[
    str,
    AfterValidator(_retry_word),
    Field(json_schema_extra={"anyOf": [{"const": "off"}, {"pattern": _POLICY}]}),
]

RetryChoice = Annotated[
    Annotated[SettingsOf[RetryConfig], Tag("<value>")] | Annotated[_RetryWord, Tag("<word>")],
    Discriminator(tag_of_word),
    BeforeValidator(_check_retries),
]
"""Settings of retries, ``off``, or another project's policy as ``tenacity/module:name``."""
