"""An engine that batches continuously, stepped from one change of its batch to the next."""

from __future__ import annotations

import math
from collections.abc import Iterable

from fedsim.errors import InternalError
from fedsim.world.engine.config import EngineConfig
from fedsim.world.engine.runs import StepRun
from fedsim.world.engine.scheduler import Scheduler
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
    has to be given the time by ``advance``, at the latest when ``next_change_s`` says so: only
    ``advance`` returns what was finished. Calls at one instant take effect in their order; only
    ``advance`` ends a step that is due exactly then.

    Args:
        config: Its settings. The time before a request is queued is the caller's affair.

    Attributes:
        begun: Whose prompt was completed in the last call of ``advance``, which made a token.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self._steps = config.steps
        self._scheduler = Scheduler(config)
        self.begun: list[Sequence] = []
        self._finished: list[Sequence] = []
        self._run: StepRun | None = None
        self._ended: StepRun | None = None  # the run before it
        self._change_s = math.inf
        self._factor = 1.0
        self._now_s = -math.inf
        self._busy_s = 0.0

    # What it says of itself

    @property
    def running(self) -> int:
        """Sequences that hold a place in the batch."""
        return len(self._scheduler.running)

    @property
    def waiting(self) -> int:
        """Sequences that wait for a place, those included that were preempted."""
        return len(self._scheduler.queue)

    @property
    def kv_used_tokens(self) -> int:
        """Room of the blocks that running sequences hold, in tokens, when it last heard a time."""
        self._catch_up()
        return self._scheduler.cache.used * self.config.block_tokens

    @property
    def busy_s(self) -> float:
        """Seconds in which it stepped, until it last heard a time."""
        run = self._run
        return self._busy_s if run is None else self._busy_s + (self._now_s - run.start_s)

    @property
    def preemptions(self) -> int:
        """How often it has preempted a sequence."""
        return self._scheduler.preemptions

    @property
    def longest_step_s(self) -> float:
        """Duration of the longest step before the next change, in seconds; 0 while idle."""
        return 0.0 if self._run is None else self._run.longest_s

    @property
    def tokens_out(self) -> int:
        """Output tokens made until it last heard a time."""
        self._catch_up()
        return self._scheduler.tokens_out

    def why_never(self, prompt_tokens: int, output_tokens: int) -> str | None:
        """Return a sentence that says why a request of this size can never be served, or None."""
        config = self.config
        longest = max(prompt_tokens, 1) + max(output_tokens, 1) - 1
        if self._scheduler.blocks(longest) > self._scheduler.cache.blocks:
            return (
                f"{prompt_tokens} prompt tokens and {output_tokens} output tokens need room for "
                f"{longest} tokens in blocks of {self.config.block_tokens}, and the KV cache holds "
                f"{config.kv_capacity_tokens}"
            )
        if not config.chunked_prefill and prompt_tokens > config.token_budget:
            return (
                f"{prompt_tokens} prompt tokens are more than the token budget of a step, "
                f"{config.token_budget}, and prompts are not prefilled in chunks"
            )
        return None

    # What is done to it

    def preload(self, blocks: Iterable[int], block_tokens: int) -> None:
        """Have *blocks* of prompts found in its cache forever, and take none of its room.

        Args:
            blocks: Their hashes, as those of a ``Sequence``.
            block_tokens: Tokens of each, a multiple of those of a block of the cache.
        """
        self._scheduler.cache.pin(blocks, block_tokens // self.config.block_tokens)

    def submit(self, sequence: Sequence, now_s: float) -> None:
        """Let a new sequence join the queue.

        Raises:
            ValueError: It was submitted before, or can never be served.
        """
        self._check_new(sequence)
        self._pass(now_s)
        scheduler, run = self._scheduler, self._run
        may_join = scheduler.enqueue(sequence)
        if run is None:
            scheduler.plan(now_s)
            self._time(now_s)
        elif may_join:
            if now_s != run.start_s:
                self._cut(run, now_s)
            elif scheduler.open:
                scheduler.admit(now_s)
                self._time(now_s)

    def _check_new(self, sequence: Sequence) -> None:
        if sequence.state != NEW:
            message = "a sequence can be submitted once only: make a new one"
            raise ValueError(message)
        if reason := self.why_never(sequence.prompt_tokens, sequence.output_tokens):
            message = f"{reason}: ask why_never before"
            raise ValueError(message)

    def abort(self, sequence: Sequence, now_s: float) -> None:
        """Let a sequence leave; place and cache are free, the step in flight goes on as it was.

        One that is over, or was never submitted, is left as it is.
        """
        self._pass(now_s)
        scheduler, run = self._scheduler, self._run
        if sequence.state == WAITING:
            if scheduler.give_up(sequence) and run is not None:
                self._cut(run, now_s)
        elif sequence.state in {PREFILLING, DECODING}:
            assert run is not None
            self._cut(run, now_s)
            scheduler.go_to(run.number + run.steps - 1)
            scheduler.stop(sequence)

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
        lost = self._scheduler.clear()
        self._run = self._ended = None
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
        self.begun = []
        while self._change_s <= now_s:
            self._end_run()
        self._pass(now_s)
        finished = self._finished
        if finished:
            self._finished = []
        return finished

    def hear(self, now_s: float) -> None:
        """Record the time, which changes nothing; a step due exactly then goes on.

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

    def token_s(self, sequence: Sequence, number: int) -> float:
        """Return when a token of a sequence came, or will come if nothing else changes.

        Args:
            sequence: The sequence.
            number: The token, from 1.

        Returns:
            The time in seconds; infinite where the token comes after the next change, or never.
        """
        if number <= sequence.made or sequence.state == DECODING:
            return sequence.times.at_s(number)
        run = self._run
        if run is not None and number == sequence.made + 1 and _completes(sequence):
            return run.end_s(1)
        return math.inf

    def pauses(self, sequence: Sequence, longest_s: float) -> bool:
        """Return whether a sequence may make no token for longer than *longest_s* seconds.

        It does not while it is decoded in steps that are shorter: until the next change, or once
        it is over.
        """
        if sequence.state == OVER:
            return False
        return sequence.state != DECODING or self.longest_step_s > longest_s

    # Runs

    def _cut(self, run: StepRun, now_s: float) -> None:
        """Let the run end with the step in flight."""
        step = run.step_at(now_s)
        if step < run.steps:
            run.steps = step
            self._change_s = run.end_s(step)

    def _catch_up(self) -> None:
        """Let the scheduler stand at the step in flight."""
        run = self._run
        if run is not None:
            self._scheduler.go_to(run.number + run.step_at(self._now_s) - 1)

    def _end_run(self) -> None:
        """Do what is due at the end of the run, and plan what comes next."""
        run, now_s, scheduler = self._run, self._change_s, self._scheduler
        assert run is not None
        scheduler.go_to(run.number + run.steps - 1)
        self._busy_s += now_s - run.start_s
        self._ended = run
        finished = scheduler.end_step(now_s)
        if finished:
            self._finished += finished
        for sequence in scheduler.begun:
            sequence.times.begin(_token_of_prompt(sequence), run)
            self.begun.append(sequence)
        scheduler.plan(now_s)
        self._time(now_s)

    def _time(self, now_s: float) -> None:
        """Find out how long what is planned takes, and when it next has to be planned."""
        scheduler, factor = self._scheduler, self._factor
        decoding, context = scheduler.batch.size, scheduler.batch.context
        prefills, number = len(scheduler.prefilled), scheduler.step
        if prefills:
            step_s = self._steps.step_s(scheduler.prefill_s, prefills, decoding, context)
            self._run = run = StepRun(now_s, factor * step_s, 0.0, 1, number)
        elif decoding:
            intercept_s, slope_s, until = self._steps.decode_line(decoding, context)
            first_s = factor * (intercept_s + slope_s * context)
            steps = scheduler.steps_alike(until)
            self._run = run = StepRun(now_s, first_s, factor * slope_s * decoding, steps, number)
        else:
            if scheduler.queue:
                message = f"an engine that runs nothing admits none of {self.waiting} that wait"
                raise InternalError(message)
            self._run = None
            self._change_s = math.inf
            return
        if self._ended is not None:
            self._ended.following = run  # in place of one that was timed at this same instant
        self._change_s = run.end_s(run.steps)


def _completes(sequence: Sequence) -> bool:
    """Say whether the step in flight completes a sequence's prompt."""
    return sequence.state == PREFILLING and sequence.computed + sequence.chunk == sequence.target


def _token_of_prompt(sequence: Sequence) -> int:
    """Return the number of the token that came with a prompt that was just completed."""
    return sequence.made if sequence.state == OVER else sequence.made + 1
