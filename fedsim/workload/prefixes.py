"""System prompts: beginnings that many requests of a stream have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fedsim.workload.arrived import Generators, Integers
from fedsim.workload.checks import not_negative
from fedsim.workload.counts import token_counts
from fedsim.workload.details import Prompt
from fedsim.workload.distributions import Distribution
from fedsim.workload.draws import Draws
from fedsim.workload.popularity import bounds, pick, zipf_shares

BLOCK_TOKENS = 16
"""Tokens of a block of a prompt, vLLM's default."""


@dataclass(frozen=True, slots=True)
class Prefixes:
    """The system prompts of a stream, one of which each prompt begins with.

    The system prompt comes on top of what the request's own distribution of prompt tokens gives,
    so a prompt is never shorter than its system prompt.

    Attributes:
        count: Number of different system prompts, >= 1.
        zipf: Exponent of Zipf's law for how often each is used, >= 0; 0 for equally often.
        tokens: Distribution of their lengths; each length is drawn once for a run.
        block_tokens: Tokens of a block, >= 1.
    """

    count: int
    zipf: float
    tokens: Distribution
    block_tokens: int = BLOCK_TOKENS

    def __post_init__(self) -> None:
        not_negative("prefixes", zipf=self.zipf)
        for name, value in (("count", self.count), ("block_tokens", self.block_tokens)):
            if value < 1:
                message = f"the {name} of prefixes must be at least 1, not {value}"
                raise ValueError(message)


class SystemPrompts:
    """The system prompts of one run.

    Attributes:
        block_tokens: Tokens of a block.
        tokens: The length of each.
        blocks: The hashes of the blocks that lie wholly inside each.
    """

    def __init__(self, prefixes: Prefixes, generator: Generators) -> None:
        rng = generator("prefixes")
        lengths = token_counts(prefixes.tokens, np.maximum(rng.random(prefixes.count), 2.0**-54))
        firsts = rng.integers(0, 2**62, size=prefixes.count).tolist()
        self.block_tokens = prefixes.block_tokens
        self.tokens: Integers = lengths
        self.blocks = [
            tuple(range(first, first + tokens // prefixes.block_tokens))
            for first, tokens in zip(firsts, lengths.tolist(), strict=True)
        ]
        self._bounds = bounds(zipf_shares(prefixes.count, prefixes.zipf))

    def chosen(self, draws: Draws) -> Integers:
        """Return the number of the system prompt of each request."""
        return pick(self._bounds, draws("prefix"))

    def prompt(self, chosen: int, tokens: int, first: int, last: int | None = None) -> Prompt:
        """Return a prompt of *tokens* that begins with the system prompt *chosen*.

        Args:
            chosen: Number of the system prompt.
            tokens: Tokens of the whole prompt, at least as many as the system prompt has.
            first: Hash of block 0 of this request's own text, 0 <= first < 2**62; block i of the
                prompt has the hash ``first + i`` unless it lies inside the system prompt.
            last: Hash of a last block that is not full; None for that of a full one.
        """
        return text(self.blocks[chosen], tokens, first, self.block_tokens, last)


def text(
    shared: tuple[int, ...], tokens: int, first: int, block_tokens: int, last: int | None = None
) -> Prompt:
    """Return a prompt of *tokens* whose first blocks are *shared* and whose others are its own.

    Numbers in a row serve as hashes as well as random ones would, and cost a tenth: a prompt is
    found in a cache by its blocks from the first on, and the first one is random.
    """
    full, rest = divmod(tokens, block_tokens)
    blocks = shared[:full] + tuple(range(first + len(shared), first + full))
    if rest:
        blocks += (first + full if last is None else last,)
    return Prompt(blocks, block_tokens)
