"""Races: the first of several awaitables to return wins."""

from __future__ import annotations

import asyncio

import pytest

from fedsim.federation.asyncio_runtime import AsyncioClock, AsyncioTasks
from fedsim.kernel.environment import Environment
from fedsim.kernel.tasks import Cancelled, OneShot, SimClock, SimTasks

STEP_S = 0.02


class Track:
    """Runners that return or raise after some steps, and what became of them."""

    def __init__(self, clock, tasks):
        self.clock = clock
        self.tasks = tasks
        self.log = []

    async def run(self, name, steps, error=None):
        """Run for some steps, then return the name or raise."""
        try:
            await self.clock.sleep(steps * STEP_S)
        except BaseException as thrown:
            self.log.append((name, type(thrown).__name__))
            raise
        self.log.append((name, "arrived"))
        if error is not None:
            raise error
        return name

    async def at_once(self, name):
        """Return the name without waiting."""
        return name


def simulated(scene):
    """Run a scene in simulated time."""
    env = Environment()
    tasks = SimTasks(env)
    track = Track(SimClock(env), tasks)
    task = tasks.spawn(scene(track), "scene")
    task._ended = (OneShot(env),)  # somebody wants its outcome
    env.run()
    assert not env.live_tasks
    if task._error is not None:
        raise task._error
    return task._result, track.log


def on_asyncio(scene):
    """Run a scene in real time."""

    async def main():
        track = Track(AsyncioClock(), AsyncioTasks())
        result = await scene(track)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return result, track.log

    return asyncio.run(main())


@pytest.fixture(params=[simulated, on_asyncio])
def act(request):
    """Return what runs a scene."""
    return request.param


CANCELLED = {"Cancelled", "CancelledError"}


def test_the_first_to_return_wins(act):
    """The others are cancelled, and have ended before the result is there."""

    async def scene(track):
        winner = await track.tasks.first(track.run("slow", 5), track.run("fast", 1))
        assert [name for name, _ in track.log] == ["fast", "slow"]
        return winner

    result, log = act(scene)
    assert result == "fast"
    assert log[1][1] in CANCELLED


def test_one_that_raises_leaves_the_race(act):
    """A failure waits for whoever is still running."""

    async def scene(track):
        return await track.tasks.first(
            track.run("broken", 1, ValueError("broken")), track.run("sound", 3)
        )

    result, log = act(scene)
    assert result == "sound"
    assert log == [("broken", "arrived"), ("sound", "arrived")]


def test_all_raise(act):
    """When all have raised, the last error comes out."""

    async def scene(track):
        await track.tasks.first(
            track.run("second", 3, ValueError("second")), track.run("first", 1, KeyError("first"))
        )

    with pytest.raises(ValueError, match="second"):
        act(scene)


def test_one_that_does_not_wait(act):
    """Who returns at once wins, wherever it stands; the others are cancelled all the same."""

    async def scene(track):
        first = await track.tasks.first(track.at_once("now"), track.run("late", 1))
        return first, await track.tasks.first(track.run("late", 1), track.at_once("now"))

    result, log = act(scene)
    assert result == ("now", "now")
    assert "arrived" not in {what for _, what in log}


def test_a_deadline_stops_all(act):
    """A deadline around a race cancels everybody in it."""

    async def scene(track):
        with pytest.raises(TimeoutError):
            await track.tasks.within(
                track.tasks.first(track.run("a", 5), track.run("b", 6)), STEP_S
            )
        await track.clock.sleep(STEP_S)
        return [name for name, _ in track.log]

    result, log = act(scene)
    assert result == ["a", "b"]
    assert {what for _, what in log} <= CANCELLED


def test_deadlines_within(act):
    """Racers have deadlines of their own."""

    async def scene(track):
        within = track.tasks.within
        return await track.tasks.first(
            within(track.run("a", 9), STEP_S), within(track.run("b", 2), 8 * STEP_S)
        )

    assert act(scene)[0] == "b"


def test_a_caller_that_is_cancelled():
    """Everybody in the race is cancelled with it."""
    env = Environment()
    tasks = SimTasks(env)
    track = Track(SimClock(env), tasks)
    task = tasks.spawn(tasks.first(track.run("a", 5), track.run("b", 6)), "scene")
    env.call_at(STEP_S, lambda _: task.cancel())
    env.run()

    assert track.log == [("a", "Cancelled"), ("b", "Cancelled")]
    assert isinstance(task._error, Cancelled)


def test_a_tie_has_one_winner():
    """Of two that would return at the same instant, the second is cancelled."""
    env = Environment()
    tasks = SimTasks(env)
    track = Track(SimClock(env), tasks)
    tasks.spawn(tasks.first(track.run("a", 5), track.run("b", 5)), "scene")
    env.run()

    assert track.log == [("a", "arrived"), ("b", "Cancelled")]
