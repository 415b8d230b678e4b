"""Small worlds for the tests of the kernel."""

from __future__ import annotations

import asyncio

from fedsim.kernel.asyncio_loop import SimLoop
from fedsim.kernel.environment import Environment


def run_simulated(coro):
    """Run one coroutine in a world of its own; return its result and the time it ended at."""
    env = Environment()
    loop = SimLoop(env)
    ended = []

    async def main():
        result = await coro
        ended.append(env.now)
        return result

    with loop.installed():
        task = loop.start(main(), "main")
        env.run()
    loop.close()
    loop.raise_unhandled()
    return task.result(), *ended


def entries(env):
    """Return how many entries were ever put into the queue, counting this question."""
    return next(env._eid)


def current_name():
    """Return the name of the task that is being stepped."""
    task = asyncio.current_task()
    assert task is not None
    return task.get_name()
