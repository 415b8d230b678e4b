"""Nodes that batch continuously: an engine in the world's time."""

from __future__ import annotations

import math

from fedsim.federation.contracts import NoCapacity
from fedsim.kernel.environment import Timer
from fedsim.workload.details import Prompt
from fedsim.world.engine.engine import Engine, Sequence
from fedsim.world.live import LiveRequest
from fedsim.world.nodes.base import Node, NodeIdentity, NodeSurroundings, Work
from fedsim.world.nodes.job import Job, StreamedJob


class EngineNode(Node):
    """A node around an engine, which says when something next changes; only then is it asked.

    A request holds its slot from the moment at which the engine first admits it to its end, also
    while it is preempted; before, it waits. While the engine runs nothing, a request is accepted
    whatever the queue limit. A request that can never fit is refused by name.

    An attempt's ``work`` is its sequence in the engine, once it was submitted.
    """

    __slots__ = (
        "_change",
        "_config",
        "_engine",
        "_followed",
        "_held_s",
        "_patience_s",
        "_preemptions",
        "_preparing",
        "_streams",
    )

    knows_first_token = True
    caches_prompts = True

    def __init__(self, identity: NodeIdentity, surroundings: NodeSurroundings) -> None:
        super().__init__(identity, surroundings)
        assert self.pool.engine is not None
        self._config = self.pool.engine
        self._engine = Engine(self.pool.engine)
        self._change = Timer(self.env, self._advance)
        self._preparing: dict[Job, None] = {}
        self._streams: dict[Job, None] = {}
        self._followed: dict[Job, None] = {}
        self._patience_s = math.inf
        self._preemptions = 0
        self._held_s = 0.0

    @property
    def running(self) -> int:
        """Requests in the engine's batch."""
        return self._engine.running

    @property
    def queued(self) -> int:
        """Requests that are prepared, wait, or were preempted."""
        return self._engine.waiting + len(self._preparing)

    # The path of a request

    def accept(self, job: Job) -> None:
        """Let a job that has arrived join the queue, or turn it away."""
        job.accepted_s = self.env.now
        if self._troubled and self._turns_away(job):
            return
        live = job.live
        reason = self._engine.why_never(max(live.prompt_tokens, 1), live.output_tokens)
        if reason is not None:
            reason = f"request {live.name} can never be served by node {self.name}: {reason}"
            self._watcher.node_event(self, "refusal", "", "", reason)
            job.answer(NoCapacity(live.capability, reason))
        elif self._engine.running and self.queued >= self._queue_limit:
            job.answer(NoCapacity(live.capability))
        else:
            self._queue(job)

    def finish(self, job: Job) -> None:
        """Do nothing: the engine says when a job ends."""

    def abort(self, job: Job) -> None:
        """Stop working on a job that was given up; its place and cache are free."""
        if job not in self._jobs:
            return
        if job in self._preparing:
            del self._preparing[job]
        else:
            self._engine.abort(job.work, self.env.now)
        self._leave(job)
        job.answer(None)
        self._changed()

    def token_s(self, job: StreamedJob, number: int) -> float:
        """Return when a token leaves: at the end of a step; infinite while it has no slot."""
        if job.work is None:
            return math.inf
        return self._engine.token_s(job.work, number)

    def pauses(self, job: StreamedJob, longest_s: float) -> bool:
        """Return whether it was preempted, or is decoded in steps that take so long."""
        return job.work is not None and self._engine.pauses(job.work, longest_s)

    def follow(self, job: StreamedJob) -> None:
        """Call a job's ``on_change`` from now on whenever the times of its tokens may change."""
        if job in self._streams:
            self._followed[job] = None

    def expect(self, longest_s: float) -> None:
        """Called when a reader expects tokens no more than *longest_s* seconds apart."""
        self._patience_s = min(self._patience_s, longest_s)

    def first_token_s(self, job: Job) -> float:
        """Return when a served job's first token left the node, in seconds."""
        first_s: float = job.work.first_token_s
        return first_s

    def cached_tokens(self, job: Job) -> int:
        """Return how many tokens of a served job's prompt were in the prefix cache."""
        tokens: int = job.work.cached_tokens
        return tokens

    def preemptions(self, job: Job) -> int:
        """Return how often a served job was preempted."""
        preemptions: int = job.work.preemptions
        return preemptions

    def _queue(self, job: Job) -> None:
        """Submit a job to the engine, after what every request needs before."""
        job.wait()
        self._jobs[job] = None
        overhead_s = self._config.request_overhead_s
        if overhead_s > 0.0:
            self._preparing[job] = None
            self.env.call_at(self.env.now + overhead_s, lambda _: self._prepared(job))
        else:
            self._submit(job)

    def _prepared(self, job: Job) -> None:
        if job in self._preparing:  # else it was aborted or lost
            del self._preparing[job]
            self._submit(job)

    def _submit(self, job: Job) -> None:
        job.work = sequence = _sequence(job.live, job)
        if job.streamed:
            self._streams[job] = None
        self._engine.submit(sequence, self.env.now)
        self._changed()

    def _advance(self) -> None:
        """Let the engine do what is due, and answer the requests that it finished."""
        finished: list[Job] = []
        for sequence in self._engine.advance(self.env.now):
            assert isinstance(sequence.owner, Job)
            finished.append(sequence.owner)
        begun: list[Job] = []
        for sequence in self._engine.begun:
            assert isinstance(sequence.owner, Job)
            if sequence.owner.streamed:
                begun.append(sequence.owner)
        for job in finished:
            self._leave(job)
        self._changed()
        for job in begun:
            _look_again(job)
        for job in finished:
            job.answer(None)

    def _changed(self) -> None:
        """Await the engine's next change, and have readers of streams look again."""
        engine = self._engine
        due_s = engine.next_change_s()
        if due_s < self._change.due_s:
            self._change.schedule(due_s)
        for job in self._followed:
            _look_again(job)
        if self._patience_s < math.inf and (
            engine.preemptions > self._preemptions or engine.longest_step_s > self._patience_s
        ):
            self._preemptions = engine.preemptions
            for job in self._streams:
                if engine.pauses(job.work, self._patience_s):
                    _look_again(job)

    def note_service(self, job: Job) -> None:
        """Let a job know that the engine has admitted it, if it has."""
        if job.waiting and job.work is not None and not math.isnan(job.work.begun_s):
            job.join(job.work.begun_s)

    def _leave(self, job: Job) -> None:
        """Forget a job that is over, and free its slot if it holds one."""
        del self._jobs[job]
        self._streams.pop(job, None)
        self._followed.pop(job, None)
        self.note_service(job)
        if job.work is not None:
            job.work.owner = None  # each holds the other; let go without the collector
        if job.in_service:
            held_s = self.env.now - job.begun_s
            self._held_s += held_s
            if job.abandoned:
                self.wasted_slot_s += held_s

    # Faults

    def _lose_all(self) -> list[Job]:
        self._engine.clear(self.env.now)
        self._change.cancel()
        self._preparing.clear()
        lost = list(self._jobs)
        for job in lost:
            self._leave(job)
            if job.in_service and not job.abandoned:
                self.wasted_slot_s += self.env.now - job.begun_s
        return sorted(lost, key=lambda job: not job.in_service)

    def _stretch(self, before: float) -> None:
        self._engine.set_factor(self.factor, self.env.now)
        self._changed()

    # Accounting and telemetry

    def busy_slot_s(self) -> float:
        """Return the slot-seconds in use since the start."""
        now_s, held_s = self.env.now, self._held_s
        for job in self._jobs:
            self.note_service(job)
            if job.in_service:
                held_s += now_s - job.begun_s
        return held_s

    def busy_s(self) -> float:
        """Return the seconds since the start in which it stepped."""
        self._engine.hear(self.env.now)
        return self._engine.busy_s

    def kv_used_tokens(self) -> int:
        """Return the room in the key-value cache that running requests hold, in tokens."""
        self._engine.hear(self.env.now)
        return self._engine.kv_used_tokens

    def kv_usage(self) -> float:
        """Return the share of the key-value cache that running requests hold."""
        return self.kv_used_tokens() / (self._config.kv_blocks * self._config.block_tokens)

    def gpu_utilization(self) -> float | None:
        """Return the share of the last minute or so in which it stepped, None without a GPU."""
        return self._busy_share()

    def _work(self) -> Work:
        self._engine.hear(self.env.now)
        return Work(self._engine.tokens_out, self._engine.busy_s)


def _look_again(job: Job) -> None:
    """Have the reader of a stream look again when its tokens come, if it still reads."""
    if job.on_change is not None and not job.abandoned:
        job.on_change()


def _sequence(live: LiveRequest, job: Job) -> Sequence:
    """Return what the engine needs to know of a request."""
    blocks: tuple[int, ...] = ()
    block_tokens = 0
    if isinstance(live.details, Prompt):
        blocks = live.details.with_answer(live.prompt_tokens)
        block_tokens = live.details.block_tokens
    return Sequence(
        max(live.prompt_tokens, 1), live.output_tokens, blocks, block_tokens, live.priority, job
    )
