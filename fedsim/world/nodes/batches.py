"""Nodes with static batching: requests begin and end together, one batch at a time."""

from __future__ import annotations

import math

from fedsim.federation.contracts import NoCapacity
from fedsim.kernel.environment import Timer
from fedsim.world.nodes.base import NodeIdentity, NodeSurroundings
from fedsim.world.nodes.counting import CountingNode
from fedsim.world.nodes.job import Job, StreamedJob


class BatchNode(CountingNode):
    """A node that works on one batch at a time.

    While it is idle it gathers requests, whatever its queue limit: the batch begins when it is
    full, or when its first request has waited long enough. While a batch is at work others wait,
    and when it is over the next begins by the same rule. A request that is aborted leaves its
    batch at once, which takes as long as before.
    """

    __slots__ = (
        "_batching",
        "_end",
        "_patience",
    )

    def __init__(self, identity: NodeIdentity, surroundings: NodeSurroundings) -> None:
        super().__init__(identity, surroundings)
        assert self.pool.batching is not None
        self._batching = self.pool.batching
        self._end = Timer(self.env, self._end_batch)
        self._patience = Timer(self.env, self._begin)

    def accept(self, job: Job) -> None:
        """Let a job that has arrived wait for its batch, or turn it away."""
        job.accepted_s = self.env.now
        if self._troubled and self._turns_away(job):
            return
        if self._at_work and self.queued >= self._queue_limit:
            job.answer(NoCapacity(job.live.capability))
            return
        job.wait()
        self.queued += 1
        self._queue.append(job)
        if not self._at_work:
            self._consider()

    def finish(self, job: Job) -> None:
        """Do nothing: jobs end with their batch."""

    def abort(self, job: Job) -> None:
        """Stop working on a job that was given up."""
        if job.in_service:
            self._leave_slot(job)
        elif job.waiting:
            self.queued -= 1
        else:
            return
        job.answer(None)
        if not self._at_work:
            self._consider()

    @property
    def _at_work(self) -> bool:
        return self._end.due_s < math.inf

    def token_s(self, job: StreamedJob, number: int) -> float:
        """Return when the job's batch ends: all of an answer comes at once."""
        if math.isnan(job.begun_s) or job.held or job.error is not None:
            return math.inf
        return self._end.due_s if job.in_service else job.ended_s

    def pauses(self, job: StreamedJob, longest_s: float) -> bool:
        """Return False: there is nothing between the first token and the last."""
        return False

    def gpu_utilization(self) -> float | None:
        """Return the share of the last minute or so with requests in a batch, None without a GPU.

        What is left of a batch whose requests were all aborted does not count.
        """
        return self._busy_share()

    def _end_batch(self) -> None:
        """Answer all requests of the batch, and begin the next if it is time to."""
        batch = list(self._jobs)
        for job in batch:
            self._leave_slot(job)
            self.tokens += max(job.live.prompt_tokens, 0)
        self._consider()
        for job in batch:
            job.answer(None)

    def _consider(self) -> None:
        """Begin a batch if one is due, or wait until it is; the node is idle."""
        while self._queue and not self._queue[0].waiting:
            self._queue.popleft()  # it was aborted, and has left its place behind
        if not self._queue:
            self._patience.cancel()
            return
        due_s = self._queue[0].accepted_s + self._batching.max_wait_s
        if self.queued >= self._batching.max_batch or due_s <= self.env.now:
            self._begin()
        elif self._patience.due_s != due_s:
            self._patience.schedule(due_s)

    def _begin(self) -> None:
        """Begin a batch of those who have waited longest."""
        self._patience.cancel()
        self._account()
        now_s = self.env.now
        batch: list[Job] = []
        while self.queued and len(batch) < self._batching.max_batch:
            job = self._queue.popleft()
            if job.waiting:
                self.queued -= 1
                batch.append(job)
        self.running = len(batch)
        uniforms = [self._service_uniform(job) for job in batch]
        took_s = self._batching.service.batch_s(uniforms, [job.live for job in batch])
        self._end.schedule(now_s + took_s * self.factor)
        self._jobs.update(dict.fromkeys(batch))
        for job in batch:
            job.join(now_s)

    def _lose_all(self) -> list[Job]:
        self._patience.cancel()
        self._end.cancel()
        return super()._lose_all()

    def _stretch(self, before: float) -> None:
        if self._at_work:
            now_s = self.env.now
            self._end.schedule(now_s + (self._end.due_s - now_s) * self.factor / before)
            for job in self._jobs:
                if job.on_change is not None:
                    job.on_change()
