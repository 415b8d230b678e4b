"""What ``fedsim test`` expects of a scenario's runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from fedsim.results.measures import MEASURES, RELATIONS, Limit
from fedsim.results.slo import SHARES
from fedsim.scenario.installed import ROUTER, is_name
from fedsim.scenario.objects import is_given
from fedsim.scenario.schema.base import Settings, error, shown, suggestion
from fedsim.scenario.schema.types import CountFrom1, PositiveShare, router_name, strategy_name
from fedsim.scenario.units import DURATION, PRICE, RATE, SHARE, Quantity, UnitError

_BOUND = re.compile(rf"\s*({'|'.join(RELATIONS)})\s*(\S.*)")
_QUANTITIES: Mapping[str, Quantity] = {"s": DURATION, "%": SHARE, "1/s": RATE, "USD/h": PRICE}
"""How values of measures are written, by their unit; the others are plain numbers."""

_COMMIT = re.compile(r"git:[^:]+:[^:]+:[^:]+")


def limit_of(measure: str, text: object) -> Limit:
    """Return what a text such as ``<= 1.1`` says of a measure.

    Raises:
        UnitError: It is no such text.
    """
    quantity = _QUANTITIES.get(MEASURES[measure].unit)
    example = "0" if quantity is None else re.split(", | or ", quantity.examples)[0]
    found = _BOUND.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        message = f"{shown(text)} is no bound of {measure}."
        raise UnitError(message, f'Write "= {example}", "<= {example}" or ">= {example}".')
    relation, value = next(each for each in RELATIONS if each == found[1]), found[2].strip()
    if quantity is not None:
        return Limit(relation, quantity.parse(value))
    try:
        return Limit(relation, float(value))
    except ValueError:
        message = f"{shown(value)} is no number, which {measure} is."
        raise UnitError(message, f'Write "{relation} {example}" or the like.') from None


def _measure(value: str) -> str:
    if value not in MEASURES:
        message = f"There is no measure {shown(value)}."
        names = suggestion(SHARES.get(value, value), list(MEASURES))
        raise error(message, names if len(names) < 80 else "docs/measures.md lists them.")
    return value


def _ranked(value: str) -> str:
    if MEASURES[_measure(value)].better is None:
        message = f"Neither more nor less of {value} is better."
        raise error(message, "Name a measure with a good direction, such as goodput_share.")
    return value


def _rival(value: str) -> str:
    if is_given(value) or is_name(ROUTER, value) or _COMMIT.fullmatch(value):
        return value
    return router_name(value) if set(":/") & set(value) else strategy_name(value)


class NoWorse(Settings):
    """What the scenario's strategy or router may not be worse than."""

    than: Annotated[str, AfterValidator(_rival)] = Field(
        description=(
            "A strategy, or a router as module:Class, <adapter>/<choice> or git:REF:module:Class, "
            "which is the class in another commit."
        ),
        examples=["round_robin"],
    )
    measure: Annotated[str, AfterValidator(_ranked)] = Field(
        description="The measure, of which one direction is better.", examples=["goodput_share"]
    )
    margin: PositiveShare = Field(
        description=(
            "The difference that does not matter: percentage points for a measure that is a share, "
            "else relative to the other."
        ),
        examples=["1%"],
    )


class Expect(Settings):
    """What fedsim test expects of the scenario's runs."""

    replications: CountFrom1 | None = Field(
        default=None, description="Runs that it rests on; those of study where not given."
    )
    slo: Literal["held"] | None = Field(
        default=None,
        description="held: every bound of slo is held in the mean, at the confidence of study.",
    )
    best: str | None = Field(
        default=None,
        description=(
            "One of compare's strategies and routers: no other is shown to be better, by goodput, "
            "then by success rate and 99th percentile of the latency where that is equal."
        ),
        examples=["least_latency"],
    )
    no_worse: NoWorse | None = Field(
        default=None,
        description=(
            "The scenario's strategy or router is shown to be no worse than another but for a "
            "margin."
        ),
    )
    measures: dict[Annotated[str, AfterValidator(_measure)], str] = Field(
        default_factory=dict,
        description=(
            "Bounds of measures: with = in every replication, with <= and >= by the one-sided "
            "confidence limit of the mean."
        ),
        examples=[{"privacy_violations": "= 0", "attempts_per_request": "<= 1.1"}],
    )
    decisions: Literal["golden"] | None = Field(
        default=None,
        description=(
            "golden: one run with the scenario's seed decides as the file NAME.golden next to the "
            "scenario file says, which fedsim test --update writes."
        ),
    )
    known_failure: str | None = Field(
        default=None,
        description=(
            "The address of an issue that says why something of this fails today; the test fails "
            "once it passes."
        ),
        examples=["https://example.org/issues/12"],
    )

    @field_validator("known_failure")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        if value is not None and not re.match(r"https?://\S+\Z", value):
            message = f"{shown(value)} is no address."
            raise error(message, "Write that of the issue, such as https://example.org/issues/12.")
        return value

    @field_validator("measures")
    @classmethod
    def _are_limits(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            try:
                limit_of(name, text)
            except UnitError as failure:
                raise error(failure.message, failure.remedy, name) from None
        return value

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        asked: list[Any] = [self.slo, self.best, self.no_worse, self.decisions]
        if not self.measures and all(each is None for each in asked):
            message = "Nothing is expected."
            raise error(message, "Add slo: held, best, no_worse, measures or decisions: golden.")
        return self
