"""Engines that batch continuously, in the scenario file."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from fedsim.scenario.catalogues.profiles import PROFILE_FILES, profile, profile_names
from fedsim.scenario.catalogues.tables import CatalogueError
from fedsim.scenario.schema.base import Settings, error
from fedsim.scenario.schema.derived import SettingsOf
from fedsim.scenario.schema.types import Duration
from fedsim.world.engine.config import EngineConfig

TokensFrom1 = Annotated[int, Field(ge=1)]
"""A whole number of tokens, 1 or more."""


class PrefillSettings(Settings):
    """The time of a step that computes prompts."""

    p0: Duration = Field(default=0.0, description="Time of a step that only computes prompts.")
    p1: Duration = Field(default=0.0, description="Added for each prompt token.")
    p2: Duration = Field(
        default=0.0, description="Added for each prompt token and token before it in its prompt."
    )
    floor: Duration = Field(
        default=0.0, description="Least time of a step that only computes prompts."
    )


class DecodeSettings(Settings):
    """The time of a step that makes output tokens."""

    d0: Duration = Field(default=0.0, description="Time of a step that only makes output tokens.")
    d1: Duration = Field(default=0.0, description="Added for each request.")
    d2: Duration = Field(default=0.0, description="Added for each token that a request has so far.")
    dw: Duration = Field(
        default=0.0, description="Added once all experts of a mixture of experts are in use."
    )

    @model_validator(mode="after")
    def _takes_time(self) -> Self:
        if self.d0 + self.d1 + self.d2 <= 0.0:
            message = "A step that makes output tokens takes no time."
            raise error(message, "Add d0, such as d0: 6.37ms.")
        return self


def _profile_name(value: str) -> str:
    if value.endswith(PROFILE_FILES):
        return value
    try:
        profile(value)
    except CatalogueError as failure:
        remedy = f"{failure.remedy} A file's name ends in .yaml."
        raise error(failure.message, remedy) from None
    return value


ProfileName = Annotated[
    str,
    AfterValidator(_profile_name),
    Field(json_schema_extra={"anyOf": [{"enum": profile_names()}, {"pattern": r"\.ya?ml$"}]}),
]
"""A GPU profile of the catalogue, or the name of a file with one."""


class _Hardware(Settings):
    profile: ProfileName | None = Field(
        default=None,
        description=(
            "Times of its steps and room of its cache: a profile as fedsim catalogue gpus lists "
            "them, or a file that fedsim calibrate wrote."
        ),
        examples=["llama-3.1-8b/bf16/h100_sxm/tp1"],
    )
    table: str | None = Field(
        default=None,
        min_length=1,
        description="A CSV file with measured times of its steps, between which it interpolates.",
        examples=["steps.csv"],
    )
    prefill: PrefillSettings | None = Field(
        default=None, description="The time of a step that computes prompts."
    )
    decode: DecodeSettings | None = Field(
        default=None, description="The time of a step that makes output tokens."
    )
    kv_capacity: TokensFrom1 | None = Field(
        default=None,
        description="Tokens that its KV cache holds; the profile's where there is one.",
        examples=[455_000],
    )
    step_overhead: Duration | None = Field(
        default=None, description="Added to every step; the profile's where not given, or else 0."
    )
    request_overhead: Duration | None = Field(
        default=None,
        description=(
            "Time before a request is queued on the node; the profile's where not given, or else 0."
        ),
    )


class Engine(SettingsOf[EngineConfig], _Hardware):
    """Continuous batching; a profile, a table, or prefill and decode say how long steps take."""
