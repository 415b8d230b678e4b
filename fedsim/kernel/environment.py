"""SimPy's environment with light events: one event queue for processes, coroutines and callbacks.

A SimPy event costs an object, a callback list and a scheduling call each time that something
happens. A `LightEvent` is one slotted object that is pushed again for every stage of its life, and
the run loop calls its ``process`` directly. SimPy's own ``step`` handles light events just as well
(their ``callbacks`` call ``process``), so both give the same records; ordinary events, processes
and resources share the queue.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Any, Protocol

import simpy
from simpy.core import BoundClass, EmptySchedule, StopSimulation
from simpy.events import NORMAL, URGENT, Event, EventPriority

from fedsim.errors import DeadlockError

FIRST = EventPriority(URGENT - 1)
"""Priority of what is left of an event at which a run stopped: before all else of that time."""

DEADLINE = EventPriority(NORMAL + 1)
"""Priority of deadlines: what is due at the same time as one comes before it."""

LAST = EventPriority(NORMAL + 2)
"""Priority of what waits for all else that is due at the same time."""

COMPACT_AT = 1024
"""Cancelled entries that the queue tolerates before it is rebuilt without them."""


def _process(event: Event) -> None:
    """Process a light event from SimPy's own step."""
    assert isinstance(event, LightEvent)
    event.process()


_CALLBACKS: list[Callable[[Any], None]] = [_process]


class LightEvent(Event):
    """An entry of the queue that knows what to do and may be pushed again once processed.

    Subclasses define ``process``. An entry must not be pushed while it still is in the queue.
    """

    __slots__ = ()

    _ok = True
    _value = None

    def __init__(self) -> None:
        """Skip SimPy's constructor: a light event has no callback list and needs no value."""

    @property
    def callbacks(self) -> list[Callable[[Any], None]]:
        """What SimPy's own step calls."""
        return _CALLBACKS

    @callbacks.setter
    def callbacks(self, value: list[Callable[[Any], None]]) -> None:
        """Ignore that SimPy marks the event as processed: it may be pushed again."""

    def process(self) -> None:
        """Do what is due now."""
        raise NotImplementedError


class Signal(LightEvent):
    """A light event that calls *action* with itself, unless it is cancelled before."""

    __slots__ = ("action", "env")

    def __init__(self, env: Environment, action: Callable[[Signal], None]) -> None:
        self.env: Environment = env
        self.action: Callable[[Signal], None] | None = action

    def process(self) -> None:
        """Call the action, once."""
        action = self.action
        if action is None:
            self.env.tombstones -= 1
        else:
            self.action = None
            action(self)

    def cancel(self) -> None:
        """Make sure that the action is not called; does nothing when it was called already."""
        if self.action is not None:
            self.action = None
            self.env.count_tombstone()

    @property
    def cancelled(self) -> bool:
        """Whether the entry does nothing any more."""
        return self.action is None


class Timer(LightEvent):
    """A light event that calls *action* when it is due; it may be set again and again.

    An entry of the queue cannot be taken out: one for another time than ``due_s`` does nothing.
    ``tests/unit/kernel/test_environment.py`` holds it to that.

    Attributes:
        due_s: When it is due, in seconds; infinite while it is not set.
    """

    __slots__ = ("_action", "_env", "due_s")

    def __init__(self, env: Environment, action: Callable[[], None]) -> None:
        self._env = env
        self._action = action
        self.due_s = math.inf

    def process(self) -> None:
        """Call the action, if it is due."""
        if self._env.now == self.due_s:  # the very float that was pushed: no tolerance
            self.due_s = math.inf
            self._action()

    def schedule(self, due_s: float) -> None:
        """Call the action at *due_s* seconds, and no more at the time set before."""
        self.due_s = due_s
        self._env.push(self, due_s)

    def cancel(self) -> None:
        """Do not call the action."""
        self.due_s = math.inf


class RunningTask(Protocol):
    """A task, as the environment and its deadlines see it; see `fedsim.kernel.tasks.Task`.

    Attributes:
        name: For people, in errors.
    """

    name: str

    @property
    def waits_for(self) -> str:
        """What it waits for, for people."""
        ...

    def throw(self, error: BaseException) -> None:
        """Throw *error* into it now."""
        ...


class Environment(simpy.Environment):
    """SimPy's environment, with a run loop that knows light events, and exact times.

    What is called for every request is a plain attribute or a short method: ``now`` to read the
    time, `push` for an object that is its own entry of the queue, `Timer` for something whose time
    may change, `call_at` for anything else. Nothing outside this package needs more of it.

    Attributes:
        now: Simulated time in seconds.
        current_task: The light task that is being stepped, or None.
        live_tasks: All light tasks that have not ended, in the order of their start.
        tombstones: Cancelled entries that still are in the queue.
        describe_waiting: More sources of the names of things that wait, for `DeadlockError`.
    """

    # A slot in place of SimPy's property: it is read several times per request.
    __slots__ = ("now",)

    now: float

    def __init__(self) -> None:
        super().__init__(0.0)
        for name, value in vars(simpy.Environment).items():  # a subclass loses the early binding
            if isinstance(value, BoundClass):
                setattr(self, name, getattr(self, name))
        self.current_task: RunningTask | None = None
        self.live_tasks: dict[RunningTask, None] = {}
        self.tombstones = 0
        self.describe_waiting: list[Callable[[], list[str]]] = []

    @property
    def _now(self) -> float:
        """The time under the name by which SimPy's own code knows it."""
        return self.now

    @_now.setter
    def _now(self, now_s: float) -> None:
        self.now = now_s

    def push(self, event: Event, when_s: float, priority: EventPriority = NORMAL) -> None:
        """Put *event* into the queue at exactly *when_s* seconds, behind others of its priority.

        The caller sees to it that *when_s* is not in the past.
        """
        heappush(self._queue, (when_s, priority, next(self._eid), event))

    def call_at(self, when_s: float, action: Callable[[Signal], None]) -> Signal:
        """Call *action* at exactly *when_s* seconds; a time in the past means now."""
        signal = Signal(self, action)
        now_s = self.now
        self.push(signal, max(now_s, float(when_s)))
        return signal

    def call_soon(self, action: Callable[[Signal], None]) -> Signal:
        """Call *action* at the present time, behind all that is queued for it already."""
        return self.call_at(self.now, action)

    def count_tombstone(self) -> None:
        """Count a cancelled entry, and rebuild the queue when most of it is cancelled."""
        self.tombstones += 1
        if self.tombstones >= COMPACT_AT and 2 * self.tombstones > len(self._queue):
            self._queue[:] = [
                entry
                for entry in self._queue
                if not (isinstance(entry[3], Signal) and entry[3].action is None)
            ]
            heapify(self._queue)
            self.tombstones = 0

    def run(self, until: float | Event | None = None) -> Any:
        """Run until the queue is empty, a time in seconds, or an event; return the event's value.

        Raises:
            DeadlockError: The queue ran empty while light tasks wait, or before *until* happened.
            ValueError: *until* lies in the past.
        """
        if until is not None:
            if not isinstance(until, Event):
                until = self._stop_at(float(until))
            elif until.callbacks is None:
                return until.value
            until.callbacks.append(StopSimulation.callback)
        queue, pop, light = self._queue, heappop, LightEvent
        try:
            while queue:
                self.now, _, _, event = pop(queue)
                if isinstance(event, light):
                    event.process()
                else:
                    self._process_stock(event)
        except StopSimulation as stop:
            return stop.args[0]
        self._check_deadlock()
        if until is not None:
            msg = f"at {self.now:.6f} s nothing is scheduled any more, and {until} never happened"
            raise DeadlockError(msg)
        return None

    def step(self) -> None:
        """Process one event by SimPy's own code; gives the same records as `run`."""
        try:
            super().step()
        except EmptySchedule:
            self._check_deadlock()
            raise

    def _stop_at(self, at_s: float) -> Event:
        if at_s <= self.now:
            msg = f"until ({at_s}) must be greater than the current simulation time ({self.now})"
            raise ValueError(msg)
        stop = Event(self)
        stop._ok = True
        stop._value = None
        self.push(stop, at_s, URGENT)
        return stop

    def _process_stock(self, event: Event) -> None:
        """Do for an ordinary SimPy event what ``simpy.Environment.step`` does.

        A failed event that nothing defused is raised as it is: SimPy would re-create the exception
        from its arguments, which breaks exceptions with constructors of their own.
        """
        callbacks = event.callbacks
        event.callbacks = None  # type: ignore[assignment]
        try:
            for callback in callbacks:
                callback(event)
        except BaseException:  # what a failed event failed with, or StopSimulation
            if callback == StopSimulation.callback:
                self._keep_waiting(event, callbacks)
            raise
        if not event._ok and not hasattr(event, "_defused"):
            raise event._value

    def _keep_waiting(self, event: Event, callbacks: list[Callable[[Event], None]]) -> None:
        """Have what else waits for *event*, at which a run stops, called when the next one begins.

        A run that was stopped by something else may have left a callback of its own behind.
        """
        stop = StopSimulation.callback
        rest = [each for each in callbacks[callbacks.index(stop) :] if each != stop]
        if not event._ok:
            event.defused = True
        if rest:
            event.callbacks = rest
            self.push(event, self.now, FIRST)

    def _check_deadlock(self) -> None:
        waiting = [f"{task.name} (waits for {task.waits_for})" for task in self.live_tasks]
        for describe in self.describe_waiting:
            waiting.extend(describe())
        if waiting:
            shown = ", ".join(waiting[:10]) + (" …" if len(waiting) > 10 else "")
            msg = (
                f"at {self.now:.6f} s nothing is scheduled any more, yet {len(waiting)} "
                f"task(s) wait: {shown}"
            )
            raise DeadlockError(msg)
