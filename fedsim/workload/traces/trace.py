"""A trace in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.details import Prompt

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

_HASHES = np.uint64(2**63 - 1)


@dataclass(frozen=True, slots=True, eq=False)
class Blocks:
    """What the prompts of a trace consist of.

    Attributes:
        hashes: A hash for each block of each prompt, one prompt after the other; equal hashes
            mean equal content from the beginning of the prompt up to the block's end.
        offsets: Where in ``hashes`` each prompt begins, and last where the last one ends.
        block_tokens: Tokens of a block; the last one of a prompt may be shorter.
    """

    hashes: Integers
    offsets: Integers
    block_tokens: int

    def taken(self, rows: Integers) -> Blocks:
        """Return the blocks of some prompts, in the order of *rows*."""
        lengths = (self.offsets[1:] - self.offsets[:-1])[rows]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        places = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], lengths)
        return Blocks(self.hashes[places], offsets, self.block_tokens)


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """A name for each request, such as that of its tenant.

    Attributes:
        codes: The number of each request's name.
        names: The names, in the order in which they first occur.
    """

    codes: Integers
    names: tuple[str, ...]

    def taken(self, rows: Integers) -> Labels:
        """Return the names of some requests, in the order of *rows*; all numbers stay."""
        return Labels(self.codes[rows], self.names)


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """The requests of a trace, as arrays of equal length in the order of their times.

    Attributes:
        times_s: Arrival times in seconds, ascending; as read, the first is at 0.
        prompt_tokens: Tokens of each prompt, >= 0.
        output_tokens: Tokens of each answer, >= 0.
        blocks: What the prompts consist of, or None where the trace does not say.
        tenants: Who sends each request, or None.
        origins: Where each comes from, or None.
        failures: Rows that were left out as they are requests that failed.
        spread_s: Over how long requests of one recorded time were spread, in seconds; 0 for not.
    """

    times_s: Floats
    prompt_tokens: Integers
    output_tokens: Integers
    blocks: Blocks | None = None
    tenants: Labels | None = None
    origins: Labels | None = None
    failures: int = 0
    spread_s: float = 0.0

    def __len__(self) -> int:
        return len(self.times_s)

    @property
    def span_s(self) -> float:
        """Time from the first request to the last, in seconds."""
        return float(self.times_s[-1] - self.times_s[0])

    def prompts(self, rows: slice, first_hash: int = 0) -> Sequence[Prompt] | None:
        """Return what the prompts of consecutive *rows* consist of, or None where unknown.

        Args:
            rows: The rows.
            first_hash: Is added to the hashes, modulo 2**63; 0 <= *first_hash* < 2**63.
        """
        if self.blocks is None:
            return None
        first, last, _ = rows.indices(len(self))
        offsets = self.blocks.offsets[first : last + 1].tolist()
        size, base = self.blocks.block_tokens, offsets[0]
        numbers = self.blocks.hashes[offsets[0] : offsets[-1]].astype(np.uint64)
        hashes = ((numbers + np.uint64(first_hash)) & _HASHES).tolist()
        return [
            Prompt(tuple(hashes[begin - base : end - base]), size)
            for begin, end in pairwise(offsets)
        ]
