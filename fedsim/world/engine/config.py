"""The settings of an engine, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fedsim.world.engine.steps import StepTimes


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """An engine that batches continuously.

    Attributes:
        steps: How long a step takes.
        kv_capacity_tokens: Tokens that its KV cache holds, >= *block_tokens*.
        max_batch: Most sequences that run at once, >= 1.
        token_budget: Most tokens that a step computes, >= *max_batch*.
        chunked_prefill: Whether a prompt may be prefilled in several steps.
        request_overhead_s: Time before a request is queued, in seconds.
        block_tokens: Tokens of a block of the KV cache, >= 1.
        prefix_cache: Whether full blocks are kept and found again.
        admit: What of a waiting sequence the cache needs room for: all that it has to compute, or
            the chunk that comes first.
        order: Waiting sequences first come, first served, or lowest priority number first.

    Raises:
        ValueError: A value is out of its range.
    """

    steps: StepTimes
    kv_capacity_tokens: int
    max_batch: int = 256
    token_budget: int = 8192
    chunked_prefill: bool = True
    request_overhead_s: float = 0.0
    block_tokens: int = 16
    prefix_cache: bool = True
    admit: Literal["whole", "chunk"] = "whole"
    order: Literal["fcfs", "priority"] = "fcfs"

    def __post_init__(self) -> None:
        for name in ("max_batch", "block_tokens"):
            if getattr(self, name) < 1:
                message = f"{name} must be at least 1, not {getattr(self, name)}"
                raise ValueError(message)
        if self.kv_capacity_tokens < self.block_tokens:
            message = (
                f"a cache of {self.kv_capacity_tokens} tokens holds no block of "
                f"{self.block_tokens} tokens"
            )
            raise ValueError(message)
        if self.token_budget < self.max_batch:
            message = (
                f"a budget of {self.token_budget} tokens a step is less than max_batch, "
                f"{self.max_batch}: every running sequence needs one"
            )
            raise ValueError(message)
        if not self.request_overhead_s >= 0.0:
            message = f"request_overhead_s must be 0 or more, not {self.request_overhead_s}"
            raise ValueError(message)

    @property
    def kv_blocks(self) -> int:
        """Number of blocks of the KV cache."""
        return self.kv_capacity_tokens // self.block_tokens
