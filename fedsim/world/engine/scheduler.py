"""Who runs in an engine and who waits, planned step by step."""

from __future__ import annotations

import math
from itertools import islice

from fedsim.world.engine.batch import Batch
from fedsim.world.engine.config import EngineConfig
from fedsim.world.engine.kv_cache import KvCache, Piece
from fedsim.world.engine.queue import WaitingQueue
from fedsim.world.engine.sequence import DECODING, OVER, PREFILLING, WAITING, Sequence

_NONE: list[Piece] = []


class Scheduler:
    """Plans what each step computes, as the budget, the batch and the KV cache allow.

    Running sequences come first, in the order of their admission, then waiting ones are admitted.
    Where a running sequence needs cache that is not there, the last admitted is preempted (of those
    with the highest priority number, where the engine goes by priority), and nothing is admitted in
    that step. As a prompt takes all that is left of the budget, or ends within it, no more than one
    is unfinished after a step, and it is the last admitted.

    What a sequence has computed stays in the cache in full blocks when it leaves or is preempted,
    as long as no request needs their room. Those that its hashes know are found by others too, in
    whole blocks of its maker; the others are a piece of its own, found when it is admitted again.

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
        begun: Whose prompt the step that ended last completed, those preempted before included.
        preemptions: How often a sequence was preempted.
    """

    __slots__ = (
        "_admissions",
        "_block_tokens",
        "_budget",
        "_by_priority",
        "_chunked",
        "_fickle",
        "_keeps",
        "_max_batch",
        "_prefill_time_s",
        "_token_budget",
        "_unfinished",
        "_whole",
        "batch",
        "begun",
        "cache",
        "preemptions",
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
        self._whole = config.admit == "whole"
        self._max_batch = config.max_batch
        self._token_budget = config.token_budget
        self._prefill_time_s = config.steps.prefill_s
        self.queue = WaitingQueue(self._by_priority)
        self.batch = Batch(config.block_tokens)
        self.cache = KvCache(config.kv_blocks)
        self.running: dict[Sequence, None] = {}
        self.prefilled: list[Sequence] = []
        self.prefill_s = 0.0
        self.begun: list[Sequence] = []
        self.step = self.tokens_out = self.preemptions = 0
        self._unfinished: Sequence | None = None
        self._admissions = 0
        # Tokens that the step could compute in addition to what is planned; negative if no request
        # may join.
        self._budget = 0
        # Whether evictions may let the head of the queue be admitted.
        self._fickle = False

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
        """Let a sequence leave that is in the present step, which no request may join any more."""
        self._budget = -1
        if sequence.state == DECODING:
            self.batch.leave(sequence, self.step)
            self._note_made(sequence)
            self._leave(sequence, sequence.offset + self.step)
        else:
            self._leave(sequence, sequence.computed + sequence.chunk)
            if sequence is self._unfinished:
                self._unfinished = None

    def clear(self) -> list[Sequence]:
        """Lose everything; return the sequences, those that ran first."""
        lost = [*self.running, *self.queue.clear()]
        for sequence in lost:
            if sequence.state == DECODING:
                self._note_made(sequence)
            sequence.state = OVER
        self.cache.clear()
        self.batch.clear()
        self.running.clear()
        self.prefilled = []
        self._unfinished = None
        return lost

    def _note_made(self, sequence: Sequence) -> None:
        """Note how many tokens a decoding sequence had made when the present step began."""
        sequence.made = sequence.offset + self.step - sequence.prompt_tokens

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
        self.begun = []
        self.tokens_out += batch.size
        finished = batch.finish(step)
        for sequence in finished:
            sequence.finished_s = now_s
            sequence.made = sequence.output_tokens
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
        self.begun.append(sequence)
        if not sequence.made:
            sequence.first_token_s = now_s
        if sequence.made + 1 < sequence.output_tokens:
            self.batch.join(sequence, self.step)
        else:
            sequence.finished_s = now_s
            sequence.made = sequence.output_tokens
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
        room = self.cache.free if self._fickle else self.cache.available
        return 1 + batch.affordable(step + 1, steps - 1, room) if steps > 1 else 1

    # Planning

    def plan(self, now_s: float) -> None:
        """Plan the present step, which begins now."""
        batch, cache = self.batch, self.cache
        waited = len(self.queue)
        self.prefilled = []
        self.prefill_s = 0.0
        self._fickle = False
        grown = batch.growth(self.step)
        if grown > cache.available:
            self._grow_in_turn()
        elif grown:
            cache.allocate(grown)
        self._budget = self._token_budget - batch.size
        if self._unfinished is not None:
            self._continue(self._unfinished)
        if len(self.queue) > waited and self.running:
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
        """Send a sequence back to the head of the queue, to compute again what is evicted of it."""
        if sequence.state == DECODING:
            context = sequence.offset + self.step
            self._note_made(sequence)
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
        self.preemptions += 1
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
            may_hit = sequence.known or sequence.own is not None
            pieces, hits = self._cached(sequence) if may_hit else (_NONE, 0)
            cached = hits * self._block_tokens
            chunk = self._first_chunk(sequence.target - cached)
            blocks = self.blocks(cached + chunk) - hits
            room = self.blocks(sequence.target) - hits if self._whole else blocks
            if not chunk or room > (cache.available_beside(pieces) if hits else cache.available):
                # Where it waits for room for all of it, evictions do not help: what they take of
                # it has to be computed again. Its first chunk may become smaller, though, and what
                # is left of it too large for one step, so that it may be computed in parts.
                known = sequence.known > 0
                self._fickle = bool(may_hit) if not self._chunked else known and not self._whole
                return
            queue.pop()
            self._admissions = sequence.admission = self._admissions + 1
            running[sequence] = None
            sequence.state = PREFILLING
            if sequence.begun_s != sequence.begun_s:  # it is NaN: this is its first admission
                sequence.begun_s = now_s
                sequence.cached_tokens = cached
            sequence.computed = cached
            sequence.held = sequence.shared = hits
            if may_hit:
                cache.use(pieces)
                sequence.kept = pieces
                sequence.tried = min(hits // sequence.unit, sequence.known) if sequence.unit else 0
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
        if sequence.known:
            self._keep(sequence, (sequence.computed + chunk) // self._block_tokens)

    # The cache

    def blocks(self, tokens: int) -> int:
        """Return the number of blocks that *tokens* fill."""
        return -(-tokens // self._block_tokens)

    def _measure_blocks(self, sequence: Sequence) -> None:
        """Find out which blocks of a sequence others may find."""
        size, count = sequence.block_tokens, len(sequence.blocks)
        unit, rest = divmod(size, self._block_tokens)
        if rest or not self._keeps:
            return
        sequence.unit = unit
        beyond = count * size >= sequence.prompt_tokens + size
        sequence.known = count if beyond else min(count, sequence.prompt_tokens // size)
        sequence.account = self.cache.account(unit)

    def _cached(self, sequence: Sequence) -> tuple[list[Piece], int]:
        """Return the pieces that a sequence begins with, and their blocks; a token is left over."""
        pieces: list[Piece] = []
        hits, unit = 0, sequence.unit
        most = (sequence.target - 1) // self._block_tokens
        for content in islice(sequence.blocks, sequence.known):
            piece = sequence.account.get(content)
            if piece is None or hits + piece.blocks > most:
                return pieces, hits
            pieces.append(piece)
            hits += piece.blocks
            if piece.blocks < unit:
                return pieces, hits
        own = sequence.own
        if own is not None and own.blocks:
            pieces.append(own)
            hits += own.blocks
        return pieces, hits

    def _keep(self, sequence: Sequence, full: int, partly: bool = False) -> None:
        """Have the *full* blocks of a sequence found again that others may find.

        Args:
            sequence: The sequence.
            full: How many of its blocks are full.
            partly: Whether the first of its hashes that is not complete counts as far as it is.
        """
        unit, kept = sequence.unit, sequence.kept
        for index in range(sequence.tried, sequence.known):
            blocks = min(unit, full - index * unit)
            if blocks < unit and not (partly and blocks > 0):
                return
            content = sequence.blocks[index]
            if kept and kept[-1].content == content and kept[-1].account is not None:
                grown = max(blocks - kept[-1].blocks, 0)  # it was found in part
                kept[-1].blocks += grown
                sequence.shared += grown
            elif piece := self.cache.keep(sequence.account, content, blocks):
                kept.append(piece)
                sequence.shared += blocks
            sequence.tried = index + 1

    def _release(self, sequence: Sequence, tokens: int, blocks: int) -> None:
        """Give back the *blocks* that a sequence holds, of which *tokens* are computed."""
        if not self._keeps:
            self.cache.release(blocks)
            return
        full = tokens // self._block_tokens
        if sequence.known:
            self._keep(sequence, full, partly=True)
        kept, own = sequence.kept, sequence.own
        rest, lost = full - sequence.known * sequence.unit, 0
        if own is not None and kept and kept[-1] is own:
            sequence.shared += rest - own.blocks
            own.blocks = rest
        elif rest <= 0:
            pass
        elif sequence.state == OVER:
            lost = rest
        else:
            sequence.own = own = Piece(rest)
            kept.append(own)
            sequence.shared += rest
        self.cache.release(blocks - sequence.shared - lost, kept, lost)
        if kept:
            sequence.kept = []
            sequence.shared = 0
