"""A sequence: one request in an engine, its prompt and the tokens that it is given."""

from __future__ import annotations

import math
from collections.abc import Sequence as Items

from fedsim.world.engine.kv_cache import Account, Piece
from fedsim.world.engine.runs import TokenTimes

NEW, WAITING, PREFILLING, DECODING, OVER = range(5)
"""Where a sequence is in its life."""


_NOWHERE: Account = {}


class Sequence:
    """One request in an engine.

    Args:
        prompt_tokens: Tokens of the prompt; fewer than 1 count as 1.
        output_tokens: Tokens to make; fewer than 1 count as 1.
        blocks: A hash for each consecutive block of the prompt; equal hashes mean equal
            content from the beginning of the prompt to the end of the block. Where there are more
            of them than the prompt has blocks, they go on into the answer, which is then cached
            when the sequence leaves.
        block_tokens: Tokens of such a block; the last may be shorter, and is then not cached.
        priority: Lower is served first, where the engine goes by priority.
        owner: Whatever the caller wants to find again.

    Attributes:
        begun_s: When it was first admitted, in seconds; NaN before.
        first_token_s: When its first token was made, in seconds; NaN before.
        finished_s: When its last token was made, in seconds; NaN before.
        cached_tokens: Prompt tokens that the prefix cache held when it was first admitted.
        preemptions: How often it lost its place and its cache.
        state: Where it is in its life. This and what follows is the engine's own.
        admission: Number of its last admission.
        made: Tokens made before it was last admitted, or in all once it is over.
        target: Tokens to prefill: its prompt, and after a preemption those made before.
        computed: Tokens in the cache, while it prefills.
        chunk: Tokens that the step in flight prefills.
        held: Blocks of the KV cache that it holds, while it prefills.
        offset: Its context in a decode step, less the number of that step.
        finish_step: Number of the step that makes its last token, once it decodes.
        unit: KV blocks that one of its blocks fills; 0 where others do not find them.
        known: Its first blocks that others may find.
        account: Where those are found.
        own: What the cache keeps, or kept, of it beyond those, for itself.
        kept: The pieces of the cache that it uses.
        shared: KV blocks of it that belong to those pieces.
        tried: Blocks of it that were found in the cache or offered to it.
        times: When its tokens are made.
    """

    __slots__ = (
        "account",
        "admission",
        "begun_s",
        "block_tokens",
        "blocks",
        "cached_tokens",
        "chunk",
        "computed",
        "finish_step",
        "finished_s",
        "first_token_s",
        "held",
        "kept",
        "known",
        "made",
        "offset",
        "output_tokens",
        "own",
        "owner",
        "preemptions",
        "priority",
        "prompt_tokens",
        "shared",
        "state",
        "target",
        "times",
        "tried",
        "unit",
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
        self.prompt_tokens = self.target = prompt_tokens if prompt_tokens > 1 else 1
        self.output_tokens = output_tokens if output_tokens > 1 else 1
        self.blocks = blocks
        self.block_tokens = block_tokens
        self.priority = priority
        self.owner = owner
        self.begun_s = self.first_token_s = self.finished_s = math.nan
        self.cached_tokens = self.preemptions = self.made = 0
        self.state = NEW
        self.admission = self.computed = self.chunk = self.held = 0
        self.offset = self.finish_step = self.unit = self.known = self.tried = self.shared = 0
        self.account = _NOWHERE
        self.own: Piece | None = None
        self.kept: list[Piece] = []
        self.times = TokenTimes()
