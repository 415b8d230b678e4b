"""Arrival processes in the scenario file: when requests come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from fedsim.scenario.schema.base import Choice, Later, Settings, error
from fedsim.scenario.schema.curves import Burst, Curve, Day, RateStep, SpikeCurve, check_steps
from fedsim.scenario.schema.distributions import CHOICE, DurationDistribution
from fedsim.scenario.schema.types import (
    CountFrom1,
    Offset,
    Period,
    PositiveDuration,
    Rate,
    RateOrNone,
)

if TYPE_CHECKING:
    from fedsim.scenario.schema.servegen import ServeGenArrivals
    from fedsim.scenario.schema.traces import TraceArrivals
else:
    TraceArrivals = Annotated[Any, Later.at("fedsim.scenario.schema.traces", "TraceArrivals")]
    ServeGenArrivals = Annotated[
        Any, Later.at("fedsim.scenario.schema.servegen", "ServeGenArrivals")
    ]

Cv = Annotated[float, Field(gt=0, le=100)]
"""Standard deviation over mean of the times between arrivals."""


class CurvedArrivals(Settings):
    """Arrivals that are drawn, and whose rate curves may multiply."""

    follows_local_time: ClassVar[bool] = False
    """Whether the process itself has a curve that is shifted by time zone."""

    shape: list[Curve] = Field(
        default_factory=list,
        description="Curves whose factors multiply the rate; more than one multiply each other.",
        examples=[[{"curve": "diurnal"}]],
    )
    utc_offsets: dict[str, Offset] = Field(
        default_factory=dict,
        description=(
            "Local time of origins minus the time of the run, by which their days and steps are "
            "shifted; 0 for those not named."
        ),
        examples=[{"us-east": "-5h"}],
    )

    @model_validator(mode="after")
    def _has_something_to_shift(self) -> Self:
        follows = self.follows_local_time or any(
            not isinstance(curve, SpikeCurve) for curve in self.shape
        )
        if self.utc_offsets and not follows:
            message = "No curve here follows the local time of origins."
            remedy = "Add a day, shape: [{curve: diurnal}], or remove utc_offsets."
            raise error(message, remedy, "utc_offsets")
        return self


class PoissonArrivals(CurvedArrivals):
    """Requests that know nothing of each other."""

    process: Literal["poisson"]
    rate: Rate = Field(
        description="Requests per second, minute, hour or day.", examples=["10 req/s"]
    )


class RenewalArrivals(CurvedArrivals):
    """Bursty or regular requests: independent gaps from a gamma or Weibull distribution."""

    process: Literal["gamma", "weibull"]
    rate: Rate = Field(description="Mean rate of requests.", examples=["10 req/s"])
    cv: Cv = Field(
        description=(
            "Standard deviation over mean of the gaps: 1 is Poisson, more is burstier. Published "
            "traces of inference have 1 to 13."
        ),
        examples=[2.5],
    )


class ConstantArrivals(CurvedArrivals):
    """Requests at equal distances, the first after a random share of one."""

    process: Literal["constant"]
    rate: Rate = Field(description="Rate of requests.", examples=["10 req/s"])


class MmppArrivals(CurvedArrivals):
    """A Poisson process whose rate changes between states, each for an exponential time."""

    process: Literal["mmpp"]
    rates: list[RateOrNone] = Field(
        description="Rate in each state, in the order in which they take turns; some may be 0/s.",
        examples=[["5/s", "50/s"]],
    )
    sojourns: list[PositiveDuration] = Field(
        description="Mean time that each state lasts.", examples=[["60s", "10s"]]
    )

    @model_validator(mode="after")
    def _are_states(self) -> Self:
        if len(self.rates) < 2:
            message = "There are fewer than two states."
            raise error(message, "Give two rates or more, or use process: poisson.", "rates")
        if len(self.rates) != len(self.sojourns):
            message = f"For {len(self.rates)} rates it gives {len(self.sojourns)} sojourns."
            raise error(message, "Give one sojourn for each rate.", "sojourns")
        if max(self.rates) == 0.0:
            message = "All rates are 0, so that nothing ever arrives."
            raise error(message, "Give at least one state a rate above 0.", "rates")
        return self


class DiurnalArrivals(Day, CurvedArrivals):
    """Requests whose rate follows the time of day."""

    follows_local_time: ClassVar[bool] = True

    process: Literal["diurnal"]
    rate: Rate = Field(description="Mean rate over a day.", examples=["10 req/s"])
    cv: Cv = Field(default=1.0, description="Burstiness, as of process: gamma; 1 is Poisson.")


class StepsArrivals(CurvedArrivals):
    """Requests whose rate jumps at given times."""

    follows_local_time: ClassVar[bool] = True

    process: Literal["steps"]
    steps: list[RateStep] = Field(
        min_length=1,
        description="The steps, in the order of their times; the first holds before it too.",
        examples=[[{"at": "0s", "rate": "10/s"}, {"at": "10min", "rate": "20/s"}]],
    )
    period: Period | None = Field(
        default=None,
        description="The steps begin again after this time; the last one stays where not given.",
    )
    cv: Cv = Field(default=1.0, description="Burstiness, as of process: gamma; 1 is Poisson.")

    @model_validator(mode="after")
    def _are_steps(self) -> Self:
        check_steps(self.steps, [step.rate for step in self.steps], self.period)
        return self


class SpikeArrivals(Burst, CurvedArrivals):
    """Requests at one rate, but for a while at another."""

    process: Literal["spike"]
    rate: Rate = Field(description="Rate before and after.", examples=["10 req/s"])
    cv: Cv = Field(default=1.0, description="Burstiness, as of process: gamma; 1 is Poisson.")


class ClosedLoopArrivals(Settings):
    """Users who wait for each answer, think, and then send the next request."""

    process: Literal["closed_loop"]
    users: CountFrom1 = Field(
        description="Number of users, spread over the origins by their weights.", examples=[50]
    )
    think: Annotated[
        DurationDistribution, Discriminator(CHOICE.tag), BeforeValidator(CHOICE.check)
    ] = Field(
        description="Time from an answer, or an error, to the next request of the user.",
        examples=[{"distribution": "exponential", "mean": "10s"}],
    )


_PROCESS = Choice(
    key="process",
    tags={
        "poisson": "<poisson>",
        "gamma": "<renewal>",
        "weibull": "<renewal>",
        "constant": "<constant>",
        "mmpp": "<mmpp>",
        "diurnal": "<diurnal>",
        "steps": "<steps>",
        "spike": "<spike>",
        "closed_loop": "<closed_loop>",
        "trace": "<trace>",
    },
    noun="arrival process",
)


def is_servegen(arrivals: Any) -> bool:
    """Return whether *arrivals*, as they stand in a file or as a model, are of that format."""
    if isinstance(arrivals, dict):
        return arrivals.get("process") == "trace" and arrivals.get("format") == "servegen"
    return getattr(arrivals, "format", None) == "servegen"


def _tag(value: Any) -> str:
    return "<servegen>" if is_servegen(value) else _PROCESS.tag(value)


Arrivals = Annotated[
    Annotated[PoissonArrivals, Later(), Tag("<poisson>")]
    | Annotated[RenewalArrivals, Later(), Tag("<renewal>")]
    | Annotated[ConstantArrivals, Later(), Tag("<constant>")]
    | Annotated[MmppArrivals, Later(), Tag("<mmpp>")]
    | Annotated[DiurnalArrivals, Later(), Tag("<diurnal>")]
    | Annotated[StepsArrivals, Later(), Tag("<steps>")]
    | Annotated[SpikeArrivals, Later(), Tag("<spike>")]
    | Annotated[ClosedLoopArrivals, Later(), Tag("<closed_loop>")]
    | Annotated[TraceArrivals, Tag("<trace>")]
    | Annotated[ServeGenArrivals, Tag("<servegen>")],
    Discriminator(_tag),
    BeforeValidator(_PROCESS.check),
]
"""When the requests of a stream arrive."""
