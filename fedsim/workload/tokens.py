"""Token counts: of prompts and answers apart, or of both together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.arrived import Integers
from fedsim.workload.counts import token_counts
from fedsim.workload.distributions import Distribution

Floats = NDArray[np.float64]


class TokenSource(Protocol):
    """Gives requests their token counts."""

    @property
    def prompt_mean(self) -> float:
        """Mean tokens of a prompt, before rounding; NaN where unknown."""
        ...

    @property
    def output_mean(self) -> float:
        """Mean tokens of an answer, before rounding; NaN where unknown."""
        ...

    def counts(self, prompt: Floats, output: Floats) -> tuple[Integers, Integers]:
        """Return the tokens of prompts and answers, -1 where unknown.

        Args:
            prompt: A uniform in (0, 1) for each request.
            output: Another one; a source of pairs has no use for it.
        """
        ...


@dataclass(frozen=True, slots=True)
class Tokens:
    """Counts of prompts and answers that have nothing to do with each other.

    Attributes:
        prompt: Distribution of the tokens of a prompt, or None where unknown.
        output: The same for an answer.
    """

    prompt: Distribution | None = None
    output: Distribution | None = None

    @property
    def prompt_mean(self) -> float:
        """Mean tokens of a prompt, before rounding; NaN where unknown."""
        return math.nan if self.prompt is None else self.prompt.mean

    @property
    def output_mean(self) -> float:
        """Mean tokens of an answer, before rounding; NaN where unknown."""
        return math.nan if self.output is None else self.output.mean

    def counts(self, prompt: Floats, output: Floats) -> tuple[Integers, Integers]:
        """Return the quantiles of both, rounded to whole tokens, at least 1."""
        return token_counts(self.prompt, prompt), token_counts(self.output, output)


@dataclass(frozen=True, slots=True, eq=False)
class TokenSamples:
    """Pairs of counts as they were recorded, so that long prompts keep their kind of answer.

    A request gets both counts of one row, each row as likely as any other, with replacement.

    Attributes:
        prompt_tokens: Tokens of the prompt of each row, >= 0.
        output_tokens: Tokens of its answer, >= 0.

    Raises:
        ValueError: There is no row, or the two differ in length.
    """

    prompt_tokens: Integers
    output_tokens: Integers

    def __post_init__(self) -> None:
        if len(self.prompt_tokens) == 0 or len(self.prompt_tokens) != len(self.output_tokens):
            message = (
                "token samples need at least one row, and as many prompts as answers, not "
                f"{len(self.prompt_tokens)} and {len(self.output_tokens)}"
            )
            raise ValueError(message)

    @property
    def prompt_mean(self) -> float:
        """Mean tokens of the prompts of the sample."""
        return float(np.mean(self.prompt_tokens))

    @property
    def output_mean(self) -> float:
        """Mean tokens of the answers of the sample."""
        return float(np.mean(self.output_tokens))

    def counts(self, prompt: Floats, output: Floats) -> tuple[Integers, Integers]:
        """Return the counts of the rows that *prompt* picks."""
        rows = (prompt * len(self.prompt_tokens)).astype(np.intp)
        return self.prompt_tokens[rows], self.output_tokens[rows]
