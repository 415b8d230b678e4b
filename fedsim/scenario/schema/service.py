"""How long requests take on a node, in the scenario file."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, Tag

from fedsim.scenario.schema.base import Later, Settings, error, shown
from fedsim.scenario.schema.derived import default_of
from fedsim.scenario.schema.distributions import CHOICE, AnyDuration, DurationDistribution
from fedsim.scenario.schema.types import CountFrom1, Duration, PositiveDuration, Weight
from fedsim.world.nodes.config import SwitchConfig

Factor = Annotated[float, Field(gt=0.0)]
"""A number of more than 0."""

NOISE = "Coefficient of variation of a lognormal factor with mean 1; 0 for none."


class TokenService(Settings):
    """Service times that grow with the request's tokens."""

    base: Duration = Field(default=0.0, description="Time that every request takes.")
    per_prompt_token: Duration = Field(default=0.0, description="Added for each prompt token.")
    per_output_token: Duration = Field(default=0.0, description="Added for each output token.")
    noise_cv: Weight = Field(default=0.0, description=NOISE)


class RecognitionService(Settings):
    """Speech recognition: time that grows with the length of the request's audio."""

    real_time_factor: Factor = Field(
        description="Seconds of audio that one slot gets through in a second.", examples=[91.8]
    )
    base: Duration = Field(default=0.0, description="Time that every request takes.")
    noise_cv: Weight = Field(default=0.0, description=NOISE)


class SynthesisService(Settings):
    """Speech synthesis: the first audio after a while, the rest by the length of the audio."""

    real_time_factor: Factor = Field(
        description="Seconds of audio that one slot produces in a second.", examples=[20]
    )
    first_audio: Duration = Field(
        description="Time to the first audio, which the tables count as the first token."
    )
    noise_cv: Weight = Field(default=0.0, description=NOISE)


class PictureService(Settings):
    """Image generation: time that grows with the steps of all images of the request."""

    per_step: PositiveDuration = Field(
        description="Time of one inference step of one image.", examples=["50ms"]
    )
    base: Duration = Field(default=0.0, description="Time that every request takes.")
    noise_cv: Weight = Field(default=0.0, description=NOISE)


class BatchService(Settings):
    """Static batches, which need `batching`: time that grows with the tokens of all prompts."""

    tokens_per_second: Factor = Field(
        description="Prompt tokens that a batch gets through in a second.", examples=[62100]
    )
    base: Duration = Field(default=0.0, description="Time that every batch takes.")
    noise_cv: Weight = Field(default=0.0, description=NOISE)


_KINDS = {
    "first_audio": "<synthesis>",
    "real_time_factor": "<recognition>",
    "per_step": "<pictures>",
    "tokens_per_second": "<batches>",
}
_TAGS: dict[type[Settings], str] = {
    TokenService: "<tokens>",
    RecognitionService: "<recognition>",
    SynthesisService: "<synthesis>",
    PictureService: "<pictures>",
    BatchService: "<batches>",
}
_OF_TOKENS = ("base", "per_prompt_token", "per_output_token")


def _check_service(value: Any) -> Any:
    """Check what decides between the kinds of service."""
    if isinstance(value, dict) and "distribution" in value:
        return CHOICE.check(value)
    if not isinstance(value, dict):
        message = f"{shown(value)} is not a mapping."
        raise error(message, "Write for instance {distribution: exponential, mean: 900ms}.")
    if not any(key in value for key in (*_OF_TOKENS, *_KINDS)):
        message = "It names neither a distribution nor a time per token, step or second of audio."
        remedy = "Add distribution: lognormal or the like, or base and per_output_token."
        raise error(message, remedy)
    return value


def _service_tag(value: Any) -> str:
    if type(value) in _TAGS:
        return _TAGS[type(value)]
    if isinstance(value, dict) and "distribution" not in value:
        return next((tag for key, tag in _KINDS.items() if key in value), "<tokens>")
    return CHOICE.tag(value)


Service = Annotated[
    DurationDistribution
    | Annotated[TokenService, Later(), Tag("<tokens>")]
    | Annotated[RecognitionService, Later(), Tag("<recognition>")]
    | Annotated[SynthesisService, Later(), Tag("<synthesis>")]
    | Annotated[PictureService, Later(), Tag("<pictures>")]
    | Annotated[BatchService, Later(), Tag("<batches>")],
    Discriminator(_service_tag),
    BeforeValidator(_check_service),
]
"""How long a request holds a slot, or a batch takes."""


class Batching(Settings):
    """Static batching: the requests of a batch begin and end together."""

    max_batch: CountFrom1 = Field(default=32, description="Most requests of a batch.")
    max_wait: Duration = Field(
        default=0.0,
        description=(
            "Longest that an idle node waits for a batch to fill; with 0 it begins at once with "
            "whatever waits."
        ),
    )


class Switch(Settings):
    """Base models and adapters of image generation, which a node loads when a request asks."""

    model_load: AnyDuration = Field(
        description="Time to load a base model.",
        examples=[{"distribution": "lognormal", "median": "22.7s", "p99": "51.8s"}],
    )
    adapter_load: AnyDuration | None = Field(
        default=None, description="Time to load one adapter; none where not given."
    )
    models: CountFrom1 = Field(
        default=default_of(SwitchConfig, "models"),
        description="Base models that a node holds; the one used longest ago makes room.",
    )
