from __future__ import annotations

import asyncio
import gc
import sys

import pytest

from fedsim.kernel.asyncio_loop import SimLoop
from fedsim.kernel.environment import Environment
from tests.unit.kernel.simulated import run_simulated


class TestAsyncioRunsUnmodified:
    def test_gather_of_sleeps(self):
        """Sleeps that are gathered pass at the same time; the results keep their order."""
        result, ended_s = run_simulated(asyncio_gather())

        assert result == [3, 1, 2]
        assert ended_s == 3.0

    def test_timeout(self):
        """A timeout cuts a wait off at its exact time."""

        async def main():
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):
                    await asyncio.sleep(10.0)

        assert run_simulated(main())[1] == 1.5

    def test_timeout_at(self):
        """A deadline in the loop's time is one in simulated time."""

        async def main():
            await asyncio.sleep(1.0)
            async with asyncio.timeout_at(3.0):
                await asyncio.sleep(1.0)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout_at(3.0):
                    await asyncio.sleep(10.0)

        assert run_simulated(main())[1] == 3.0

    @pytest.mark.parametrize(("limit_s", "ended_s"), [(1.5, 1.5), (5.0, 2.0)])
    def test_wait_for(self, limit_s, ended_s):
        """A wait ends with the result or at its limit, whichever comes first."""

        async def main():
            try:
                return await asyncio.wait_for(asyncio.sleep(2.0, "slept"), limit_s)
            except TimeoutError:
                return "timeout"

        expected = "slept" if limit_s > 2.0 else "timeout"

        assert (expected, ended_s) == run_simulated(main())

    def test_task_group(self):
        """A task group waits for all, and cancels the rest when one fails."""
        cancelled = []

        async def sleeper(seconds):
            try:
                await asyncio.sleep(seconds)
            except asyncio.CancelledError:
                cancelled.append(seconds)
                raise

        async def fail():
            await asyncio.sleep(2.0)
            raise KeyError

        async def main():
            async with asyncio.TaskGroup() as group:
                for seconds in (1.0, 9.0, 5.0):
                    group.create_task(sleeper(seconds))
                group.create_task(fail())

        async def catch():
            with pytest.raises(ExceptionGroup) as caught:
                await main()
            return caught.value.exceptions

        (error,), ended_s = run_simulated(catch())

        assert isinstance(error, KeyError)
        assert ended_s == 2.0
        assert sorted(cancelled) == [5.0, 9.0]

    def test_queue_event_lock_and_semaphore(self):
        """The primitives wake in the order of waiting, at the time of the cause."""
        log = []

        async def worker(name, queue, lock):
            while (item := await queue.get()) is not None:
                async with lock:
                    await asyncio.sleep(1.0)
                log.append((name, item, asyncio.get_running_loop().time()))

        async def main():
            queue: asyncio.Queue[int | None] = asyncio.Queue()
            lock, event = asyncio.Lock(), asyncio.Event()
            limit = asyncio.Semaphore(1)
            async with asyncio.TaskGroup() as group:
                group.create_task(worker("a", queue, lock))
                group.create_task(worker("b", queue, lock))
                group.create_task(event.wait())
                for item in (1, 2, None, None):
                    async with limit:
                        await queue.put(item)
                event.set()

        run_simulated(main())

        assert log == [("a", 1, 1.0), ("b", 2, 2.0)]

    def test_shield(self):
        """What is shielded goes on when the wait for it is cut off."""

        async def main():
            inner = asyncio.create_task(asyncio.sleep(2.0, "done"))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.shield(inner), 1.0)
            return await inner

        assert run_simulated(main()) == ("done", 2.0)

    def test_wait_for_the_first(self):
        """The first of several tasks is known at its time, and the others can be cancelled."""

        async def main():
            tasks = [asyncio.create_task(asyncio.sleep(s, s)) for s in (3.0, 1.0, 2.0)]
            done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            await asyncio.wait(pending)
            return [task.result() for task in done], all(task.cancelled() for task in pending)

        assert run_simulated(main()) == (([1.0], True), 1.0)

    def test_as_completed(self):
        """Results come in the order of completion."""

        async def main():
            tasks = [asyncio.create_task(asyncio.sleep(s, s)) for s in (3.0, 1.0, 2.0)]
            return [await one for one in asyncio.as_completed(tasks)]

        assert run_simulated(main())[0] == [1.0, 2.0, 3.0]

    def test_cancel(self):
        """A cancelled task hears of it at the present time, and may clean up."""
        heard_s = []

        async def sleeper():
            try:
                await asyncio.sleep(10.0)
            except asyncio.CancelledError:
                heard_s.append(asyncio.get_running_loop().time())
                await asyncio.sleep(0.5)
                raise

        async def main():
            task = asyncio.create_task(sleeper())
            await asyncio.sleep(1.0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        assert run_simulated(main())[1] == 1.5
        assert heard_s == [1.0]

    def test_dropped_generator_is_closed_in_simulated_time(self):
        """An asynchronous generator that is left early runs its ``finally`` on this loop."""
        closed_s = []

        async def numbers():
            try:
                yield 1
                yield 2
            finally:
                await asyncio.sleep(1.0)
                closed_s.append(asyncio.get_running_loop().time())

        async def main():
            async for _ in numbers():
                break
            gc.collect()
            await asyncio.sleep(5.0)

        run_simulated(main())

        assert closed_s == [1.0]

    @pytest.mark.skipif(sys.version_info < (3, 12), reason="Python 3.12 brought eager tasks")
    def test_task_factory(self, env, loop):
        """A task factory is honoured, asyncio's eager one for example."""
        eager = vars(asyncio)["eager_task_factory"]
        loop.set_task_factory(eager)
        order = []

        async def child():
            order.append("child")
            await asyncio.sleep(1.0)

        async def main():
            task = asyncio.create_task(child(), name="eager")
            order.append("main")
            await task
            return task.get_name()

        task = loop.start(main())
        env.run()

        assert order == ["child", "main"]
        assert task.result() == "eager"
        assert loop.get_task_factory() is eager


async def asyncio_gather():
    """Return the results of three sleeps."""
    return await asyncio.gather(*(asyncio.sleep(float(s), s) for s in (3, 1, 2)))


class TestInsideAnotherLoop:
    def test_a_simulation_runs_in_a_running_loop(self):
        """A notebook's loop may run around the simulation, and is itself again afterwards."""

        async def notebook():
            outer = asyncio.get_running_loop(), asyncio.current_task()
            result = run_simulated(asyncio_gather())
            assert outer == (asyncio.get_running_loop(), asyncio.current_task())
            async with asyncio.timeout(10.0):
                await asyncio.sleep(0.0)
            return result

        assert asyncio.run(notebook()) == ([3, 1, 2], 3.0)

    def test_entries_install_the_loop_for_themselves(self):
        """Without a surrounding `installed`, the outer loop shows between the entries."""

        async def notebook():
            env = Environment()
            loop = SimLoop(env)
            seen = []

            async def inside():
                await asyncio.sleep(1.0)
                seen.append(asyncio.get_running_loop())

            loop.start(inside())
            env.call_at(1.0, lambda _: seen.append(asyncio.get_running_loop()))
            env.run()
            return seen == [asyncio.get_running_loop(), loop]

        assert asyncio.run(notebook())

    def test_a_dropped_generator_does_not_reach_the_outer_loop(self):
        """The outer loop closes its own generators, and none of the simulation's."""
        closed_on = []

        async def numbers():
            try:
                yield 1
                yield 2
            finally:
                closed_on.append(asyncio.get_running_loop())

        async def inside():
            async for _ in numbers():
                break
            await asyncio.sleep(1.0)

        async def notebook():
            hooks = sys.get_asyncgen_hooks()
            run_simulated(inside())
            assert hooks == sys.get_asyncgen_hooks()
            await asyncio.sleep(0.0)

        asyncio.run(notebook())

        assert isinstance(closed_on[0], SimLoop)

    def test_a_simulation_runs_in_a_simulation(self):
        """A plug-in may run a small simulation of its own within one step."""

        async def outer():
            await asyncio.sleep(1.0)
            inner = run_simulated(asyncio_gather())
            await asyncio.sleep(1.0)
            return inner

        assert run_simulated(outer()) == (([3, 1, 2], 3.0), 2.0)
