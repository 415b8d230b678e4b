"""Nodes that know at every moment how many of their slots are in use, and count the seconds."""

from __future__ import annotations

from collections import deque

from fedsim.world.nodes.base import Node, NodeIdentity, NodeSurroundings, Work
from fedsim.world.nodes.job import Job


class CountingNode(Node):
    """A node with slots, and a queue in the order of arrival.

    Attributes:
        running: Requests in service.
        queued: Requests that wait.
        tokens: Output tokens finished so far.
    """

    __slots__ = (
        "_busy_s",
        "_busy_slot_s",
        "_queue",
        "_since_s",
        "queued",
        "running",
        "tokens",
    )

    running: int
    queued: int

    def __init__(self, identity: NodeIdentity, surroundings: NodeSurroundings) -> None:
        super().__init__(identity, surroundings)
        self.running = self.queued = 0
        self.tokens = 0
        self._queue: deque[Job] = deque()
        self._busy_slot_s = self._busy_s = self._since_s = 0.0

    def busy_slot_s(self) -> float:
        """Return the slot-seconds in use since the start."""
        self._account()
        return self._busy_slot_s

    def _work(self) -> Work:
        self._account()
        return Work(self.tokens, self._busy_s)

    def _account(self) -> None:
        """Add up the time since something last changed."""
        now_s = self.env.now
        if self.running:
            passed_s = now_s - self._since_s
            self._busy_slot_s += self.running * passed_s
            self._busy_s += passed_s
        self._since_s = now_s

    def _leave_slot(self, job: Job) -> None:
        now_s = self.env.now
        running = self.running
        passed_s = now_s - self._since_s
        self._busy_slot_s += running * passed_s
        self._busy_s += passed_s
        self._since_s = now_s
        self.running = running - 1
        del self._jobs[job]
        if job.abandoned:
            self.wasted_slot_s += now_s - job.begun_s

    def _lose_all(self) -> list[Job]:
        in_service = list(self._jobs)
        waiting = [job for job in self._queue if job.waiting]
        self._queue.clear()
        self.queued = 0
        for job in in_service:
            self._leave_slot(job)
            if not job.abandoned:
                self.wasted_slot_s += self.env.now - job.begun_s
        return [*in_service, *waiting]
