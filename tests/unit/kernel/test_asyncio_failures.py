from __future__ import annotations

import asyncio
import gc
import inspect
import weakref

import pytest

from fedsim.errors import DeadlockError, PlugInError
from tests.unit.kernel.simulated import run_simulated


class TestFailures:
    def test_failed_background_task_stops_the_run(self, env, loop):
        """An exception that nobody retrieves is recorded and raised at its own time."""

        async def fail():
            await asyncio.sleep(1.0)
            raise KeyError

        async def main():
            asyncio.create_task(fail(), name="refresh")  # noqa: RUF006 - dropped on purpose
            await asyncio.sleep(100.0)

        loop.start(main())
        with pytest.raises(
            PlugInError, match=r"refresh \(.*fail\).*1\.000000 s.*KeyError"
        ) as caught:
            env.run()

        assert isinstance(caught.value.__cause__, KeyError)
        assert env.now == 1.0
        assert [failure.time_s for failure in loop.failures.unhandled] == [1.0]

    def test_failed_task_that_is_kept_is_found_at_the_end(self, env, loop):
        """A failed task that something still refers to does not escape either."""
        kept = []

        async def fail():
            raise KeyError

        async def main():
            kept.append(asyncio.create_task(fail(), name="kept"))
            await asyncio.sleep(1.0)

        loop.start(main())
        env.run()

        with pytest.raises(PlugInError, match="kept"):
            loop.raise_unhandled()

    def test_failures_leave_no_cycles(self, env, loop):
        """A failed task is gone with its last reference, not at some garbage collection."""

        async def fail(pause_s):
            if pause_s:
                await asyncio.sleep(pause_s)
            raise KeyError

        loop.set_exception_handler(lambda *_: None)
        gc.collect()
        gc.disable()
        try:
            for pause_s in (0.0, 1.0):
                gone = weakref.ref(loop.start(fail(pause_s)))
                env.run()
                assert gone() is None
        finally:
            gc.enable()

    def test_retrieved_failure_is_none(self, env, loop):
        """An exception that somebody looked at is nobody else's business."""

        async def fail():
            raise KeyError

        async def main():
            with pytest.raises(KeyError):
                await asyncio.create_task(fail())

        loop.start(main())
        env.run()
        loop.raise_unhandled()

        assert loop.failures.unhandled == []

    def test_failed_callback_stops_the_run(self, env, loop):
        """A callback that raises is recorded by asyncio's words for it."""
        loop.call_later(1.0, [].pop)
        with pytest.raises(PlugInError, match=r"Exception in callback.*pop.*IndexError"):
            env.run()

    def test_handler_of_the_users_takes_over(self, env, loop):
        """A handler that was set decides instead."""
        taken = []
        loop.set_exception_handler(lambda _, context: taken.append(context["exception"]))
        loop.call_soon([].pop)
        env.run()
        loop.raise_unhandled()

        assert isinstance(taken[0], IndexError)
        assert loop.get_exception_handler() is not None

    def test_context_without_an_exception_is_no_failure(self, loop):
        """Asyncio also reports what is no failure, such as a pending task that is dropped."""
        loop.call_exception_handler({"message": "Task was destroyed but it is pending!"})
        loop.raise_unhandled()

        assert loop.failures.unhandled == []


class TestWaitingTasks:
    def test_deadlock_names_the_tasks_and_their_places(self, env, loop):
        """When nothing is scheduled, the tasks that wait are named with what they wait for."""

        async def forever():
            await asyncio.Event().wait()

        async def joins(task):
            await task

        first = loop.start(forever(), "us-east/0 route")
        loop.start(joins(first), "joiner")
        with pytest.raises(DeadlockError) as caught:
            env.run()

        line = inspect.getsourcelines(forever)[1] + 1
        event = f"us-east/0 route (waits for asyncio Event.wait at test_asyncio_failures.py:{line})"
        assert event in str(caught.value)
        assert "joiner (waits for task us-east/0 route at test_asyncio_failures.py" in str(
            caught.value
        )

    def test_come_in_the_order_of_creation(self, loop):
        """The order is that of creation, whatever the addresses are."""

        async def forever():
            await asyncio.get_running_loop().create_future()

        for number in range(100):
            loop.start(forever(), f"task {number}")
        names = [text.split(" (")[0] for text in loop.waiting_tasks()]

        assert [f"task {number}" for number in range(100)] == names
        assert "waits for SimFuture" in loop.waiting_tasks()[0]
        loop.close()

    def test_ended_tasks_are_forgotten(self, env, loop):
        """No task that has ended is kept, however it ended."""

        async def cancel_me():
            await asyncio.sleep(10.0)

        loop.start(asyncio.sleep(1.0))
        loop.start(cancel_me()).cancel()
        env.run()

        assert loop.waiting_tasks() == []


class TestClose:
    def test_tasks_clean_up(self, env, loop):
        """Tasks that are left hear a cancellation and may await what needs no time."""
        log: list[object] = []

        async def worker():
            try:
                await asyncio.sleep(1e9)
            finally:
                await asyncio.sleep(0)
                log.append(asyncio.get_running_loop() is loop)

        async def group():
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(asyncio.sleep(1e9))
                try:
                    await asyncio.sleep(1e9)
                finally:
                    log.append("group")

        loop.start(worker())
        loop.start(group())
        env.run(until=5.0)
        loop.close()
        loop.close()

        assert log == ["group", True]
        assert loop.is_closed()
        assert loop.waiting_tasks() == []
        loop.raise_unhandled()

    @pytest.mark.parametrize("pause_s", [0.0, 1.0])
    def test_stubborn_task_is_left_behind(self, env, loop, pause_s):
        """A task that swallows the cancellation for ever does not hold the end up."""

        async def stubborn():
            for _ in range(100_000):
                try:
                    await asyncio.sleep(pause_s)
                except asyncio.CancelledError:
                    pass

        loop.start(stubborn())
        env.run(until=0.5) if pause_s else None
        loop.close()

        assert loop.is_closed()

    def test_failure_while_closing_is_kept(self, env, loop):
        """What fails in its clean-up is raised after the end."""

        async def worker():
            try:
                await asyncio.sleep(1e9)
            finally:
                raise KeyError

        loop.start(worker(), "worker")
        env.run(until=5.0)
        loop.close()

        with pytest.raises(PlugInError, match=r"worker.*KeyError"):
            loop.raise_unhandled()

    def test_not_from_within(self):
        """What runs on the loop cannot close it."""

        async def main():
            asyncio.get_running_loop().close()

        with pytest.raises(RuntimeError, match="closed by the simulation"):
            run_simulated(main())

    def test_closed_loop_takes_nothing(self, loop):
        """After the end nothing can be queued."""
        loop.close()
        with pytest.raises(RuntimeError, match="has ended"):
            loop.call_soon(print)
