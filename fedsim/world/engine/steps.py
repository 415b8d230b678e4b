"""How long one step of an engine takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol


class StepTimes(Protocol):
    """Says how long a step takes that prefills prompts, decodes sequences, or does both.

    A decoding sequence of a prompt of n tokens that makes its output token k + 1 counts with a
    context of n + k tokens; *context* is the sum of that over all decoding sequences of the step.
    """

    def prefill_s(self, new: int, cached: int) -> float:
        """Return what *new* prompt tokens on top of *cached* ones are to ``step_s``, in seconds."""
        ...

    def step_s(self, prefill_s: float, prefills: int, decoding: int, context: int) -> float:
        """Return the duration of a step in seconds.

        Args:
            prefill_s: Sum of ``prefill_s`` over the sequences that it prefills.
            prefills: Number of sequences that it prefills.
            decoding: Number of sequences that it decodes; one of the two is above 0.
            context: Sum of the contexts of the decoding sequences, in tokens.
        """
        ...

    def decode_line(self, decoding: int, context: int) -> tuple[float, float, float]:
        """Return ``(intercept_s, slope_s, until_context)`` of steps that only decode.

        A step of *decoding* sequences whose contexts add up to x takes ``intercept_s + slope_s *
        x`` seconds for every x from *context* to *until_context*, which may be infinite.
        """
        ...


EXPERTS = 128
EXPERTS_PER_TOKEN = 8
"""Experts of a mixture, and how many of them a token goes through, as in Qwen3-30B-A3B."""


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Step times as a sum of linear terms.

    A step takes ``base + p1·n + p2·n·(c + n/2) + d1·B + d2·Σctx``, with the prefill terms summed
    over the sequences that it prefills (n new tokens on c cached ones) next to B decoding ones. The
    base is p0 if it only prefills, d0 if it only decodes, and the larger of them if it does both.
    For a mixture of experts d0 grows with the batch, as more experts' weights are read.

    Attributes:
        p0_s: Base of a step that prefills, in seconds.
        p1_s: Added per new prompt token, in seconds.
        p2_s: Added per new prompt token and token before it, in seconds.
        d0_s: Base of a step that decodes, in seconds.
        d1_s: Added per decoding sequence, in seconds.
        d2_s: Added per token of context of a decoding sequence, in seconds.
        floor_s: The least time of a step that only prefills, in seconds.
        dw_s: Added to d0 for the experts of a mixture: ``dw·(1 - (1 - 8/128)**B)`` seconds.
        step_overhead_s: Added to every step, in seconds.
    """

    p0_s: float
    p1_s: float
    p2_s: float
    d0_s: float
    d1_s: float
    d2_s: float
    floor_s: float = 0.0
    dw_s: float = 0.0
    step_overhead_s: float = 0.0

    def prefill_s(self, new: int, cached: int) -> float:
        """Return what *new* prompt tokens on top of *cached* ones add to a step, in seconds."""
        return new * (self.p1_s + self.p2_s * (cached + 0.5 * new))

    def step_s(self, prefill_s: float, prefills: int, decoding: int, context: int) -> float:
        """Return the duration of a step in seconds; see ``StepTimes``."""
        if not decoding:
            return max(self.floor_s, self.p0_s + prefill_s) + self.step_overhead_s
        base_s = self._decode_base_s(decoding)
        if prefills:
            base_s = max(self.p0_s, base_s)
        decode_s = self.d1_s * decoding + self.d2_s * context
        return base_s + decode_s + prefill_s + self.step_overhead_s

    def decode_line(self, decoding: int, context: int) -> tuple[float, float, float]:
        """Return the line of steps that only decode, which holds for any context."""
        fixed_s = self._decode_base_s(decoding) + self.d1_s * decoding + self.step_overhead_s
        return fixed_s, self.d2_s, math.inf

    def _decode_base_s(self, decoding: int) -> float:
        if not self.dw_s:
            return self.d0_s
        untouched = (1.0 - EXPERTS_PER_TOKEN / EXPERTS) ** decoding
        return self.d0_s + self.dw_s * (1.0 - untouched)
