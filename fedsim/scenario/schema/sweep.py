"""What ``fedsim sweep`` varies: a grid, a list of points, or ranges to spread points over."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from fedsim.scenario.schema.base import Settings, error, listed, shown
from fedsim.scenario.schema.types import CountFrom1
from fedsim.scenario.units import number_and_unit

NOT_OF_A_RUN = ("name", "description", "start", "study", "compare", "sweep", "plan", "expect")
"""Keys of a scenario that change nothing in a run."""

_WAYS = ["grid", "list", "latin_hypercube"]


def _path(value: str) -> str:
    head = value.partition(".")[0]
    if head == "seed":
        message = "Replications have seeds of their own, so that seed cannot be varied."
        raise error(message, "Set replications instead.")
    if head in NOT_OF_A_RUN:
        message = f"{shown(value)} changes nothing in a run."
        raise error(message, "Write a path such as workload.chat.arrivals.rate.")
    return value


def _range(value: list[Any]) -> list[Any]:
    ends = [number_and_unit(end) for end in value]
    for end, parsed in zip(value, ends, strict=True):
        if parsed is None:
            message = f"{shown(end)} is not a number, or a number with a unit."
            raise error(message, "Write the two ends of the range, such as [20/s, 60/s].")
    (low, first), (high, second) = (end for end in ends if end is not None)
    if first != second:
        message = f"{shown(value[0])} and {shown(value[1])} have different units."
        raise error(message, "Write both in one unit.")
    if not low < high:
        message = f"The range from {value[0]} to {value[1]} is empty."
        raise error(message, "Write the lower end first.")
    return value


VariedPath = Annotated[str, AfterValidator(_path)]
"""The dotted path of what is varied."""

Values = Annotated[list[Any], Field(min_length=1)]
"""What a path is set to, one after the other."""

Range = Annotated[list[Any], Field(min_length=2, max_length=2), AfterValidator(_range)]
"""The two ends of a range, in one unit."""


class Sweep(Settings):
    """What fedsim sweep varies."""

    model_config = ConfigDict(serialize_by_alias=True)

    grid: dict[VariedPath, Values] | None = Field(
        default=None,
        min_length=1,
        description="Values by path; every combination of them is a point.",
    )
    each: list[Annotated[dict[VariedPath, Any], Field(min_length=1)]] | None = Field(
        default=None, alias="list", min_length=1, description="The points, each a value by path."
    )
    latin_hypercube: dict[VariedPath, Range] | None = Field(
        default=None,
        min_length=1,
        description=(
            "The two ends of a range by path, in one unit. Points are spread over all ranges at "
            "once: each range is cut into as many equal parts as there are points, and every part "
            "has one. Whole numbers stay whole."
        ),
    )
    points: CountFrom1 | None = Field(
        default=None, description="Number of points of the latin_hypercube; 64 where not given."
    )
    replications: CountFrom1 | None = Field(
        default=None, description="Replications of each point; those of study where not given."
    )

    @field_validator("grid")
    @classmethod
    def _all_different(cls, value: dict[str, list[Any]] | None) -> dict[str, list[Any]] | None:
        for path, values in (value or {}).items():
            twice = [each for n, each in enumerate(values) if each in values[:n]]
            if twice:
                message = f"{shown(twice[0])} stands twice under {path}."
                raise error(message, "Remove one.")
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        ways = [self.grid, self.each, self.latin_hypercube]
        given = [name for name, way in zip(_WAYS, ways, strict=True) if way is not None]
        if not given:
            message = "There is nothing to sweep."
            raise error(message, f"Add {listed(_WAYS)}.")
        if len(given) > 1:
            message = f"There are {listed(given, 'and')} at once."
            raise error(message, "Keep one of them.", given[1])
        if self.points is not None and self.latin_hypercube is None:
            message = f"A {given[0]} has the points that it says."
            raise error(message, "Remove points; it is for latin_hypercube.", "points")
        return self
