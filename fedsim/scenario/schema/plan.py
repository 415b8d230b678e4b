"""What ``fedsim plan`` varies, what it minimizes, and what the fleet has to survive."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    field_serializer,
    model_validator,
)

from fedsim.scenario.schema.base import Settings, error, listed, only, shown, tag_of_word
from fedsim.scenario.schema.sweep import VariedPath
from fedsim.scenario.schema.types import Confidence, CountFrom1, Duration, Growth, is_count_path
from fedsim.scenario.units import PRICE, UnitError

LEAST_REPLICATIONS = 4
"""From so many replications on, a fleet may be found to violate its objective."""

MOST_NODES = 1_000_000

WHOLE_LIMITS = ("nodes", "slots")
"""Limits of the fleet as a whole, besides its cost."""


class Values(Settings):
    """Values one after the other, where two whole numbers would be a range."""

    values: Annotated[list[Any], Field(min_length=1)] = Field(description="The values.")


_ASKED = ("slo", "duration", "warmup", "drain")
"""Keys of what a plan asks of every fleet alike: its objective, and when it is judged."""


def _of_fleet(path: str) -> str:
    head = path.partition(".")[0]
    if head in _ASKED:
        message = f"{shown(path)} is what every fleet is judged by, not a part of one."
        raise error(message, f"Set {head} outside of plan, and plan once for each value.")
    return path


FleetPath = Annotated[VariedPath, AfterValidator(_of_fleet)]
"""The dotted path of what may be chosen."""


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _varied(value: Any) -> Any:
    if isinstance(value, list) and value:
        if len(value) == 2 and all(map(_is_whole, value)) and value[0] > value[1]:
            message = f"The range from {value[0]} to {value[1]} is empty."
            raise error(message, "Write the lower end first.")
        return value
    if isinstance(value, dict | Values):
        return value
    remedy = "Write a range such as [1, 20], a list, or {values: [64, 256]}."
    message = "There is nothing in it." if value == [] else f"{shown(value)} is not a list."
    raise error(message, remedy)


def _tag(value: Any) -> str:
    return "<values>" if isinstance(value, dict | Values) else "<list>"


Varied = Annotated[
    Annotated[list[Any], Tag("<list>")] | Annotated[Values, Tag("<values>")],
    Discriminator(_tag),
    BeforeValidator(_varied),
]
"""A range of two whole numbers, a list of values, or ``{values: […]}``."""


def values_of(varied: list[Any] | Values) -> list[Any]:
    """Return the values that a path takes, a range from its lower end to its upper one."""
    if isinstance(varied, Values):
        return varied.values
    if len(varied) == 2 and all(map(_is_whole, varied)):
        return list(range(varied[0], varied[1] + 1))
    return varied


def _limit_name(name: str) -> str:
    words = name.split(".")
    of_region = len(words) >= 3 and words[0] == "regions" and words[-1] == "nodes"
    if name in ("cost", *WHOLE_LIMITS) or of_region or (words[0] == "gpus" and len(words) > 1):
        return name
    message = f"There is no limit {shown(name)}."
    known = ["cost", *WHOLE_LIMITS, "gpus.NAME", "regions.NAME.nodes"]
    raise error(message, f"Write {listed(known)}.")


def _amount(value: Any) -> float:
    """Return a price in US dollars per hour, or a whole number."""
    if isinstance(value, str):
        try:
            return PRICE.parse(value)
        except UnitError as failure:
            raise error(failure.message, failure.remedy) from None
    if not _is_whole(value) or value < 0:
        message = f"{shown(value)} is neither a whole number of 0 or more nor a price."
        raise error(message, "Write for instance 64, or 200 USD/h for the cost.")
    return int(value)


def _limits(value: dict[str, float]) -> dict[str, float]:
    for name, limit in value.items():
        if isinstance(limit, float) != (name == "cost"):
            message = f"{limit:g} is {'a price' if isinstance(limit, float) else 'a number'}."
            raise error(message, f"Write {'200 USD/h' if name == 'cost' else '64'}.", name)
    return value


Amount = Annotated[Any, BeforeValidator(_amount)]
"""A price, in US dollars per hour, or a whole number."""

_LIMITS_SCHEMA = {
    "type": "object",
    "properties": {"cost": {"type": "string", "pattern": PRICE.pattern()}},
    "additionalProperties": {"type": "integer", "minimum": 0},
}


class LoadFactor(Settings):
    """More traffic, or less, than the scenario has."""

    traffic: float = Field(gt=0, le=1000, description="What all rates are multiplied by.")


class Loss(Settings):
    """A region whose nodes are lost during the run, for good."""

    lose: str = Field(
        description="The region whose nodes go down at one third of the window, or any_region."
    )
    settle: Duration = Field(
        default=60.0, description="From the loss to when the objective is judged again."
    )
    interruption: Annotated[int, Field(ge=0)] | None = Field(
        default=None,
        description="Most requests that may fail from the loss until then; any if not given.",
    )
    with_gateways: Annotated[
        Literal["off"],
        BeforeValidator(only("off", unbuilt="A loss that takes gateways along")),
    ] = Field(default="off", description="Whether its gateways are lost as well.")


_CASES = "any_region, any_node, {traffic: 1.2} or {lose: any_region}"


def _case(value: Any) -> Any:
    if isinstance(value, dict) and not {"traffic", "lose"} & value.keys():
        message = "It names nothing to survive."
        raise error(message, f"Write {_CASES}.")
    if isinstance(value, dict | LoadFactor | Loss) or value in ("any_region", "any_node"):
        return value
    message = f"{shown(value)} cannot be survived."
    raise error(message, f"Write {_CASES}.")


def _tag_of_case(value: Any) -> str:
    if tag_of_word(value) == "<word>":
        return "<word>"
    loses = isinstance(value, Loss) or (isinstance(value, dict) and "lose" in value)
    return "<loss>" if loses else "<factor>"


Survived = Annotated[
    Annotated[Literal["any_region", "any_node"], Tag("<word>")]
    | Annotated[LoadFactor, Tag("<factor>")]
    | Annotated[Loss, Tag("<loss>")],
    Discriminator(_tag_of_case),
    BeforeValidator(_case),
]
"""Something in which the objective has to be held as well."""


class Budget(Settings):
    """How much a study may cost."""

    runs: CountFrom1 = Field(description="Most runs, those of an earlier command included.")


def _vary(value: dict[str, Any]) -> dict[str, Any]:
    for path, varied in value.items():
        values = values_of(varied)
        twice = [each for n, each in enumerate(values) if each in values[:n]]
        if twice:
            message = f"{shown(twice[0])} stands twice under {path}."
            raise error(message, "Remove one.", path)
        wrong = [each for each in values if not _is_whole(each) or not 0 <= each <= MOST_NODES]
        if is_count_path(path) and wrong:
            message = f"{shown(wrong[0])} is not a number of nodes."
            raise error(message, "Write whole numbers of 0 or more, such as [1, 20].", path)
    return value


class Plan(Settings):
    """What fedsim plan looks for: the cheapest fleet that holds the objective."""

    vary: Annotated[dict[FleetPath, Varied], Field(min_length=1), AfterValidator(_vary)] = Field(
        description=(
            "What may be chosen, by path: two whole numbers are a range, anything else is a list "
            "of values; {values: [64, 256]} are two values."
        ),
        examples=[{"pools.us-h100.count": [1, 20]}],
    )
    minimize: Literal["cost", "nodes", "slots"] = Field(
        default="cost", description="What of the fleet is to be as low as it can be."
    )
    limits: Annotated[
        dict[Annotated[str, AfterValidator(_limit_name)], Amount],
        AfterValidator(_limits),
        WithJsonSchema(_LIMITS_SCHEMA),
    ] = Field(
        default_factory=dict,
        description=(
            "The most that a fleet may have: cost (as 200 USD/h), nodes, slots, gpus.NAME of a "
            "kind of GPU, regions.NAME.nodes."
        ),
        examples=[{"gpus.h100_sxm": 64, "regions.eu-west.nodes": 12}],
    )
    survive: list[Survived] = Field(
        default_factory=list,
        description=(
            "In which cases the objective is held as well: any_region (its nodes absent from the "
            "start, each region in turn), any_node, {traffic: 1.2}, {lose: any_region}."
        ),
        examples=[["any_region", {"traffic": 1.2}]],
    )
    replications: Annotated[int, Field(ge=LEAST_REPLICATIONS, le=10_000)] | None = Field(
        default=None,
        description="Replications of each fleet in each case; those that study gives, or 20.",
    )
    confidence: Confidence | None = Field(
        default=None,
        description="That the fleet holds the objective in all cases; that of study if not given.",
    )
    budget: Budget | None = Field(
        default=None, description="When to stop; not before the answer is found if not given."
    )
    growth: Growth | None = Field(
        default=None,
        description="How traffic grows, compounded: fedsim plan --headroom says how long it lasts.",
        examples=["5%/month"],
    )

    @field_serializer("limits")
    def _with_units(self, limits: dict[str, float]) -> dict[str, Any]:
        return {
            name: PRICE.format(limit) if name == "cost" else int(limit)
            for name, limit in limits.items()
        }

    @model_validator(mode="after")
    def _survives_once(self) -> Self:
        twice = [case for n, case in enumerate(self.survive) if case in self.survive[:n]]
        if twice:
            message = "A case stands twice."
            raise error(message, "Remove one.", "survive")
        return self
