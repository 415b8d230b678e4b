"""Streams of requests in the scenario file: what arrives."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from fedsim.scenario.schema.arrivals import Arrivals
from fedsim.scenario.schema.base import Settings, error
from fedsim.scenario.schema.pools import Privacy
from fedsim.scenario.schema.sizes import TenantSettings, Tokens
from fedsim.scenario.schema.trace_arrivals import TraceArrivals
from fedsim.scenario.schema.types import CapabilityName, Name, PositiveDuration, TokenRate, Weight


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
