"""The mean sizes of requests: what a load is computed from before any run."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MeanSizes:
    """Mean sizes of requests, NaN where unknown.

    Attributes:
        prompt_tokens: Tokens of a prompt, before rounding to whole tokens.
        output_tokens: Tokens of an answer, before rounding.
        audio_s: Length of the speech in seconds.
        picture_steps: Inference steps of a request, over all its images.
    """

    prompt_tokens: float = math.nan
    output_tokens: float = math.nan
    audio_s: float = math.nan
    picture_steps: float = math.nan
