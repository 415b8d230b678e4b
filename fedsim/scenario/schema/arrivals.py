"""Arrival processes in the scenario file: when requests come."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Discriminator, Field, Tag

from fedsim.scenario.schema.base import Choice, Settings
from fedsim.scenario.schema.trace_arrivals import TraceArrivals
from fedsim.scenario.schema.types import Rate


class PoissonArrivals(Settings):
    """Requests that know nothing of each other."""

    process: Literal["poisson"]
    rate: Rate = Field(
        description="Requests per second, minute, hour or day.", examples=["10 req/s"]
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
