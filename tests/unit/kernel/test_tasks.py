from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import simpy
from hypothesis import example, given
from hypothesis import strategies as st

from fedsim.kernel import tasks as kernel_tasks
from fedsim.kernel.environment import Environment
from fedsim.kernel.tasks import (
    Cancelled,
    OneShot,
    SimClock,
    SimTasks,
    Task,
    Wake,
    wait_for_event,
)


class OddError(Exception):
    """An exception that cannot be made again from its arguments."""

    def __init__(self, *, node):
        super().__init__(f"node {node}", "twice")
        self.node = node


class Desk:
    """An environment with a clock, tasks and a log."""

    def __init__(self):
        self.env = Environment()
        self.clock = SimClock(self.env)
        self.tasks = SimTasks(self.env)
        self.log = []

    def note(self, what):
        """Log something with its time."""
        self.log.append((self.env.now, what))

    async def sleep(self, seconds, what="slept"):
        """Sleep, log it and return *what*."""
        await self.clock.sleep(seconds)
        self.note(what)
        return what

    def run(self, *coroutines):
        """Run coroutines as tasks of their own; return the tasks."""
        tasks = [self.tasks.spawn(each, f"task {number}") for number, each in enumerate(coroutines)]
        self.env.run()
        return tasks


@pytest.fixture
def desk():
    """Return a desk."""
    return Desk()


class TestSteps:
    def test_a_task_that_never_waits_runs_in_place(self, desk):
        """``start`` runs the first step at once, without an entry of the queue."""
        before = next(desk.env._eid)
        task = desk.tasks.start(desk.sleep(0.0), "task")

        assert (task.done, desk.log) == (True, [(0.0, "slept")])
        assert next(desk.env._eid) == before + 1

    def test_spawn_goes_through_the_queue(self, desk):
        """``spawn`` runs the first step later, at the present time."""
        desk.tasks.spawn(desk.sleep(0.0), "task")
        assert desk.log == []

        desk.env.run()
        assert desk.log == [(0.0, "slept")]

    def test_nothing_is_resumed_inside_anothers_step(self, desk):
        """Whatever a task brings about, others are resumed when its step is over."""
        shot = OneShot(desk.env)
        sleeper = desk.tasks.start(desk.sleep(9.0), "sleeper")
        event = desk.env.event()

        async def wait(awaitable, what):
            await awaitable
            desk.note(what)

        async def act():
            shot.resolve()
            event.succeed()
            sleeper.cancel()
            desk.tasks.spawn(desk.sleep(0.0, "spawned"), "spawned")
            desk.note("step over")

        desk.run(wait(shot, "one-shot"), wait(wait_for_event(event), "event"), act())

        what = [what for _, what in desk.log]
        assert what == ["step over", "one-shot", "event", "spawned"]
        assert sleeper.done

    def test_the_current_task_is_the_one_that_is_stepped(self, desk):
        """``current_task`` names the task of the present step, also where one starts another."""
        seen = []

        async def inner():
            seen.append(desk.env.current_task.name)

        async def outer():
            desk.tasks.start(inner(), "inner")
            seen.append(desk.env.current_task.name)
            await desk.clock.sleep(1.0)
            seen.append(desk.env.current_task.name)

        desk.tasks.start(outer(), "outer")
        desk.env.run()

        assert seen == ["inner", "outer", "outer"]
        assert desk.env.current_task is None

    def test_an_error_that_nobody_joins_stops_the_run(self, desk):
        """A task's failure is raised by the run, as the very exception."""

        async def fail():
            await desk.clock.sleep(1.0)
            raise OddError(node="a")

        with pytest.raises(OddError, match="a"):
            desk.run(fail())
        assert desk.env.now == 1.0
        assert not desk.env.live_tasks

    def test_awaiting_what_the_kernel_does_not_know(self, desk):
        """A coroutine that yields anything else hears of it where it did so."""

        class Foreign:
            def __await__(self):
                yield "future"

        async def wait():
            with pytest.raises(TypeError, match=r"task 0 awaits 'future'.*kernel\.foreign"):
                await Foreign()
            await desk.sleep(1.0)

        desk.run(wait())

        assert desk.log == [(1.0, "slept")]

    @pytest.mark.parametrize("kind", [int, np.int64, np.float32, np.float64])
    def test_any_kind_of_number_is_a_time(self, desk, kind):
        """Sleeps, signals and deadlines take numpy's numbers, and time stays a plain float."""

        async def main():
            await desk.clock.sleep(kind(1))
            desk.env.call_at(desk.env.now + kind(1), lambda _: desk.note(type(desk.env.now)))
            with pytest.raises(TimeoutError):
                await desk.tasks.within(desk.clock.sleep(kind(9)), kind(2))
            await desk.sleep(1.0)

        desk.run(main())

        assert desk.log == [(2.0, float), (4.0, "slept")]


class TestSleep:
    @pytest.mark.parametrize("seconds", [0.0, -1.0])
    def test_no_time_is_no_suspension(self, desk, seconds):
        """To sleep for no time at all costs nothing."""
        assert desk.tasks.start(desk.sleep(seconds), "task").done

    def test_ends_at_the_exact_time(self, desk):
        """A sleep ends at now + seconds to the last bit, whatever happens between."""
        times = []

        async def main():
            for _ in range(100):
                due_s = desk.env.now + 0.1
                await desk.clock.sleep(0.1)
                times.append(desk.env.now == due_s)

        desk.run(main(), *(desk.sleep(0.03 * number) for number in range(300)))

        assert all(times)


class Reply:
    """Something to await that may come, come late or never, as a message does."""

    wake: Wake

    def arm(self, wake):
        """Keep the wake."""
        self.wake = wake

    def __await__(self):
        yield self


class TestDeadlines:
    def test_the_old_wake_does_not_resume_a_later_wait(self, desk):
        """After a deadline in a send, the answer that comes late resumes nothing."""
        reply = Reply()

        async def main():
            try:
                await desk.tasks.within(reply, 1.0)
            except TimeoutError:
                desk.note("late")
            await desk.sleep(10.0)

        desk.env.call_at(2.0, lambda _: reply.wake.fire())
        desk.env.call_at(3.0, lambda _: reply.wake.process())
        desk.run(main())

        assert desk.log == [(1.0, "late"), (11.0, "slept")]

    def test_the_old_timer_does_not_resume_a_later_wait(self, desk):
        """After a deadline in a sleep, the end of that sleep resumes nothing."""

        async def main():
            try:
                await desk.tasks.within(desk.clock.sleep(2.0), 1.0)
            except TimeoutError:
                desk.note("late")
            await desk.sleep(10.0)

        desk.run(main())

        assert desk.log == [(1.0, "late"), (11.0, "slept")]

    def test_met_deadlines_do_nothing(self, desk):
        """A deadline that was met does not disturb what comes after."""

        async def main():
            desk.note(await desk.tasks.within(desk.sleep(0.5), 1.0))
            await desk.sleep(10.0)

        desk.run(main())

        assert desk.log == [(0.5, "slept"), (0.5, "slept"), (10.5, "slept")]

    def test_an_error_passes(self, desk):
        """What the awaited code raises in time passes through as it is."""

        async def fail():
            await desk.clock.sleep(0.5)
            raise OddError(node="a")

        async def main():
            with pytest.raises(OddError):
                await desk.tasks.within(fail(), 1.0)
            await desk.sleep(10.0)

        desk.run(main())

        assert desk.log == [(10.5, "slept")]

    def test_the_awaited_code_may_clean_up(self, desk):
        """At a deadline ``finally`` blocks run, and may wait."""

        async def work():
            try:
                await desk.clock.sleep(5.0)
            finally:
                await desk.sleep(2.0, "clean")

        async def main():
            with pytest.raises(TimeoutError):
                await desk.tasks.within(work(), 1.0)
            desk.note("late")

        desk.run(main())

        assert desk.log == [(3.0, "clean"), (3.0, "late")]

    def test_a_deadline_of_no_time(self, desk):
        """A deadline of 0 s passes at the present time, unless nothing was waited for."""

        async def main():
            desk.note(await desk.tasks.within(desk.sleep(0.0), 0.0))
            with pytest.raises(TimeoutError):
                await desk.tasks.within(desk.clock.sleep(1.0), 0.0)
            desk.note("late")

        desk.run(main())

        assert desk.log == [(0.0, "slept"), (0.0, "slept"), (0.0, "late")]

    @pytest.mark.parametrize("others_s", [(), (0.0,), (0.25,), (0.0, 0.25, 0.5)])
    @pytest.mark.parametrize("hops", [0, 3])
    def test_what_comes_at_the_deadline_is_in_time(self, desk, others_s, hops):
        """Whatever other deadlines there are, and through however many hands it comes."""

        async def answer():
            await desk.clock.sleep(0.5)
            await desk.clock.sleep(0.5)
            for _ in range(hops):
                shot = OneShot(desk.env)
                desk.env.call_soon(lambda _, shot=shot: shot.resolve())
                await shot
            return "answer"

        async def asked_at(at_s):
            await desk.clock.sleep(at_s)
            desk.note(await desk.tasks.within(answer(), 1.0))

        desk.run(*(asked_at(at_s) for at_s in (*others_s, 0.5)))

        assert desk.log == [(at_s + 1.0, "answer") for at_s in (*others_s, 0.5)]

    @pytest.mark.parametrize("order", [1, -1])
    def test_waiting_out(self, desk, order):
        """Who waits a time out goes on behind all else of that time, deadlines included."""

        async def wait_out():
            await desk.tasks.wait_out(1.0)
            desk.note("waited out")

        async def late():
            with pytest.raises(TimeoutError):
                await desk.tasks.within(desk.clock.sleep(2.0), 1.0)
            desk.note("late")

        desk.run(*[wait_out(), late(), desk.sleep(1.0)][::order])

        assert desk.log == [(1.0, "slept"), (1.0, "late"), (1.0, "waited out")]

    def test_of_equal_deadlines_the_outer_one_passes(self, desk):
        """Where an attempt's deadline and its request's are equal, it is the request's."""

        async def main():
            async def attempt():
                try:
                    await desk.tasks.within(desk.clock.sleep(5.0), 1.0)
                except TimeoutError:
                    desk.note("inner")

            try:
                await desk.tasks.within(attempt(), 1.0)
            except TimeoutError:
                desk.note("outer")

        desk.run(main())

        assert desk.log == [(1.0, "outer")]

    def test_a_deadline_within_the_clean_up_of_another(self, desk):
        """A task whose outer deadline passes while it reacts to the inner one hears of both."""

        async def inner():
            try:
                await desk.tasks.within(desk.clock.sleep(9.0), 1.0)
            except TimeoutError:
                desk.note("inner")
                await desk.clock.sleep(9.0)

        async def main():
            try:
                await desk.tasks.within(inner(), 2.0)
            except TimeoutError:
                desk.note("outer")
            await desk.sleep(9.0)

        desk.run(main())

        assert desk.log == [(1.0, "inner"), (2.0, "outer"), (11.0, "slept")]

    @given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 99)), min_size=1, max_size=5))
    def test_nested_scopes(self, levels):
        """Of nested deadlines the earliest passes, the outermost of equal ones, and only it.

        Each level first waits a little, then sets its deadline and goes on inside it. The numbers
        are eighths of a second, so that sums are exact.
        """
        desk = Desk()
        deadlines = []
        opened_s = 0.0
        for pause, limit in levels:
            opened_s += pause / 8
            deadlines.append(opened_s + limit / 8)
        work_s = opened_s + 37 / 16  # never equal to a deadline
        first_s = min(deadlines)
        ties = [level for level, at_s in enumerate(deadlines) if at_s == first_s]

        async def nest(level):
            if level == len(levels):
                await desk.clock.sleep(37 / 16)
                desk.note("done")
                return
            pause, limit = levels[level]
            await desk.clock.sleep(pause / 8)
            try:
                await desk.tasks.within(nest(level + 1), limit / 8)
            except TimeoutError:
                desk.note(level)

        desk.run(nest(0))

        if first_s > work_s:
            assert desk.log == [(work_s, "done")]
        else:
            assert len(desk.log) == 1 or opened_s >= first_s
            time_s, level = desk.log[0]
            assert time_s == first_s
            assert level in ties

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 80),  # start
                st.sampled_from([1, 2, 3, 5, 8, *range(20, 40)]),  # limit: more than the lanes
                st.integers(0, 60),  # work
                st.integers(0, 40),  # work after
            ),
            max_size=40,
        )
    )
    @example([(0, 20 + number, 99, 1) for number in range(40)])
    def test_every_deadline_passes_at_its_time_or_not_at_all(self, jobs):
        """A deadline passes at exactly its time if it was not met, and nothing else happens.

        Numbers are in eighths of a second; the work takes a sixteenth more, so that none ends at
        a deadline.
        """
        desk = Desk()
        expected = []

        async def job(number, start, limit, work, after):
            await desk.clock.sleep(start / 8)
            try:
                await desk.tasks.within(desk.clock.sleep(work / 8 + 1 / 16), limit / 8)
                desk.note((number, "met"))
            except TimeoutError:
                desk.note((number, "late"))
            await desk.clock.sleep(after / 8)
            desk.note((number, "end"))

        for number, (start, limit, work, after) in enumerate(jobs):
            met = work < limit
            first_s = start / 8 + (work / 8 + 1 / 16 if met else limit / 8)
            expected.append((first_s, (number, "met" if met else "late")))
            expected.append((first_s + after / 8, (number, "end")))
        desk.run(*(job(number, *each) for number, each in enumerate(jobs)))

        assert sorted(desk.log) == sorted(expected)
        assert len(desk.tasks._lanes) <= kernel_tasks.MAX_LANES
        assert not desk.env.live_tasks

    def test_met_deadlines_cost_no_entries(self, desk):
        """Thousands of deadlines that are met share the one entry of their lane."""

        async def work(start_s):
            await desk.clock.sleep(start_s)
            await desk.tasks.within(desk.clock.sleep(0.01), 30.0)

        count = 1000
        before = next(desk.env._eid)
        desk.run(*(work(0.02 * number) for number in range(count)))

        entries = next(desk.env._eid) - before - 1
        assert entries == pytest.approx(3 * count, abs=5)
        assert all(len(lane._scopes) <= 1 for lane in desk.tasks._lanes.values())


class TestCancel:
    def test_throws_at_the_wait(self, desk):
        """A cancelled task hears of it where it waits, at the present time, and ends."""

        async def main():
            try:
                await desk.clock.sleep(10.0)
            except Cancelled:
                desk.note("cancelled")
                raise

        task = desk.tasks.start(main(), "task")
        desk.env.call_at(2.0, lambda _: task.cancel())
        desk.env.run()

        assert desk.log == [(2.0, "cancelled")]
        assert task.done
        assert not desk.env.live_tasks

    def test_before_the_first_step(self, desk):
        """A task that is cancelled before it began never begins."""
        task = desk.tasks.spawn(desk.sleep(1.0), "task")
        task.cancel()
        desk.env.run()

        assert (task.done, desk.log) == (True, [])

    def test_after_the_end(self, desk):
        """To cancel a task that has ended, or is about to at this time, changes nothing."""
        (task,) = desk.run(desk.sleep(1.0))
        task.cancel()
        desk.env.run()

        other = desk.tasks.start(desk.sleep(1.0), "other")
        desk.env.call_at(desk.env.now, lambda _: None)
        desk.env.run(until=1.5)
        desk.env.call_at(2.0, lambda _: None)
        desk.env.run(until=2.0)
        other.cancel()
        desk.env.run()

        assert [what for _, what in desk.log] == ["slept", "slept"]

    def test_the_old_wake_does_not_resume_a_later_wait(self, desk):
        """A task that waits in its clean-up is not resumed by what it waited for before."""
        shot = OneShot(desk.env)

        async def main():
            try:
                await shot
            finally:
                await desk.sleep(10.0, "clean")

        task = desk.tasks.start(main(), "task")
        desk.env.call_at(1.0, lambda _: task.cancel())
        desk.env.call_at(2.0, lambda _: shot.resolve())
        desk.env.run()

        assert desk.log == [(11.0, "clean")]

    def test_itself(self, desk):
        """A task may cancel itself: it hears of it at its next wait."""

        async def main():
            desk.env.current_task.cancel()
            desk.note("goes on")
            await desk.sleep(1.0)

        (task,) = desk.run(main())

        assert desk.log == [(0.0, "goes on")]
        assert task.done


class TestJoin:
    def test_gives_the_result(self, desk):
        """Whoever joins resumes when the task has ended, with its result."""
        worker = desk.tasks.start(desk.sleep(2.0, "result"), "worker")

        async def main():
            desk.note(await worker.join())
            desk.note(await worker.join())

        desk.run(main())

        assert desk.log == [(2.0, "result")] * 3

    def test_by_several(self, desk):
        """Any number of tasks may join one."""
        worker = desk.tasks.start(desk.sleep(2.0, "result"), "worker")

        async def main(name):
            await worker.join()
            desk.note(name)

        desk.run(main("a"), main("b"), main("c"))

        assert desk.log == [(2.0, "result"), (2.0, "a"), (2.0, "b"), (2.0, "c")]

    def test_raises_the_error(self, desk):
        """Whoever joins a task that failed gets the very exception, and the run goes on."""
        error = OddError(node="a")

        async def fail():
            await desk.clock.sleep(1.0)
            raise error

        worker = desk.tasks.start(fail(), "worker")

        async def main():
            with pytest.raises(OddError) as caught:
                await worker.join()
            desk.note(caught.value is error)

        desk.run(main())

        assert desk.log == [(1.0, True)]

    def test_within_a_deadline(self, desk):
        """A deadline on a join stops the waiting and not the task."""
        worker = desk.tasks.start(desk.sleep(2.0, "result"), "worker")

        async def main():
            with pytest.raises(TimeoutError):
                await desk.tasks.within(worker.join(), 1.0)
            await desk.sleep(9.0)

        desk.run(main())

        assert desk.log == [(2.0, "result"), (10.0, "slept")]


class TestOneShot:
    def test_resumes_with_the_value(self, desk):
        """The task that waits resumes at the time of the resolution, with its value."""
        shot = OneShot(desk.env)

        async def main():
            desk.note(await shot)
            desk.note(await shot)

        desk.env.call_at(1.0, lambda _: shot.resolve("value"))
        desk.run(main())

        assert desk.log == [(1.0, "value")] * 2

    def test_happens_once(self, desk):
        """What resolves it again changes neither value nor task."""
        shot = OneShot(desk.env)

        async def main():
            desk.note(await shot)
            await desk.sleep(10.0)

        for value in (1.0, 2.0):
            desk.env.call_at(value, lambda _, value=value: shot.resolve(value))
        desk.run(main())

        assert desk.log == [(1.0, 1.0), (11.0, "slept")]

    def test_resolved_before(self, desk):
        """One that has happened already is no wait."""
        shot = OneShot(desk.env)
        shot.resolve("value")

        async def main():
            desk.note(await shot)

        assert desk.tasks.start(main(), "task").done

    def test_after_a_deadline(self, desk):
        """A task that gave up waiting is not resumed; a later one may wait."""
        shot = OneShot(desk.env)

        async def main():
            with pytest.raises(TimeoutError):
                await desk.tasks.within(shot, 1.0)
            desk.note(await shot)

        desk.env.call_at(2.0, lambda _: shot.resolve("value"))
        desk.run(main())

        assert desk.log == [(2.0, "value")]


class TestSimpyEvents:
    def test_value(self, desk):
        """Awaiting an ordinary event gives its value, at once when it was processed before."""
        event = desk.env.timeout(1.0, "value")

        async def main():
            desk.note(await wait_for_event(event))
            desk.note(await wait_for_event(event))

        desk.run(main())

        assert desk.log == [(1.0, "value")] * 2

    def test_process_and_resource(self, desk):
        """Light tasks wait for processes, and stand in line with them for a resource."""
        till = simpy.Resource(desk.env, capacity=1)

        def process():
            with till.request() as turn:
                yield turn
                yield desk.env.timeout(2.0)
            return "paid"

        async def main(payer):
            with till.request() as turn:
                await wait_for_event(turn)
                desk.note("turn")
            desk.note(await wait_for_event(payer))

        payer = desk.env.process(process())
        desk.env.run(until=1.0)
        desk.run(main(payer))

        assert desk.log == [(2.0, "turn"), (2.0, "paid")]

    def test_failure(self, desk):
        """A failed event raises the very exception, now and later, and stops no run."""
        error = OddError(node="a")
        event = desk.env.event()
        desk.env.call_at(1.0, lambda _: event.fail(error))

        async def main():
            for _ in range(2):
                with pytest.raises(OddError) as caught:
                    await wait_for_event(event)
                desk.note(caught.value is error)

        desk.run(main())

        assert desk.log == [(1.0, True)] * 2

    def test_a_failure_that_nobody_waits_for_any_more(self, desk):
        """The failure of an event whose waiter gave up is not lost: it stops the run."""
        event = desk.env.event()
        desk.env.call_at(2.0, lambda _: event.fail(OddError(node="a")))

        async def main():
            with pytest.raises(TimeoutError):
                await desk.tasks.within(wait_for_event(event), 1.0)
            await desk.sleep(9.0)

        with pytest.raises(OddError):
            desk.run(main())

    def test_after_a_deadline(self, desk):
        """An event that happens after the waiter gave up resumes nothing."""
        event = desk.env.timeout(2.0)

        async def main():
            with pytest.raises(TimeoutError):
                await desk.tasks.within(wait_for_event(event), 1.0)
            await desk.sleep(9.0)

        desk.run(main())

        assert desk.log == [(10.0, "slept")]


class Local:
    """Something in the frame of a coroutine, to see whether the frame lives on."""


class TestGarbage:
    def play(self, desk, watched):
        """Let tasks return, be late and cancelled, and fail; *watched* gets their locals."""

        async def work():
            local = Local()
            watched.append(weakref.ref(local))
            try:
                await desk.tasks.within(desk.clock.sleep(1.0), 2.0)
                await desk.tasks.within(desk.clock.sleep(9.0), 2.0)
            except TimeoutError:
                await OneShot(desk.env)

        async def fail():
            local = Local()
            watched.append(weakref.ref(local))
            await desk.clock.sleep(1.0)
            raise OddError(node="a")

        async def join(tasks):
            try:
                await tasks.pop().join()
            except OddError:
                desk.note("joined")

        for _ in range(10):
            cancelled = desk.tasks.start(work(), "cancelled")
            desk.env.call_at(5.0, lambda _, task=cancelled: task.cancel())
            desk.tasks.start(desk.tasks.within(desk.clock.sleep(1.0), 2.0), "returned")
            desk.tasks.start(join([desk.tasks.start(fail(), "failed")]), "joins")
        desk.env.run()

    def test_ended_tasks_leave_no_cycles(self, desk):
        """Tasks that returned, were late, failed or were cancelled go without a collection."""
        watched: list[weakref.ref[Local]] = []
        gc.collect()
        gc.disable()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            self.play(desk, watched)
            gc.collect()
            left = [each for each in gc.garbage if isinstance(each, (Task, Wake, OneShot, Local))]
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()

        assert len(desk.log) == 10
        assert left == []
        assert [ref() for ref in watched] == [None] * 20
