"""Streams of requests in the scenario file: what arrives."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, field_validator, model_validator

from fedsim.scenario.schema.base import Choice, Settings, error
from fedsim.scenario.schema.distributions import CountDistribution
from fedsim.scenario.schema.pools import Privacy
from fedsim.scenario.schema.types import (
    CapabilityName,
    CountFrom1,
    Name,
    PositiveDuration,
    Rate,
    TokenRate,
    Weight,
)


class PoissonArrivals(Settings):
    """Requests that know nothing of each other."""

    process: Literal["poisson"]
    rate: Rate = Field(
        description="Requests per second, minute, hour or day.", examples=["10 req/s"]
    )


class TraceArrivals(Settings):
    """The requests of a published trace, with their times and token counts."""

    process: Literal["trace"]
    file: str = Field(
        min_length=1,
        description="The trace, gzipped or not; relative to the scenario file.",
        examples=["traces/synthetic_code.csv.gz"],
    )
    format: Literal["azure"] = Field(
        default="azure",
        description="Columns of the file; azure: TIMESTAMP, ContextTokens, GeneratedTokens.",
    )
    speed: float = Field(
        default=1.0, gt=0, description="How many times as fast as recorded it is replayed."
    )


_PROCESS = Choice(
    key="process",
    tags={"poisson": "<poisson>", "trace": "<trace>"},
    noun="arrival process",
    unbuilt=(
        "gamma",
        "weibull",
        "constant",
        "mmpp",
        "diurnal",
        "steps",
        "spike",
        "closed_loop",
    ),
)

Arrivals = Annotated[
    Annotated[PoissonArrivals, Tag("<poisson>")] | Annotated[TraceArrivals, Tag("<trace>")],
    Discriminator(_PROCESS.tag),
    BeforeValidator(_PROCESS.check),
]
"""When the requests of a stream arrive."""


class Tokens(Settings):
    """Token counts of the requests of a stream, at least one of the two."""

    prompt: CountDistribution | None = Field(
        default=None,
        description="Tokens of a prompt; unknown where not given.",
        examples=[{"distribution": "lognormal", "median": 1020, "p99": 4142}],
    )
    output: CountDistribution | None = Field(
        default=None,
        description="Tokens of an answer; unknown where not given.",
        examples=[{"distribution": "lognormal", "median": 129, "p99": 601}],
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.prompt is None and self.output is None:
            message = "It gives neither prompt nor output."
            raise error(message, "Add one, or remove tokens.")
        return self


class TenantSettings(Settings):
    """The tenants of a stream, whose shares follow Zipf's law."""

    count: CountFrom1 = Field(description="Number of tenants.", examples=[500])
    zipf: Weight = Field(
        default=1.0, le=100, description="Exponent of Zipf's law; 0 gives all the same share."
    )


class Qos(Settings):
    """Quality of service that each request of a stream asks for."""

    privacy: Privacy = Field(
        default="internal",
        description="Level of the data; a region that serves it must be at least as private.",
    )
    max_latency: PositiveDuration | None = Field(
        default=None, description="Longest acceptable latency; any where not given."
    )
    min_throughput: TokenRate | None = Field(
        default=None,
        description="Least acceptable throughput of a node in tokens; any where not given.",
        examples=["100 tokens/s"],
    )
    prefer_gpu: bool = Field(
        default=True, description="Whether nodes with a GPU are preferred to those without."
    )
    cost_tolerance: int = Field(
        default=50, ge=0, le=100, description="From 0, cheapest, to 100, fastest."
    )

    @field_validator("min_throughput")
    @classmethod
    def _whole(cls, value: float | None) -> float | None:
        if value is not None and not value.is_integer():
            message = f"{value:g} tokens per second is not a whole number."
            raise error(message, f"Write {max(round(value), 1)} tokens/s.")
        return value


class Stream(Settings):
    """A stream of requests of one kind."""

    capability: CapabilityName = Field(
        default="generate", description="What the serving model must be able to do."
    )
    origins: dict[str, Weight] | None = Field(
        default=None,
        min_length=1,
        description=(
            "Weights of the regions that the requests come from, which need not add up to 1; "
            "evenly from all regions where not given."
        ),
    )
    arrivals: Arrivals = Field(
        description="When the requests arrive.",
        examples=[{"process": "poisson", "rate": "10 req/s"}],
    )
    tokens: Tokens | None = Field(
        default=None,
        description="Token counts; unknown where not given. A trace brings its own.",
    )
    tenants: TenantSettings | None = Field(
        default=None, description="Who sends the requests; nobody in particular where not given."
    )
    qos: Qos = Field(default_factory=Qos, description="What each request asks for.")

    @field_validator("origins")
    @classmethod
    def _some_weight(cls, value: dict[str, float] | None) -> dict[str, float] | None:
        if value is not None and not sum(value.values()) > 0.0:
            message = "The weights add up to 0."
            raise error(message, "Give at least one region a weight above 0.")
        return value

    @model_validator(mode="after")
    def _one_source_of_tokens(self) -> Self:
        if self.tokens is not None and isinstance(self.arrivals, TraceArrivals):
            message = "The stream replays a trace, which brings its own token counts."
            raise error(message, "Remove tokens.", "tokens")
        return self


Workload = dict[Name, Stream]
