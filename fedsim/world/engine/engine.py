"""An engine that batches continuously, stepped from one change of its batch to the next."""

from __future__ import annotations

import math
from collections.abc import Sequence as Items

from fedsim.world.engine.batch import Batch
from fedsim.world.engine.config import EngineConfig
from fedsim.world.engine.kv_cache import KvCache
from fedsim.world.engine.queue import WaitingQueue
from fedsim.world.engine.runs import Run, TokenTimes
from fedsim.world.engine.sequence import DECODING, NEW, OVER, PREFILLING, WAITING, Sequence

__all__ = ["Engine", "Sequence"]


class Engine:
    """A GPU that serves many requests at once, in steps.

    Each step makes one token for every sequence whose prompt is in the KV cache, and prefills
    prompts with what is left of the token budget. It is planned where the step before ends, or at
    once in an engine that was idle: running sequences come first, in the order of their admission,
    then waiting ones are admitted as batch, budget and cache allow. Where a running sequence needs
    cache that is not there, the last admitted is preempted (of those with the highest priority
    number, where the engine goes by priority), and nothing is admitted in that step. What arrives
    or leaves during a step counts from the next step on; what arrives where a step ends, or begins,
    is still planned into the step that begins.

    All times are absolute simulated seconds and never fall from one call to the next. The engine
    has to be told of the time by ``advance``, at the latest when ``next_change_s`` says so: only
    ``advance`` returns what was finished. Calls at one instant take effect in their order; only
    ``advance`` ends a step that is due exactly then.

    Args:
        config: Its settings. The time before a request is queued is the caller's affair.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self._steps = config.steps
        self._block_tokens = config.block_tokens
        self._max_batch = config.max_batch
        self._by_priority = config.order == "priority"
        self._cache = KvCache(config.kv_blocks, config.prefix_cache)
        self._queue = WaitingQueue(self._by_priority)
        self._batch = Batch(config.block_tokens)
        self._running: dict[Sequence, None] = {}
        self._watched: dict[Sequence, None] = {}
        self._finished: list[Sequence] = []
        self._unfinished: Sequence | None = None
        """The sequence, always the last admitted, whose prompt takes more than one step."""
        self._prefilled: list[Sequence] = []
        """The sequences that the step in flight prefills."""
        self._prefill_s = 0.0
        self._budget = 0
        """Tokens that the step could compute beside what it does; negative if nobody may join."""
        self._head_hits = 0
        """Cached blocks of the head of the queue when it found too little room."""
        self._admissions = 0
        self._step = 0
        """Number of the step that batch and cache stand at."""
        self._run: Run | None = None
        self._run_step = 0
        """Number of the first step of the run."""
        self._change_s = math.inf
        self._factor = 1.0
        self._now_s = -math.inf
        self._busy_s = 0.0
        self._tokens_out = 0

    # What it says of itself

    @property
    def running(self) -> int:
        """Sequences that hold a place in the batch."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Sequences that wait for a place, those included that were preempted."""
        return len(self._queue)

    @property
    def kv_used_tokens(self) -> int:
        """Room of the blocks that running sequences hold, in tokens, when it last heard a time."""
        self._catch_up()
        return self._cache.used * self._block_tokens

    @property
    def busy_s(self) -> float:
        """Seconds in which it stepped, until it last heard a time."""
        run = self._run
        return self._busy_s if run is None else self._busy_s + (self._now_s - run.start_s)

    @property
    def tokens_out(self) -> int:
        """Output tokens made until it last heard a time."""
        self._catch_up()
        return self._tokens_out

    def why_never(self, prompt_tokens: int, output_tokens: int) -> str | None:
        """Return a sentence that says why a request of this size can never be served, or None."""
        config = self.config
        longest = max(prompt_tokens, 1) + max(output_tokens, 1) - 1
        if self._blocks(longest) > self._cache.blocks:
            return (
                f"{prompt_tokens} prompt tokens and {output_tokens} output tokens need room for "
                f"{longest} tokens in blocks of {self._block_tokens}, and the KV cache holds "
                f"{config.kv_capacity_tokens}"
            )
        if not config.chunked_prefill and prompt_tokens > config.token_budget:
            return (
                f"{prompt_tokens} prompt tokens are more than the token budget of a step, "
                f"{config.token_budget}, and prompts are not prefilled in chunks"
            )
        return None

    # What is done to it

    def submit(self, sequence: Sequence, now_s: float) -> None:
        """Let a new sequence join the queue.

        Raises:
            ValueError: It was submitted before, or can never be served.
        """
        self._check_new(sequence)
        self._pass(now_s)
        sequence.state = WAITING
        queue = self._queue
        queue.push(sequence)
        run = self._run
        if run is None:
            self._plan(now_s)
        elif len(self._running) < self._max_batch and queue.head() is sequence:
            if now_s != run.start_s:
                self._cut(run, now_s)
            elif self._budget > 0:
                self._admit(now_s)
                self._time(now_s)

    def _check_new(self, sequence: Sequence) -> None:
        if sequence.state != NEW:
            message = "a sequence can be submitted once only: make a new one"
            raise ValueError(message)
        if reason := self.why_never(sequence.prompt_tokens, sequence.output_tokens):
            message = f"{reason}: ask why_never before"
            raise ValueError(message)
        if sequence.blocks:
            unit, rest = divmod(sequence.block_tokens, self._block_tokens)
            sequence.unit = 0 if rest or not self.config.prefix_cache else unit

    def abort(self, sequence: Sequence, now_s: float) -> None:
        """Let a sequence leave; place and cache are free, the step in flight goes on as it was.

        One that is over, or was never submitted, is left as it is.
        """
        self._pass(now_s)
        state = sequence.state
        if state == WAITING:
            was_head = self._queue.head() is sequence
            sequence.state = OVER
            self._queue.leave()
            if was_head and self._run is not None:
                self._cut(self._run, now_s)
        elif state in {PREFILLING, DECODING}:
            assert self._run is not None
            self._cut(self._run, now_s)
            self._settle(self._run_step + self._run.steps - 1)
            self._budget = -1
            self._note_tokens(sequence, self._run.steps - 1)
            if state == DECODING:
                self._batch.leave(sequence, self._step)
                self._release(sequence, self._blocks(sequence.offset + self._step))
            else:
                self._release(sequence, sequence.held)
            if sequence is self._unfinished:
                self._unfinished = None
            sequence.state = OVER
            del self._running[sequence]
        else:
            return
        self._watched.pop(sequence, None)

    def set_factor(self, factor: float, now_s: float) -> None:
        """Let steps take *factor* times as long, from the next step on.

        Raises:
            ValueError: *factor* is not greater than 0.
        """
        if not factor > 0.0:
            message = f"the factor of an engine must be greater than 0, not {factor}"
            raise ValueError(message)
        self._pass(now_s)
        self._factor = factor
        if self._run is not None:
            self._cut(self._run, now_s)

    def clear(self, now_s: float) -> list[Sequence]:
        """Lose all sequences and the whole cache, and return the sequences.

        Those that ran come first, in order of admission, then those that waited.
        """
        self._pass(now_s)
        self._catch_up()
        self._busy_s = self.busy_s
        lost = [*self._running, *self._queue.clear()]
        for sequence in lost:
            self._note_tokens(sequence, self._step - self._run_step)
            sequence.state = OVER
            self._watched.pop(sequence, None)
        self._cache.clear()
        self._batch.clear()
        self._running.clear()
        self._prefilled = []
        self._unfinished = self._run = None
        self._change_s = math.inf
        return lost

    def next_change_s(self) -> float:
        """Return when its batch may next change, in seconds; infinite when it is idle."""
        return self._change_s

    def advance(self, now_s: float) -> list[Sequence]:
        """Do all that is due up to and including *now_s*, and return what was finished, in order.

        Raises:
            ValueError: *now_s* is before a time that it has heard.
        """
        while self._change_s <= now_s:
            self._end_run()
        self._pass(now_s)
        finished = self._finished
        if finished:
            self._finished = []
        return finished

    def hear(self, now_s: float) -> None:
        """Take note of the time, which changes nothing; a step due exactly then goes on.

        Raises:
            ValueError: *now_s* is before a time that it has heard.
        """
        self._pass(now_s)

    def _pass(self, now_s: float) -> None:
        """Do all that is due before *now_s*."""
        if now_s < self._now_s:
            message = f"time runs backwards, from {self._now_s} s to {now_s} s"
            raise ValueError(message)
        while self._change_s < now_s:
            self._end_run()
        self._now_s = now_s

    # The times of tokens

    def watch(self, sequence: Sequence) -> None:
        """Keep the times of a sequence's tokens, for ``token_s``.

        Raises:
            ValueError: Its first token was made already.
        """
        if not math.isnan(sequence.first_token_s):
            message = "a sequence has to be watched before its first token is made"
            raise ValueError(message)
        if sequence.times is None:
            sequence.times = TokenTimes()
            self._watched[sequence] = None

    def token_s(self, sequence: Sequence, number: int) -> float:
        """Return when a token of a watched sequence came, or will come if nothing else changes.

        Args:
            sequence: The sequence.
            number: The token, from 1.

        Returns:
            The time in seconds; infinite where the token comes after the next change, or never.
        """
        times = sequence.times
        assert times is not None, "watch the sequence before asking for its tokens"
        if number <= times.tokens:
            return times.at_s(number)
        step = number - times.tokens
        run = self._run
        if run is None or step > run.steps:
            return math.inf
        if sequence.state == DECODING:
            return run.end_s(step)
        completes = sequence.computed + sequence.chunk == sequence.target
        return (
            run.end_s(1) if sequence.state == PREFILLING and completes and step == 1 else math.inf
        )

    def _note_tokens(self, sequence: Sequence, tokens: int) -> None:
        if sequence.times is not None and sequence.state == DECODING:
            assert self._run is not None
            sequence.times.add(self._run, tokens)

    # Runs

    def _cut(self, run: Run, now_s: float) -> None:
        """Let the run end with the step in flight."""
        step = run.step_at(now_s)
        if step < run.steps:
            run.steps = step
            self._change_s = run.end_s(step)

    def _catch_up(self) -> None:
        """Let batch and cache stand at the step in flight."""
        run = self._run
        if run is not None:
            self._settle(self._run_step + run.step_at(self._now_s) - 1)

    def _settle(self, step: int) -> None:
        """Let batch and cache stand at *step*, which is in the run and not over yet."""
        passed = step - self._step
        if passed > 0:
            batch = self._batch
            self._cache.allocate(batch.growth(self._step + 1, passed))
            batch.context += batch.size * passed
            self._tokens_out += batch.size * passed
            self._step = step

    def _end_run(self) -> None:
        """Do what is due at the end of the run, and plan what comes next."""
        run, now_s, batch = self._run, self._change_s, self._batch
        assert run is not None
        step = self._run_step + run.steps - 1
        self._settle(step)
        self._busy_s += now_s - run.start_s
        self._tokens_out += batch.size
        for sequence in self._watched:
            self._note_tokens(sequence, run.steps)
        for sequence in batch.finish(step):
            self._finish(sequence, now_s, self._blocks(sequence.offset + step))
        batch.context += batch.size
        self._step = self._run_step = step + 1
        if self._prefilled:
            self._end_prefills(run, now_s)
        self._plan(now_s)

    def _end_prefills(self, run: Run, now_s: float) -> None:
        """Let the sequences decode, or finish, whose prompts are in the cache now."""
        for sequence in self._prefilled:
            if sequence.state != PREFILLING:
                continue
            sequence.computed += sequence.chunk
            if sequence.computed < sequence.target:
                self._unfinished = sequence
                continue
            self._tokens_out += 1
            if sequence.times is not None:
                sequence.times.add(run, 1)
            if sequence is self._unfinished:
                self._unfinished = None
            if not sequence.made:
                sequence.first_token_s = now_s
            if sequence.made + 1 < sequence.output_tokens:
                self._batch.join(sequence, self._step)
            else:
                self._finish(sequence, now_s, sequence.held)

    def _finish(self, sequence: Sequence, now_s: float, blocks: int) -> None:
        sequence.state = OVER
        sequence.finished_s = now_s
        self._release(sequence, blocks)
        del self._running[sequence]
        if self._watched:
            self._watched.pop(sequence, None)
        self._finished.append(sequence)

    def _time(self, now_s: float) -> None:
        """Find out how long what is planned takes, and when it next has to be planned."""
        batch, factor = self._batch, self._factor
        if self._prefilled:
            step_s = self._steps.step_s(
                self._prefill_s, len(self._prefilled), batch.size, batch.context
            )
            self._run = Run(now_s, factor * step_s, 0.0, 1)
        elif batch.size:
            intercept_s, slope_s, until = self._steps.decode_line(batch.size, batch.context)
            self._run = Run(
                now_s,
                factor * (intercept_s + slope_s * batch.context),
                factor * slope_s * batch.size,
                self._steps_until(until),
            )
        else:
            self._run = None
            self._change_s = math.inf
            return
        self._change_s = self._run.end_s(self._run.steps)

    def _steps_until(self, until_context: float) -> int:
        """Return after how many steps of decoding something has to be looked at again."""
        if self._budget < 0:
            return 1
        batch, step = self._batch, self._step
        steps = batch.next_finish() - step + 1
        if until_context < math.inf:
            steps = min(steps, int((until_context - batch.context) // batch.size) + 1)
        cache = self._cache
        room = cache.free if self._head_hits else cache.available
        return 1 + batch.affordable(step + 1, steps - 1, room) if steps > 1 else 1

    # Planning

    def _plan(self, now_s: float) -> None:
        """Plan the step that begins now."""
        batch, cache = self._batch, self._cache
        preemptions = len(self._queue)
        self._prefilled = []
        self._prefill_s = 0.0
        self._head_hits = 0
        grown = batch.growth(self._step)
        if grown > cache.available:
            self._grow_in_turn()
        elif grown:
            cache.allocate(grown)
        self._budget = self.config.token_budget - batch.size
        if self._unfinished is not None:
            self._continue(self._unfinished)
        if len(self._queue) > preemptions:
            self._budget = -1
        else:
            self._admit(now_s)
        self._time(now_s)

    def _grow_in_turn(self) -> None:
        """Give each decoding sequence the block that it needs, and preempt others for it."""
        step, cache = self._step, self._cache
        for sequence in list(self._running):
            if sequence.state != DECODING or (sequence.offset + step - 1) % self._block_tokens:
                continue
            if self._make_room(1, sequence):
                cache.allocate(1)

    def _make_room(self, blocks: int, sequence: Sequence) -> bool:
        """Preempt until there are *blocks* for *sequence*; say whether it is still running."""
        while self._cache.available < blocks:
            victim = self._victim()
            self._preempt(victim, has_grown=victim.admission < sequence.admission)
            if victim is sequence:
                return False
        return True

    def _victim(self) -> Sequence:
        """Return the running sequence to preempt."""
        if not self._by_priority:
            return next(reversed(self._running))
        return max(self._running, key=lambda each: (each.priority, each.admission))

    def _preempt(self, sequence: Sequence, has_grown: bool) -> None:
        """Send a sequence back to the head of the queue, to compute all its tokens again."""
        if sequence.state == DECODING:
            context = sequence.offset + self._step
            sequence.made = context - sequence.prompt_tokens
            sequence.target = context
            self._batch.leave(sequence, self._step)
            blocks = self._blocks(context if has_grown else context - 1)
        else:
            self._unfinished = None
            blocks = sequence.held
        self._release(sequence, blocks)
        del self._running[sequence]
        sequence.state = WAITING
        sequence.preemptions += 1
        self._queue.push_front(sequence)

    def _continue(self, sequence: Sequence) -> None:
        """Prefill the next chunk of a prompt that is in the batch."""
        chunk = min(sequence.target - sequence.computed, self._budget)
        blocks = self._blocks(sequence.computed + chunk) - sequence.held
        if self._make_room(blocks, sequence):
            self._prefill(sequence, chunk, blocks)

    def _admit(self, now_s: float) -> None:
        """Admit waiting sequences, while there is room for them."""
        queue, running, cache = self._queue, self._running, self._cache
        while queue and len(running) < self._max_batch and self._budget > 0:
            sequence = queue.head()
            hits = self._hits(sequence) if sequence.unit else 0
            cached = hits * sequence.block_tokens
            chunk = self._first_chunk(sequence.target - cached)
            if not chunk:
                return
            blocks = self._blocks(cached + chunk) - hits * sequence.unit
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
        whole = not self.config.chunked_prefill and rest <= self.config.token_budget
        return 0 if whole else budget

    def _prefill(self, sequence: Sequence, chunk: int, blocks: int) -> None:
        """Plan a chunk of a prompt that takes *blocks* more of the cache."""
        self._cache.allocate(blocks)
        sequence.held += blocks
        sequence.chunk = chunk
        self._budget -= chunk
        self._prefilled.append(sequence)
        self._prefill_s += self._steps.prefill_s(chunk, sequence.computed)
        if sequence.unit:
            self._keep(sequence, sequence.computed + chunk)

    # The cache

    def _blocks(self, tokens: int) -> int:
        """Return the number of blocks that *tokens* fill."""
        return -(-tokens // self._block_tokens)

    def _hits(self, sequence: Sequence) -> int:
        """Return how many leading blocks of a prompt are cached; one token is left to compute."""
        full = min(sequence.prompt_tokens, sequence.target - 1) // sequence.block_tokens
        return self._cache.hits(sequence.blocks, min(full, len(sequence.blocks)))

    def _keep(self, sequence: Sequence, computed: int) -> None:
        """Have the blocks of a prompt found again that are full with *computed* tokens."""
        blocks: Items[int] = sequence.blocks
        full = min(computed, sequence.prompt_tokens) // sequence.block_tokens
        for index in range(sequence.tried, min(full, len(blocks))):
            if self._cache.keep(blocks[index], sequence.unit):
                sequence.kept.append(blocks[index])
        sequence.tried = max(sequence.tried, full)

    def _release(self, sequence: Sequence, blocks: int) -> None:
        """Give back the *blocks* that a sequence holds."""
        kept = sequence.kept
        if kept:
            self._cache.release(blocks - len(kept) * sequence.unit, kept)
            sequence.kept = []
        else:
            self._cache.release(blocks)
