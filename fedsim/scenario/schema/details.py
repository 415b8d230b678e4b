"""What requests are beyond their token counts, in the scenario file: speech, pictures, sessions."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from fedsim.scenario.schema.base import Settings, error, error_from, shown
from fedsim.scenario.schema.derived import default_of
from fedsim.scenario.schema.distributions import AnyDuration, Constant, CountDistribution
from fedsim.scenario.schema.types import CountFrom1, Probability, TokenCount
from fedsim.workload.pictures import BaseModels
from fedsim.workload.prefixes import BLOCK_TOKENS

Zipf = Annotated[float, Field(ge=0.0, le=100.0)]
"""Exponent of Zipf's law."""


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

    def require_blocks(self, tokens: int) -> None:
        """Check that blocks of prompts have as many *tokens* as those of a conversation.

        Raises:
            PydanticCustomError: They have not.
        """
        if self.block_tokens != tokens:
            message = (
                f"The blocks of prefixes have {shown(self.block_tokens)} tokens, and those of the "
                f"conversation {shown(tokens)}."
            )
            raise error(message, "Give both the same block_tokens.", "prefixes")


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
