"""What all nodes have in common: a life with faults and cold starts, and telemetry."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from fedsim.federation.contracts import Internal, NodeId, NodeUnreachable
from fedsim.kernel.environment import Environment, Signal
from fedsim.kernel.streams import ERROR, SERVICE, Streams, keyed_uniform
from fedsim.world.config import PoolConfig
from fedsim.world.nodes.job import Job

TELEMETRY_WINDOW_S = 60.0
"""Time over which a node reports its throughput, in seconds."""


class NodeWatcher(Protocol):
    """Is told what happens on nodes."""

    def node_event(self, node: Node, kind: str, before: str, after: str, detail: str) -> None:
        """Take down an event of a kind of the events table."""
        ...

    def node_ready(self, node: Node, ready: bool) -> None:
        """Take note that a node is loading, or ready to serve again."""
        ...


class Work(NamedTuple):
    """What a node has done since the start: tokens of answers, and seconds in which it worked."""

    tokens: int
    busy_s: float


class Node(ABC):
    """A node of any kind.

    Faults change it through `take_down`, `bring_up`, `set_slowdown` and `set_error_probability`;
    several faults at once compose: it is up when none of them holds it down, slowdowns multiply,
    and a request escapes the errors only when it escapes each of them.

    Args:
        env: The environment.
        code: Its index among all nodes.
        name: Its name.
        region: Code of its region.
        pool: Its pool's configuration.
        streams: Random streams of the run.
        watcher: Is told what happens on it.

    Attributes:
        factor: How many times as long as usual everything takes.
        wasted_slot_s: Slot-seconds in use whose result nobody took.
        usd_per_slot_s: Price of a slot in USD per second; NaN where none is given.
        knows_first_token: Whether `first_token_s` is known.
        caches_prompts: Whether `cached_tokens` is known.
    """

    __slots__ = (
        "_cold_starts",
        "_down",
        "_error_probability",
        "_errors",
        "_history",
        "_jobs",
        "_loading",
        "_queue_limit",
        "_slowdowns",
        "_troubled",
        "_up_s",
        "_up_since_s",
        "_watcher",
        "code",
        "env",
        "factor",
        "name",
        "node_id",
        "pool",
        "region",
        "usd_per_slot_s",
        "wasted_slot_s",
    )

    knows_first_token = False
    caches_prompts = False

    def __init__(
        self,
        env: Environment,
        code: int,
        name: str,
        region: int,
        pool: PoolConfig,
        streams: Streams,
        watcher: NodeWatcher,
    ) -> None:
        self.env = env
        self.code = code
        self.name = name
        self.node_id = NodeId(name)
        self.region = region
        self.pool = pool
        self.factor = 1.0
        self.wasted_slot_s = 0.0
        price = math.nan if pool.cost_usd_per_hour is None else pool.cost_usd_per_hour
        self.usd_per_slot_s = price / 3600.0 / pool.slots
        self._queue_limit = math.inf if pool.queue_limit is None else pool.queue_limit
        self._watcher = watcher
        self._jobs: dict[Job, None] = {}
        self._down: dict[object, None] = {}
        self._loading: Signal | None = None
        self._slowdowns: dict[object, float] = {}
        self._errors: dict[object, float] = {}
        self._error_probability = 0.0
        self._troubled = False
        self._up_s = self._up_since_s = 0.0
        self._history: deque[tuple[float, Work]] = deque([(0.0, Work(0, 0.0))])
        if pool.cold_start is not None:
            self._cold_starts = streams.generator(f"world/{name}/cold_start")

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
    def accept(self, job: Job) -> None:
        """Serve a job that has arrived, let it wait, or turn it away."""

    @abstractmethod
    def finish(self, job: Job) -> None:
        """End the service of a job that waits for it by itself."""

    @abstractmethod
    def abort(self, job: Job) -> None:
        """Stop working on a job that nobody waits for any more."""

    @abstractmethod
    def token_s(self, job: Job, number: int) -> float:
        """Return when output token *number* (from 1) of a job leaves the node, in seconds.

        It is infinite while that is open. A time in the future is what is known now: the job's
        ``on_change`` is called when tokens may come sooner.
        """

    @abstractmethod
    def busy_slot_s(self) -> float:
        """Return the slot-seconds in use since the start."""

    @abstractmethod
    def _work(self) -> Work:
        """Return what it has done since the start."""

    @abstractmethod
    def _lose_all(self) -> Sequence[Job]:
        """Forget everything, and return the jobs that were in service or waited."""

    @abstractmethod
    def _stretch(self, before: float) -> None:
        """Let everything take ``factor`` times as long from now on, which was *before*."""

    def note_service(self, job: Job) -> None:
        """Let a job know that its service has begun, if it has not heard so yet."""
        return

    def first_token_s(self, job: Job) -> float:
        """Return when a served job's first token left the node in seconds, NaN where unknown."""
        return math.nan

    def cached_tokens(self, job: Job) -> int:
        """Return how many tokens of a served job's prompt were in a prefix cache."""
        return 0

    def kv_used_tokens(self) -> int:
        """Return the room in the key-value cache in use, in tokens; -1 without one."""
        return -1

    def kv_usage(self) -> float | None:
        """Return the share of the key-value cache in use, None without one."""
        return None

    # The path of a request

    def _turns_away(self, job: Job) -> bool:
        """Answer a job with an error if the node is in trouble, and return whether it did."""
        if self._down or self._loading is not None:
            job.answer(NodeUnreachable(self.node_id))
        elif keyed_uniform(job.live.key, ERROR, job.attempt) < self._error_probability:
            job.answer(Internal(f"node {self.name} answered with an error"))
        else:
            return False
        return True

    def _luck(self, job: Job) -> float:
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
            self._up_s += self.env._now - self._up_since_s
            for job in self._lose_all():
                job.answer(NodeUnreachable(self.node_id), within_step=True)
        self._down[cause] = None
        self._troubled = True

    def bring_up(self, cause: object) -> None:
        """Start it again, empty, unless another cause holds it down."""
        del self._down[cause]
        if self._down:
            return
        if self.pool.cold_start is None:
            self._begin_to_serve()
        else:
            self._load(self.pool.cold_start.quantile(max(self._cold_starts.random(), 2.0**-54)))

    def _load(self, load_s: float) -> None:
        self._loading = self.env.call_at(self.env._now + load_s, self._loaded)
        self._watcher.node_ready(self, False)
        self._watcher.node_event(self, "loading", "down", "loading", f"cold start, {load_s:.3f} s")

    def _loaded(self, _: Signal) -> None:
        self._loading = None
        self._begin_to_serve()
        self._watcher.node_event(self, "loading", "loading", "ready", "cold start")
        self._watcher.node_ready(self, True)

    def _begin_to_serve(self) -> None:
        self._up_since_s = self.env._now
        self._troubled = self._error_probability > 0.0

    def set_slowdown(self, cause: object, factor: float | None) -> None:
        """Stretch service by *factor* from now on, also of jobs in service; None ends it."""
        before = self.factor
        if factor is None:
            del self._slowdowns[cause]
        else:
            self._slowdowns[cause] = factor
        self.factor = math.prod(self._slowdowns.values())
        if self.factor != before:
            self._stretch(before)

    def set_error_probability(self, cause: object, probability: float | None) -> None:
        """Let each request fail on arrival with *probability* from now on; None ends it."""
        if probability is None:
            del self._errors[cause]
        else:
            self._errors[cause] = probability
        self._error_probability = 1.0 - math.prod(1.0 - p for p in self._errors.values())
        self._troubled = not self.up or self._error_probability > 0.0

    # Telemetry

    def up_s(self) -> float:
        """Return the time up since the start, in seconds; loading is not up."""
        running_s = self.env._now - self._up_since_s if self.up else 0.0
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
        passed_s = self.env._now - since_s
        return (now.busy_s - before.busy_s) / passed_s if passed_s > 0.0 else 0.0

    def _since(self) -> tuple[float, Work, Work]:
        """Return when the window of telemetry began, the work done until then, and until now."""
        now_s, now = self.env._now, self._work()
        history = self._history
        while len(history) > 1 and history[1][0] <= now_s - TELEMETRY_WINDOW_S:
            history.popleft()
        if history[-1][0] < now_s:
            history.append((now_s, now))
        since_s, work = history[0]
        return since_s, work, now
