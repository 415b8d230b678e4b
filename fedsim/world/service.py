"""How long requests hold a slot of a node, and how long a batch takes: service models.

A model is pure: the same uniform and sizes give the same times, so that two routers meet the same
service when they send a request to equal pools.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from fedsim.workload.details import Audio, Details, Pictures
from fedsim.workload.distributions import Distribution, Lognormal
from fedsim.workload.mean_sizes import MeanSizes


class Sized(Protocol):
    """A request, as far as its size goes; unknown token counts are -1."""

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt."""
        ...

    @property
    def output_tokens(self) -> int:
        """Tokens of the answer."""
        ...

    @property
    def details(self) -> Details | None:
        """What it is beyond its token counts."""
        ...


class ServiceModel(Protocol):
    """Turns a request's draw and size into the time for which it holds a slot.

    Attributes:
        needs_tokens: Whether the model cannot do without token counts.
        needs_details: The kind of details that it cannot do without, or None.
        knows_first_token: Whether `first_token_s` is known.
    """

    @property
    def needs_tokens(self) -> bool: ...  # noqa: D102

    @property
    def needs_details(self) -> type[Audio] | type[Pictures] | None: ...  # noqa: D102

    @property
    def knows_first_token(self) -> bool: ...  # noqa: D102

    def service_s(self, uniform: float, request: Sized) -> float:
        """Return the service time in seconds; *uniform* lies in (0, 1)."""
        ...

    def first_token_s(self, service_s: float, request: Sized) -> float:
        """Return the time from the start of service to the first token, or NaN where unknown."""
        ...

    def mean_s(self, sizes: MeanSizes) -> float:
        """Return the mean service time in seconds of requests of these mean sizes."""
        ...


class BatchServiceModel(Protocol):
    """Turns the draws and the sizes of a batch's requests into the time that the batch takes."""

    @property
    def needs_tokens(self) -> bool: ...  # noqa: D102

    def batch_s(self, uniforms: Sequence[float], requests: Sequence[Sized]) -> float:
        """Return the time in seconds that a batch of *requests* takes, of which there is one."""
        ...

    def mean_s(self, sizes: MeanSizes, requests: int) -> float:
        """Return the mean time in seconds of a batch of *requests* of these mean sizes."""
        ...


@dataclass(frozen=True, slots=True)
class DistributedService:
    """Service times drawn from a distribution, whatever the request's size."""

    distribution: Distribution
    needs_tokens: ClassVar[bool] = False
    needs_details: ClassVar[None] = None
    knows_first_token: ClassVar[bool] = False

    def service_s(self, uniform: float, request: Sized) -> float:
        """Return the distribution's quantile at *uniform*, in seconds."""
        return self.distribution.quantile(uniform)

    def first_token_s(self, service_s: float, request: Sized) -> float:
        """Return NaN: the distribution does not say when the first token comes."""
        return math.nan

    def mean_s(self, sizes: MeanSizes) -> float:
        """Return the distribution's mean in seconds."""
        return self.distribution.mean


@dataclass(frozen=True, slots=True)
class TokenService:
    """Service times that grow with the request's tokens, with multiplicative lognormal noise.

    Attributes:
        base_s: Time that every request takes, in seconds.
        per_prompt_token_s: Added for each prompt token, in seconds.
        per_output_token_s: Added for each output token, in seconds.
        noise_cv: Coefficient of variation of the noise, whose mean is 1; 0 for none.
    """

    base_s: float
    per_prompt_token_s: float = 0.0
    per_output_token_s: float = 0.0
    noise_cv: float = 0.0
    needs_tokens: bool = True
    needs_details: ClassVar[None] = None
    _noise: Lognormal | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_noise", _noise(self.noise_cv))

    @property
    def knows_first_token(self) -> bool:
        """Whether it knows when the first token comes: if any time depends on tokens."""
        return self.needs_tokens

    def service_s(self, uniform: float, request: Sized) -> float:
        """Return base plus token times, multiplied by the noise at *uniform*, in seconds."""
        time_s = (
            self.base_s
            + self.per_prompt_token_s * request.prompt_tokens
            + self.per_output_token_s * request.output_tokens
        )
        return time_s if self._noise is None else time_s * self._noise.quantile(uniform)

    def first_token_s(self, service_s: float, request: Sized) -> float:
        """Return the share of *service_s* up to the first output token, in seconds."""
        before_s = self.base_s + self.per_prompt_token_s * request.prompt_tokens
        first_s = before_s + (self.per_output_token_s if request.output_tokens > 0 else 0.0)
        nominal_s = before_s + self.per_output_token_s * request.output_tokens
        return service_s * first_s / nominal_s if nominal_s > 0.0 else 0.0

    def mean_s(self, sizes: MeanSizes) -> float:
        """Return the mean service time in seconds; exact, as it is linear in the counts."""
        return (
            self.base_s
            + _product(self.per_prompt_token_s, sizes.prompt_tokens)
            + _product(self.per_output_token_s, sizes.output_tokens)
        )


@dataclass(frozen=True, slots=True)
class RecognitionService:
    """Speech recognition: a base plus the length of the audio over a real-time factor.

    Attributes:
        real_time_factor: Seconds of audio that a slot gets through in a second, > 0.
        base_s: Time that every request takes, in seconds.
        noise_cv: Coefficient of variation of a multiplicative noise of mean 1; 0 for none.
    """

    real_time_factor: float
    base_s: float = 0.0
    noise_cv: float = 0.0
    needs_tokens: ClassVar[bool] = False
    needs_details: ClassVar[type[Audio]] = Audio
    knows_first_token: ClassVar[bool] = False
    _noise: Lognormal | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_noise", _noise(self.noise_cv))

    def service_s(self, uniform: float, request: Sized) -> float:
        """Return the service time of a request with `Audio`, in seconds."""
        time_s = self.base_s + _audio_s(request) / self.real_time_factor
        return time_s if self._noise is None else time_s * self._noise.quantile(uniform)

    def first_token_s(self, service_s: float, request: Sized) -> float:
        """Return NaN: the transcript comes as a whole."""
        return math.nan

    def mean_s(self, sizes: MeanSizes) -> float:
        """Return the mean service time in seconds; exact, as it is linear in the length."""
        return self.base_s + sizes.audio_s / self.real_time_factor


@dataclass(frozen=True, slots=True)
class SynthesisService:
    """Speech synthesis: the first audio after a while, the rest at a real-time factor.

    Attributes:
        real_time_factor: Seconds of audio that a slot produces in a second, > 0.
        first_audio_s: Time to the first audio, in seconds; the audio's own time comes on top.
        noise_cv: Coefficient of variation of a multiplicative noise of mean 1; 0 for none.
    """

    real_time_factor: float
    first_audio_s: float = 0.0
    noise_cv: float = 0.0
    needs_tokens: ClassVar[bool] = False
    needs_details: ClassVar[type[Audio]] = Audio
    knows_first_token: ClassVar[bool] = True
    _noise: Lognormal | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_noise", _noise(self.noise_cv))

    def service_s(self, uniform: float, request: Sized) -> float:
        """Return the service time of a request with `Audio`, in seconds."""
        time_s = self.first_audio_s + _audio_s(request) / self.real_time_factor
        return time_s if self._noise is None else time_s * self._noise.quantile(uniform)

    def first_token_s(self, service_s: float, request: Sized) -> float:
        """Return the share of *service_s* up to the first audio, in seconds."""
        nominal_s = self.first_audio_s + _audio_s(request) / self.real_time_factor
        return service_s * self.first_audio_s / nominal_s if nominal_s > 0.0 else 0.0

    def mean_s(self, sizes: MeanSizes) -> float:
        """Return the mean service time in seconds; exact, as it is linear in the length."""
        return self.first_audio_s + sizes.audio_s / self.real_time_factor


@dataclass(frozen=True, slots=True)
class PictureService:
    """Image generation: a base plus a time for each step of each image.

    Loading base models and adapters is not part of it: `fedsim.world.config.SwitchConfig` is.

    Attributes:
        per_step_s: Time of an inference step of one image, in seconds.
        base_s: Time that every request takes (text encoding, decoding), in seconds.
        noise_cv: Coefficient of variation of a multiplicative noise of mean 1; 0 for none.
    """

    per_step_s: float
    base_s: float = 0.0
    noise_cv: float = 0.0
    needs_tokens: ClassVar[bool] = False
    needs_details: ClassVar[type[Pictures]] = Pictures
    knows_first_token: ClassVar[bool] = False
    _noise: Lognormal | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_noise", _noise(self.noise_cv))

    def service_s(self, uniform: float, request: Sized) -> float:
        """Return the service time of a request with `Pictures`, in seconds."""
        pictures = request.details
        assert isinstance(pictures, Pictures)
        time_s = self.base_s + self.per_step_s * pictures.steps * pictures.images
        return time_s if self._noise is None else time_s * self._noise.quantile(uniform)

    def first_token_s(self, service_s: float, request: Sized) -> float:
        """Return NaN: the images come all at once."""
        return math.nan

    def mean_s(self, sizes: MeanSizes) -> float:
        """Return the mean service time in seconds; exact, as it is linear in steps and images."""
        return self.base_s + self.per_step_s * sizes.picture_steps


@dataclass(frozen=True, slots=True)
class TokenBatches:
    """Batches that take a base plus their prompts' tokens over a rate, as embeddings do.

    Attributes:
        tokens_per_s: Tokens of prompts that a batch gets through in a second, > 0.
        base_s: Time that every batch takes, in seconds.
        noise_cv: Coefficient of variation of a multiplicative noise of mean 1, by the draw
            of the batch's first request; 0 for none.
    """

    tokens_per_s: float
    base_s: float = 0.0
    noise_cv: float = 0.0
    needs_tokens: ClassVar[bool] = True
    _noise: Lognormal | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_noise", _noise(self.noise_cv))

    def batch_s(self, uniforms: Sequence[float], requests: Sequence[Sized]) -> float:
        """Return base plus the time of all tokens, multiplied by the noise, in seconds."""
        tokens = sum(request.prompt_tokens for request in requests)
        time_s = self.base_s + tokens / self.tokens_per_s
        return time_s if self._noise is None else time_s * self._noise.quantile(uniforms[0])

    def mean_s(self, sizes: MeanSizes, requests: int) -> float:
        """Return the mean time of a batch in seconds; exact, as it is linear in the tokens."""
        return self.base_s + requests * sizes.prompt_tokens / self.tokens_per_s


def _noise(cv: float) -> Lognormal | None:
    return Lognormal.from_mean_cv(1.0, cv) if cv > 0.0 else None


def _audio_s(request: Sized) -> float:
    audio = request.details
    assert isinstance(audio, Audio)
    return audio.length_s


def _product(per_token_s: float, tokens: float) -> float:
    """Return the product, 0 where no time is taken for tokens, which may be unknown then."""
    return per_token_s * tokens if per_token_s else 0.0
