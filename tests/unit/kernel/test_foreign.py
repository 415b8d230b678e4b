from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref

import pytest

from fedsim.errors import PlugInError
from fedsim.kernel.asyncio_loop import SimLoop
from fedsim.kernel.environment import Environment
from fedsim.kernel.foreign import run_foreign
from fedsim.kernel.tasks import Cancelled, SimClock, SimTasks
from tests.unit.kernel.simulated import current_name


class World:
    """An environment with a loop and the kernel's tasks."""

    def __init__(self):
        self.env = Environment()
        self.loop = SimLoop(self.env)
        self.clock = SimClock(self.env)
        self.tasks = SimTasks(self.env)
        self.log = []

    def foreign(self, coro, name="plug-in"):
        """Return asyncio code as something that the kernel can await."""
        return run_foreign(self.loop, coro, name)

    def note(self, what):
        """Log something with its time."""
        self.log.append((self.env.now, what))

    def run(self, coro):
        """Run a coroutine as a task of the kernel; return the task."""
        task = self.tasks.start(coro, "kernel")
        self.env.run()
        return task

    def finish(self):
        """End the run, and raise what went wrong unseen."""
        self.loop.close()
        self.loop.raise_unhandled()


@pytest.fixture
def world():
    """Return a world, and end its run after the test."""
    world = World()
    yield world
    world.finish()


class OddError(Exception):
    """An exception that cannot be made again from its arguments."""

    def __init__(self, *, node):
        super().__init__(f"node {node}", "twice")
        self.node = node


class TestOutcomes:
    def test_at_once(self, world):
        """A coroutine that never suspends costs neither an entry nor a suspension."""

        async def at_once():
            return 42

        async def kernel():
            world.note(await world.foreign(at_once()))

        before = next(world.env._eid)
        world.tasks.start(kernel(), "kernel")

        assert world.log == [(0.0, 42)]
        assert next(world.env._eid) == before + 1

    def test_suspended(self, world):
        """The kernel's task resumes at the time at which the coroutine ends."""

        async def kernel():
            await world.clock.sleep(1.0)
            world.note(await world.foreign(asyncio.sleep(0.3, "slept")))

        world.run(kernel())

        assert world.log == [(1.3, "slept")]

    @pytest.mark.parametrize("pause_s", [None, 1.0])
    def test_error_arrives_as_it_is(self, world, pause_s):
        """An exception crosses the bridge as the same object, whatever its constructor."""
        error = OddError(node="a")

        async def fail():
            if pause_s is not None:
                await asyncio.sleep(pause_s)
            raise error

        async def kernel():
            try:
                await world.foreign(fail())
            except OddError as caught:
                world.note(caught is error)

        world.run(kernel())

        assert [(pause_s or 0.0, True)] == world.log

    @pytest.mark.parametrize("pause_s", [None, 1.0])
    def test_cancelling_oneself_is_a_plug_ins_fault(self, world, pause_s):
        """A CancelledError that nobody asked for is reported by the plug-in's name."""

        async def cancel():
            if pause_s is not None:
                await asyncio.sleep(pause_s)
            raise asyncio.CancelledError

        async def kernel():
            with pytest.raises(PlugInError, match=r"router.*CancelledError"):
                await world.foreign(cancel(), "router")
            world.note("caught")

        world.run(kernel())

        assert [(pause_s or 0.0, "caught")] == world.log

    @pytest.mark.parametrize("pause_s", [0.0, 1.0])
    def test_failures_leave_no_cycles(self, world, pause_s):
        """What a failure refers to is gone with it, not at some garbage collection."""
        tasks = []

        async def fail():
            tasks.append(weakref.ref(asyncio.current_task()))
            if pause_s:
                await asyncio.sleep(pause_s)
            raise OddError(node="a")

        async def kernel():
            with contextlib.suppress(OddError):
                await world.foreign(fail())

        gc.collect()
        gc.disable()
        try:
            world.run(kernel())
            assert tasks[0]() is None
        finally:
            gc.enable()

    def test_many_interleave_by_time(self, world):
        """Kernel tasks that wait for foreign code resume in the order of its ends."""

        async def kernel(seconds):
            world.note(await world.foreign(asyncio.sleep(seconds, seconds)))

        for seconds in (3.0, 1.0, 2.0):
            world.tasks.spawn(kernel(seconds), "kernel")
        world.env.run()

        assert world.log == [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0)]

    def test_kernel_within_asyncio_within_kernel(self, world):
        """Foreign code may start a task of the kernel that itself runs foreign code."""

        async def inner():
            world.note(current_name())
            await asyncio.sleep(1.0)

        async def kernel(coro, name):
            await world.foreign(coro, name)

        async def outer():
            world.tasks.start(kernel(inner(), "inner"), "nested")
            world.note(current_name())
            await asyncio.sleep(2.0)
            world.note(current_name())

        world.run(kernel(outer(), "outer"))

        assert world.log == [(0.0, "inner"), (0.0, "outer"), (2.0, "outer")]


class TestDeadlines:
    def within(self, world, coro, seconds):
        """Await foreign code with a deadline of the kernel, then sleep longer than the code."""

        async def kernel():
            try:
                world.note(await self_within())
            except TimeoutError:
                world.note("timeout")
            await world.clock.sleep(100.0)
            world.note("slept")

        def self_within():
            return world.tasks.within(world.foreign(coro, "router"), seconds)

        return world.run(kernel())

    def test_cancels_the_code(self, world):
        """At a deadline the kernel goes on at once, and the code hears a cancellation."""

        async def slow():
            try:
                await asyncio.sleep(10.0)
            except asyncio.CancelledError:
                world.note("cancelled")
                raise

        self.within(world, slow(), 1.0)

        assert world.log == [(1.0, "timeout"), (1.0, "cancelled"), (101.0, "slept")]
        assert world.loop.failures.ignored_cancellations == {}

    def test_not_reached(self, world):
        """Code that ends before its deadline is not touched."""
        self.within(world, asyncio.sleep(1.0, "result"), 5.0)

        assert world.log == [(1.0, "result"), (101.0, "slept")]

    def test_clean_up_takes_its_time(self, world):
        """Code may await in its clean-up and still counts as obedient."""

        async def slow():
            try:
                await asyncio.sleep(10.0)
            finally:
                await asyncio.sleep(3.0)
                world.note("clean")

        self.within(world, slow(), 1.0)

        assert world.log == [(1.0, "timeout"), (4.0, "clean"), (101.0, "slept")]
        assert world.loop.failures.ignored_cancellations == {}

    def test_code_that_goes_on_is_counted(self, world):
        """Code that swallows the cancellation is left running, and its name is recorded."""

        async def stubborn():
            try:
                await asyncio.sleep(10.0)
            except asyncio.CancelledError:
                await asyncio.sleep(3.0)
            world.note("went on")

        self.within(world, stubborn(), 1.0)

        assert world.log == [(1.0, "timeout"), (4.0, "went on"), (101.0, "slept")]
        assert world.loop.failures.ignored_cancellations == {"router": 1}

    def test_code_that_never_ends_is_counted_at_the_close(self, world):
        """Code that is still at work when the run ends has ignored its cancellation, too."""

        async def immortal():
            while True:
                try:
                    await asyncio.sleep(10.0)
                except asyncio.CancelledError:
                    if world.env.now > 1.0:
                        raise

        async def kernel():
            with pytest.raises(TimeoutError):
                await world.tasks.within(world.foreign(immortal(), "router"), 1.0)

        world.tasks.start(kernel(), "kernel")
        world.env.run(until=50.0)
        world.loop.close()

        assert world.loop.failures.ignored_cancellations == {"router": 1}

    def test_error_after_the_deadline_is_counted_not_raised(self, world):
        """What abandoned code raises is no outcome and stops no run, but it is not lost."""

        async def fail():
            try:
                await asyncio.sleep(10.0)
            except asyncio.CancelledError:
                raise OddError(node="a") from None

        self.within(world, fail(), 1.0)

        assert world.loop.failures.ignored_cancellations == {"router: raised OddError": 1}

    def test_end_and_cancellation_at_one_time(self, world):
        """Code that fails just before its waiter is cancelled, at the same time, stops no run."""

        async def fail():
            await asyncio.sleep(1.0)
            world.note("failed")
            raise OddError(node="a")

        async def kernel():
            try:
                await world.foreign(fail(), "router")
            finally:
                world.note("resumed")

        task = world.tasks.start(kernel(), "kernel")
        # The cancellation is queued between the end of the code and the resumption of its waiter.
        world.env.call_at(1.0, lambda _: task.cancel())
        world.env.run()

        assert world.log == [(1.0, "failed"), (1.0, "resumed")]
        assert world.loop.failures.ignored_cancellations == {"router: raised OddError": 1}

    def test_cancelled_kernel_task(self, world):
        """When the kernel's task is cancelled, so is the code that it waits for."""

        async def slow():
            try:
                await asyncio.sleep(10.0)
            except asyncio.CancelledError:
                world.note("cancelled")
                raise

        async def kernel():
            try:
                await world.foreign(slow())
            except Cancelled:
                world.note("thrown")
                raise

        task = world.tasks.start(kernel(), "kernel")
        world.env.call_at(2.0, lambda _: task.cancel())
        world.env.run()

        assert world.log == [(2.0, "thrown"), (2.0, "cancelled")]
