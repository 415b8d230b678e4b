"""Who runs in an engine and who waits, planned step by step."""

from __future__ import annotations

import math

from fedsim.world.engine.batch import Batch
from fedsim.world.engine.config import EngineConfig
from fedsim.world.engine.kv_cache import KvCache
from fedsim.world.engine.queue import WaitingQueue
from fedsim.world.engine.sequence import DECODING, OVER, PREFILLING, WAITING, Sequence


class Scheduler:
    """Plans what each step computes, as the budget, the batch and the KV cache allow.

    Running sequences come first, in the order of their admission, then waiting ones are admitted.
    Where a running sequence needs cache that is not there, the last admitted is preempted (of those
    with the highest priority number, where the engine goes by priority), and nothing is admitted in
    that step. As a prompt takes all that is left of the budget, or ends within it, no more than one
    is unfinished after a step, and it is the last admitted.

    Of time it only knows what to write down.

    Args:
        config: The engine's settings.

    Attributes:
        queue: Who waits.
        batch: Who decodes.
        cache: The KV cache.
        running: Who runs, in order of admission.
        step: Number of the step that batch and cache stand at.
        prefilled: Who is prefilled in that step.
        prefill_s: Their prefill, in seconds.
        tokens_out: Output tokens made before that step.
    """

    __slots__ = (
        "_admissions",
        "_block_tokens",
        "_budget",
        "_by_priority",
        "_chunked",
        "_head_hits",
        "_keeps",
        "_max_batch",
        "_prefill_time_s",
        "_token_budget",
        "_unfinished",
        "batch",
        "cache",
        "prefill_s",
        "prefilled",
        "queue",
        "running",
        "step",
        "tokens_out",
    )

    def __init__(self, config: EngineConfig) -> None:
        self._block_tokens = config.block_tokens
        self._by_priority = config.order == "priority"
        self._chunked = config.chunked_prefill
        self._keeps = config.prefix_cache
        self._max_batch = config.max_batch
        self._token_budget = config.token_budget
        self._prefill_time_s = config.steps.prefill_s
        self.queue = WaitingQueue(self._by_priority)
        self.batch = Batch(config.block_tokens)
        self.cache = KvCache(config.kv_blocks, config.prefix_cache)
        self.running: dict[Sequence, None] = {}
        self.prefilled: list[Sequence] = []
        self.prefill_s = 0.0
        self.step = self.tokens_out = 0
        self._unfinished: Sequence | None = None
        self._admissions = 0
        # Tokens that the step could compute beside what is planned; negative if nobody may join.
        self._budget = 0
        # Cached blocks of the head of the queue where it found too little room.
        self._head_hits = 0

    # Who comes and goes

    def enqueue(self, sequence: Sequence) -> bool:
        """Let a new sequence wait; say whether the next plan may admit it."""
        sequence.state = WAITING
        if sequence.blocks:
            self._measure_blocks(sequence)
        queue = self.queue
        queue.push(sequence)
        return len(self.running) < self._max_batch and queue.head() is sequence

    def give_up(self, sequence: Sequence) -> bool:
        """Let a sequence wait no longer; say whether that lets the next plan admit another."""
        was_head = self.queue.head() is sequence
        sequence.state = OVER
        self.queue.leave()
        return was_head

    def stop(self, sequence: Sequence) -> None:
        """Let a sequence leave that is in the present step, which nobody may join any more."""
        self._budget = -1
        if sequence.state == DECODING:
            self.batch.leave(sequence, self.step)
            self._leave(sequence, sequence.offset + self.step)
        else:
            self._leave(sequence, sequence.computed + sequence.chunk)
            if sequence is self._unfinished:
                self._unfinished = None

    def clear(self) -> list[Sequence]:
        """Lose everything; return the sequences, those that ran first."""
        lost = [*self.running, *self.queue.clear()]
        for sequence in lost:
            sequence.state = OVER
        self.cache.clear()
        self.batch.clear()
        self.running.clear()
        self.prefilled = []
        self._unfinished = None
        return lost

    def _leave(self, sequence: Sequence, tokens: int) -> None:
        """Take place and cache from a sequence of so many *tokens*, which is over."""
        sequence.state = OVER
        self._release(sequence, tokens, self.blocks(tokens))
        del self.running[sequence]

    @property
    def open(self) -> bool:
        """Whether the present step has tokens left for others."""
        return self._budget > 0

    # From step to step

    def go_to(self, step: int) -> None:
        """Let batch and cache stand at *step*, which does what the present step does."""
        passed = step - self.step
        if passed > 0:
            batch = self.batch
            self.cache.allocate(batch.growth(self.step + 1, passed))
            batch.context += batch.size * passed
            self.tokens_out += batch.size * passed
            self.step = step

    def end_step(self, now_s: float) -> list[Sequence]:
        """End the present step now; return who is finished, in order of admission."""
        batch, step = self.batch, self.step
        self.tokens_out += batch.size
        finished = batch.finish(step)
        for sequence in finished:
            sequence.finished_s = now_s
            self._leave(sequence, sequence.offset + step)
        batch.context += batch.size
        self.step = step + 1
        for sequence in self.prefilled:
            if sequence.state == PREFILLING:
                self._end_prefill(sequence, now_s, finished)
        return finished

    def _end_prefill(self, sequence: Sequence, now_s: float, finished: list[Sequence]) -> None:
        """Let a sequence decode, or finish, if its prompt is in the cache now."""
        sequence.computed += sequence.chunk
        if sequence.computed < sequence.target:
            self._unfinished = sequence
            return
        if sequence is self._unfinished:
            self._unfinished = None
        self.tokens_out += 1
        if not sequence.made:
            sequence.first_token_s = now_s
        if sequence.made + 1 < sequence.output_tokens:
            self.batch.join(sequence, self.step)
        else:
            sequence.finished_s = now_s
            self._leave(sequence, sequence.computed)
            finished.append(sequence)

    def steps_alike(self, until_context: float) -> int:
        """Return how many steps do what the present one does, which only decodes.

        Args:
            until_context: Sum of contexts up to which the caller wants to count.
        """
        if self._budget < 0:
            return 1
        batch, step = self.batch, self.step
        steps = batch.next_finish() - step + 1
        if until_context < math.inf:
            steps = min(steps, int((until_context - batch.context) // batch.size) + 1)
        # Evictions may make the prompt of the head of the queue need less room, or more.
        room = self.cache.free if self._head_hits else self.cache.available
        return 1 + batch.affordable(step + 1, steps - 1, room) if steps > 1 else 1

    # Planning

    def plan(self, now_s: float) -> None:
        """Plan the present step, which begins now."""
        batch, cache = self.batch, self.cache
        waited = len(self.queue)
        self.prefilled = []
        self.prefill_s = 0.0
        self._head_hits = 0
        grown = batch.growth(self.step)
        if grown > cache.available:
            self._grow_in_turn()
        elif grown:
            cache.allocate(grown)
        self._budget = self._token_budget - batch.size
        if self._unfinished is not None:
            self._continue(self._unfinished)
        if len(self.queue) > waited:
            self._budget = -1
        else:
            self.admit(now_s)

    def _grow_in_turn(self) -> None:
        """Give each decoding sequence the block that it needs, and preempt others for it."""
        step, cache = self.step, self.cache
        for sequence in list(self.running):
            if sequence.state != DECODING or (sequence.offset + step - 1) % self._block_tokens:
                continue
            if self._make_room(1, sequence):
                cache.allocate(1)

    def _make_room(self, blocks: int, sequence: Sequence) -> bool:
        """Preempt until there are *blocks* for *sequence*; say whether it is still running."""
        while self.cache.available < blocks:
            victim = self._victim()
            self._preempt(victim, has_grown=victim.admission < sequence.admission)
            if victim is sequence:
                return False
        return True

    def _victim(self) -> Sequence:
        """Return the running sequence to preempt."""
        if not self._by_priority:
            return next(reversed(self.running))
        return max(self.running, key=lambda each: (each.priority, each.admission))

    def _preempt(self, sequence: Sequence, has_grown: bool) -> None:
        """Send a sequence back to the head of the queue, to compute all its tokens again."""
        if sequence.state == DECODING:
            context = sequence.offset + self.step
            sequence.made = context - sequence.prompt_tokens
            sequence.target = context
            self.batch.leave(sequence, self.step)
            tokens, blocks = context - 1, self.blocks(context if has_grown else context - 1)
        else:
            self._unfinished = None
            tokens, blocks = sequence.computed, sequence.held
        self._release(sequence, tokens, blocks)
        del self.running[sequence]
        sequence.state = WAITING
        sequence.preemptions += 1
        self.queue.push_front(sequence)

    def _continue(self, sequence: Sequence) -> None:
        """Prefill the next chunk of a prompt that is in the batch."""
        chunk = min(sequence.target - sequence.computed, self._budget)
        blocks = self.blocks(sequence.computed + chunk) - sequence.held
        if self._make_room(blocks, sequence):
            self._prefill(sequence, chunk, blocks)

    def admit(self, now_s: float) -> None:
        """Admit waiting sequences, while there is room for them."""
        queue, running, cache = self.queue, self.running, self.cache
        while queue and len(running) < self._max_batch and self._budget > 0:
            sequence = queue.head()
            hits = self._hits(sequence) if sequence.unit else 0
            cached = hits * sequence.block_tokens
            chunk = self._first_chunk(sequence.target - cached)
            if not chunk:
                return
            blocks = self.blocks(cached + chunk) - hits * sequence.unit
            used = sequence.blocks[:hits] if hits else ()
            if blocks > (cache.available_beside(used) if hits else cache.available):
                self._head_hits = hits
                return
            queue.pop()
            self._admissions = sequence.admission = self._admissions + 1
            running[sequence] = None
            sequence.state = PREFILLING
            if sequence.begun_s != sequence.begun_s:  # it is NaN: this is its first admission
                sequence.begun_s = now_s
                sequence.cached_tokens = cached
            sequence.computed = cached
            sequence.held = hits * sequence.unit
            if hits:
                cache.use(used)
                sequence.kept = list(used)
            sequence.tried = hits
            self._prefill(sequence, chunk, blocks)

    def _first_chunk(self, rest: int) -> int:
        """Return how many of *rest* prompt tokens fit into the step; 0 if they have to wait.

        Without chunked prefill a prompt is computed in one step, but for one that has grown beyond
        the token budget of a step since it was preempted.
        """
        budget = self._budget
        if rest <= budget:
            return rest
        whole = not self._chunked and rest <= self._token_budget
        return 0 if whole else budget

    def _prefill(self, sequence: Sequence, chunk: int, blocks: int) -> None:
        """Plan a chunk of a prompt that takes *blocks* more of the cache."""
        self.cache.allocate(blocks)
        sequence.held += blocks
        sequence.chunk = chunk
        self._budget -= chunk
        self.prefilled.append(sequence)
        self.prefill_s += self._prefill_time_s(chunk, sequence.computed)
        if sequence.unit:
            self._keep(sequence, sequence.computed + chunk)

    # The cache

    def blocks(self, tokens: int) -> int:
        """Return the number of blocks that *tokens* fill."""
        return -(-tokens // self._block_tokens)

    def _measure_blocks(self, sequence: Sequence) -> None:
        """Find out whether the blocks of a sequence can be cached, and how far they reach."""
        size, count = sequence.block_tokens, len(sequence.blocks)
        unit, rest = divmod(size, self._block_tokens)
        sequence.unit = 0 if rest or not self._keeps else unit
        beyond = count * size >= sequence.prompt_tokens + size
        sequence.hashed = count * size if beyond else sequence.prompt_tokens

    def _hits(self, sequence: Sequence) -> int:
        """Return how many leading blocks are cached; one token is left to compute."""
        full = min(sequence.hashed, sequence.target - 1) // sequence.block_tokens
        return self.cache.hits(sequence.blocks, min(full, len(sequence.blocks)))

    def _keep(self, sequence: Sequence, computed: int) -> None:
        """Have the blocks of a sequence found again that are full with *computed* tokens."""
        blocks = sequence.blocks
        full = min(computed, sequence.hashed) // sequence.block_tokens
        for index in range(sequence.tried, min(full, len(blocks))):
            if self.cache.keep(blocks[index], sequence.unit):
                sequence.kept.append(blocks[index])
        sequence.tried = max(sequence.tried, full)

    def _release(self, sequence: Sequence, tokens: int, blocks: int) -> None:
        """Give back the *blocks* that a sequence holds, of which *tokens* are computed."""
        if not sequence.unit:
            self.cache.release(blocks)
            return
        self._keep(sequence, tokens)
        kept = sequence.kept
        self.cache.release(blocks - len(kept) * sequence.unit, kept)
        sequence.kept = []
