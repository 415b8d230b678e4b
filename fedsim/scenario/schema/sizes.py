"""How large requests are, and what they are beyond their token counts, in the scenario file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from fedsim.scenario.schema.base import Later, Settings, error, error_from, shown
from fedsim.scenario.schema.derived import default_of
from fedsim.scenario.schema.distributions import (
    CHOICE,
    Constant,
    CountDistribution,
    DurationDistribution,
)
from fedsim.scenario.schema.trace_arrivals import TraceColumns, check_columns
from fedsim.scenario.schema.types import CountFrom1, Probability, TokenCount, Weight
from fedsim.workload.pictures import BaseModels
from fedsim.workload.prefixes import BLOCK_TOKENS

AnyDuration = Annotated[
    DurationDistribution, Discriminator(CHOICE.tag), BeforeValidator(CHOICE.check)
]
"""A distribution of durations."""

Zipf = Annotated[float, Field(ge=0.0, le=100.0)]
"""Exponent of Zipf's law."""


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


class TokenSample(Settings):
    """Token counts drawn from a trace, both of a row together, with replacement."""

    trace: str = Field(
        min_length=1,
        description="The trace, gzipped or not; relative to the scenario file.",
        examples=["traces/synthetic_code.csv.gz"],
    )
    format: (
        Literal["azure", "burstgpt", "bailian", "mooncake", "csv", "jsonl", "parquet"] | None
    ) = Field(
        default=None, description="Format of the file; found from its content where not given."
    )
    columns: TraceColumns | None = Field(
        default=None,
        description="Names of the columns of your own csv, jsonl or parquet file.",
        examples=[{"prompt_tokens": "in", "output_tokens": "out"}],
    )

    @model_validator(mode="after")
    def _columns_are_of_own_files(self) -> Self:
        if self.columns is not None:
            check_columns(self.format)
        return self

    @property
    def key(self) -> str:
        """A text that differs between samples, as long as their files are named in full."""
        return repr(self)

    def found_in(self, folder: Path) -> TokenSample:
        """Return the sample with its file, which is relative to *folder*, named in full."""
        return self.model_copy(update={"trace": (folder / self.trace).resolve().as_posix()})


def _kind_of_tokens(value: Any) -> str:
    sampled = isinstance(value, TokenSample) or (isinstance(value, dict) and "trace" in value)
    return "<sample>" if sampled else "<tokens>"


AnyTokens = Annotated[
    Annotated[Tokens, Later(), Tag("<tokens>")] | Annotated[TokenSample, Later(), Tag("<sample>")],
    Discriminator(_kind_of_tokens),
]
"""Where token counts come from."""


class AudioSettings(Settings):
    """The speech that the requests of a stream bring, or ask for."""

    length: AnyDuration = Field(
        description="Length of the audio.",
        examples=[{"distribution": "lognormal", "median": "30s", "p99": "5min"}],
    )


class ModelSettings(Settings):
    """The base models that pictures are made with, whose popularity follows Zipf's law."""

    count: CountFrom1 = Field(description="Number of base models.", examples=[86])
    zipf: Zipf = Field(
        default=default_of(BaseModels, "zipf"),
        description="Exponent of Zipf's law; 0 for models that are asked for alike.",
    )
    repeat: Probability | None = Field(
        default=None,
        description=(
            "Probability that a request asks for the model of the one before it, of its tenant "
            "where there are tenants; by popularity alone where not given."
        ),
        examples=[0.72],
    )

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        try:
            self.build()
        except ValueError as failure:
            raise error_from(failure) from None
        return self

    def build(self) -> BaseModels:
        """Return the models.

        Raises:
            ValueError: Requests cannot repeat so seldom.
        """
        return BaseModels(self.count, self.zipf, self.repeat)


def _constantly(value: float) -> Constant[TokenCount]:
    return Constant[TokenCount](distribution="constant", value=value)


class PictureSettings(Settings):
    """The pictures that the requests of a stream ask for."""

    steps: CountDistribution = Field(
        default_factory=lambda: _constantly(30),
        description="Inference steps of a picture.",
        examples=[{"distribution": "constant", "value": 30}],
    )
    images: CountDistribution = Field(
        default_factory=lambda: _constantly(1),
        description="Pictures of a request.",
        examples=[{"distribution": "empirical", "values": [1, 1, 1, 4]}],
    )
    models: ModelSettings = Field(
        default_factory=lambda: ModelSettings(count=1), description="The base models asked for."
    )
    adapters: CountDistribution | None = Field(
        default=None,
        description="Adapters (LoRAs) on top of the base model; none where not given.",
        examples=[{"distribution": "empirical", "values": [0, 0, 0, 0, 1]}],
    )


class PrefixSettings(Settings):
    """The system prompts of a stream, one of which each prompt begins with."""

    count: CountFrom1 = Field(
        default=1, description="Number of different system prompts.", examples=[20]
    )
    zipf: Zipf = Field(
        default=1.0, description="Exponent of Zipf's law for how often each is used; 0 for alike."
    )
    tokens: CountDistribution = Field(
        description="Length of a system prompt, on top of the prompts of tokens.",
        examples=[{"distribution": "lognormal", "median": 600, "p99": 3000}],
    )
    block_tokens: CountFrom1 = Field(
        default=BLOCK_TOKENS, description="Tokens of a block of a prompt, as caches compare them."
    )


class ConversationSettings(Settings):
    """Sessions, whose prompts repeat all that was said before."""

    turns: CountDistribution = Field(
        description="Requests of a session.",
        examples=[{"distribution": "exponential", "mean": 5}],
    )
    think: AnyDuration = Field(
        description="Time from an answer, or an error, to the next message.",
        examples=[{"distribution": "lognormal", "median": "20s", "p99": "5min"}],
    )
    max_context: int | None = Field(
        default=None,
        ge=2,
        description=(
            "Most tokens of a prompt and its answer together; a session ends before the turn "
            "that would exceed it. No limit where not given."
        ),
        examples=[32768],
    )
    block_tokens: CountFrom1 = Field(
        default=BLOCK_TOKENS, description="Tokens of a block of a prompt, as caches compare them."
    )


class TenantSettings(Settings):
    """The tenants of a stream, whose shares follow Zipf's law."""

    count: CountFrom1 = Field(description="Number of tenants.", examples=[500])
    zipf: Weight = Field(
        default=1.0, le=100, description="Exponent of Zipf's law; 0 gives all the same share."
    )


def numbered(tenants: Any) -> bool:
    """Return whether *tenants*, as they stand in a file, are numbered and have no names."""
    if not isinstance(tenants, dict):
        return True
    keys = ("count", "zipf")
    return not tenants or any(key in tenants and not _is_mapping(tenants[key]) for key in keys)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict | Settings)


def no_other_block(prefix: PrefixSettings, conversation: ConversationSettings) -> None:
    """Check that system prompts and conversations agree on the blocks of prompts.

    Raises:
        PydanticCustomError: They do not.
    """
    if prefix.block_tokens != conversation.block_tokens:
        message = (
            f"The blocks of prefixes have {shown(prefix.block_tokens)} tokens, and those of the "
            f"conversation {shown(conversation.block_tokens)}."
        )
        raise error(message, "Give both the same block_tokens.", "prefixes")
