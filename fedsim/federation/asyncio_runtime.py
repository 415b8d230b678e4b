"""The federation's runtime on plain asyncio, for a gateway in production."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine, Sequence
from typing import Any, TypeVar

T = TypeVar("T")

TURNS = 2
"""Turns of the loop for which a deadline waits for what came in the same turn."""


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
        """Return what *awaitable* gives, or cancel it and raise ``TimeoutError``.

        What comes in the turn of the loop in which the deadline passes is still in time.
        """
        async with asyncio.timeout(None) as scope:
            deadline = _Deadline(scope, seconds)
            try:
                return await awaitable
            finally:
                deadline.cancel()

    async def wait_out(self, seconds: float) -> None:
        """Suspend the calling task for *seconds*, and until all else due by then has happened."""
        await asyncio.sleep(seconds)
        for _ in range(TURNS + 1):
            await asyncio.sleep(0)

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


class _Deadline:
    """Ends a scope some turns after its time, so that a task that was woken by then goes on."""

    def __init__(self, scope: asyncio.Timeout, seconds: float) -> None:
        self._scope = scope
        self._loop = asyncio.get_running_loop()
        self._turns = TURNS
        self._handle: asyncio.Handle = self._loop.call_later(seconds, self._turn)

    def _turn(self) -> None:
        self._turns -= 1
        if self._turns:
            self._handle = self._loop.call_soon(self._turn)
        else:
            self._scope.reschedule(self._loop.time())  # due, so at the next turn

    def cancel(self) -> None:
        """End nothing any more."""
        self._handle.cancel()


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
