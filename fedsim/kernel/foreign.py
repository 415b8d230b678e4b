"""The bridges between the kernel's own coroutines and anyone's asyncio code."""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Awaitable, Coroutine
from typing import Any, TypeVar

from fedsim.errors import PlugInError, in_words
from fedsim.kernel.asyncio_loop import SimLoop
from fedsim.kernel.tasks import OneShot, SimTasks

T = TypeVar("T")


async def run_foreign(loop: SimLoop, coro: Awaitable[T], name: str) -> T:
    """Await asyncio code in a task of the kernel, and return its result or raise its error.

    The code starts in place: if it never suspends, this neither suspends nor takes an entry of the
    queue. Otherwise the kernel's task resumes through one entry at the time at which the code ends.
    When something is thrown into the kernel's task meanwhile (a deadline, a cancellation), the
    asyncio task is cancelled and the error goes on at once; the task may clean up in its own time.

    Args:
        loop: The run's event loop.
        coro: What the plug-in's ``async def`` has returned; any awaitable of asyncio will do.
        name: What it is, such as ``us-east/0 route``, for errors and warnings.

    Raises:
        PlugInError: The code cancelled itself, or raised what is no ``Exception``.
    """
    task = loop.start(coro, name)
    try:
        if not task.done():
            ended = OneShot(loop.env)
            task.on_done = ended.resolve
            try:
                await ended
            except BaseException:
                loop.abandon(task)
                raise
        if task.cancelled():
            problem = "raised asyncio.CancelledError, though nothing had cancelled it"
            raise PlugInError(name, problem, time_s=loop.env.now)
        error = task.exception()
        if error is not None and not isinstance(error, Exception):  # it must not end the process
            raise PlugInError(name, f"raised {in_words(error)}", time_s=loop.env.now) from error
        return task.result()
    finally:
        del task  # the traceback of a failure keeps this frame, and must not lead back to itself


async def run_kernel(
    loop: SimLoop, tasks: SimTasks, coroutine: Coroutine[Any, Any, T], name: str
) -> T:
    """Await a coroutine of the kernel's in asyncio code; return its result or raise its error.

    It runs as a task of its own, which is cancelled when the asyncio code is.

    Args:
        loop: The run's event loop.
        tasks: The run's tasks.
        coroutine: What waits for the clock, a node or another task of the kernel.
        name: The task's name, for errors.
    """
    ended: Any = loop.create_future()

    async def relay() -> None:
        try:
            result = await coroutine
        except Exception as error:  # noqa: BLE001 - it is raised where the result is awaited
            if not ended.done():
                ended.set_exception(error)
        else:
            if not ended.done():
                ended.set_result(result)

    task = tasks.spawn(relay(), name)
    try:
        result: T = await ended
    except CancelledError:
        task.cancel()
        raise
    return result
