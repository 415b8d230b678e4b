from __future__ import annotations

import asyncio

import pytest

from fedsim.kernel.foreign import run_foreign, run_kernel
from fedsim.kernel.tasks import Cancelled, SimClock, SimTasks
from tests.unit.kernel.simulated import entries


class OddError(Exception):
    """An exception that cannot be made again from its arguments."""

    def __init__(self, *, node):
        super().__init__(f"node {node}", "twice")
        self.node = node


class Bridge:
    """The kernel's side and asyncio's side of one environment, with a log."""

    def __init__(self, env, loop):
        self.env = env
        self.loop = loop
        self.clock = SimClock(env)
        self.tasks = SimTasks(env)
        self.log = []

    def note(self, what):
        """Log something with its time."""
        self.log.append((self.env.now, what))

    async def work(self, seconds, result):
        """Be the kernel's coroutine: sleep, and give the result or raise it."""
        try:
            await self.clock.sleep(seconds)
        except Cancelled:
            self.note("cancelled")
            raise
        if isinstance(result, Exception):
            raise result
        return result

    def ask(self, seconds, result):
        """Return the kernel's coroutine as something that asyncio code can await."""
        return run_kernel(self.loop, self.tasks, self.work(seconds, result), "probe")

    def run(self, coro):
        """Run asyncio code in a task of the kernel."""
        self.tasks.start(run_foreign(self.loop, coro, "router"), "request")
        self.env.run()
        self.loop.close()
        self.loop.raise_unhandled()


@pytest.fixture
def bridge(env, loop):
    """Return a bridge."""
    return Bridge(env, loop)


class TestRunKernel:
    @pytest.mark.parametrize("seconds", [0.0, 1.5])
    def test_result(self, bridge, seconds):
        """Asyncio code resumes when the kernel's coroutine has ended, with its result."""

        async def main():
            bridge.note(await bridge.ask(seconds, "result"))

        bridge.run(main())

        assert bridge.log == [(seconds, "result")]

    @pytest.mark.parametrize("seconds", [0.0, 1.5])
    def test_error(self, bridge, seconds):
        """An exception crosses the bridge as the same object, and stops no run."""
        error = OddError(node="a")

        async def main():
            with pytest.raises(OddError) as caught:
                await bridge.ask(seconds, error)
            bridge.note(caught.value is error)

        bridge.run(main())

        assert bridge.log == [(seconds, True)]

    def test_several_at_once(self, bridge):
        """Several of the kernel's coroutines run beside each other under ``gather``."""

        async def main():
            bridge.note(await asyncio.gather(bridge.ask(2.0, "a"), bridge.ask(1.0, "b")))

        bridge.run(main())

        assert bridge.log == [(2.0, ["a", "b"])]

    def test_deadline(self, bridge):
        """A deadline of asyncio's cancels the kernel's task, and nothing is left over."""

        async def main():
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.0):
                    await bridge.ask(9.0, "result")
            bridge.note("late")

        bridge.run(main())

        assert bridge.log == [(1.0, "late"), (1.0, "cancelled")]
        assert not bridge.env.live_tasks

    def test_cancelled_when_it_has_just_ended(self, bridge):
        """A cancellation at the time of the end is heard, and the result is dropped."""

        async def main():
            task = asyncio.create_task(bridge.ask(1.0, "result"))
            await asyncio.sleep(1.0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            bridge.note("end")

        bridge.run(main())

        assert bridge.log == [(1.0, "end")]

    def test_a_failure_that_comes_after_the_cancellation(self, bridge):
        """What the kernel's coroutine raises in its clean-up reaches nobody, and stops no run."""

        async def fail():
            try:
                await bridge.clock.sleep(9.0)
            finally:
                raise OddError(node="a")

        async def main():
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(run_kernel(bridge.loop, bridge.tasks, fail(), "probe"), 1.0)
            bridge.note("late")

        bridge.run(main())

        assert bridge.log == [(1.0, "late")]

    def test_costs_few_entries(self, bridge):
        """What ends at once takes its task's entry and the asyncio code's resumption."""

        async def main():
            before = entries(bridge.env)
            await bridge.ask(0.0, "result")
            assert entries(bridge.env) - before - 1 <= 2

        bridge.run(main())
