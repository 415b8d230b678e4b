"""A sequence: one request in an engine, its prompt and the tokens that it is given."""

from __future__ import annotations

import math
from collections.abc import Sequence as Items


class Sequence:
    """One request in an engine.

    Args:
        prompt_tokens: Tokens of the prompt; fewer than 1 count as 1.
        output_tokens: Tokens to make; fewer than 1 count as 1.
        blocks: A hash for each consecutive block of the prompt; equal hashes stand for equal
            content from the beginning of the prompt to the end of the block.
        block_tokens: Tokens of such a block; the last may be shorter, and is then not cached.
        priority: Lower is served first, where the engine goes by priority.
        owner: Whatever the caller wants to find again.

    Attributes:
        begun_s: When it was first admitted, in seconds; NaN before.
        first_token_s: When its first token was made, in seconds; NaN before.
        finished_s: When its last token was made, in seconds; NaN before.
        cached_tokens: Prompt tokens that the prefix cache held when it was first admitted.
        preemptions: How often it lost its place and its cache.
        made: Tokens made when it was last decoding, or has begun to.
    """

    __slots__ = (
        "admission",
        "base_step",
        "begun_s",
        "block_tokens",
        "blocks",
        "cached_tokens",
        "computed",
        "finish_step",
        "finished_s",
        "first_token_s",
        "held",
        "kept",
        "made",
        "number",
        "output_tokens",
        "owner",
        "preemptions",
        "priority",
        "prompt_tokens",
        "spans",
        "state",
        "target",
        "tried",
    )

    def __init__(
        self,
        prompt_tokens: int,
        output_tokens: int,
        blocks: Items[int] = (),
        block_tokens: int = 0,
        priority: int = 0,
        owner: object = None,
    ) -> None:
        self.prompt_tokens = max(prompt_tokens, 1)
        self.output_tokens = max(output_tokens, 1)
        self.blocks = blocks
        self.block_tokens = block_tokens
        self.priority = priority
        self.owner = owner
        self.begun_s = self.first_token_s = self.finished_s = math.nan
        self.cached_tokens = self.preemptions = self.made = 0
        self.state = NEW
        # Kept by the engine. While it decodes, `made`, `computed` and `held` are those of
        # `base_step`, and grow with the engine's steps.
        self.number = self.admission = 0
        self.target = self.computed = self.held = 0
        self.tried = 0
        self.base_step = self.finish_step = 0
        self.kept: list[int] = []
        self.spans: list[tuple[int, int]] | None = None


NEW, WAITING, PREFILLING, DECODING, OVER = range(5)
"""Where a sequence is in its life."""
