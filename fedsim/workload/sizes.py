"""How large the requests of a stream are, and what they are beyond their token counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.arrived import Generators, Integers
from fedsim.workload.details import Audio, Details, Prompt
from fedsim.workload.distributions import Distribution
from fedsim.workload.draws import Draws
from fedsim.workload.mean_sizes import MeanSizes
from fedsim.workload.tokens import Tokens, TokenSource

if TYPE_CHECKING:
    from fedsim.workload.pictures import PictureDraws, PictureSizes
    from fedsim.workload.prefixes import Prefixes, SystemPrompts

_NO_TOKENS = Tokens()


@dataclass(frozen=True, slots=True)
class Sizes:
    """What is drawn for each request of a stream.

    Attributes:
        tokens: Its token counts.
        audio_s: Distribution of the length of its audio in seconds, or None where it has none.
        pictures: The pictures that it asks for, or None.
        prefixes: The system prompts that its prompt begins with, or None where prompts have
            nothing in common.

    Raises:
        ValueError: A request would be of more than one kind, or has a system prompt and a prompt
            of unknown length.
    """

    tokens: TokenSource = _NO_TOKENS
    audio_s: Distribution | None = None
    pictures: PictureSizes | None = None
    prefixes: Prefixes | None = None

    def __post_init__(self) -> None:
        if sum(kind is not None for kind in (self.audio_s, self.pictures, self.prefixes)) > 1:
            message = "a request is one of audio, pictures and a prompt with a prefix: keep one"
            raise ValueError(message)
        if self.prefixes is not None and math.isnan(self.tokens.prompt_mean):
            message = "prefixes need to know how long prompts are: give their tokens"
            raise ValueError(message)

    @property
    def mean(self) -> MeanSizes:
        """The means of all sizes; NaN where unknown."""
        prompt_mean = self.tokens.prompt_mean
        if self.prefixes is not None:
            prompt_mean += self.prefixes.tokens.mean
        return MeanSizes(
            prompt_tokens=prompt_mean,
            output_tokens=self.tokens.output_mean,
            audio_s=math.nan if self.audio_s is None else self.audio_s.mean,
            picture_steps=math.nan if self.pictures is None else self.pictures.steps_mean,
        )


@dataclass(slots=True)
class Drawn:
    """The sizes of some requests, in arrays of equal length.

    Attributes:
        prompt_tokens: Tokens of the whole prompt, or -1 where unknown.
        output_tokens: Tokens of the answer, or -1 where unknown.
        details: What each is beyond its counts, or None where none is more.
    """

    prompt_tokens: Integers
    output_tokens: Integers
    details: Sequence[Details | None] | None


class SizeDraws:
    """Draws the sizes of the requests of a stream in one run.

    Args:
        sizes: What is drawn.
        own_tokens: The token counts of each tenant that has its own, by number; None or nothing
            for those of the stream.
        generator: Gives the random streams of the run.

    Attributes:
        system_prompts: The system prompts of the run, or None.
    """

    def __init__(
        self, sizes: Sizes, own_tokens: Sequence[TokenSource | None], generator: Generators
    ) -> None:
        self._sizes = sizes
        self._own = [(tenant, own) for tenant, own in enumerate(own_tokens) if own is not None]
        self._pictures: PictureDraws | None = None
        self.system_prompts: SystemPrompts | None = None
        if sizes.pictures is not None:
            from fedsim.workload.pictures import PictureDraws

            self._pictures = PictureDraws(sizes.pictures)
        if sizes.prefixes is not None:
            from fedsim.workload.prefixes import SystemPrompts

            self.system_prompts = SystemPrompts(sizes.prefixes, generator)

    def draw(self, draws: Draws, keys: NDArray[np.uint64], senders: Integers) -> Drawn:
        """Return the sizes of the next requests.

        Args:
            draws: Their uniforms.
            keys: Their keys.
            senders: Number of the tenant of each, or whatever else separates those whose
                choice of a model depends on their own earlier ones.
        """
        prompt_tokens, output_tokens = self.tokens(draws, senders)
        details: Sequence[Details | None] | None = None
        if self._sizes.audio_s is not None:
            details = [
                Audio(each) for each in self._sizes.audio_s.quantiles(draws("audio")).tolist()
            ]
        elif self._pictures is not None:
            details = self._pictures.draw(draws, senders)
        elif self.system_prompts is not None:
            chosen = self.system_prompts.chosen(draws)
            prompt_tokens = prompt_tokens + self.system_prompts.tokens[chosen]
            details = self._prompts(self.system_prompts, chosen, prompt_tokens, keys)
        return Drawn(prompt_tokens, output_tokens, details)

    def tokens(self, draws: Draws, tenants: Integers) -> tuple[Integers, Integers]:
        """Return the tokens of prompts and answers, without system prompts."""
        prompt, output = draws("prompt"), draws("output")
        prompt_tokens, output_tokens = self._sizes.tokens.counts(prompt, output)
        for tenant, own in self._own:
            its = tenants == tenant
            prompt_tokens[its], output_tokens[its] = own.counts(prompt[its], output[its])
        return prompt_tokens, output_tokens

    @staticmethod
    def _prompts(
        prompts: SystemPrompts, chosen: Integers, tokens: Integers, keys: NDArray[np.uint64]
    ) -> list[Prompt]:
        firsts = (keys >> np.uint64(2)).tolist()
        rows = zip(chosen.tolist(), tokens.tolist(), firsts, strict=True)
        return [prompts.prompt(*row) for row in rows]
