from __future__ import annotations

import datetime as dt
import random
import time
from types import ModuleType

import pytest

from fedsim.kernel.exclusive import exclusive
from fedsim.kernel.foreign_globals import EPOCH, ForeignGlobals

SOURCE = """\
import datetime as calendar
import random
import time
from datetime import datetime, timezone
from random import choice
from time import monotonic

def clocks():
    return time.time(), time.monotonic(), time.perf_counter(), monotonic()

def calendars():
    return datetime.now(timezone.utc), datetime.utcnow(), calendar.datetime.now()

def nanoseconds():
    return time.time_ns(), time.monotonic_ns()

def draws():
    return [random.random(), random.uniform(1, 2), choice(range(1000)), random.sample(range(99), 2)]

def elsewhere():
    return time.strftime, datetime(2020, 1, 1), random.Random
"""


@pytest.fixture
def library():
    """Return a module that reads time and draws numbers in every customary way."""
    module = ModuleType("library")
    exec(SOURCE, vars(module))
    return module


class TestForeignGlobals:
    def test_time(self, library):
        """Inside, all clocks of a module show simulated time, and its calendars the epoch's."""
        now_s = 90.5
        with ForeignGlobals([library], lambda: now_s):
            wall_s, *others = library.clocks()
            dates = library.calendars()
            nanoseconds = library.nanoseconds()

        instant = EPOCH + dt.timedelta(seconds=90.5)
        naive = instant.replace(tzinfo=None)
        assert wall_s == EPOCH.timestamp() + 90.5
        assert others == [90.5, 90.5, 90.5]
        assert dates == (instant, naive, naive)
        assert nanoseconds == (round(wall_s * 1e9), 90_500_000_000)

    def test_randomness(self, library):
        """Inside, draws come from the given generator; the global one is not touched."""
        before = random.getstate()
        with ForeignGlobals([library], lambda: 0.0, random.Random(7)):
            first = library.draws()
        with ForeignGlobals([library], lambda: 0.0, random.Random(7)):
            again = library.draws()

        expected = random.Random(7)
        assert first == again
        assert first[0] == expected.random()
        assert first[1] == expected.uniform(1, 2)
        assert random.getstate() == before

    def test_nobody_else_sees_it(self, library):
        """Inside, the rest of the process sees real time; outside, the module does again."""
        real = dict(vars(library))
        foreign = ForeignGlobals([library], lambda: -5.0, random.Random(7))
        with foreign, foreign:
            assert time.monotonic() > 0.0
            assert dt.datetime.now(dt.UTC) > EPOCH - dt.timedelta(days=9999)
            assert library.monotonic() == -5.0

        assert vars(library) == real
        assert library.monotonic() > 0.0

    def test_after_an_error(self, library):
        """A step that raises leaves nothing behind."""
        real = dict(vars(library))
        with pytest.raises(ZeroDivisionError), ForeignGlobals([library], lambda: 0.0):
            1 / 0  # noqa: B018

        assert vars(library) == real

    def test_the_rest_of_a_module(self, library):
        """What is neither a clock nor a draw stays the module's."""
        with ForeignGlobals([library], lambda: 0.0, random.Random(7)):
            assert library.elsewhere() == (
                time.strftime,
                dt.datetime(2020, 1, 1),
                random.Random,
            )

    def test_steps_of_a_coroutine(self, library):
        """A coroutine sees simulated time in each of its steps, and others between them do not."""

        class Pause:
            def __await__(self):
                yield "paused"

        async def two_steps():
            first = library.monotonic()
            await Pause()
            return first, library.monotonic()

        foreign = ForeignGlobals([library], lambda: -5.0)
        steps = foreign.steps(two_steps())
        assert next(steps) == "paused"
        assert library.monotonic() > 0.0
        with pytest.raises(StopIteration) as ended:
            next(steps)

        assert ended.value.value == (-5.0, -5.0)

    def test_what_is_thrown_into_a_coroutine(self, library):
        """What is thrown arrives where the coroutine waits, and what it raises goes on."""

        class Pause:
            def __await__(self):
                yield

        async def stubborn():
            try:
                await Pause()
            except KeyError:
                raise ValueError(library.monotonic()) from None

        steps = ForeignGlobals([library], lambda: -5.0).steps(stubborn())
        next(steps)
        with pytest.raises(ValueError, match="-5"):
            steps.throw(KeyError())
        assert library.monotonic() > 0.0


def test_a_run_that_is_cut_short_gives_back_what_was_exchanged(library):
    """An interrupt between entering and leaving leaves nothing exchanged after the run."""
    names = vars(library)
    clock = names["time"]

    def cut_short():
        with exclusive(1):
            ForeignGlobals([library], lambda: 0.0).__enter__()
            assert names["time"] is not clock
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_short()
    assert names["time"] is clock
