"""Continuous batching as vLLM does it, stepped between changes of the batch, not token by token."""

from __future__ import annotations

import math
from heapq import heappop, heappush
from typing import NamedTuple

from fedsim.world.engine.config import EngineConfig
from fedsim.world.engine.kv_cache import KvCache
from fedsim.world.engine.runs import History, Run
from fedsim.world.engine.sequence import DECODING, OVER, PREFILLING, WAITING, Sequence

FORGET_EVERY = 1024
"""Runs in the history after which those that nobody can ask for any more are looked for."""


class Snapshot(NamedTuple):
    """What an engine is doing at one instant.

    Attributes:
        running: Sequences that have a place in the batch.
        waiting: Sequences that wait for one.
        kv_used_tokens: Tokens that the KV cache has room for in the blocks that are in use.
        busy_s: Time that it has spent in steps so far, in seconds.
        tokens_out: Output tokens made so far.
    """

    running: int
    waiting: int
    kv_used_tokens: int
    busy_s: float
    tokens_out: int


class Engine:
    """An engine that batches continuously.

    A step serves the running sequences in the order of their admission, one token each or the next
    part of an unfinished prompt, and then admits waiting ones while the limit of the batch, the
    token budget and the KV cache allow. When a running sequence finds no room in the cache, the
    one admitted last is preempted: it loses its cache, waits at the head of the queue, and
    computes prompt and tokens again. A step with a preemption admits nobody.

    Between two changes of the batch all steps are alike: every decoding sequence gets a token, and
    the step times grow by the same amount each. Such a run is one object with closed forms, so
    that a sequence costs a few operations however long it is. Because a prompt takes all of the
    budget that is left or ends within it, at most one prompt is unfinished after a step, and that
    is the sequence admitted last.

    Time is the caller's: it calls ``advance`` when ``next_change_s`` has come, and never calls any
    method with a time before an earlier one or after ``next_change_s``.

    Args:
        config: Its settings.

    Attributes:
        config: Its settings.
        waiting: Sequences that wait for a place.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.waiting = 0
        self._steps = config.steps
        self._block = config.block_tokens
        self._by_priority = config.order == "priority"
        self._cache = KvCache(config.kv_blocks, config.prefix_cache)
        self._queue: list[tuple[int, int, Sequence]] = []
        self._running: dict[Sequence, None] = {}
        self._partial: Sequence | None = None
        self._chunks: list[Sequence] = []
        self._ending: list[tuple[int, int, Sequence]] = []
        self._watched: dict[Sequence, int] = {}
        self._history = History()
        # Decoding sequences by the number of the step, modulo the block, in which they next need
        # a block; how many they are; and the sum of the tokens that they have in the cache.
        self._growing = [0] * self._block
        self._decoding = 0
        self._context = 0
        self._run: Run | None = None
        self._next_s = math.inf
        self._blocked = False
        self._factor = 1.0
        self._done = 0
        self._busy_s = 0.0
        self._tokens = 0
        self._submitted = self._admitted = 0

    # What it is doing

    @property
    def running(self) -> int:
        """Sequences that have a place in the batch."""
        return len(self._running)

    def next_change_s(self) -> float:
        """Return when something is due, in seconds; infinity while it is idle."""
        return self._next_s

    def snapshot(self, now_s: float) -> Snapshot:
        """Return what it is doing at *now_s*, which changes nothing."""
        used, busy_s, tokens = self._cache.used, self._busy_s, self._tokens
        run = self._run
        if run is not None:
            over = run.step_at(now_s) - 1
            used += self._growth(self._done + 2, over)
            busy_s += now_s - run.start_s
            tokens += over * self._decoding
        return Snapshot(len(self._running), self.waiting, used * self._block, busy_s, tokens)

    def why_never(self, prompt_tokens: int, output_tokens: int) -> str | None:
        """Return why a request of that size can never be served, or None if it can."""
        config = self.config
        most = max(prompt_tokens, 1) + max(output_tokens, 1) - 1
        capacity = config.kv_blocks * self._block
        if most > capacity:
            return (
                f"it needs {most:,} tokens of KV cache ({prompt_tokens:,} of the prompt and "
                f"{output_tokens:,} of the answer), and the cache holds {capacity:,}"
            )
        if not config.chunked_prefill and most > config.token_budget:
            return (
                f"a prompt of up to {most:,} tokens has to be computed in one step without "
                f"chunked prefill, and the budget of a step is {config.token_budget:,} tokens"
            )
        return None

    # What is done to it

    def submit(self, sequence: Sequence, now_s: float) -> None:
        """Let *sequence*, a new one, wait for a place; the end of the step under way plans it.

        Raises:
            ValueError: It can never be served; see ``why_never``.
        """
        never = self.why_never(sequence.prompt_tokens, sequence.output_tokens)
        if never is not None:
            raise ValueError(never)
        if sequence.block_tokens % self._block or not self.config.prefix_cache:
            sequence.blocks = ()
        self._submitted += 1
        sequence.number = self._submitted
        self._enqueue(sequence)
        if self._run is None:
            self._next_s = now_s
        elif self._by_priority or not self._blocked:
            self._cut(now_s)

    def abort(self, sequence: Sequence, now_s: float) -> None:
        """Let *sequence* leave: its place and its cache are free at once.

        The step under way takes as long as it would have taken. A sequence that is over stays so.
        """
        if sequence.state not in {WAITING, PREFILLING, DECODING}:
            return
        self._cut(now_s)
        if sequence.state == WAITING:
            self.waiting -= 1
        else:
            self._leave(sequence)
        sequence.state = OVER

    def advance(self, now_s: float) -> list[Sequence]:
        """Let time pass up to and including *now_s*; return who has finished, in order."""
        finished: list[Sequence] = []
        while self._next_s <= now_s:
            at_s = self._next_s
            if self._run is not None:
                self._complete(self._run, at_s, finished)
            self._plan(at_s)
        return finished

    def set_factor(self, factor: float, now_s: float) -> None:
        """Let steps take *factor* times as long, from the next one on."""
        self._cut(now_s)
        self._factor = factor

    def clear(self, now_s: float) -> list[Sequence]:
        """Lose everything, the step under way and the cache included; return the sequences.

        Those with a place come first, in the order of their admission, then the waiting ones.
        """
        self._cut(now_s)
        if self._run is not None:
            self._busy_s += now_s - self._run.start_s
        lost = [*self._running]
        lost += [each for _, _, each in sorted(self._queue) if each.state == WAITING]
        for sequence in lost:
            sequence.state = OVER
        self._cache.clear()
        for container in (self._queue, self._running, self._chunks, self._ending):
            container.clear()
        self._growing = [0] * self._block
        self.waiting = self._decoding = self._context = 0
        self._partial = self._run = None
        self._next_s = math.inf
        return lost

    # Times of single tokens

    def watch(self, sequence: Sequence) -> None:
        """Keep what ``token_s`` needs for *sequence*, which must not have a token yet."""
        sequence.spans = []
        self._watched[sequence] = self._done

    def unwatch(self, sequence: Sequence) -> None:
        """Forget the times of the tokens of *sequence*."""
        self._watched.pop(sequence, None)
        if not self._watched:
            self._history.clear()

    def token_s(self, sequence: Sequence, number: int) -> float:
        """Return when a token of a watched sequence was made, or is as good as certain to be.

        Args:
            sequence: The sequence.
            number: Number of the token, from 1.

        Returns:
            The time in seconds; infinity while it depends on what is not planned yet.
        """
        spans = sequence.spans or ()
        run = self._run
        for made, step in reversed(spans):
            if made > number:
                continue
            at = step + number - made
            if at <= self._done:
                return self._history.end_s(at) if self._made(sequence) >= number else math.inf
            if sequence.state == DECODING and run is not None and at - self._done <= run.steps:
                return run.end_s(at - self._done)
            return math.inf
        ends = sequence.tried > 0 and sequence.computed + sequence.tried == sequence.target
        return self._next_s if ends and number == sequence.made + 1 else math.inf

    def _made(self, sequence: Sequence) -> int:
        """Return the tokens that a sequence has been given."""
        if sequence.state == DECODING:
            return sequence.made + self._done - sequence.base_step
        return sequence.made

    # Steps

    def _plan(self, now_s: float) -> None:
        """Plan what comes next: a run of equal steps, one step that prefills, or nothing."""
        preempted = self._make_room()
        budget = self.config.token_budget - self._decoding
        prefill_s = 0.0
        partial = self._partial
        if partial is not None:
            chunk = min(partial.target - partial.computed, budget)
            if self._new_blocks(partial.computed, chunk) > self._cache.available:
                self._preempt(partial)
                preempted = True
            else:
                prefill_s = self._compute(partial, chunk)
                budget -= chunk
        self._blocked = False
        if not preempted and self.waiting:
            prefill_s += self._admit(now_s, budget)
        if self._chunks:
            duration_s = self._factor * self._steps.step_s(
                prefill_s, len(self._chunks), self._decoding, self._context + self._decoding
            )
            self._run = Run(now_s, duration_s, 0.0, 1, self._done)
            self._next_s = now_s + duration_s
        elif self._decoding:
            self._run = run = self._decode(now_s, preempted)
            self._next_s = run.end_s(run.steps)
        else:
            self._run, self._next_s = None, math.inf

    def _decode(self, now_s: float, preempted: bool) -> Run:
        """Return the run of steps that only decode, up to the first possible change."""
        decoding, context = self._decoding, self._context
        ending = self._ending
        while ending[0][0] != ending[0][2].finish_step or ending[0][2].state != DECODING:
            heappop(ending)
        first = context + decoding
        intercept_s, slope_s, until = self._steps.decode_line(decoding, first)
        steps = 1 if preempted else ending[0][0] - self._done
        if until < first + (steps - 1) * decoding:
            steps = max(int((until - context) // decoding), 1)
        if steps > 1:
            steps = self._steps_with_room(steps)
        factor = self._factor
        return Run(
            now_s,
            factor * (intercept_s + slope_s * first),
            factor * slope_s * decoding,
            steps,
            self._done,
        )

    def _complete(self, run: Run, now_s: float, finished: list[Sequence]) -> None:
        """End the run under way, and take down who has finished."""
        if run.steps > 1:
            self._cache.allocate(self._growth(self._done + 2, run.steps - 1))
        self._pass(run, run.steps)
        self._run = None
        ending, done = self._ending, self._done
        while ending and ending[0][0] <= done:
            step, _, sequence = heappop(ending)
            if step == sequence.finish_step and sequence.state == DECODING:
                self._finish(sequence, now_s, finished)
        if self._chunks:
            for sequence in self._chunks:
                sequence.computed += sequence.tried
                sequence.tried = 0
                if sequence.computed == sequence.target:
                    self._prefilled(sequence, now_s, finished)
            self._chunks.clear()

    def _prefilled(self, sequence: Sequence, now_s: float, finished: list[Sequence]) -> None:
        """Give a sequence whose prompt is complete its token, and let it decode."""
        if sequence is self._partial:
            self._partial = None
        sequence.made = made = sequence.made + 1
        self._tokens += 1
        done = self._done
        if made == 1:
            sequence.first_token_s = now_s
        if sequence.spans is not None:
            sequence.spans.append((made, done))
        if made == sequence.output_tokens:
            self._finish(sequence, now_s, finished)
            return
        sequence.state = DECODING
        sequence.base_step = done
        sequence.finish_step = done + sequence.output_tokens - made
        heappush(self._ending, (sequence.finish_step, sequence.admission, sequence))
        self._growing[self._phase(sequence)] += 1
        self._decoding += 1
        self._context += sequence.computed

    def _finish(self, sequence: Sequence, now_s: float, finished: list[Sequence]) -> None:
        sequence.finished_s = now_s
        self._leave(sequence)
        sequence.state = OVER
        finished.append(sequence)

    def _pass(self, run: Run, steps: int) -> None:
        """Count the first *steps* steps of *run* as over."""
        if self._watched:
            self._history.add(run, steps)
            if len(self._history) > FORGET_EVERY:
                self._history.forget_before(min(self._watched.values()))
        self._done += steps
        self._context += steps * self._decoding
        self._tokens += steps * self._decoding
        self._busy_s += run.end_s(steps) - run.start_s

    def _cut(self, now_s: float) -> None:
        """End the run under way with the step that *now_s* lies in."""
        run = self._run
        if run is None or run.steps == 1:
            return
        step = run.step_at(now_s)
        if step > 1:
            self._cache.allocate(self._growth(self._done + 2, step - 1))
            self._pass(run, step - 1)
        start_s, self._next_s = run.end_s(step - 1), run.end_s(step)
        self._run = Run(start_s, self._next_s - start_s, 0.0, 1, self._done)

    # Places

    def _enqueue(self, sequence: Sequence) -> None:
        sequence.state = WAITING
        priority = sequence.priority if self._by_priority else 0
        heappush(self._queue, (priority, sequence.number, sequence))
        self.waiting += 1

    def _admit(self, now_s: float, budget: int) -> float:
        """Admit waiting sequences while there is room; return what their prefill takes."""
        queue, cache = self._queue, self._cache
        prefill_s = 0.0
        while self.waiting and budget > 0 and len(self._running) < self.config.max_batch:
            sequence = queue[0][2]
            if sequence.state != WAITING:
                heappop(queue)
                continue
            hits = self._hits(sequence) if sequence.blocks else ()
            cached = len(hits) * sequence.block_tokens
            target = sequence.prompt_tokens + sequence.made
            chunk = min(target - cached, budget)
            if chunk < target - cached and not self.config.chunked_prefill:
                break
            room = cache.available_beside(hits) if hits else cache.available
            if self._new_blocks(cached, chunk) > room:
                break
            heappop(queue)
            self.waiting -= 1
            self._place(sequence, now_s, hits, cached)
            prefill_s += self._compute(sequence, chunk)
            budget -= chunk
            if chunk < target - cached:
                self._partial = sequence
        self._blocked = self.waiting > 0
        return prefill_s

    def _place(self, sequence: Sequence, now_s: float, hits: tuple[int, ...], cached: int) -> None:
        """Give a waiting sequence its place in the batch, and what the cache has of its prompt."""
        self._admitted += 1
        sequence.admission = self._admitted
        sequence.state = PREFILLING
        sequence.target = sequence.prompt_tokens + sequence.made
        sequence.computed = cached
        sequence.kept = list(hits)
        if hits:
            self._cache.use(hits)
        if math.isnan(sequence.begun_s):
            sequence.begun_s = now_s
            sequence.cached_tokens = cached
        self._running[sequence] = None

    def _leave(self, sequence: Sequence) -> None:
        """Take its place and its cache from a running sequence."""
        tokens = sequence.computed + sequence.tried
        if sequence.state == DECODING:
            passed = self._done - sequence.base_step
            self._growing[self._phase(sequence)] -= 1
            self._decoding -= 1
            self._context -= tokens + passed
            sequence.made += passed
            tokens += passed + (self._run is not None)
        elif sequence is self._partial:
            self._partial = None
        if sequence.tried:
            self._chunks.remove(sequence)
            sequence.tried = 0
        del self._running[sequence]
        kept = sequence.kept
        blocks = self._new_blocks(0, tokens)
        if kept:
            self._cache.release(blocks - len(kept) * sequence.block_tokens // self._block, kept)
            sequence.kept = []
        else:
            self._cache.release(blocks)

    def _preempt(self, sequence: Sequence) -> None:
        """Take everything from a running sequence, and let it wait at the head of the queue."""
        self._leave(sequence)
        sequence.preemptions += 1
        self._enqueue(sequence)

    # The cache

    def _make_room(self) -> bool:
        """Give the decoding sequences blocks for the next step; return whether one had to go."""
        needed = self._growing[(self._done + 1) % self._block]
        if needed <= self._cache.available:
            if needed:
                self._cache.allocate(needed)
            return False
        phase = (self._done + 1) % self._block
        for sequence in list(self._running):
            if sequence.state != DECODING:
                continue  # an unfinished prompt, the last of all; or one that has been preempted
            if self._phase(sequence) != phase:
                continue
            while self._cache.available < 1 and sequence.state == DECODING:
                self._preempt(next(reversed(self._running)))
            if sequence.state != DECODING:
                break
            self._cache.allocate(1)
        return True

    def _compute(self, sequence: Sequence, chunk: int) -> float:
        """Have the next step compute *chunk* tokens of a prompt; return what that takes."""
        computed = sequence.computed
        new = self._new_blocks(computed, chunk)
        if new:
            self._cache.allocate(new)
        sequence.tried = chunk
        self._chunks.append(sequence)
        if sequence.blocks:
            self._keep(sequence, computed, computed + chunk)
        return self._steps.prefill_s(chunk, computed)

    def _hits(self, sequence: Sequence) -> tuple[int, ...]:
        """Return the hashes of the prompt's first blocks that are in the cache.

        At least one token is left to compute, or there would be nothing to make a token from.
        """
        size = sequence.block_tokens
        target = sequence.prompt_tokens + sequence.made
        most = min(sequence.prompt_tokens // size, (target - 1) // size, len(sequence.blocks))
        return tuple(sequence.blocks[: self._cache.hits(sequence.blocks, most)])

    def _keep(self, sequence: Sequence, before: int, after: int) -> None:
        """Have the prompt's blocks that fill between *before* and *after* tokens found again."""
        size = sequence.block_tokens
        last = min(min(after, sequence.prompt_tokens) // size, len(sequence.blocks))
        for content in sequence.blocks[before // size : last]:
            if self._cache.keep(content, size // self._block):
                sequence.kept.append(content)

    def _new_blocks(self, computed: int, tokens: int) -> int:
        """Return the blocks that *tokens* need on top of those that *computed* ones fill."""
        block = self._block
        return -(-(computed + tokens) // block) + (-computed // block)

    def _phase(self, sequence: Sequence) -> int:
        """Return the step, modulo the block, in which a decoding sequence needs a block."""
        return (sequence.base_step + 1 - sequence.computed) % self._block

    def _growth(self, first: int, steps: int) -> int:
        """Return the blocks that the decoding sequences need in *steps* steps from *first* on."""
        if steps <= 0:
            return 0
        block, growing = self._block, self._growing
        cycles, rest = divmod(steps, block)
        start = first % block
        part = sum(growing[start : start + rest])
        if start + rest > block:
            part += sum(growing[: start + rest - block])
        return cycles * self._decoding + part

    def _steps_with_room(self, steps: int) -> int:
        """Return for how many of *steps* steps the cache has room; it has for the first."""
        available, block = self._cache.available, self._block
        decoding = self._decoding
        if available >= decoding * ((steps - 2) // block + 1):
            return steps
        cycles, available = divmod(available, decoding)
        room = 1 + cycles * block
        while room < steps:
            available -= self._growing[(self._done + room + 1) % block]
            if available < 0:
                break
            room += 1
        return min(room, steps)
