"""Who sends requests and how large they are, in the scenario file."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from fedsim.scenario.schema.base import Settings, error
from fedsim.scenario.schema.distributions import CountDistribution
from fedsim.scenario.schema.types import CountFrom1, Weight


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
