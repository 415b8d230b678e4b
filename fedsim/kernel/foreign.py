"""The bridge from the kernel's own coroutines to anyone's asyncio code."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from fedsim.errors import PlugInError
from fedsim.kernel.asyncio_loop import SimLoop
from fedsim.kernel.tasks import OneShot

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
        PlugInError: The code cancelled itself.
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
            problem = "raised asyncio.CancelledError, though nobody had cancelled it"
            raise PlugInError(name, problem, time_s=loop.env.now)
        return task.result()
    finally:
        del task  # the traceback of a failure keeps this frame, and must not lead back to itself
