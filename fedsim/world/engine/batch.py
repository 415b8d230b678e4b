"""The decoding sequences of an engine, as sums and counts that steps change all at once."""

from __future__ import annotations

from heapq import heappop, heappush

from fedsim.world.engine.sequence import DECODING, Sequence


class Batch:
    """The sequences that make a token in every step, one more token of context each time.

    Steps are numbered. A sequence needs another block of the KV cache in the steps whose number
    modulo the size of a block is its phase.

    Attributes:
        size: Number of sequences.
        context: Sum of their contexts in the present step, in tokens.
    """

    __slots__ = ("_block_tokens", "_finishes", "_phases", "context", "size")

    def __init__(self, block_tokens: int) -> None:
        self._block_tokens = block_tokens
        self.clear()

    def clear(self) -> None:
        """Lose all sequences."""
        self.size = self.context = 0
        self._phases = [0] * self._block_tokens
        self._finishes: list[tuple[int, int, Sequence]] = []

    def join(self, sequence: Sequence, step: int) -> None:
        """Decode *sequence*, whose prompt is in the cache, from the present *step* on."""
        context = sequence.target + 1
        sequence.state = DECODING
        sequence.offset = offset = context - step
        missing = sequence.output_tokens - sequence.made - 1
        sequence.finish_step = finish = step + missing - 1
        self.size += 1
        self.context += context
        self._phases[(1 - offset) % self._block_tokens] += 1
        heappush(self._finishes, (finish, sequence.admission, sequence))

    def leave(self, sequence: Sequence, step: int) -> None:
        """Decode *sequence* no longer; its state or its admission has to change as well."""
        offset = sequence.offset
        self.size -= 1
        self.context -= offset + step
        self._phases[(1 - offset) % self._block_tokens] -= 1

    def next_finish(self) -> int:
        """Return the number of the step at whose end the next sequence is finished."""
        finishes = self._finishes
        while True:
            finish, admission, sequence = finishes[0]
            if sequence.state == DECODING and sequence.admission == admission:
                return finish
            heappop(finishes)

    def finish(self, step: int) -> list[Sequence]:
        """Take out the sequences that the present *step* finishes, in order of admission."""
        finished: list[Sequence] = []
        finishes = self._finishes
        while finishes and finishes[0][0] <= step:
            _, admission, sequence = heappop(finishes)
            if sequence.state == DECODING and sequence.admission == admission:
                self.leave(sequence, step)
                finished.append(sequence)
        return finished

    def growth(self, step: int, steps: int = 1) -> int:
        """Return how many KV blocks the *steps* from number *step* on take."""
        phases, cycle = self._phases, self._block_tokens
        first = step % cycle
        if steps == 1:
            return phases[first]
        cycles, rest = divmod(steps, cycle)
        last = first + rest
        grown = cycles * self.size + sum(phases[first:last])
        return grown + sum(phases[: last - cycle]) if last > cycle else grown

    def affordable(self, step: int, steps: int, blocks: int) -> int:
        """Return how many of the *steps* from number *step* on take no more than *blocks*."""
        size, cycle = self.size, self._block_tokens
        if size * (steps // cycle + 1) <= blocks:
            return steps
        cycles, left = divmod(blocks, size)
        fitting = cycles * cycle
        while fitting < steps:
            left -= self._phases[(step + fitting) % cycle]
            if left < 0:
                return fitting
            fitting += 1
        return steps
