"""asyncio on SimPy's event queue: an event loop whose time is simulated time.

Anyone's asyncio code runs on it unchanged: its timers and callbacks are entries of the queue that
SimPy's events are in, and equal times keep the order of insertion among all of them.
"""

from __future__ import annotations

import asyncio
import math
from asyncio import _get_running_loop, current_task
from asyncio.tasks import _enter_task, _leave_task
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Generator
from contextvars import Context
from inspect import CORO_CREATED, getcoroutinestate
from itertools import count
from types import CoroutineType
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, Unpack

from fedsim.errors import SimulationError, UnsupportedInSimulationError
from fedsim.kernel.asyncio_failures import Failures
from fedsim.kernel.asyncio_refusals import RefusingLoop
from fedsim.kernel.asyncio_running import ALREADY_INSTALLED, AlreadyInstalled, Installed
from fedsim.kernel.asyncio_tasks import (
    SimFuture,
    SimTask,
    SimTimerHandle,
    SoonHandle,
    describe,
    origin,
)
from fedsim.kernel.foreign_globals import within_entered

if TYPE_CHECKING:
    from fedsim.kernel.environment import Environment, Signal

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

CALLBACKS_AT_ONCE = 1_000_000
"""Callbacks that may run at one instant; more means that time will never go on."""

CLOSING_CALLBACKS = 10_000
"""Callbacks that cancelled tasks may run while the loop closes; more means they never end."""


class SimLoop(RefusingLoop):
    """An asyncio event loop in simulated time, one for each run.

    It never runs by itself: `start` runs a coroutine's first step in place, and the environment's
    run loop does the rest. It may live inside another running loop, such as a notebook's.

    Wrap the whole run in ``with loop.installed():``; entries of the queue that fire outside of it
    install the loop for themselves. Call `close` and `raise_unhandled` when the run has ended.

    Args:
        env: The environment whose queue and time it shares. Its deadlock report will name the
            tasks of this loop that wait.

    Attributes:
        env: The environment.
        failures: What went wrong without anyone noticing; the first failure stops the run.
        inside: Whether this is the running loop.
        serials: Numbers for tasks and futures, which they are hashed by.
    """

    def __init__(self, env: Environment) -> None:
        super().__init__()
        self.env = env
        self.failures = Failures(env)
        self.inside = False
        self.serials = count()
        self._live: dict[asyncio.Task[Any], None] = {}
        self._closing = self._closed = self._debug = False
        self._capturing = False
        self._first_step: tuple[Callable[..., object], Context] | None = None
        self._instant_s = -1.0
        self._callbacks = 0
        self._push: Callable[[Callable[[Signal], None]], object] = env.call_soon
        self._retired: Callable[..., object] = self._retire
        self._no_handle = asyncio.Handle(_nothing, (), self)
        self._task_factory: Any = None
        self._exception_handler: Any = None
        env.describe_waiting.append(self.waiting_tasks)

    # Time and callbacks

    def time(self) -> float:
        """Return simulated time in seconds."""
        return self.env.now

    def call_soon(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Call *callback* at the present time, behind all that is queued for it already."""
        if self._capturing:
            assert context is not None
            self._capturing = False
            self._first_step = (callback, context)
            return self._no_handle
        if callback is self._retired:
            callback(*args)
            return self._no_handle
        handle = SoonHandle(callback, args, self, context)
        self._push(handle.fire)
        return handle

    def call_soon_threadsafe(
        self,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """Do as `call_soon`, and refuse calls from other threads than the simulation's.

        Such a refusal cannot reach the code that waits for the thread, so it counts as a failure.
        """
        if _get_running_loop() is not self:
            reason = (
                "it was called from another thread, and the simulation would depend on how "
                "threads are scheduled; stay in one thread"
            )
            try:
                self.refuse("call_soon_threadsafe", reason)
            except UnsupportedInSimulationError as error:
                self.failures.report({"message": "call_soon_threadsafe", "exception": error})
                raise
        return self.call_soon(callback, *args, context=context)

    def call_later(
        self,
        delay: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call *callback* after *delay* seconds; a negative delay means now."""
        return self.call_at(self.env.now + delay, callback, *args, context=context)

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call *callback* at exactly *when* seconds; never if that is infinite."""
        if math.isnan(when):
            msg = "a timer was set for NaN seconds"
            raise ValueError(msg)
        handle = SimTimerHandle(when, callback, args, self, context)
        if when == math.inf or self._closing:
            handle.signal = None
        else:
            handle.signal = self.env.call_at(when, handle.fire)
        return handle

    def count_callback(self) -> None:
        """Count a callback, and stop a run whose asyncio code goes round while time stands still.

        Raises:
            SimulationError: `CALLBACKS_AT_ONCE` are exceeded.
        """
        now_s = self.env.now
        if now_s != self._instant_s:
            self._instant_s, self._callbacks = now_s, 0
        self._callbacks += 1
        if self._callbacks > CALLBACKS_AT_ONCE:
            tasks = ", ".join(self.waiting_tasks()[:10])
            msg = (
                f"time stands still at {now_s:.6f} s: asyncio code ran {self._callbacks - 1:,} "
                "callbacks there; a loop around `await asyncio.sleep(0)` should wait for an event, "
                f"or for a time. The tasks that are at work: {tasks}"
            )
            raise SimulationError(msg)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        assert isinstance(handle, SimTimerHandle)
        if handle.signal is not None:
            handle.signal.cancel()
            handle.signal = None

    # Futures and tasks

    def create_future(self) -> asyncio.Future[Any]:
        """Return a new future of this loop."""
        return SimFuture(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        """Return a new task, whose first step comes as with `call_soon`."""
        coro = within_entered(coro)
        task: asyncio.Task[T]
        if self._task_factory is None:
            task = SimTask(coro, self, name, context, next(self.serials))
        else:
            options = {} if context is None else {"context": context}
            task = self._task_factory(self, coro, **options)
            if name is not None:
                task.set_name(name)
        if not task.done():
            self._register(task)
        return task

    def start(self, coro: Awaitable[T], name: str | None = None) -> SimTask[T]:
        """Run the first step of *coro* in place, as a task, and return the task.

        A coroutine that never suspends is done then and has cost no entry of the queue. May be
        called within a step of another task of this loop.

        Args:
            coro: What a plug-in's ``async def``, or a plain function of it, has returned.
            name: The task's name, for errors.
        """
        if type(coro) is not CoroutineType and not asyncio.iscoroutine(coro):
            coro = _wait_for(coro)
        with self.installed():
            self._capturing = True
            try:
                task = SimTask(coro, self, name, None, next(self.serials))
            finally:
                self._capturing = False
            self._run_first_step()
        if not task.done():
            self._register(task)
        try:
            return task
        finally:
            del task  # as in _run_first_step

    def _run_first_step(self) -> None:
        """Run what the constructor of a task gave to `call_soon`; a task never runs in another."""
        assert self._first_step is not None
        step, context = self._first_step
        self._first_step = None
        outer = current_task(self)
        if outer is not None:
            _leave_task(self, outer)
        try:
            context.run(step)
        except SystemExit:
            pass  # the task holds it, for whoever asks for the result
        finally:
            if outer is not None:
                _enter_task(self, outer)
            del step  # the traceback of a failure keeps this frame, and must not lead to the task

    def abandon(self, task: SimTask[Any]) -> None:
        """Cancel *task*, whose result is not wanted any more.

        It may clean up in its own time, and what it raises stops no run; `failures` counts it
        unless it ends as asked.
        """
        task.abandoned_s = self.env.now
        if task.done():
            self.failures.judge_abandoned(task, task.abandoned_s)
        else:
            task.cancel()

    def waiting_tasks(self) -> list[str]:
        """Return the tasks that have not ended, in the order of their creation, in words."""
        return [describe(task) for task in self._live]

    def awaited_tasks(self) -> list[str]:
        """Return the tasks of `start` whose result somebody still waits for, in words."""
        return [
            describe(task)
            for task in self._live
            if isinstance(task, SimTask) and task.on_done is not None and task.abandoned_s is None
        ]

    def _register(self, task: asyncio.Task[Any]) -> None:
        self._live[task] = None
        task.add_done_callback(self._retired)

    def _retire(self, task: asyncio.Task[Any]) -> None:
        """Forget a task that has ended; `call_soon` calls this in place, without an entry."""
        self._live.pop(task, None)
        if isinstance(task, SimTask):
            if task.abandoned_s is not None:
                self.failures.judge_abandoned(task, task.abandoned_s)
                return
            if task.on_done is not None:
                task.on_done()
                return
        self.failures.watch(task)

    def get_task_factory(self) -> Any:
        """Return what `create_task` calls, or None."""
        return self._task_factory

    def set_task_factory(self, factory: Any) -> None:
        """Let `create_task` call ``factory(loop, coro)``; None restores the default."""
        self._task_factory = factory

    # The running loop

    def installed(self) -> Installed | AlreadyInstalled:
        """Return a context in which ``asyncio.get_running_loop()`` is this loop."""
        return ALREADY_INSTALLED if self.inside else Installed(self)

    def is_running(self) -> bool:
        """Return whether the loop is installed."""
        return self.inside

    def is_closed(self) -> bool:
        """Return whether `close` was called."""
        return self._closed

    def close(self) -> None:
        """Cancel the tasks that are left, let them clean up at the present time, and end.

        What they await beyond the present time never happens.
        """
        if self.inside:
            msg = "the loop of a simulation is closed by the simulation, not by what runs on it"
            raise RuntimeError(msg)
        if self._closed:
            return
        ready: deque[Callable[[Any], None]] = deque()
        self._closing = True
        self._push = ready.append
        with self.installed():
            for task in list(self._live):
                if isinstance(task, SimTask) and task.abandoned_s is not None:
                    self.failures.count_ignored(task.get_name())
                task.cancel()
            for _ in range(CLOSING_CALLBACKS):
                if not ready:
                    break
                ready.popleft()(None)
        for task in self._live:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            coroutine: Any = task.get_coro()
            if hasattr(coroutine, "cr_frame") and getcoroutinestate(coroutine) == CORO_CREATED:
                coroutine.close()  # it never began: its first step was due when the run ended
        self._live.clear()
        self._push = _refuse_when_closed
        self._closed = True

    async def shutdown_asyncgens(self) -> None:
        """Do nothing: asynchronous generators are closed when they are dropped."""

    def run_in_executor(
        self, executor: object, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Call *func* in place, which takes no simulated time, and return its result as a future.

        `asyncio.to_thread` comes here too. Nothing else runs meanwhile, so that *func* must not
        wait for what the rest of the simulation does; the executor, if one is given, is not used.
        """
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever awaits the future
            future.set_exception(error)
        return future

    async def shutdown_default_executor(self) -> None:
        """Do nothing: there is no executor."""

    def close_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Close an asynchronous generator that was dropped; Python calls this."""

        def close(_signal: Signal) -> None:
            self.start(generator.aclose(), f"close {generator!r}")

        if not self._closing:
            self.env.call_soon(close)

    # Failures

    def raise_unhandled(self) -> None:
        """Raise the first failure that nothing handled, if there is one.

        Raises:
            PlugInError: There is one; the failure is its cause.
        """
        self.failures.raise_first()

    def exited(self, error: SystemExit, callback: object) -> None:
        """Record that a callback wanted to end the process, unless its task's awaiter is given it.

        A step of a task is a callback too, whose ``__self__`` is the task.
        """
        task = getattr(callback, "__self__", None)
        if isinstance(task, SimTask) and task.on_done is not None and task.abandoned_s is None:
            return
        name = origin(task) if isinstance(task, asyncio.Task) else repr(callback)
        self.default_exception_handler({"message": name, "exception": error})

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Call the handler that was set, or record the failure."""
        if self._exception_handler is None:
            self.default_exception_handler(context)
        else:
            self._exception_handler(self, context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Record the failure, and let the first one stop the run at this very time."""
        if self.failures.report(context) and not self._closing:
            self.env.call_soon(lambda _: self.failures.raise_first())

    def get_exception_handler(self) -> Any:
        """Return the handler that was set, or None."""
        return self._exception_handler

    def set_exception_handler(self, handler: Any) -> None:
        """Let *handler* take ``(loop, context)`` of each failure; None restores the default."""
        self._exception_handler = handler

    def get_debug(self) -> bool:
        """Return whether handles remember where they were made."""
        return self._debug

    def set_debug(self, enabled: bool) -> None:
        """Let handles remember where they were made; about ten times slower."""
        self._debug = enabled


async def _wait_for(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _nothing() -> None:
    """Do nothing, as a callback that was not queued."""


def _refuse_when_closed(_action: object) -> None:
    msg = "the simulation has ended and its event loop is closed"
    raise RuntimeError(msg)
