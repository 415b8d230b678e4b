from __future__ import annotations

import asyncio
import math
from contextvars import ContextVar

import pytest

from fedsim.kernel.asyncio_loop import SimLoop
from tests.unit.kernel.simulated import current_name, entries, run_simulated


class TestTime:
    def test_is_the_environments(self, env, loop):
        """The loop's time is simulated time, before, during and after a run."""
        times = [loop.time()]
        loop.call_later(2.5, lambda: times.append(loop.time()))
        env.run()

        assert times == [0.0, 2.5]
        assert loop.time() == env.now == 2.5

    def test_timers_are_exact(self, env, loop):
        """A timer fires at the very float it was set for, wherever the clock stood."""
        whens = [0.1 + 0.2, 1 / 3, 0.7, 1e6 + 0.1, 1e6 + 0.1 + 1e-9]
        fired: list[object] = []

        def set_all():
            for when in whens:
                loop.call_at(when, lambda: fired.append(env.now))

        loop.call_at(0.1, set_all)
        env.run()

        assert sorted(whens) == fired

    def test_sleep_adds_to_the_present(self):
        """A sleep ends at the sum of the present and its length, to the last bit."""

        async def sleeps():
            for _ in range(10):
                await asyncio.sleep(0.1)

        _, ended_s = run_simulated(sleeps())
        expected = 0.0
        for _ in range(10):
            expected += 0.1

        assert expected == ended_s

    def test_past_means_now(self, env, loop):
        """A timer set for the past fires at the present time: the clock never goes back."""
        fired: list[object] = []

        def late():
            loop.call_at(1.0, lambda: fired.append(env.now))
            loop.call_later(-3.0, lambda: fired.append(env.now))

        loop.call_at(5.0, late)
        env.run()

        assert fired == [5.0, 5.0]

    def test_infinite_timer_is_no_entry(self, env, loop):
        """A timer that never fires does not keep the run alive."""
        handle = loop.call_later(math.inf, pytest.fail, "never")
        env.run()
        handle.cancel()

        assert env.now == 0.0
        assert handle.cancelled()

    def test_nan_is_refused(self, loop):
        """A timer for NaN would spoil the order of the queue."""
        with pytest.raises(ValueError, match="NaN"):
            loop.call_later(math.nan, print)


class TestOrder:
    def test_equal_times_keep_insertion_order(self, env, loop):
        """Callbacks, timers, tasks and SimPy's own events of one time run as they were inserted."""
        order: list[object] = []

        def process(name):
            yield env.timeout(1.0)
            order.append(name)

        async def sleeper(name):
            await asyncio.sleep(1.0)
            order.append(name)

        loop.call_at(1.0, order.append, "timer 1")
        env.timeout(1.0).callbacks.append(lambda _: order.append("timeout 2"))
        loop.start(sleeper("task 3"))
        loop.call_at(1.0, order.append, "timer 4")
        env.process(process("process 5"))  # sleeps from its first step, which is queued
        loop.start(sleeper("task 6"))
        env.run()

        # A sleep resolves a future, which resumes the task through one more entry.
        assert order == ["timer 1", "timeout 2", "timer 4", "process 5", "task 3", "task 6"]

    def test_call_soon_comes_behind_what_is_queued(self, env, loop):
        """What is called soon runs at the present time, after all that waits for that time."""
        order: list[object] = []
        loop.call_soon(order.append, 1)
        env.timeout(0.0).callbacks.append(lambda _: order.append(2))
        loop.call_soon(lambda: loop.call_soon(order.append, 4))
        loop.call_soon(order.append, 3)
        env.run()

        assert order == [1, 2, 3, 4]
        assert env.now == 0.0

    def test_same_order_wherever_objects_lie_in_memory(self):
        """Sets of tasks and futures, which asyncio walks through, have one order in all runs."""

        async def sleeper(order, name):
            try:
                await asyncio.sleep(10.0)
            finally:
                order.append(name)

        async def failing_group(order):
            async with asyncio.TaskGroup() as group:
                for name in range(50):
                    group.create_task(sleeper(order, name))
                await asyncio.sleep(1.0)
                raise KeyError

        async def main(order):
            futures = [asyncio.get_running_loop().create_future() for _ in range(20)]
            tasks = [asyncio.create_task(sleeper(order, n), name=str(n)) for n in range(50)]
            _, pending = await asyncio.wait([*tasks, *futures], timeout=1.0)
            for one in pending:
                one.cancel()
            order.extend(futures.index(one) for one in pending if one in futures)
            order.extend(tasks.index(one) for one in pending if one in tasks)
            with pytest.raises(ExceptionGroup):
                await failing_group(order)

        runs = []
        ballast = []
        for size in (1, 977, 3):
            ballast.append([bytearray(n % size + 1) for n in range(5_000)])
            order: list[object] = []
            run_simulated(main(order))
            runs.append(order)

        assert len(runs[0]) == 170
        assert runs[0] == runs[1] == runs[2]


class TestHandles:
    def test_cancelled_timer_does_not_fire(self, env, loop):
        """A cancelled timer leaves a tombstone, which the environment counts."""
        handle = loop.call_at(1.0, pytest.fail, "cancelled")
        assert isinstance(handle, asyncio.TimerHandle)
        assert handle.when() == 1.0
        handle.cancel()

        assert env.tombstones == 1
        env.run()
        assert env.tombstones == 0

    def test_tombstones_do_not_pile_up(self, env):
        """Timeouts that are met leave a bounded number of entries in the queue."""
        loop = SimLoop(env)
        longest = 0

        async def main():
            nonlocal longest
            for _ in range(10_000):
                async with asyncio.timeout(1e6):
                    await asyncio.sleep(0.001)
                longest = max(longest, len(env._queue))

        loop.start(main())
        env.run()

        assert longest < 2_500

    def test_cancelled_callback_is_not_called(self, env, loop):
        """What was to be called soon can still be cancelled."""
        handle = loop.call_soon(pytest.fail, "cancelled")
        handle.cancel()
        env.run()

        assert handle.cancelled()

    def test_cancelling_what_has_fired_does_nothing(self, env, loop):
        """A timer that has fired may be cancelled, as asyncio's own may."""
        fired: list[object] = []
        handle = loop.call_later(1.0, fired.append, 1)
        env.run()
        handle.cancel()

        assert fired == [1]
        assert env.tombstones == 0

    def test_debug_mode_remembers_the_source(self, env, loop):
        """In debug mode a handle knows where it was made."""
        loop.set_debug(True)

        assert loop.get_debug()
        assert "created at" in repr(loop.call_soon(print))


class TestStart:
    def test_runs_in_place_without_an_entry(self, env, loop):
        """A coroutine that never suspends is done at once and never touches the queue."""

        async def at_once():
            return 42

        before = entries(env)
        task = loop.start(at_once(), "at once")

        assert task.done()
        assert task.result() == 42
        assert task.get_name() == "at once"
        assert entries(env) == before + 1
        assert loop.waiting_tasks() == []

    def test_end_of_a_task_costs_no_entry(self, env, loop):
        """A task that sleeps once costs two entries: the timer and the resumption."""
        before = entries(env)
        loop.start(asyncio.sleep(1.0))
        env.run()

        assert entries(env) == before + 3

    def test_default_names_count_within_the_loop(self, env):
        """A task without a name gets the same one in each run, whatever ran before."""
        names = [SimLoop(env).start(asyncio.sleep(0)).get_name() for _ in range(2)]

        assert names[0] == names[1]

    def test_error_stays_in_the_task(self, loop):
        """What a coroutine raises in its first step is the task's, not the caller's."""

        async def fail():
            raise KeyError

        task = loop.start(fail())

        assert task.done()
        with pytest.raises(KeyError):
            task.result()

    def test_has_running_loop_and_current_task(self, env, loop):
        """Each step sees the loop and its own task; outside of the steps there is neither."""
        seen = []

        async def look():
            for _ in range(2):
                seen.append((asyncio.get_running_loop(), asyncio.current_task()))
                await asyncio.sleep(1.0)

        task = loop.start(look())
        assert asyncio._get_running_loop() is None
        env.run()

        assert [(loop, task)] * 2 == seen
        assert asyncio._get_running_loop() is None

    def test_nests_in_the_step_of_another_task(self, env, loop):
        """A coroutine may be started within another's step; each sees itself as current."""
        seen = []

        async def inner():
            seen.append(current_name())
            await asyncio.sleep(1.0)
            seen.append(current_name())

        async def outer():
            seen.append(current_name())
            task = loop.start(inner(), "inner")
            seen.append(current_name())
            async with asyncio.timeout(5.0):
                await task
            seen.append(current_name())

        loop.start(outer(), "outer")
        env.run()

        assert seen == ["outer", "inner", "outer", "inner", "outer"]

    def test_nested_failure_restores_the_outer_task(self, loop):
        """A process-wide exception in a nested first step leaves the outer task current."""

        async def interrupt():
            raise KeyboardInterrupt

        async def outer():
            with pytest.raises(KeyboardInterrupt):
                loop.start(interrupt())
            return asyncio.current_task()

        task = loop.start(outer())

        assert task.result() is task

    def test_takes_any_awaitable(self, env, loop):
        """A plain function that returns a future or an object with ``__await__`` will do."""

        class Answer:
            def __await__(self):
                return (yield from asyncio.sleep(1.0, "answer").__await__())

        future = loop.create_future()
        loop.call_later(2.0, future.set_result, "future")
        tasks = [loop.start(Answer()), loop.start(future)]
        env.run()

        assert [task.result() for task in tasks] == ["answer", "future"]

    def test_refuses_what_cannot_be_awaited(self, env, loop):
        """What is no awaitable fails in its task, and the loop works on."""
        with pytest.raises(TypeError):
            loop.start(3).result()
        order: list[object] = []
        loop.call_soon(order.append, 1)
        env.run()

        assert order == [1]


class TestContext:
    def test_variables_are_inherited_and_do_not_leak(self, env, loop):
        """A task starts with its starter's variables, and what it sets stays its own."""
        variable = ContextVar("variable", default="default")
        seen = []

        async def change(value):
            seen.append(variable.get())
            variable.set(value)
            await asyncio.sleep(1.0)
            seen.append(variable.get())

        variable.set("outside")
        loop.start(change("a"))
        loop.start(change("b"))
        loop.call_soon(lambda: seen.append(variable.get()))
        env.run()

        assert seen == ["outside", "outside", "outside", "a", "b"]
        assert variable.get() == "outside"


class TestInstalled:
    def test_plain_calls_find_the_loop(self, env, loop):
        """A plain function of a plug-in can create tasks while the loop is installed."""
        order: list[object] = []

        async def later():
            await asyncio.sleep(1.0)
            order.append(env.now)

        assert not loop.is_running()
        with loop.installed():
            assert loop.is_running()
            task = asyncio.create_task(later(), name="later")
            with loop.installed():
                assert asyncio.get_running_loop() is loop
            assert asyncio.get_running_loop() is loop
        assert asyncio._get_running_loop() is None
        env.run()

        assert order == [1.0]
        assert task.get_name() == "later"

    def test_is_given_back_after_an_error(self, loop):
        """An exception leaves nothing installed."""
        with pytest.raises(KeyError), loop.installed():
            raise KeyError

        assert asyncio._get_running_loop() is None
        assert not loop.is_running()
