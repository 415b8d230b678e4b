from __future__ import annotations

import math
from contextlib import suppress

import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st
from simpy.core import EmptySchedule

from fedsim.errors import DeadlockError
from fedsim.kernel import environment
from fedsim.kernel.environment import Environment, LightEvent, Timer
from fedsim.kernel.tasks import OneShot, SimClock, SimTasks, wait_for_event


class OddError(Exception):
    """An exception that cannot be made again from its arguments."""

    def __init__(self, *, node):
        super().__init__(f"node {node}", "twice")
        self.node = node


class Ticket(LightEvent):
    """A light event that logs each of its stages and pushes itself for the next."""

    __slots__ = ("_env", "log", "name", "times_s")

    def __init__(self, env, log, name, times_s):
        self._env = env
        self.log = log
        self.name = name
        self.times_s = iter(times_s)
        self.push_next()

    def push_next(self):
        """Push the next stage, if there is one."""
        time_s = next(self.times_s, None)
        if time_s is not None:
            self._env.push(self, time_s)

    def process(self):
        """Log the stage."""
        self.log.append((self._env.now, self.name))
        self.push_next()


def step_to_the_end(env):
    """Process everything by SimPy's own code."""
    with suppress(EmptySchedule):
        while True:
            env.step()


def play(env, program):
    """Start what *program* says, everything that can share a queue; return the log."""
    log = []
    clock, tasks = SimClock(env), SimTasks(env)
    desk = simpy.Resource(env, capacity=1)

    def process(name, start, duration):
        yield env.timeout(start)
        with desk.request() as turn:
            yield turn
            log.append((env.now, f"{name} served"))
            yield env.timeout(duration)
        log.append((env.now, f"{name} left"))

    async def task(name, start, duration):
        await clock.sleep(start)
        try:
            await tasks.within(clock.sleep(duration), 1.5)
            log.append((env.now, f"{name} in time"))
        except TimeoutError:
            log.append((env.now, f"{name} late"))
        await wait_for_event(env.timeout(duration))
        log.append((env.now, f"{name} done"))

    for number, (kind, start, duration) in enumerate(program):
        name = f"{kind} {number}"
        if kind == "process":
            env.process(process(name, start, duration))
        elif kind == "task":
            tasks.spawn(task(name, start, duration), name)
        elif kind == "ticket":
            Ticket(env, log, name, [start, start + duration, start + 2 * duration])
        else:
            signal = env.call_at(start, lambda _, name=name: log.append((env.now, name)))
            env.call_at(duration, lambda _, signal=signal: signal.cancel())
    return log


programs = st.lists(
    st.tuples(
        st.sampled_from(["process", "task", "ticket", "signal"]),
        st.integers(0, 8).map(lambda n: n / 4),
        st.integers(0, 8).map(lambda n: n / 4),
    ),
    max_size=12,
)


class TestRun:
    @given(programs)
    def test_gives_what_simpys_own_step_gives(self, program):
        """The run loop and SimPy's stock ``step`` give the same records in the same order."""
        ours, stock = Environment(), Environment()
        fast, slow = play(ours, program), play(stock, program)

        ours.run()
        step_to_the_end(stock)

        assert fast == slow
        assert ours.now == stock.now
        assert fast == sorted(fast, key=lambda record: record[0])

    def test_equal_times_keep_the_order_of_insertion(self, env):
        """Whatever kind they are, entries of one time happen in the order of their pushes."""
        log: list[str] = []
        tickets: list[tuple[float, str]] = []
        tasks, clock = SimTasks(env), SimClock(env)

        async def task():
            await clock.sleep(1.0)
            log.append("task")

        def process():
            yield env.timeout(1.0)
            log.append("process")

        tasks.start(task(), "task")
        env.timeout(1.0).callbacks.append(lambda _: log.append("timeout"))
        Ticket(env, tickets, "ticket", [1.0])
        env.call_at(1.0, lambda _: log.append(tickets.pop()[1]))
        env.process(process())  # its own timeout is pushed when it starts, behind what follows
        env.call_at(1.0, lambda _: env.call_soon(lambda _: log.append("soon")))
        env.call_at(1.0, lambda _: log.append("signal"))
        env.run()

        assert log == ["task", "timeout", "ticket", "signal", "process", "soon"]

    def test_times_are_exact(self, env):
        """An entry happens at the very float that it was pushed for, without drift."""
        times = []
        for when_s in (0.1 + 0.2, 0.3, 1e-300, 1e9 + 1e-7):
            env.call_at(when_s, lambda _: times.append(env.now))
        env.run()

        assert times == sorted([0.1 + 0.2, 0.3, 1e-300, 1e9 + 1e-7])

    def test_the_past_means_now(self, env):
        """A signal for a time that has passed comes at the present time, never before it."""
        times = []
        env.call_at(5.0, lambda _: env.call_at(1.0, lambda _: times.append(env.now)))
        env.run()

        assert times == [5.0]

    def test_factories_of_simpy_are_bound(self, env):
        """``timeout``, ``process``, ``event`` and conditions of this environment are SimPy's."""

        def process():
            both = yield env.all_of([env.timeout(1.0, "a"), env.timeout(2.0, "b")])
            one = yield env.any_of([env.timeout(1.0, "c"), env.event()])
            return [*both.values(), *one.values(), env.now]

        assert env.run(until=env.process(process())) == ["a", "b", "c", 3.0]


class TestUntil:
    def test_a_time_comes_before_all_else_of_that_time(self, env):
        """Run until t stops before what happens at t, and goes on from there."""
        log = []
        env.call_at(2.0, lambda _: log.append(env.now))
        env.run(until=2.0)
        assert (env.now, log) == (2.0, [])

        env.run()
        assert log == [2.0]

    def test_an_event_gives_its_value(self, env):
        """Run until an event returns its value, at once when it has happened already."""
        event = env.timeout(3.0, "value")

        assert env.run(until=event) == "value"
        assert env.run(until=event) == "value"
        assert env.now == 3.0

    def test_a_failed_event_raises_the_very_exception(self, env):
        """An exception with a constructor of its own arrives as the object that it is."""
        error = OddError(node="a")
        event = env.event()
        env.call_at(1.0, lambda _: event.fail(error))

        with pytest.raises(OddError) as caught:
            env.run(until=event)
        assert caught.value is error

    def test_an_event_that_nobody_minds_raises_when_it_fails(self, env):
        """A failure that nothing waits for stops the run with the very exception."""
        error = OddError(node="a")
        env.event().fail(error)

        with pytest.raises(OddError) as caught:
            env.run()
        assert caught.value is error

    @pytest.mark.parametrize("kind", [simpy.Environment, Environment])
    def test_until_an_event_keeps_its_other_callbacks(self, kind):
        """What waits for the event after the stop goes on when the run does, as with SimPy."""
        env, log = kind(), []

        def waiter(name, event):
            value = yield event
            log.append((name, value, env.now))

        event = env.timeout(3.0, "value")
        env.process(waiter("before", event))
        env.run(until=1.0)
        event.callbacks.append(lambda _: env.process(waiter("after", env.timeout(0.0, "at once"))))

        def late():
            yield env.timeout(1.0)
            event.callbacks.append(lambda _: log.append(("late", event.value, env.now)))

        env.process(late())
        assert env.run(until=event) == "value"
        assert log == [("before", "value", 3.0)]

        env.run()
        assert log[1:] == [("late", "value", 3.0), ("after", "at once", 3.0)]

    def test_until_an_event_that_fails_keeps_its_other_callbacks(self, env):
        """What waits for it is thrown the failure when the run goes on, which raises no more."""
        log = []
        event = env.event()

        def late():
            yield env.timeout(0.5)
            try:
                yield event
            except ValueError as caught:
                log.append((env.now, str(caught)))

        env.process(late())
        env.call_at(1.0, lambda _: event.fail(ValueError("lost")))
        with pytest.raises(ValueError, match="lost"):
            env.run(until=event)
        env.run()

        assert log == [(1.0, "lost")]
        assert event.processed

    def test_a_run_that_breaks_off_leaves_no_stop_behind(self, env):
        """A run until an event that something else ended stops no later run at that event."""
        event = env.timeout(2.0, "value")
        env.timeout(3.0)
        env.event().fail(OddError(node="a"))
        with pytest.raises(OddError):
            env.run(until=event)

        assert env.run(until=event) == "value"
        assert event.processed
        env.run()
        assert env.now == 3.0

    def test_a_time_in_the_past_is_refused(self, env):
        """Run until a time that has passed says so."""
        env.run(until=2.0)

        with pytest.raises(ValueError, match=r"until \(1\.0\) must be greater"):
            env.run(until=1)

    def test_an_event_that_never_happens_is_a_deadlock(self, env):
        """Run until an event that nothing can bring about does not end as if it had happened."""
        env.timeout(1.0)

        with pytest.raises(DeadlockError, match=r"nothing is scheduled any more, and .* never"):
            env.run(until=env.event())


class TestDeadlock:
    def test_names_the_tasks_that_wait_and_what_for(self, env):
        """A queue that runs empty while tasks wait is an error that names them."""
        tasks = SimTasks(env)

        async def wait():
            await OneShot(env)

        async def wait_for_simpy():
            await wait_for_event(env.event())

        tasks.spawn(wait(), "chat-1")
        tasks.spawn(wait_for_simpy(), "chat-2")

        with pytest.raises(DeadlockError) as caught:
            env.run()
        assert str(caught.value) == (
            "at 0.000000 s nothing is scheduled any more, yet 2 task(s) wait: "
            "chat-1 (waits for OneShot), chat-2 (waits for EventWait)"
        )

    def test_names_ten_and_counts_the_rest(self, env):
        """Of many tasks the first ten are named."""
        tasks = SimTasks(env)

        async def wait():
            await OneShot(env)

        for number in range(12):
            tasks.spawn(wait(), f"chat-{number}")

        with pytest.raises(DeadlockError, match=r"12 task\(s\) wait: .*chat-9 \(.*\) …$"):
            env.run()

    def test_by_simpys_own_step(self, env):
        """SimPy's own ``step`` reports it too."""
        tasks = SimTasks(env)

        async def wait():
            await OneShot(env)

        tasks.spawn(wait(), "chat-1")
        env.step()

        with pytest.raises(DeadlockError, match="chat-1"):
            env.step()

    def test_an_empty_queue_without_tasks_is_none(self, env):
        """A world in which nothing waits ends quietly."""
        env.timeout(1.0)
        env.run()

        assert env.now == 1.0


class TestTombstones:
    def test_cancelled_signals_do_not_act(self, env):
        """A cancelled signal never acts, and counts as a tombstone until its time has come."""
        log = []
        signal = env.call_at(1.0, lambda _: log.append("acted"))
        signal.cancel()
        signal.cancel()

        assert signal.cancelled
        assert env.tombstones == 1
        env.run()
        assert (log, env.tombstones, env.now) == ([], 0, 1.0)

    def test_cancelling_what_has_acted_changes_nothing(self, env):
        """A signal that has acted, or is acting, leaves no tombstone when it is cancelled."""
        signal = env.call_at(1.0, lambda signal: signal.cancel())
        env.run()
        signal.cancel()

        assert env.tombstones == 0

    @settings(max_examples=15)  # each cancels thousands
    @given(st.data())
    def test_compaction_changes_nothing_but_the_queue(self, data):
        """Rebuilding the queue loses and reorders nothing that was not cancelled."""
        env = Environment()
        log, expected = [], []
        count = 3 * environment.COMPACT_AT
        times = data.draw(st.lists(st.integers(1, 5), min_size=20, max_size=20))
        signals = [
            env.call_at(float(times[number % 20]), lambda _, n=number: log.append(n))  # type: ignore[misc]
            for number in range(count)
        ]
        kept = data.draw(st.sets(st.integers(0, count - 1), max_size=20))
        env.timeout(2.0).callbacks.append(lambda _: log.append("timeout"))
        for number, signal in enumerate(signals):
            if number in kept:
                expected.append((float(times[number % 20]), number))
            else:
                signal.cancel()

        assert len(env._queue) < count
        env.run()
        log.remove("timeout")
        assert log == [number for _, number in sorted(expected)]
        assert env.tombstones == 0

    def test_the_queue_stays_small_while_timers_are_cancelled(self, env):
        """Timers that are set and cancelled again and again do not pile up."""
        sizes = []

        async def task():
            for _ in range(10 * environment.COMPACT_AT):
                env.call_at(1e6, lambda _: None).cancel()
                await SimClock(env).sleep(0.001)
                sizes.append(len(env._queue))

        SimTasks(env).start(task(), "task")
        env.run()

        assert max(sizes) <= 2 * environment.COMPACT_AT


class TestTimer:
    def test_only_the_last_time_counts(self, env):
        """Set again, earlier or later, or cancelled, a timer calls its action at the last time."""
        called = []
        timer = Timer(env, lambda: called.append(env.now))

        timer.schedule(5.0)
        timer.schedule(2.0)
        env.run(until=3.0)
        assert called == [2.0]

        timer.schedule(4.0)
        timer.cancel()
        env.run(until=6.0)
        assert called == [2.0]
        assert timer.due_s == math.inf

        timer.schedule(7.0)
        timer.schedule(8.0)
        env.run()
        assert called == [2.0, 8.0]
