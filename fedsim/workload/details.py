"""What a request is beyond its token counts, for the kinds of work that care."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a prompt consists of, as far as prefix caches care.

    Attributes:
        blocks: A hash for each consecutive block of the prompt, 0 <= hash < 2**63; equal hashes
            mean equal content from the beginning of the prompt up to the block's end.
        block_tokens: Tokens of a block, >= 1; the last one may be shorter.
        answer: Where others may continue the answer, such hashes of what is said with it: of the
            block in which it begins, of all others up to its end, and of the one after that.
    """

    blocks: tuple[int, ...]
    block_tokens: int
    answer: tuple[int, ...] = ()

    def with_answer(self, prompt_tokens: int) -> tuple[int, ...]:
        """Return the hashes of prompt and answer together, as far as the answer's are known."""
        if not self.answer:
            return self.blocks
        return self.blocks[: prompt_tokens // self.block_tokens] + self.answer


@dataclass(frozen=True, slots=True)
class Audio:
    """Speech to be recognised or synthesised.

    Attributes:
        length_s: Its length in seconds of audio, >= 0.
    """

    length_s: float


@dataclass(frozen=True, slots=True)
class Pictures:
    """Images to be generated.

    Attributes:
        steps: Inference steps of each image, >= 1.
        images: Number of images, >= 1.
        model: Number of the base model that is asked for, from 0.
        adapters: Number of adapters (LoRAs) on top of it, >= 0.
    """

    steps: int
    images: int
    model: int = 0
    adapters: int = 0


Details = Prompt | Audio | Pictures
"""What a request is beyond its token counts."""
