"""Light tasks: coroutines that the kernel itself steps, with deadlines and cancellation.

What a coroutine of ours waits for reaches the kernel as the value that it yields:

- a ``float``: wake me at exactly this time;
- an object with ``arm(wake)``: it keeps the `Wake` and fires it when the time has come.

Deadlines come last: a task whose wait is over at the very time of its deadline has met it, whatever
stands in the queue for that time, and in which order it got there.

A wake is one-shot: what throws into a task (a deadline, a cancellation) disarms the wake that the
task was waiting for, so that an old timer cannot resume a later wait. Nothing is resumed inside
another task's step, but through the queue at the same time.
"""

from __future__ import annotations

import math
import types
from collections import deque
from collections.abc import Awaitable, Coroutine, Generator, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, TypeVar

from simpy.events import Event

from fedsim.kernel.environment import DEADLINE, LAST, Environment, LightEvent, RunningTask

T = TypeVar("T")

MAX_LANES = 16
"""Distinct durations of deadlines that get a lane of their own."""

COMPACT_AT = 1024
"""Deadlines without a lane that are kept, at least, before those that were met are sorted out."""


class Cancelled(BaseException):
    """Thrown into a task that was cancelled."""


class _DeadlineThrow(BaseException):
    """Carries a deadline through the frames of inner scopes to the one that it belongs to."""

    def __init__(self, scope: _Scope) -> None:
        super().__init__(scope)
        self.scope = scope


class Wake(LightEvent):
    """A one-shot handle that resumes a task; the task uses it again until it is disarmed.

    Attributes:
        task: The task, or None once disarmed.
    """

    __slots__ = ("task",)

    def __init__(self, task: Task) -> None:
        self.task: Task | None = task

    def process(self) -> None:
        """Resume the task, unless something was thrown into it meanwhile."""
        task = self.task
        if task is not None:
            task.step(None)

    def fire(self) -> None:
        """Resume the task through the queue at the present time."""
        task = self.task
        if task is not None:
            task.env.push(self, task.env.now)


class OneShot:
    """Something that happens once and that one task may await."""

    __slots__ = ("_wake", "done", "value")

    def __init__(self, env: Environment) -> None:
        self._wake: Wake | None = None
        self.done = False
        self.value: Any = None

    def resolve(self, value: Any = None) -> None:
        """Let it happen: the waiting task resumes with *value* through the queue."""
        if not self.done:
            self.done = True
            self.value = value
            if self._wake is not None:
                self._wake.fire()

    def arm(self, wake: Wake) -> None:
        """Remember whom to wake."""
        self._wake = wake

    def __await__(self) -> Generator[OneShot, None, Any]:
        """Wait until it happens, and return its value."""
        if not self.done:
            yield self
        return self.value


def _without_this_frame(error: BaseException) -> BaseException:
    """Take the kernel's own frame out of a traceback: it would tie the error to its task."""
    assert error.__traceback__ is not None
    return error.with_traceback(error.__traceback__.tb_next)


class _EventWait:
    """Waits for an ordinary SimPy event."""

    __slots__ = ("event",)

    def __init__(self, event: Event) -> None:
        self.event = event

    def arm(self, wake: Wake) -> None:
        self.event.callbacks.append(lambda event: self._processed(event, wake))

    def _processed(self, event: Event, wake: Wake) -> None:
        if not event._ok and wake.task is not None:
            event._defused = True
        wake.process()


@types.coroutine
def wait_for_event(event: Event) -> Generator[_EventWait, None, Any]:
    """Await an ordinary SimPy event in a light task; return its value or raise its failure."""
    if event.callbacks is not None:
        yield _EventWait(event)
    if not event._ok:
        raise event._value
    return event._value


class Task(Wake):
    """A coroutine that the kernel steps.

    It is its own wake until something is thrown into it; from then on it has a fresh one.

    Attributes:
        name: For people, in errors.
        done: Whether it has ended.
    """

    __slots__ = (
        "_coroutine",
        "_ended",
        "_error",
        "_result",
        "_wake",
        "_yielded",
        "done",
        "env",
        "name",
    )

    def __init__(self, env: Environment, coroutine: Coroutine[Any, None, Any], name: str) -> None:
        self.env: Environment = env
        self.name = name
        self.done = False
        self._coroutine = coroutine
        self.task = self
        self._wake: Wake = self
        self._yielded: object = None
        self._ended: tuple[OneShot, ...] = ()
        self._result: Any = None
        self._error: BaseException | None = None
        env.live_tasks[self] = None

    def step(self, error: BaseException | None) -> None:
        """Run the coroutine to its next wait, or throw *error* into it; called by the run loop."""
        env = self.env
        outer, env.current_task = env.current_task, self
        try:
            if error is None:
                yielded = self._coroutine.send(None)
            else:
                yielded = self._coroutine.throw(error)
        except StopIteration as stop:
            self._end(stop.value, None)
        except (Exception, Cancelled) as raised:  # noqa: BLE001 - kept for whoever joins
            self._end(None, _without_this_frame(raised))
        else:
            self._yielded = yielded
            if yielded.__class__ is float:
                env.push(self._wake, yielded)
            elif (arm := getattr(yielded, "arm", None)) is not None:
                arm(self._wake)
            else:
                self._wait_until(yielded)
        finally:
            env.current_task = outer

    def _wait_until(self, yielded: Any) -> None:
        if isinstance(yielded, (float, int)):  # numpy's float is one, and not the class itself
            self.env.push(self._wake, float(yielded))
        else:
            msg = (
                f"task {self.name} awaits {yielded!r}, which the kernel does not know; "
                "asyncio code runs through fedsim.kernel.foreign"
            )
            self.step(TypeError(msg))

    def _end(self, result: Any, error: BaseException | None) -> None:
        self.done = True
        self._result, self._error = result, error
        self._wake.task = None
        del self._wake  # the task may be its own wake; let go of it without the collector
        self._yielded = None
        del self.env.live_tasks[self]
        self.ended(result, error)

    def ended(self, result: Any, error: BaseException | None) -> None:
        """Resume those who joined; an error that no task waits for is raised."""
        if self._ended:
            for ended in self._ended:
                ended.resolve()
        elif error is not None and not isinstance(error, Cancelled):
            raise error

    def throw(self, error: BaseException) -> None:
        """Throw *error* into the waiting coroutine now, and disarm what it waits for.

        Only the run loop's own entries may call it, never another task's step.
        """
        if not self.done:
            self._wake.task = None
            self._wake = Wake(self)
            self.step(error)

    def cancel(self) -> None:
        """Throw `Cancelled` into the task, through the queue at the present time."""
        if not self.done:
            self.env.call_soon(lambda _: self.throw(Cancelled()))

    def disarm(self) -> None:
        """Let nothing resume the task any more but what is thrown into it."""
        if not self.done:
            self._wake.task = None

    @property
    def waits_for(self) -> str:
        """What the task waits for, for people."""
        yielded = self._yielded
        if isinstance(yielded, float):
            return f"{yielded:.6f} s"
        return type(yielded).__name__.strip("_")

    async def join(self) -> Any:
        """Wait until the task has ended; return its result or raise its error."""
        if not self.done:
            ended = OneShot(self.env)
            self._ended += (ended,)
            await ended
        if self._error is not None:
            try:
                raise self._error
            finally:
                del self  # the error's traceback keeps this frame, and must not lead to the task
        return self._result


class _Scope:
    """A deadline; *task* is None once it does not matter any more."""

    __slots__ = ("at_s", "task")

    at_s: float
    task: RunningTask | None


class _Lane(LightEvent):
    """Deadlines of one duration: they fall due in the order in which they were set.

    The lane has at most one entry in the environment's queue, at a time no later than its first
    deadline that still matters; deadlines that were met cost an append and a popleft.
    """

    __slots__ = ("_duration_s", "_env", "_pending", "_scopes")

    def __init__(self, env: Environment, duration_s: float) -> None:
        self._env = env
        self._duration_s = duration_s
        self._scopes: deque[_Scope] = deque()
        self._pending = False

    def open(self, task: RunningTask, _: float) -> _Scope:
        scopes = self._scopes
        while scopes and scopes[0].task is None:
            scopes.popleft()
        scope = _Scope()
        scope.task = task
        scope.at_s = at_s = self._env.now + self._duration_s
        scopes.append(scope)
        if not self._pending:
            self._pending = True
            self._env.push(self, at_s, DEADLINE)
        return scope

    def process(self) -> None:
        scopes, now_s = self._scopes, self._env.now
        while scopes:
            scope = scopes[0]
            task = scope.task
            if task is not None:
                if scope.at_s > now_s:
                    break
                scope.task = None
                task.throw(_DeadlineThrow(scope))
            else:
                scopes.popleft()
        self._pending = bool(scopes)
        if scopes:
            self._env.push(self, scopes[0].at_s, DEADLINE)


class _Heap(LightEvent):
    """Deadlines of all other durations, in the order in which they fall due.

    The entries in the environment's queue are for times no later than the first deadline that still
    matters. Deadlines that were met stay until they come up, or until most are of that kind.
    """

    __slots__ = ("_compact_at", "_env", "_pending_s", "_scopes")

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._scopes: list[tuple[float, int, _Scope]] = []
        self._pending_s = math.inf
        self._compact_at = COMPACT_AT

    def open(self, task: RunningTask, duration_s: float) -> _Scope:
        scope = _Scope()
        scope.task = task
        scope.at_s = at_s = self._env.now + duration_s
        if len(self._scopes) >= self._compact_at:
            self._scopes = [entry for entry in self._scopes if entry[2].task is not None]
            heapify(self._scopes)
            self._compact_at = max(2 * len(self._scopes), COMPACT_AT)
        heappush(self._scopes, (at_s, next(self._env._eid), scope))
        self._await_first()
        return scope

    def process(self) -> None:
        now_s = self._env.now
        while self._scopes and self._scopes[0][0] <= now_s:
            scope = heappop(self._scopes)[2]
            task, scope.task = scope.task, None
            if task is not None:
                task.throw(_DeadlineThrow(scope))
        if self._pending_s <= now_s:
            self._pending_s = math.inf
            while self._scopes and self._scopes[0][2].task is None:
                heappop(self._scopes)
            self._await_first()

    def _await_first(self) -> None:
        if self._scopes and self._scopes[0][0] < self._pending_s:
            self._pending_s = self._scopes[0][0]
            self._env.push(self, self._pending_s, DEADLINE)


class _Race:
    """Several tasks of which the first that returns wins; one task awaits the outcome."""

    __slots__ = ("_env", "_error", "_left", "_over", "_racers", "_result", "_won")

    def __init__(self, env: Environment, awaitables: Sequence[Awaitable[Any]], name: str) -> None:
        self._env = env
        self._over = OneShot(env)
        self._left = len(awaitables)
        self._won = False
        self._result: Any = None
        self._error: BaseException | None = None
        self._racers: list[_Racer] = []
        for number, awaitable in enumerate(awaitables):
            racer = _Racer(env, self, _awaiting(awaitable), f"{name}, racer {number}")
            self._racers.append(racer)
            racer.step(None)
        if self._won:
            self.cancel()

    def ended(self, result: Any, error: BaseException | None) -> None:
        """Called when a racer has ended; the others are cancelled when it returned."""
        self._left -= 1
        if error is not None:
            self._error = error
        elif not self._won:
            self._won = True
            self._result = result
            self.cancel()
        if not self._left:
            self._over.resolve()

    def cancel(self) -> None:
        """Cancel all racers that have not ended; nothing else reaches them any more."""
        for racer in self._racers:
            if not racer.done:
                racer.disarm()
                racer.cancel()

    async def outcome(self) -> Any:
        """Return what the winner returned; without one, raise what the last racer raised."""
        await self._over
        if not self._won:
            assert self._error is not None
            raise self._error
        return self._result


class _Racer(Task):
    """A task in a race."""

    __slots__ = ("_race",)

    def __init__(
        self, env: Environment, race: _Race, coroutine: Coroutine[Any, None, Any], name: str
    ) -> None:
        Task.__init__(self, env, coroutine, name)
        self._race = race

    def ended(self, result: Any, error: BaseException | None) -> None:
        """Report to the race."""
        race = self._race
        del self._race  # each holds the other; let go without the collector
        race.ended(result, error)


async def _awaiting(awaitable: Awaitable[T]) -> T:
    return await awaitable


class SimClock:
    """The federation's ``Clock`` in simulated time."""

    def __init__(self, env: Environment) -> None:
        self._env = env

    def now(self) -> float:
        """Return simulated time in seconds."""
        return self._env.now

    @types.coroutine
    def sleep(self, seconds: float) -> Generator[float, None, None]:
        """Suspend the calling task for *seconds*."""
        if seconds > 0.0:
            yield self._env.now + float(seconds)


class _LastOf:
    """Waits until a time, and then for all else that is due at it."""

    __slots__ = ("when_s",)

    def __init__(self, when_s: float) -> None:
        self.when_s = when_s

    def arm(self, wake: Wake) -> None:
        assert wake.task is not None
        wake.task.env.push(wake, self.when_s, LAST)


class SimTasks:
    """The federation's ``Tasks`` on the kernel: spawning, deadlines, races."""

    def __init__(self, env: Environment) -> None:
        self._env = env
        self._lanes: dict[float, _Lane] = {}
        self._others = _Heap(env)

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> Task:
        """Start *coroutine* as a task of its own, through the queue at the present time."""
        task = Task(self._env, coroutine, name)
        task.fire()
        return task

    def start(self, coroutine: Coroutine[Any, Any, Any], name: str) -> Task:
        """Start *coroutine* and run its first step at once; only for the run loop's own entries."""
        task = Task(self._env, coroutine, name)
        task.step(None)
        return task

    async def within(self, awaitable: Awaitable[T], seconds: float) -> T:
        """Return what *awaitable* gives, or raise ``TimeoutError`` after *seconds*."""
        env = self._env
        task = env.current_task
        assert task is not None, "within() needs a task of the kernel"
        lane: _Lane | _Heap | None = self._lanes.get(seconds)
        if lane is None:
            lane = self._others
            if len(self._lanes) < MAX_LANES:
                lane = self._lanes[seconds] = _Lane(env, float(seconds))
        scope = lane.open(task, float(seconds))
        try:
            return await awaitable
        except _DeadlineThrow as thrown:
            if thrown.scope is scope:
                thrown.__traceback__ = None  # what is raised now keeps it, and this frame; neither
                del task  # must lead to the task, which may keep what is raised
                raise TimeoutError from None
            raise
        finally:
            scope.task = None

    @types.coroutine
    def wait_out(self, seconds: float) -> Generator[_LastOf, None, None]:
        """Suspend the calling task for *seconds*, and until all else due by then has happened."""
        yield _LastOf(self._env.now + float(seconds))

    async def first(self, *awaitables: Awaitable[Any]) -> Any:
        """Return what the first of *awaitables* to return gives, and cancel the others.

        Each runs as a task of its own, and all have ended before the result is given. One that
        raises leaves the race to the others; when all have, what the last one raised is raised.
        """
        task = self._env.current_task
        assert task is not None, "first() needs a task of the kernel"
        race = _Race(self._env, awaitables, task.name)
        try:
            return await race.outcome()
        except GeneratorExit:
            raise  # the run is over, and there is no task left to cancel
        except BaseException:
            race.cancel()
            raise
