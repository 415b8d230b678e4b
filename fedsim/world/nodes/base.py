"""What all nodes have in common: a life with faults and cold starts, and telemetry."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from simpy.events import Event

from fedsim.federation.catalog import DeploymentStatus
from fedsim.federation.contracts import (
    HealthState,
    Internal,
    NoCapacity,
    NodeHealth,
    NodeId,
    NodeUnreachable,
)
from fedsim.kernel.environment import Environment, Signal
from fedsim.kernel.streams import ERROR, SERVICE, Streams, keyed_uniform
from fedsim.world.nodes.config import PoolConfig
from fedsim.world.nodes.endpoint import Answer, HealthEndpoint
from fedsim.world.nodes.job import Job, Server
from fedsim.world.nodes.troubles import ErrorFaults, HeldJobs

TELEMETRY_WINDOW_S = 60.0
"""Time over which a node reports its throughput, in seconds."""


class NodeWatcher(Protocol):
    """Is notified of what happens on nodes."""

    def node_event(self, node: Node, kind: str, before: str, after: str, detail: str) -> None:
        """Record an event of a kind of the events table."""
        ...

    def node_status(self, node: Node, status: DeploymentStatus) -> None:
        """Called when a node becomes ready, loading or draining, for the catalog."""
        ...


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """Which node it is.

    Attributes:
        code: Its index among all nodes.
        name: Its name.
        region: Code of its region.
        pool: Its pool's configuration.
    """

    code: int
    name: str
    region: int
    pool: PoolConfig


@dataclass(frozen=True, slots=True)
class NodeSurroundings:
    """What all nodes have of the world.

    Attributes:
        env: The environment.
        streams: Random streams of the run.
        watcher: Is notified of what happens on nodes.
    """

    env: Environment
    streams: Streams
    watcher: NodeWatcher


class Work(NamedTuple):
    """What a node has done since the start: tokens of answers, and seconds in which it worked."""

    tokens: int
    busy_s: float


class OfPlace:
    """The cause of a fault of a place: it strikes what stands there, or comes to while it lasts."""


ABSENT = OfPlace()
"""What holds a node down that is not there."""


class Node(Server):
    """A node of any kind.

    Faults change it through `take_down`, `bring_up`, `set_slowdown`, `set_error_probability`,
    `set_draining`, `set_silent` and its ``endpoint``; several faults at once compose: it is up when
    none of them holds it down, takes requests when none has it drain, answers when none silences
    it, slowdowns multiply, and a request escapes the errors only when it escapes each of them.

    A scaler has it come and go through `order`, `appear` and `leave`. One that comes again is
    another machine: what had struck it before, other than a fault of the place, is not on it, so
    that the end of a fault that began on the old one changes nothing.

    Args:
        identity: Which node it is.
        surroundings: What it has of the world.

    Attributes:
        awaits_idle: Whether `note_idle` must be called when a job has left.
        endpoint: Answers probes.
        factor: How many times as long as usual everything takes.
        present: Whether it stands in its place, up or not; one that is ordered is not there yet.
        machine: Which machine stands there, by number from 0.
        wasted_slot_s: Slot-seconds in use whose result no gateway took.
        usd_per_slot_s: Price of a slot in USD per second; NaN where none is given.
    """

    __slots__ = (
        "_cold_starts",
        "_down",
        "_draining",
        "_emptied",
        "_errors",
        "_history",
        "_jobs",
        "_held",
        "_loading",
        "_on_idle",
        "_paid_s",
        "_paid_since_s",
        "_queue_limit",
        "_ready",
        "_silent",
        "_slowdowns",
        "_status",
        "_troubled",
        "_up_s",
        "_up_since_s",
        "_watcher",
        "endpoint",
        "factor",
        "machine",
        "name",
        "pool",
        "present",
        "region",
    )

    def __init__(self, identity: NodeIdentity, surroundings: NodeSurroundings) -> None:
        env, name, pool = surroundings.env, identity.name, identity.pool
        self.env = env
        self.code = identity.code
        self.name = name
        self.node_id = NodeId(name)
        self.region = identity.region
        self.pool = pool
        self.factor = 1.0
        self.wasted_slot_s = 0.0
        price = math.nan if pool.cost_usd_per_hour is None else pool.cost_usd_per_hour
        self.usd_per_slot_s = price / 3600.0 / pool.slots
        self._queue_limit = math.inf if pool.queue_limit is None else pool.queue_limit
        self._watcher = surroundings.watcher
        self._jobs: dict[Job, None] = {}
        self._down: dict[object, None] = {}
        self._loading: Signal | None = None
        self._slowdowns: dict[object, float] = {}
        self._errors = ErrorFaults()
        self._draining: dict[object, None] = {}
        self._silent: dict[object, None] = {}
        self._held = HeldJobs(env)
        self._status = DeploymentStatus.READY
        self._emptied: list[Event] = []
        self._on_idle: Callable[[Node], None] | None = None
        self._ready: list[Event] = []
        self.awaits_idle = False
        self.endpoint = HealthEndpoint(env, name, self._answer, self._telemetry)
        self._troubled = False
        self._up_s = self._up_since_s = 0.0
        self.present = True
        self.machine = 0
        self._paid_s = 0.0
        self._paid_since_s: float | None = 0.0
        self._history: deque[tuple[float, Work]] = deque([(0.0, Work(0, 0.0))])
        if pool.cold_start is not None:
            self._cold_starts = surroundings.streams.generator(f"world/{name}/cold_start")

    # What a kind of node defines

    @property
    @abstractmethod
    def running(self) -> int:
        """Requests in service."""

    @property
    @abstractmethod
    def queued(self) -> int:
        """Requests that wait."""

    @abstractmethod
    def busy_slot_s(self) -> float:
        """Return the slot-seconds in use since the start."""

    def busy_s(self) -> float:
        """Return the seconds in use since the start: slot-seconds divided by slots."""
        return self.busy_slot_s() / self.pool.slots

    @abstractmethod
    def _work(self) -> Work:
        """Return what it has done since the start."""

    @abstractmethod
    def _lose_all(self) -> Sequence[Job]:
        """Forget everything, and return the jobs that were in service or waited."""

    @abstractmethod
    def _stretch(self, before: float) -> None:
        """Let everything take ``factor`` times as long from now on, which was *before*."""

    def kv_used_tokens(self) -> int:
        """Return the room in the key-value cache in use, in tokens; -1 without one."""
        return -1

    def kv_usage(self) -> float | None:
        """Return the share of the key-value cache in use, None without one."""
        return None

    # The path of a request

    def _turns_away(self, job: Job) -> bool:
        """Hold, refuse or fail a job if a fault strikes the node; return whether it did."""
        if self._down or self._loading is not None:
            job.answer(NodeUnreachable(self.node_id))
        elif self._silent:
            self._held.hold((job,))
        elif self._draining:
            job.answer(NoCapacity(job.live.capability))
        else:
            return self._errs(job)
        return True

    def _errs(self, job: Job) -> bool:
        """Let a job fail if an error strikes it, at once or later, and return whether one does."""
        draw = keyed_uniform(job.live.key, ERROR, job.attempt)
        if draw >= self._errors.probability:
            return False
        error = Internal(f"node {self.name} answered with an error")
        after_s = self._errors.after_s(draw)
        if after_s > 0.0:
            self._held.fail_at(job, self.env.now + after_s, error)
        else:
            job.answer(error)
        return True

    def drop(self, job: Job) -> None:
        """Stop all work on a job that was given up, wherever it is on the node."""
        if not self._held.drop(job):
            self.abort(job)

    def _service_uniform(self, job: Job) -> float:
        """Return the uniform that decides how long the service of a job takes."""
        live = job.live
        if job.attempt == 1:
            return live.service_uniform
        return keyed_uniform(live.key, SERVICE, job.attempt)

    # Faults and cold starts

    @property
    def up(self) -> bool:
        """Whether nothing holds it down, and it is not loading."""
        return not self._down and self._loading is None

    def take_down(self, cause: object) -> None:
        """Stop it: all that it works on, or has waiting, fails with ``NodeUnreachable``."""
        if self._loading is not None:
            self._loading.cancel()
            self._loading = None
        elif not self._down:
            self._up_s += self.env.now - self._up_since_s
            for job in self._lose_all():
                job.answer(NodeUnreachable(self.node_id), within_step=True)
            self._held.fail_all(NodeUnreachable(self.node_id))
        self._down[cause] = None
        self._troubled = True
        self._report_status()

    def bring_up(self, cause: object) -> None:
        """Start it again, empty, unless another cause holds it down."""
        if cause not in self._down:
            return
        del self._down[cause]
        if self._down:
            return
        if self.pool.cold_start is None:
            self._begin_to_serve()
        else:
            self._load(self.pool.cold_start.quantile(max(self._cold_starts.random(), 2.0**-54)))

    def _load(self, load_s: float) -> None:
        self._loading = self.env.call_at(self.env.now + load_s, self._loaded)
        self._report_status()
        self._watcher.node_event(self, "loading", "down", "loading", f"cold start, {load_s:.3f} s")

    def _loaded(self, _: Signal) -> None:
        self._loading = None
        self._begin_to_serve()
        self._watcher.node_event(self, "loading", "loading", "ready", "cold start")
        self._report_status()

    def _begin_to_serve(self) -> None:
        self._up_since_s = self.env.now
        self._look_for_trouble()
        _succeed(self._ready)
        if self.awaits_idle:
            self.note_idle()

    def _look_for_trouble(self) -> None:
        """Work out whether a request that arrives needs a closer look; the fast path skips it."""
        self._troubled = (
            not self.up or bool(self._silent or self._draining) or self._errors.probability > 0.0
        )

    def _report_status(self) -> None:
        """Have the catalog say what a registry of services would know of the node.

        That is whether it is loading or draining. That it has died is for others to find out.
        """
        status = DeploymentStatus.READY
        if self._loading is not None:
            status = DeploymentStatus.LOADING
        elif self._draining:
            status = DeploymentStatus.DRAINING
        if status is not self._status:
            self._status = status
            self._watcher.node_status(self, status)

    def set_draining(self, cause: object, draining: bool) -> None:
        """Refuse new requests with ``NoCapacity`` from now on and finish the old; false ends it."""
        if draining:
            self._draining[cause] = None
        else:
            self._draining.pop(cause, None)
        self._look_for_trouble()
        self._report_status()

    def set_silent(self, cause: object, silent: bool) -> None:
        """Take requests from now on and never answer, nor those that it has; false ends it.

        At the end all connections break: what it has taken fails with ``NodeUnreachable``.
        """
        if silent:
            self._silent[cause] = None
            self._held.hold(self._lose_all())
        elif cause in self._silent:
            del self._silent[cause]
            if not self._silent:
                self._held.fail_all(NodeUnreachable(self.node_id))
        self._look_for_trouble()

    # Coming and going

    def order(self) -> None:
        """Pay for it from now on."""
        self._paid_since_s = self.env.now

    def appear(self) -> None:
        """Stand in its place from now on, up unless a fault of the place holds it down."""
        self.present = True
        del self._down[ABSENT]
        if not self._down:
            self._begin_to_serve()

    def leave(self) -> None:
        """Be gone, and cost nothing: what it still has fails with ``NodeUnreachable``."""
        if self._paid_since_s is not None:
            self._paid_s += self.env.now - self._paid_since_s
            self._paid_since_s = None
        self._draining.clear()
        self._status = DeploymentStatus.READY  # the catalog knows it no more
        self.take_down(ABSENT)
        self.present = False
        self.machine += 1
        self._down = {cause: None for cause in self._down if isinstance(cause, OfPlace)}
        self._silent.clear()
        self._slowdowns.clear()
        self._errors.clear()
        self.factor = 1.0
        self.endpoint.tell_the_truth()
        _succeed(self._emptied)
        _succeed(self._ready)

    def paid_s(self) -> float:
        """Return the time that is paid for since the start, in seconds."""
        running_s = 0.0 if self._paid_since_s is None else self.env.now - self._paid_since_s
        return self._paid_s + running_s

    @property
    def takes_requests(self) -> bool:
        """Whether it is there and up, and does not drain."""
        return not self._draining and self.up

    # Waiting for a node

    def emptied(self) -> Event:
        """Return an event for the moment at which it has nothing left to do."""
        event = self.env.event()
        self._emptied.append(event)
        self.awaits_idle = True
        self.note_idle()
        return event

    def note_idle(self) -> None:
        """Notify those who wait for it, if it has nothing left to do."""
        if not (self.running or self.queued or self._held):
            self.awaits_idle = self._on_idle is not None
            _succeed(self._emptied)
            if self._on_idle is not None and self.up:
                self._on_idle(self)

    def report_idle(self, report: Callable[[Node], None]) -> None:
        """Have *report* called whenever it is up and has nothing left to do."""
        self._on_idle = report
        self.awaits_idle = True

    def ready(self) -> Event:
        """Return an event for the moment at which it is up."""
        event = self.env.event()
        self._ready.append(event)
        if self.up:
            _succeed(self._ready)
        return event

    def set_slowdown(self, cause: object, factor: float | None) -> None:
        """Stretch service by *factor* from now on, also of jobs in service; None ends it."""
        before = self.factor
        if factor is None:
            self._slowdowns.pop(cause, None)
        else:
            self._slowdowns[cause] = factor
        self.factor = math.prod(self._slowdowns.values())
        if self.factor != before:
            self._stretch(before)

    def set_error_probability(
        self, cause: object, probability: float | None, after_s: float = 0.0
    ) -> None:
        """Let each request fail with *probability* from now on; None ends it.

        The error comes *after_s* seconds after the request has arrived; until then it holds
        neither a slot nor a place in the queue.
        """
        self._errors.set(cause, probability, after_s)
        self._look_for_trouble()

    # Telemetry

    def _answer(self) -> Answer:
        """Return what it truly answers to a probe now."""
        if self._silent:
            return None
        return self._telemetry() if self.up else NodeUnreachable(self.node_id)

    def _telemetry(self) -> NodeHealth:
        """Return what it says of itself now."""
        return NodeHealth(
            self.node_id,
            HealthState.HEALTHY,
            0.0,
            0.0,
            self.throughput(),
            self.gpu_utilization(),
            self.queued,
            self.env.now,
            self.running,
            self.kv_usage(),
        )

    def up_s(self) -> float:
        """Return the time up since the start, in seconds; loading is not up."""
        running_s = self.env.now - self._up_since_s if self.up else 0.0
        return self._up_s + running_s

    def throughput(self) -> int:
        """Return the tokens per second that it made while busy, over the last minute or so."""
        _, work, now = self._since()
        busy_s = now.busy_s - work.busy_s
        return round((now.tokens - work.tokens) / busy_s) if busy_s > 0.0 else 0

    def gpu_utilization(self) -> float | None:
        """Return the share of its GPU in use, None without one: its slots in use right now."""
        return None if self.pool.gpu is None else self.running / self.pool.slots

    def _busy_share(self) -> float | None:
        """Return the share of the last minute or so in which it worked, None without a GPU."""
        if self.pool.gpu is None:
            return None
        since_s, before, now = self._since()
        passed_s = self.env.now - since_s
        return (now.busy_s - before.busy_s) / passed_s if passed_s > 0.0 else 0.0

    def _since(self) -> tuple[float, Work, Work]:
        """Return when the window of telemetry began, the work done until then, and until now."""
        now_s, now = self.env.now, self._work()
        history = self._history
        while len(history) > 1 and history[1][0] <= now_s - TELEMETRY_WINDOW_S:
            history.popleft()
        if history[-1][0] < now_s:
            history.append((now_s, now))
        since_s, work = history[0]
        return since_s, work, now


def _succeed(events: list[Event]) -> None:
    """Let all *events* happen, and forget them."""
    for event in events:
        event.succeed()
    events.clear()
