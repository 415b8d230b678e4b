"""Libraries on asyncio run unmodified in simulated time: anyio, httpx, code that wants threads."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.kernel.simulated import run_simulated

pytest.importorskip("anyio")
pytest.importorskip("httpx")

import anyio
import httpx


class TestAnyio:
    def test_task_group_and_cancel_scope(self):
        """A scope that runs out cancels the tasks of its group, at its exact time."""
        ended = []

        async def child(seconds):
            await anyio.sleep(seconds)
            ended.append(seconds)

        async def main():
            with anyio.move_on_after(2.5) as scope:
                async with anyio.create_task_group() as group:
                    for seconds in (1.0, 2.0, 3.0):
                        group.start_soon(child, seconds)
            return scope.cancelled_caught

        assert run_simulated(main()) == (True, 2.5)
        assert ended == [1.0, 2.0]

    def test_fail_after(self):
        """A deadline of anyio is a TimeoutError in simulated time."""

        async def main():
            with pytest.raises(TimeoutError), anyio.fail_after(1.5):
                await anyio.sleep(10.0)

        assert run_simulated(main())[1] == 1.5

    def test_memory_stream_and_event(self):
        """A stream hands items over in order; an event wakes whoever waits for it."""

        async def main():
            send, receive = anyio.create_memory_object_stream[int](1)
            done = anyio.Event()

            async def produce():
                async with send:
                    for item in range(3):
                        await send.send(item)
                        await anyio.sleep(1.0)
                await done.wait()

            async with anyio.create_task_group() as group:
                group.start_soon(produce)
                async with receive:
                    got = [item async for item in receive]
                done.set()
            return got

        assert run_simulated(main()) == ([0, 1, 2], 3.0)


class TestHttpx:
    def test_client_over_a_transport(self):
        """A client whose transport sleeps takes as long; its answer is the transport's."""

        class Slow(httpx.AsyncBaseTransport):
            async def handle_async_request(self, request):
                await asyncio.sleep(0.25)
                return httpx.Response(200, json={"path": request.url.path})

        async def main():
            async with httpx.AsyncClient(transport=Slow(), base_url="http://node") as client:
                answers = await asyncio.gather(client.get("/a"), client.post("/b"))
            return [answer.json()["path"] for answer in answers]

        assert run_simulated(main()) == (["/a", "/b"], 0.25)


class TestExecutors:
    def test_run_in_place(self):
        """What would run in a thread runs at once, and takes no simulated time."""

        async def main():
            loop = asyncio.get_running_loop()
            return [await asyncio.to_thread(max, 1, 2), await loop.run_in_executor(None, min, 1, 2)]

        assert run_simulated(main()) == ([2, 1], 0.0)

    def test_failures_reach_whoever_awaits(self):
        """An exception of the function is that of the await."""

        async def main():
            with pytest.raises(ZeroDivisionError):
                await asyncio.to_thread(lambda: 1 / 0)

        assert run_simulated(main())[1] == 0.0


class TestSynchronization:
    def test_condition_and_barrier(self):
        """Tasks meet at a barrier; a condition wakes the one that waits for it."""

        async def main():
            barrier, condition, ready = asyncio.Barrier(3), asyncio.Condition(), []

            async def arrive(seconds):
                await asyncio.sleep(seconds)
                await barrier.wait()
                async with condition:
                    ready.append(asyncio.get_running_loop().time())
                    condition.notify()

            async def all_ready():
                async with condition:
                    await condition.wait_for(lambda: len(ready) == 3)

            async with asyncio.TaskGroup() as group:
                for seconds in (1.0, 2.0, 3.0):
                    group.create_task(arrive(seconds))
                group.create_task(all_ready())
            return ready

        assert run_simulated(main()) == ([3.0, 3.0, 3.0], 3.0)
