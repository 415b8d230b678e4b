"""Curves of a rate over time in the scenario file: days, steps and spikes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal, Protocol, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from fedsim.scenario.schema.base import Choice, Later, Settings, error
from fedsim.scenario.schema.derived import default_of
from fedsim.scenario.schema.types import Duration, Period, PositiveDuration, RateOrNone, Weight
from fedsim.workload.arrivals.curves import Diurnal


class Day(Settings):
    """A day: a cosine, whose mean over a period is the rate."""

    peak_to_trough: float = Field(
        default=2.0, ge=1, le=1e6, description="Rate at the peak over the rate at the trough."
    )
    peak_at: Duration | None = Field(
        default=None,
        description="Local time of the peak; 14/24 of the period where not given, 14h in a day.",
    )
    period: Period = Field(
        default=default_of(Diurnal, "period_s"),
        description="Length of the day; a shorter one compresses it.",
    )


class Burst(Settings):
    """A time with another rate, at the same moment everywhere."""

    at: Duration = Field(description="Start, in the time of the run.", examples=["8min"])
    lasts: PositiveDuration = Field(description="Length.", examples=["5min"])
    factor: Weight = Field(
        description="What the rate is multiplied by; less than 1 is a dip.", examples=[3]
    )


class RateStep(Settings):
    """A rate from a time on."""

    at: Duration = Field(description="Local time from which the rate holds.", examples=["0s"])
    rate: RateOrNone = Field(description="The rate, which may be 0/s.", examples=["10/s"])


class FactorStep(Settings):
    """A factor from a time on."""

    at: Duration = Field(description="Local time from which the factor holds.", examples=["0s"])
    factor: Weight = Field(description="What the rate is multiplied by, 0 or more.", examples=[2])


class DiurnalCurve(Day):
    """Multiplies the rate by a day, whose mean is 1."""

    curve: Literal["diurnal"]


class StepsCurve(Settings):
    """Multiplies the rate by factors that jump at given times."""

    curve: Literal["steps"]
    steps: list[FactorStep] = Field(
        min_length=1,
        description="The steps, in the order of their times; the first holds before it too.",
        examples=[[{"at": "0s", "factor": 1}, {"at": "10min", "factor": 2}]],
    )
    period: Period | None = Field(
        default=None,
        description="The steps begin again after this time; the last one stays where not given.",
    )

    @model_validator(mode="after")
    def _are_steps(self) -> Self:
        check_steps(self.steps, [step.factor for step in self.steps], self.period)
        return self


class SpikeCurve(Burst):
    """Multiplies the rate for a while."""

    curve: Literal["spike"]


class _Timed(Protocol):
    @property
    def at(self) -> Any: ...


def check_steps(steps: Sequence[_Timed], levels: Sequence[float], period: float | None) -> None:
    """Check that *steps* ascend before the end of their *period*, and that not all is silence."""
    if any(later.at <= earlier.at for earlier, later in pairwise(steps)):
        message = "The times of the steps do not ascend."
        raise error(message, "Order the steps by their times, each once.", "steps")
    if max(levels) == 0.0:
        message = "All steps are 0, so that nothing ever arrives."
        raise error(message, "Give at least one step more than 0.", "steps")
    if period is not None and steps[-1].at >= period:
        message = "The last step comes after the steps have begun again."
        raise error(
            message, "Write a period that is longer than the time of the last step.", "period"
        )


_CURVE = Choice(
    key="curve",
    tags={"diurnal": "<diurnal>", "steps": "<steps>", "spike": "<spike>"},
    noun="curve",
)

Curve = Annotated[
    Annotated[DiurnalCurve, Later(), Tag("<diurnal>")]
    | Annotated[StepsCurve, Later(), Tag("<steps>")]
    | Annotated[SpikeCurve, Later(), Tag("<spike>")],
    Discriminator(_CURVE.tag),
    BeforeValidator(_CURVE.check),
]
"""A factor of a rate."""
