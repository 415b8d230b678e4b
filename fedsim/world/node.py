"""A node: slots, a queue with a limit, a life of its own, and the jobs that it works on."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator
from heapq import heappush
from typing import Protocol

from simpy.events import NORMAL

from fedsim.federation.contracts import (
    FederationError,
    Internal,
    NoCapacity,
    NodeId,
    NodeUnreachable,
)
from fedsim.kernel.environment import Environment, LightEvent
from fedsim.kernel.streams import ERROR, SERVICE, keyed_uniform
from fedsim.kernel.tasks import Wake
from fedsim.world.config import PoolConfig
from fedsim.world.live import LiveRequest

THROUGHPUT_WINDOW_S = 60.0
"""Time over which a node reports its throughput, in seconds."""

_NEVER_S = -1.0
_TRAVELS, _WAITS, _SERVED, _RETURNS, _OVER = range(5)


class Ledger(Protocol):
    """Keeps account of jobs for the world.

    Attributes:
        jobs: Jobs that are under way.
    """

    jobs: int

    def job_over(self, job: Job) -> None:
        """Uncount a job, and charge the request for the slot time that it held."""
        ...


class Job(LightEvent):
    """One attempt at a request: on its way to a node, waiting, served, on its way back.

    It lives on when nobody waits for it any more: a message under way cannot be called back, and a
    node works until the abort reaches it. One entry of the queue serves all stages; an entry that
    does not match ``due_s`` is out of date and does nothing.

    Attributes:
        live: The request.
        node: The node.
        attempt: Number of the attempt, from 1.
        leg_s: Time of a message from gateway to node, or back, in seconds.
        due_s: When the present stage ends, in seconds; negative while that is open.
        accepted_s: When the node took it, in seconds; NaN before.
        begun_s: When service began, in seconds; NaN before.
        ended_s: When the node was done with it, in seconds; NaN before.
        error: How it failed, or None.
        abandoned: Whether nobody waits for it any more.
        done: Whether the answer has arrived at the gateway.
        on_change: Is called when service begins, takes longer or is over, and when the answer
            arrives; for streams, and for attempts that were given up.
    """

    __slots__ = (
        "_stage",
        "_wake",
        "abandoned",
        "accepted_s",
        "attempt",
        "begun_s",
        "done",
        "due_s",
        "ended_s",
        "env",
        "error",
        "ledger",
        "leg_s",
        "live",
        "node",
        "on_change",
    )

    def __init__(
        self, live: LiveRequest, node: Node, attempt: int, leg_s: float, ledger: Ledger
    ) -> None:
        self.env: Environment = node.env
        self.live = live
        self.node = node
        self.attempt = attempt
        self.leg_s = leg_s
        self.ledger = ledger
        self.due_s = _NEVER_S
        self.accepted_s = self.begun_s = self.ended_s = math.nan
        self.error: FederationError | None = None
        self.abandoned = False
        self.done = False
        self.on_change: Callable[[], None] | None = None
        self._wake: Wake | None = None
        self._stage = _TRAVELS

    def dispatch(self) -> None:
        """Send it on its way to the node."""
        self.ledger.jobs += 1
        if self.leg_s > 0.0:
            env = self.env
            self.due_s = due_s = env._now + self.leg_s
            heappush(env._queue, (due_s, NORMAL, next(env._eid), self))
        else:
            self.node.accept(self)

    def process(self) -> None:
        """End the present stage."""
        if self.env._now == self.due_s:
            stage = self._stage
            if stage == _SERVED:
                self.node.finish(self)
            elif stage == _RETURNS:
                self._arrive()
            elif stage == _TRAVELS:
                self.node.accept(self)

    def arm(self, wake: Wake) -> None:
        """Resume the waiting task when the answer has arrived."""
        self._wake = wake

    def __await__(self) -> Generator[Job, None, None]:
        """Wait until the answer has arrived at the gateway."""
        if not self.done:
            yield self

    def abandon(self, abort: bool) -> None:
        """Wait no longer; with *abort* a message tells the node, one leg later."""
        self.abandoned = True
        self._wake = None
        if self._stage == _RETURNS:
            self.due_s = _NEVER_S
            if self.error is None:
                self.node.wasted_slot_s += self.ended_s - self.begun_s
            self._close()
        elif abort and self._stage != _OVER:
            env = self.env
            env.call_at(env._now + self.leg_s, lambda _: self.node.abort(self))

    def wait(self) -> None:
        """Take note that the node has put it into its queue."""
        self._stage = _WAITS

    def begin(self, now_s: float, until_s: float) -> None:
        """Take note that service begins now and lasts until *until_s*."""
        self._stage = _SERVED
        self.begun_s = now_s
        self.due_s = until_s
        env = self.env
        heappush(env._queue, (until_s, NORMAL, next(env._eid), self))
        if self.on_change is not None:
            self.on_change()

    def reschedule(self, until_s: float) -> None:
        """Take note that service lasts until *until_s* now."""
        self.due_s = until_s
        self.env.push(self, until_s)
        if self.on_change is not None:
            self.on_change()

    @property
    def waiting(self) -> bool:
        """Whether it is in the node's queue."""
        return self._stage == _WAITS

    @property
    def in_service(self) -> bool:
        """Whether it holds a slot."""
        return self._stage == _SERVED

    @property
    def refused(self) -> bool:
        """Whether the node turned it away."""
        return self.error is not None and self.ended_s == self.accepted_s

    def held_s(self) -> tuple[float, float]:
        """Return its wait and its time in a slot so far, in seconds; NaN where it got none."""
        begun_s, ended_s = self.begun_s, self.ended_s
        if math.isnan(ended_s):
            ended_s = self.env._now
        return begun_s - self.accepted_s, ended_s - begun_s

    def answer(self, error: FederationError | None, *, within_step: bool = False) -> None:
        """Send the answer back; *within_step* says that a process or task is being stepped."""
        env = self.env
        self.error = error
        self.ended_s = now_s = env._now
        self._stage = _RETURNS
        if self.abandoned:
            self.due_s = _NEVER_S
            self._close()
        elif self.leg_s > 0.0 or within_step:
            self.due_s = due_s = now_s + self.leg_s
            heappush(env._queue, (due_s, NORMAL, next(env._eid), self))
        else:
            self.due_s = _NEVER_S
            self._arrive()

    def _arrive(self) -> None:
        self.done = True
        self._stage = _OVER
        self.ledger.job_over(self)
        wake = self._wake
        if wake is not None:
            task = wake.task
            if task is not None:
                task.step(None)
        elif self.on_change is not None:
            self.on_change()

    def _close(self) -> None:
        self._stage = _OVER
        self.ledger.job_over(self)
        if self.on_change is not None:
            self.on_change()


class Node:
    """A node with slots and one queue, first come, first served.

    Faults change it through `take_down`, `bring_up`, `set_slowdown` and `set_error_probability`;
    several faults at once compose: it is up when none of them holds it down, slowdowns multiply,
    and a request escapes the errors only when it escapes each of them.

    Attributes:
        env: The environment.
        code: Its index among all nodes.
        name: Its name.
        region: Code of its region.
        pool: Its pool's configuration.
        running: Requests in service.
        queued: Requests that wait.
        tokens: Output tokens finished so far.
        wasted_slot_s: Slot-seconds in use whose result nobody took.
        usd_per_slot_s: Price of a slot in USD per second; NaN where none is given.
    """

    def __init__(
        self, env: Environment, code: int, name: str, region: int, pool: PoolConfig
    ) -> None:
        self.env = env
        self.code = code
        self.name = name
        self.node_id = NodeId(name)
        self.region = region
        self.pool = pool
        self.running = 0
        self.queued = 0
        self.tokens = 0
        self.wasted_slot_s = 0.0
        price = math.nan if pool.cost_usd_per_hour is None else pool.cost_usd_per_hour
        self.usd_per_slot_s = price / 3600.0 / pool.slots
        self._slots = pool.slots
        self._queue_limit = math.inf if pool.queue_limit is None else pool.queue_limit
        assert pool.service is not None
        self._service_s = pool.service.service_s
        self._jobs: dict[Job, None] = {}
        self._queue: deque[Job] = deque()
        self._down: dict[object, None] = {}
        self._slowdowns: dict[object, float] = {}
        self._errors: dict[object, float] = {}
        self._factor = 1.0
        self._error_probability = 0.0
        self._busy_slot_s = self._busy_s = self._up_s = 0.0
        self._since_s = self._up_since_s = 0.0
        self._history: deque[tuple[float, int, float]] = deque([(0.0, 0, 0.0)])

    # The path of a request

    def accept(self, job: Job) -> None:
        """Serve a job that has arrived, let it wait, or turn it away."""
        job.accepted_s = self.env._now
        if self._down:
            job.answer(NodeUnreachable(self.node_id))
        elif self._error_probability > 0.0 and self._fails(job):
            job.answer(Internal(f"node {self.name} answered with an error"))
        elif self.running < self._slots:
            self._begin(job)
        elif self.queued < self._queue_limit:
            job.wait()
            self.queued += 1
            self._queue.append(job)
        else:
            job.answer(NoCapacity(job.live.capability))

    def finish(self, job: Job) -> None:
        """Free the slot of a job that was served, and begin with the next."""
        self._leave_slot(job)
        if job.live.output_tokens > 0:
            self.tokens += job.live.output_tokens
        if self.queued:
            self._begin_next()
        job.answer(None)

    def abort(self, job: Job) -> None:
        """Stop working on a job that nobody waits for any more."""
        if job.in_service:
            self._leave_slot(job)
            if self.queued:
                self._begin_next()
        elif job.waiting:
            self.queued -= 1
        else:
            return
        job.answer(None)

    def _fails(self, job: Job) -> bool:
        return keyed_uniform(job.live.key, ERROR, job.attempt) < self._error_probability

    def _begin(self, job: Job) -> None:
        now_s = self.env._now
        running = self.running
        if running:
            passed_s = now_s - self._since_s
            self._busy_slot_s += running * passed_s
            self._busy_s += passed_s
        self._since_s = now_s
        self.running = running + 1
        self._jobs[job] = None
        live = job.live
        uniform = (
            live.service_uniform
            if job.attempt == 1
            else keyed_uniform(live.key, SERVICE, job.attempt)
        )
        service_s = self._service_s(uniform, live)
        job.begin(now_s, now_s + service_s * self._factor)

    def _begin_next(self) -> None:
        while True:
            job = self._queue.popleft()
            if job.waiting:  # else it was aborted, and has left its place behind
                self.queued -= 1
                self._begin(job)
                return

    def _leave_slot(self, job: Job) -> None:
        now_s = self.env._now
        running = self.running
        passed_s = now_s - self._since_s
        self._busy_slot_s += running * passed_s
        self._busy_s += passed_s
        self._since_s = now_s
        self.running = running - 1
        del self._jobs[job]
        if job.abandoned:
            self.wasted_slot_s += now_s - job.begun_s

    def _account(self, now_s: float) -> None:
        passed_s = now_s - self._since_s
        if self.running:
            self._busy_slot_s += self.running * passed_s
            self._busy_s += passed_s
        self._since_s = now_s

    # Faults

    @property
    def up(self) -> bool:
        """Whether nothing holds it down."""
        return not self._down

    def take_down(self, cause: object) -> None:
        """Stop it: all that it works on, or has waiting, fails with ``NodeUnreachable``."""
        if not self._down:
            self._up_s += self.env._now - self._up_since_s
            self._lose_all()
        self._down[cause] = None

    def bring_up(self, cause: object) -> None:
        """Start it again, empty, unless another cause holds it down."""
        del self._down[cause]
        if not self._down:
            self._up_since_s = self.env._now

    def _lose_all(self) -> None:
        in_service = list(self._jobs)
        waiting = [job for job in self._queue if job.waiting]
        self._queue.clear()
        self.queued = 0
        for job in in_service:
            self._leave_slot(job)
            if not job.abandoned:
                self.wasted_slot_s += self.env._now - job.begun_s
        for job in [*in_service, *waiting]:
            job.answer(NodeUnreachable(self.node_id), within_step=True)

    def set_slowdown(self, cause: object, factor: float | None) -> None:
        """Stretch service by *factor* from now on, also of jobs in service; None ends it."""
        before = self._factor
        if factor is None:
            del self._slowdowns[cause]
        else:
            self._slowdowns[cause] = factor
        self._factor = math.prod(self._slowdowns.values())
        if self._factor != before:
            now_s, stretch = self.env._now, self._factor / before
            for job in self._jobs:
                job.reschedule(now_s + (job.due_s - now_s) * stretch)

    def set_error_probability(self, cause: object, probability: float | None) -> None:
        """Let each request fail on arrival with *probability* from now on; None ends it."""
        if probability is None:
            del self._errors[cause]
        else:
            self._errors[cause] = probability
        self._error_probability = 1.0 - math.prod(1.0 - p for p in self._errors.values())

    # Telemetry

    def busy_slot_s(self) -> float:
        """Return the slot-seconds in use since the start."""
        self._account(self.env._now)
        return self._busy_slot_s

    def up_s(self) -> float:
        """Return the time up since the start, in seconds."""
        running_s = 0.0 if self._down else self.env._now - self._up_since_s
        return self._up_s + running_s

    def throughput(self) -> int:
        """Return the tokens per second that it finished while busy, over the last minute or so."""
        now_s = self.env._now
        self._account(now_s)
        history = self._history
        while len(history) > 1 and history[1][0] <= now_s - THROUGHPUT_WINDOW_S:
            history.popleft()
        _, tokens, busy_s = history[0]
        if history[-1][0] < now_s:
            history.append((now_s, self.tokens, self._busy_s))
        passed_s = self._busy_s - busy_s
        return round((self.tokens - tokens) / passed_s) if passed_s > 0.0 else 0
