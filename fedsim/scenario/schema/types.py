"""Types of single values in the scenario file: quantities, names, plug-ins."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from fedsim.adapters import ROUTERS
from fedsim.federation.contracts import Capability
from fedsim.federation.strategies.registry import STRATEGIES
from fedsim.scenario.adapters import is_adapted
from fedsim.scenario.installed import ROUTER, STRATEGY, is_name, names
from fedsim.scenario.instants import PATTERN, format_instant, parse_instant
from fedsim.scenario.objects import is_given
from fedsim.scenario.schema.base import error, shown, suggestion
from fedsim.scenario.units import (
    DURATION,
    GROWTH,
    PRICE,
    RATE,
    SHARE,
    TOKEN_RATE,
    Quantity,
    UnitError,
)


@dataclass(frozen=True, slots=True)
class Unit:
    """Makes a float of a text with a unit, and writes it back as one.

    Attributes:
        quantity: What kind of quantity it is.
        above: The value is greater than this; minus infinity for no such bound.
        at_least: The value is not less than this.
        at_most: The value is not greater than this.
        bare: Whether a number without unit is welcome too.
        word: A word that stands in place of the quantity, such as ``off``.
    """

    quantity: Quantity
    above: float = -math.inf
    at_least: float = 0.0
    at_most: float = math.inf
    bare: bool = False
    word: str | None = None

    def validate(self, value: object) -> float | str:
        """Return the value in SI units, or the word."""
        if self.word is not None and value == self.word:
            return self.word
        number = self._parse(value)
        if number < self.at_least or number <= self.above:
            positive = self.above == 0.0
            limit = "more than 0" if positive else f"at least {self._shown(self.at_least)}"
            message = f"{shown(value)} is {'negative' if number < 0 else 'too small'}."
            raise error(message, f"Write {limit}.")
        if number > self.at_most:
            message = f"{shown(value)} is too large."
            raise error(message, f"Write at most {self._shown(self.at_most)}.")
        return number

    def serialize(self, value: float | str) -> float | str:
        """Return the text of a value in SI units, or the word."""
        if isinstance(value, str) or self.bare:
            return value
        return self.quantity.format(value)

    def _parse(self, value: Any) -> float:
        if self.bare and type(value) in {int, float} and math.isfinite(value):
            return float(value)
        try:
            return self.quantity.parse(value)
        except UnitError as failure:
            also = f" Or write {self.word}." if self.word else ""
            raise error(failure.message, failure.remedy + also) from None

    def _shown(self, value: float) -> str:
        return f"{value:g}" if self.bare or value == 0 else self.quantity.format(value)

    def _json_schema(self) -> dict[str, Any]:
        texts = {"type": "string", "pattern": self.quantity.pattern()}
        others: list[dict[str, Any]] = []
        if self.word is not None:
            others.append({"const": self.word})
        if self.bare:
            others.append({"type": "number", "minimum": self.at_least, "maximum": self.at_most})
        return {"anyOf": [texts, *others]} if others else texts

    def __get_pydantic_core_schema__(self, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        serialization = core_schema.plain_serializer_function_ser_schema(self.serialize)
        return core_schema.no_info_plain_validator_function(
            self.validate,
            serialization=serialization,
            metadata={"pydantic_js_functions": [lambda _schema, _handler: self._json_schema()]},
        )


class _InstantType:
    """Makes a time of the wall clock of a text, and writes it back as one."""

    def __get_pydantic_core_schema__(self, _: Any, __: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._validate,
            serialization=core_schema.plain_serializer_function_ser_schema(format_instant),
            metadata={
                "pydantic_js_functions": [lambda _schema, _: {"type": "string", "pattern": PATTERN}]
            },
        )

    @staticmethod
    def _validate(value: object) -> datetime:
        try:
            return parse_instant(value)
        except UnitError as failure:
            raise error(failure.message, failure.remedy) from None


Instant = Annotated[datetime, _InstantType()]
"""A time of the wall clock, with a zone."""

Duration = Annotated[float, Unit(DURATION)]
"""A duration of 0 or more, in seconds."""

PositiveDuration = Annotated[float, Unit(DURATION, above=0.0)]
"""A duration of more than 0, in seconds."""

DurationOrOff = Annotated[float | str, Unit(DURATION, above=0.0, word="off")]
"""A duration of more than 0, in seconds, or ``off``."""

Offset = Annotated[float, Unit(DURATION, at_least=-math.inf)]
"""A duration that may be negative, in seconds."""

Period = Annotated[float, Unit(DURATION, at_least=1.0)]
"""The length of something that repeats itself, of at least 1 s, in seconds."""

Rate = Annotated[float, Unit(RATE, above=0.0)]
"""A rate of requests of more than 0, per second."""

RateOrNone = Annotated[float, Unit(RATE)]
"""A rate of requests of 0 or more, per second."""

TokenRate = Annotated[float, Unit(TOKEN_RATE, above=0.0)]
"""A rate of tokens of more than 0, per second."""

Price = Annotated[float, Unit(PRICE)]
"""A price of 0 or more, in US dollars per hour."""

Percentage = Annotated[float, Unit(SHARE, at_most=1.0)]
"""A share from 0 to 1, written as a percentage."""

PercentageOrOff = Annotated[float | str, Unit(SHARE, at_most=1.0, word="off")]
"""A share from 0 to 1, written as a percentage, or ``off``."""

Confidence = Annotated[float, Unit(SHARE, above=0.5, at_most=0.999)]
"""The share of studies whose interval holds the truth, written as a percentage."""

Growth = Annotated[float, Unit(GROWTH, above=0.0, at_most=10.0)]
"""Growth of more than 0, the share by which something grows in a month."""

PositiveShare = Annotated[float, Unit(SHARE, above=0.0, at_most=1.0)]
"""A share of more than 0 and at most 1, written as a percentage."""

InnerShare = Annotated[float, Unit(SHARE, above=0.0, at_most=0.99)]
"""A share of more than 0 and at most 99 %, written as a percentage."""

Excess = Annotated[float, Unit(SHARE)]
"""A share of 0 or more, written as a percentage that may exceed 100%."""

Probability = Annotated[float, Unit(SHARE, at_most=1.0, bare=True)]
"""A probability, written as a number from 0 to 1 or as a percentage."""

Weight = Annotated[float, Field(ge=0.0)]
"""A weight of 0 or more."""

TokenCount = Annotated[float, Field(ge=0.0)]
"""A number of tokens, or a mean of them."""

CountFrom0 = Annotated[int, Field(ge=0, le=1_000_000)]
CountFrom1 = Annotated[int, Field(ge=1, le=1_000_000)]
"""A whole number of 1 or more."""

_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]*$"
_PLUGIN = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$"
PLUGIN_JSON = {"type": "string", "pattern": _PLUGIN}
"""JSON Schema of a class as ``module:Class``."""

_CAPABILITIES = ("transcribe", "synthesize", "generate", "code", "embed", "image_gen")


def is_count_path(path: str) -> bool:
    """Return whether a dotted path is that of the number of nodes of a pool."""
    words = path.split(".")
    return len(words) == 3 and words[0] == "pools" and words[2] == "count"


def is_plugin(text: object) -> bool:
    """Return whether *text* has the form ``module:Class``."""
    return isinstance(text, str) and re.match(_PLUGIN, text, re.ASCII) is not None


def names_class(text: object) -> bool:
    """Return whether *text* names a class, or an object that was given in Python."""
    return is_plugin(text) or is_given(text)


def _name(value: str) -> str:
    if not re.match(_NAME, value) or len(value) > 100:
        message = f"{shown(value)} cannot be a name."
        raise error(message, "Use letters, digits, - and _, beginning with a letter or digit.")
    return value


def require_present(value: str) -> None:
    """Check that a plug-in is one that is there now; raises an error for one of a commit."""
    if value.startswith("git:"):
        message = f"{shown(value)} is a plug-in of another commit, and a run takes what is here."
        remedy = "Write module:Class. A sweep takes it as a value, fedsim compare as a --router."
        raise error(message, remedy)


def _plugin(value: str) -> str:
    require_present(value)
    if not names_class(value):
        message = f"{shown(value)} does not name a class."
        raise error(message, "Write module:Class, for instance my_package.routers:Sticky.")
    return value


def strategy_name(value: str) -> str:
    """Return *value* if it names a strategy; raises an error that says what to write."""
    require_present(value)
    if names_class(value) or is_name(STRATEGY, value):
        return value
    message = f"There is no strategy {shown(value)}."
    meant = _ALSO_CALLED.get(value.lower().replace("-", "_"), value)
    raise error(message, f"{suggestion(meant, names(STRATEGY))} Or write module:Class.")


_ALSO_CALLED = {
    "rr": "round_robin",
    "wrr": "smooth_weighted_round_robin",
    "p2c": "power_of_two",
    "po2": "power_of_two",
    "two_choices": "power_of_two",
    "jsq": "join_shortest_queue",
    "jiq": "join_idle_queue",
    "least_conn": "least_connections",
    "least_busy": "least_connections",
    "least_request": "envoy_least_request",
    "peak_ewma": "finagle_peak_ewma",
    "ewma": "finagle_peak_ewma",
    "ring_hash": "consistent_hash",
    "chwbl": "bounded_load_hash",
    "hrw": "rendezvous_hash",
}
"""What other load balancers call the strategies, for the remedy of an unknown name."""


def router_name(value: str) -> str:
    """Return *value* if it names a router; raises an error that says what to write."""
    if is_given(value):
        return value
    if is_adapted(value):
        adapter = value.partition("/")[0]
        if adapter not in ROUTERS:
            message = f"There is no adapter {shown(adapter)} of a router."
            raise error(message, suggestion(adapter, list(ROUTERS)))
        return value
    return value if is_name(ROUTER, value) else _plugin(value)


def _capability(value: str) -> str:
    try:
        return Capability(value).key
    except ValueError:
        message = f"There is no capability {shown(value)}."
        remedy = suggestion(value, [*_CAPABILITIES, "custom:<name>"])
        raise error(message, remedy) from None


def _none_if_word(value: object) -> object:
    return None if value == "none" else value


Name = Annotated[str, AfterValidator(_name), Field(json_schema_extra={"pattern": _NAME})]
"""A name that the user gives: of a region, pool or stream."""

PlugInName = Annotated[str, AfterValidator(_plugin), Field(json_schema_extra={"pattern": _PLUGIN})]
"""A class, as ``module:Class``."""

RouterName = Annotated[
    str,
    AfterValidator(router_name),
    Field(
        json_schema_extra={
            "anyOf": [PLUGIN_JSON, {"pattern": f"^({'|'.join(ROUTERS)})/.+$"}, {"pattern": _NAME}]
        }
    ),
]
"""A router as ``module:Class``, as ``<adapter>/<choice>``, or by the name that an installed package
gives it."""

StrategyName = Annotated[
    str,
    AfterValidator(strategy_name),
    Field(json_schema_extra={"anyOf": [{"enum": list(STRATEGIES)}, PLUGIN_JSON]}),
]
"""A strategy of ours or of an installed package, or a class as ``module:Class``."""

CapabilityName = Annotated[
    str,
    AfterValidator(_capability),
    Field(json_schema_extra={"anyOf": [{"enum": list(_CAPABILITIES)}, {"pattern": "^custom:.+$"}]}),
]
"""A capability: a known one, or ``custom:<name>``."""

OptionalWord = Annotated[str | None, BeforeValidator(_none_if_word)]
"""A word, or ``none``."""
