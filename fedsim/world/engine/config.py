"""The settings of an engine, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fedsim.federation.settings import Apart, CountFrom1, Limits, Seconds
from fedsim.world.engine.steps import StepTimes


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """An engine that batches continuously.

    Attributes:
        steps: How long a step takes.
        kv_capacity_tokens: Tokens that its KV cache holds, >= *block_tokens*.
        max_batch: Most requests that run at once.
        token_budget: Most tokens that a step computes, at least max_batch.
        chunked_prefill: Whether a prompt may be computed in several steps.
        request_overhead_s: Time before a request is queued, in seconds.
        block_tokens: Tokens of a block of the KV cache.
        prefix_cache: Whether blocks that are full are kept and found again.
        admit: What the cache needs room for before a request is admitted: all that it has to
            compute, or the chunk that comes first.
        order: Who is admitted first: who came first, or whose stream has the lowest priority
            number.

    Raises:
        ValueError: A value is out of its range.
    """

    steps: StepTimes
    kv_capacity_tokens: int
    max_batch: CountFrom1 = 256
    token_budget: Annotated[int, Limits(at_least=1)] = 8192
    chunked_prefill: bool = True
    request_overhead_s: Annotated[Seconds, Apart()] = 0.0
    block_tokens: CountFrom1 = 16
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
