"""A job: one attempt at a request, from the gateway to a node and back."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from typing import Any, Protocol

from fedsim.federation.contracts import FederationError, NodeId, NodeUnreachable
from fedsim.kernel.environment import Environment, LightEvent
from fedsim.kernel.tasks import Wake
from fedsim.world.links import Link
from fedsim.world.live import LiveRequest

_NEVER_S = -1.0
_TRAVELS, _HELD, _WAITS, _SERVED, _RETURNS, _OVER, _LOST = range(7)


class Ledger(Protocol):
    """Keeps account of jobs for the world.

    Attributes:
        jobs: Jobs that are under way.
    """

    jobs: int

    def job_over(self, job: Job) -> None:
        """Uncount a job, and charge the request for the slot time that it held."""
        ...


class Server(ABC):
    """What a job needs of its node.

    Attributes:
        env: The environment.
        code: Its index among all nodes.
        node_id: Its id.
        awaits_idle: Whether `note_idle` must be called when a job has left.
        wasted_slot_s: Slot-seconds in use whose result no gateway took.
        usd_per_slot_s: Price of a slot in USD per second; NaN where none is given.
        knows_first_token: Whether `first_token_s` is known.
        caches_prompts: Whether `cached_tokens` and `preemptions` are known.
    """

    __slots__ = (
        "awaits_idle",
        "code",
        "env",
        "node_id",
        "usd_per_slot_s",
        "wasted_slot_s",
    )

    env: Environment
    code: int
    node_id: NodeId
    awaits_idle: bool
    wasted_slot_s: float
    usd_per_slot_s: float
    knows_first_token = False
    caches_prompts = False

    @abstractmethod
    def accept(self, job: Job) -> None:
        """Serve a job that has arrived, let it wait, or turn it away."""

    @abstractmethod
    def finish(self, job: Job) -> None:
        """End the service of a job that waits for it by itself."""

    @abstractmethod
    def abort(self, job: Job) -> None:
        """Stop working on a job that was given up."""

    @abstractmethod
    def token_s(self, job: StreamedJob, number: int) -> float:
        """Return when output token *number* (from 1) of a job leaves the node, in seconds.

        It is infinite while that is open. A time in the future is what is known now: the job's
        ``on_change`` is called when the first token is known, and when later ones change for a
        job that is followed.
        """

    @abstractmethod
    def pauses(self, job: StreamedJob, longest_s: float) -> bool:
        """Return whether two tokens of a job may leave more than *longest_s* seconds apart.

        It is what is known now: the job's ``on_change`` is called when that may have become true
        for the least time that was expected.
        """

    @abstractmethod
    def drop(self, job: Job) -> None:
        """Stop all work on a job that was given up, wherever it is on the node."""

    @abstractmethod
    def note_idle(self) -> None:
        """Report that it is idle to those who wait for it, if it is."""

    def follow(self, job: StreamedJob) -> None:
        """Call a job's ``on_change`` from now on whenever the times of its tokens may change."""
        return

    def expect(self, longest_s: float) -> None:
        """Called when a reader expects tokens no more than *longest_s* seconds apart."""
        return

    def note_service(self, job: Job) -> None:
        """Let a job know that its service has begun, if it has not heard so yet."""
        return

    def first_token_s(self, job: Job) -> float:
        """Return when a served job's first token left the node in seconds, NaN where unknown."""
        return math.nan

    def cached_tokens(self, job: Job) -> int:
        """Return how many tokens of a served job's prompt were in a prefix cache."""
        return 0

    def preemptions(self, job: Job) -> int:
        """Return how often a served job lost its place to others."""
        return 0


class Job(LightEvent):
    """One attempt at a request: on its way to a node, waiting, served, on its way back.

    It lives on after it was given up: a message under way cannot be called back, and a node works
    until the abort reaches it. It is its own entry of the queue, pushed again for every stage; an
    entry that does not match ``due_s`` is out of date and does nothing.

    Attributes:
        live: The request.
        node: The node.
        attempt: Number of the attempt, from 1.
        leg_s: Time of a message from gateway to node, in seconds.
        back_s: Time of a message back, in seconds.
        link: The link that it uses, where faults strike that at some time; or None.
        due_s: When the present stage ends, in seconds; negative while that is open.
        accepted_s: When the node took it, in seconds; NaN before.
        begun_s: When service began, in seconds; NaN before.
        ended_s: When the node was done with it, in seconds; NaN before.
        error: How it failed, or None.
        abandoned: Whether it was given up.
        done: Whether the answer has arrived at the gateway.
        on_change: Is called when service begins, takes longer or is over, and when the answer
            arrives, or is lost; for streams, and for attempts that were given up.
        streamed: Whether the answer arrives token by token; then it is a `StreamedJob`.
        work: What the node keeps for it, if anything.
    """

    __slots__ = (
        "_stage",
        "_wake",
        "abandoned",
        "accepted_s",
        "attempt",
        "back_s",
        "begun_s",
        "done",
        "due_s",
        "ended_s",
        "env",
        "error",
        "ledger",
        "leg_s",
        "link",
        "live",
        "node",
        "on_change",
        "work",
    )

    streamed = False

    def __init__(
        self, live: LiveRequest, node: Server, attempt: int, leg_s: float, ledger: Ledger
    ) -> None:
        self.env: Environment = node.env
        self.live = live
        self.node = node
        self.attempt = attempt
        self.leg_s = self.back_s = leg_s
        self.link: Link | None = None
        self.ledger = ledger
        self.due_s = _NEVER_S
        self.accepted_s = self.begun_s = self.ended_s = math.nan
        self.error: FederationError | None = None
        self.abandoned = False
        self.done = False
        self.on_change: Callable[[], None] | None = None
        self.work: Any = None
        self._wake: Wake | None = None
        self._stage = _TRAVELS

    def dispatch(self) -> None:
        """Send it on its way to the node."""
        self.ledger.jobs += 1
        if self.leg_s > 0.0:
            env = self.env
            self.due_s = due_s = env.now + self.leg_s
            env.push(self, due_s)
        else:
            self.node.accept(self)

    def fail_to_connect(self, after_s: float) -> None:
        """Learn after *after_s* seconds that no message reached the node."""
        self.ledger.jobs += 1
        self.error = NodeUnreachable(self.node.node_id)
        self._stage = _RETURNS
        self.accepted_s = self.ended_s = now_s = self.env.now
        self.due_s = now_s + after_s
        self.env.push(self, self.due_s)

    def process(self) -> None:
        """End the present stage."""
        # Compared on purpose as floats: an entry is current when it bears the very time that was
        # pushed last (tests/unit/world/test_node.py slows and aborts jobs in service).
        if self.env.now == self.due_s:
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

    def disarm(self) -> None:
        """Resume no task when the answer arrives."""
        self._wake = None

    def __await__(self) -> Generator[Job, None, None]:
        """Wait until the answer has arrived at the gateway."""
        if not self.done:
            yield self

    def abandon(self, abort: bool) -> None:
        """Wait no longer; with *abort* a message aborts it at the node, one leg later.

        An answer that is on its way back, or is there and is not taken, was made in vain.
        """
        self.abandoned = True
        self._wake = None
        if self._stage == _LOST:
            return
        if self._stage >= _RETURNS:
            if self.error is None:
                self.node.wasted_slot_s += self.ended_s - self.begun_s
            if self._stage == _RETURNS:
                self.due_s = _NEVER_S
                self._close()
        elif abort and not (self.link and self.link.loses_abort(self.live.key, self.attempt)):
            env = self.env
            env.call_at(env.now + self.leg_s, lambda _: self.node.drop(self))

    def wait(self) -> None:
        """Called when the node has put it into its queue."""
        self._stage = _WAITS

    def begin(self, now_s: float, until_s: float) -> None:
        """Called when service begins, at *now_s*, and lasts until *until_s* seconds."""
        self._stage = _SERVED
        self.begun_s = now_s
        self.due_s = until_s
        env = self.env
        env.push(self, until_s)
        if self.on_change is not None:
            self.on_change()

    def join(self, begun_s: float) -> None:
        """Called when service began at *begun_s* and the node will say when it ends."""
        self._stage = _SERVED
        self.begun_s = begun_s
        if self.on_change is not None:
            self.on_change()

    def reschedule(self, until_s: float) -> None:
        """Called when service lasts until *until_s* seconds instead."""
        self.due_s = until_s
        self.env.push(self, until_s)
        if self.on_change is not None:
            self.on_change()

    def hold(self) -> None:
        """Called when the node works on it no more, or never will, and has not answered."""
        self._stage = _HELD
        self.due_s = _NEVER_S
        if not math.isnan(self.begun_s):
            self.ended_s = self.env.now
        if self.on_change is not None:
            self.on_change()

    @property
    def held(self) -> bool:
        """Whether the node has it, neither waiting nor in service."""
        return self._stage == _HELD

    @property
    def silent(self) -> bool:
        """Whether the node has it, neither waiting nor in service, or its answer was lost."""
        return self._stage in {_HELD, _LOST}

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
        self.node.note_service(self)
        begun_s, ended_s = self.begun_s, self.ended_s
        if math.isnan(ended_s):
            ended_s = self.env.now
        return begun_s - self.accepted_s, ended_s - begun_s

    def answer(self, error: FederationError | None, *, within_step: bool = False) -> None:
        """Send the answer back; *within_step* says that a process or task is being stepped."""
        env = self.env
        self.error = error
        self.ended_s = now_s = env.now
        self._stage = _RETURNS
        if self.node.awaits_idle:
            self.node.note_idle()
        if self.abandoned:
            self.due_s = _NEVER_S
            self._close()
        elif self.link is not None:
            self._send_back(self.link)
        elif self.leg_s > 0.0 or within_step:
            self.due_s = due_s = now_s + self.leg_s
            env.push(self, due_s)
        else:
            self.due_s = _NEVER_S
            self._arrive()

    def release(self, error: FederationError | None) -> None:
        """Send an answer to what the node has held."""
        self.error = error
        if math.isnan(self.ended_s):
            self.ended_s = self.env.now
        self._stage = _RETURNS
        if self.node.awaits_idle:
            self.node.note_idle()
        if self.abandoned:
            self._close()
        elif self.link is not None:
            self._send_back(self.link)
        else:
            self.due_s = self.env.now + self.leg_s
            self.env.push(self, self.due_s)

    def _send_back(self, link: Link) -> None:
        """Send the answer over a link that faults may strike now."""
        key, attempt = self.live.key, self.attempt
        if (
            self.streamed and not self.refused
        ):  # the word that opened it has met the loss, and set the pace
            lost = link.back.cut
        else:
            lost = link.loses_answer(key, attempt)
            self.back_s = link.answer_leg_s(self.back_s, key, attempt)
        if lost:
            self._lose()
        else:
            self.due_s = self.env.now + self.back_s
            self.env.push(self, self.due_s)

    def _lose(self) -> None:
        """Record that the answer never arrives, and was made in vain."""
        self._stage = _LOST
        self.due_s = _NEVER_S
        if self.error is None:
            self.node.wasted_slot_s += self.ended_s - self.begun_s
        self.ledger.job_over(self)
        if self.on_change is not None:
            self.on_change()

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


class StreamedJob(Job):
    """A job whose answer arrives token by token.

    Attributes:
        planned_s: When service was to end as the node stopped it, in seconds; for nodes with slots.
    """

    __slots__ = ("planned_s",)

    streamed = True
    planned_s: float

    def hold(self) -> None:
        """Called when the node works on it no more, or never will, and has not answered."""
        self.planned_s = self.due_s
        super().hold()

    def answer(self, error: FederationError | None, *, within_step: bool = False) -> None:
        """Send the answer back; *within_step* says that a process or task is being stepped."""
        self.planned_s = self.due_s
        super().answer(error, within_step=within_step)
        if self._stage == _RETURNS and error is not None and self.on_change is not None:
            self.on_change()  # what is under way is lost, and no token comes while the error does
