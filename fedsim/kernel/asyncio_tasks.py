"""Tasks and handles of asyncio as `SimLoop` makes them, and words for what a task waits for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from contextlib import AbstractContextManager
from contextvars import Context
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from fedsim.kernel.environment import Signal

T = TypeVar("T")

_ASYNCIO = str(Path(asyncio.__file__).parent)


class HostLoop(asyncio.AbstractEventLoop):
    """What tasks, futures and handles need of the loop that they are on, a `SimLoop`.

    Attributes:
        inside: Whether it is the running loop.
        serials: Numbers for tasks and futures, which they are hashed by.
    """

    inside: bool
    serials: Iterator[int]

    def installed(self) -> AbstractContextManager[None]:
        """Return a context in which it is the running loop."""
        raise NotImplementedError

    def count_callback(self) -> None:
        """Count a callback that is about to run."""
        raise NotImplementedError

    def exited(self, error: SystemExit, callback: object) -> None:
        """Record that a callback wanted to end the process."""
        raise NotImplementedError

    def close_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Close an asynchronous generator that was dropped."""
        raise NotImplementedError


class SimTask(asyncio.Task[T]):
    """An asyncio task whose hash and default name depend on the order of creation alone.

    asyncio keeps tasks in sets (``wait``, ``TaskGroup``) and walks through them, to cancel the
    rest for instance. Hashes made of addresses would make that order differ between two processes;
    asyncio's own names count the tasks of the whole process.

    Attributes:
        serial: Number of the task in its loop, from 0.
        on_done: Called once, in place, when the task ends.
        abandoned_s: When whoever started the task stopped waiting for it, or None.
        failed_s: When it failed, or None.
    """

    __slots__ = ("abandoned_s", "failed_s", "on_done", "serial")

    def __init__(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        loop: HostLoop,
        name: str | None,
        context: Context | None,
        serial: int,
    ) -> None:
        if name is None:
            name = f"Task-{serial}"
        self.serial = serial
        self.on_done: Callable[[], None] | None = None
        self.abandoned_s: float | None = None
        self.failed_s: float | None = None
        super().__init__(coro, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        return self.serial


class SimFuture(asyncio.Future[T]):
    """A future of `SimLoop.create_future`, with a hash that depends on no address either."""

    __slots__ = ("serial",)

    def __hash__(self) -> int:
        try:
            return self.serial
        except AttributeError:  # nearly no future is ever hashed
            loop: HostLoop = self.get_loop()  # type: ignore[assignment]
            self.serial: int = next(loop.serials)
            return self.serial


# A handle that has fired forgets its callback. The traceback of a task that failed refers to the
# frames that stepped it and so to the handle; a way from there to the task would close a circle,
# and its exception would go unreported until a garbage collection (test_failures_leave_no_cycles).


class SoonHandle(asyncio.Handle):
    """What `SimLoop.call_soon` returns; `fire` is its entry in the queue."""

    __slots__ = ()

    _callback: Callable[..., object] | None
    _loop: HostLoop

    def fire(self, _signal: Signal) -> None:
        """Run the callback with the loop installed, unless the handle was cancelled."""
        if not self._cancelled:
            self._loop.count_callback()
            with self._loop.installed():
                try:
                    self._run()
                except SystemExit as error:  # asyncio lets it through: it would end the process
                    self._loop.exited(error, self._callback)
            self._callback, self._args = None, ()


class SimTimerHandle(asyncio.TimerHandle):
    """What `SimLoop.call_at` and `call_later` return; ``signal`` is the entry in the queue."""

    __slots__ = ("signal",)

    _callback: Callable[..., object] | None
    _loop: HostLoop
    signal: Signal | None

    def fire(self, _signal: Signal) -> None:
        """Run the callback with the loop installed; a cancelled handle has no entry any more."""
        self.signal = None
        with self._loop.installed():
            try:
                self._run()
            except SystemExit as error:  # as in SoonHandle.fire
                self._loop.exited(error, self._callback)
        self._callback, self._args = None, ()


def origin(task: asyncio.Task[Any]) -> str:
    """Return the task's name with that of the coroutine function that it runs."""
    function = getattr(task.get_coro(), "__qualname__", None)
    return f"{task.get_name()} ({function})" if function else task.get_name()


def describe(task: asyncio.Task[Any]) -> str:
    """Return the task's name with what it waits for and where in its author's code."""
    frames = _frames(task.get_coro())
    if not frames:
        return task.get_name()
    own = [frame for frame in frames if not frame.f_code.co_filename.startswith(_ASYNCIO)]
    place = (own or frames)[-1]
    where = f"{Path(place.f_code.co_filename).name}:{place.f_lineno}"
    awaited = task._fut_waiter  # type: ignore[attr-defined]
    if isinstance(awaited, asyncio.Task):
        what = f"task {awaited.get_name()}"
    elif frames[-1] is place:
        what = type(awaited).__name__ if awaited is not None else "its turn"
    else:
        what = f"asyncio {frames[frames.index(place) + 1].f_code.co_qualname}"
    return f"{task.get_name()} (waits for {what} at {where})"


def _frames(awaitable: object) -> list[FrameType]:
    """Return the suspended frames below a coroutine, outermost first."""
    frames = []
    while awaitable is not None:
        frame = getattr(awaitable, "cr_frame", None) or getattr(awaitable, "gi_frame", None)
        if frame is None:
            break
        frames.append(frame)
        below = getattr(awaitable, "cr_await", None)
        awaitable = below if below is not None else getattr(awaitable, "gi_yieldfrom", None)
    return frames
