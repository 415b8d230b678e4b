"""The federation's runtime on plain asyncio, for a gateway in production."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


class AsyncioClock:
    """The running loop's clock."""

    def now(self) -> float:
        """Return the loop's time in seconds."""
        return asyncio.get_running_loop().time()

    def sleep(self, seconds: float) -> Awaitable[None]:
        """Suspend the calling task for *seconds*."""
        return asyncio.sleep(seconds)


class AsyncioTasks:
    """Tasks and deadlines of the running loop."""

    def __init__(self) -> None:
        self._running: dict[asyncio.Task[Any], None] = {}

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run *coroutine* as a task, kept alive until it ends."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._running[task] = None
        task.add_done_callback(self._running.pop)
        return task

    async def within(self, awaitable: Awaitable[T], seconds: float) -> T:
        """Return what *awaitable* gives, or cancel it and raise ``TimeoutError``."""
        async with asyncio.timeout(seconds):
            return await awaitable

    async def first(self, *awaitables: Awaitable[T]) -> T:
        """Return what the first of *awaitables* to return gives, and cancel the others.

        One that raises leaves the race to the others; when all have, what the last one raised is
        raised.
        """
        racers = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
        try:
            return await _winner(racers)
        finally:
            for racer in racers:
                racer.cancel()
            await asyncio.gather(*racers, return_exceptions=True)


async def _winner(racers: Sequence[asyncio.Future[T]]) -> T:
    running = racers
    while True:
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for racer in running:
            if racer.done():
                last = racer
                if racer.exception() is None:
                    return racer.result()
        running = [racer for racer in running if not racer.done()]
        if not running:
            return last.result()
