"""Calls in place, in processes and on any executor: order, failures, and nothing left running."""

from __future__ import annotations

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import cloudpickle
import pytest

from fedsim.errors import PlugInError, SimulationError
from fedsim.studies.workers import call_all, usable_cpus


class ByValue:
    """A function of this file for other processes, which cannot import the file."""

    def __init__(self, function):
        cloudpickle.register_pickle_by_value(sys.modules[__name__])
        self.packed = cloudpickle.dumps(function)
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])

    def __reduce__(self):
        return cloudpickle.loads, (self.packed,)

    def __call__(self, *args, **kwargs):
        """Call it here."""
        return cloudpickle.loads(self.packed)(*args, **kwargs)


def square(number, delay_s=0.0, progress=None):
    """Take some time, and say so halfway."""
    time.sleep(delay_s)
    if progress:
        progress(0.5)
    return number * number


def fail(number, progress=None):
    """Fail from the third call on."""
    if number >= 3:
        plugin = f"mine:Router{number}"
        raise PlugInError(plugin, "raised", "chat-1", float(number))
    return number


def die(number):
    """End the process without a word."""
    os._exit(number)


def test_results_are_in_order_wherever_they_are_computed():
    """The first call is the slowest, and its result still comes first."""
    calls = [(number, 0.2 if number == 0 else 0.0) for number in range(6)]
    expected = [0, 1, 4, 9, 16, 25]
    assert call_all(ByValue(square), calls, workers=1) == expected
    assert call_all(ByValue(square), calls, workers=2) == expected
    with ThreadPoolExecutor(3) as executor:
        assert call_all(ByValue(square), calls, executor=executor) == expected
        assert executor.submit(square, 5).result() == 25, "the executor is left running"


def test_progress_ends_with_everything_done():
    """Progress never runs back, and knows the whole from the start."""
    for workers in (1, 2):
        told: list[tuple[float, int]] = []

        def tell(*pair, told=told):
            told.append(pair)

        call_all(ByValue(square), [(1,), (2,), (3,)], progress=tell, workers=workers)
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert told[0] == (0, 3)
        assert told[-1] == (3, 3)


def test_progress_within_a_call_is_told_in_place():
    """Without other processes the share of a call that is done counts as well."""
    told: list[float] = []
    call_all(ByValue(square), [(1,), (2,)], workers=1, progress=lambda done, _: told.append(done))
    assert told == [0.0, 0.5, 1.0, 1.5, 2]


@pytest.mark.parametrize("workers", [1, 2])
def test_the_first_failure_in_order_is_raised_as_it_is(workers):
    """The error keeps its class and fields, and which one it is does not depend on workers."""
    with pytest.raises(PlugInError) as caught:
        call_all(ByValue(fail), [(number,) for number in range(8)], workers=workers)
    assert caught.value.plugin == "mine:Router3"
    assert caught.value.time_s == 3.0


def test_calls_that_have_not_begun_are_cancelled():
    """After a failure an executor is not kept busy with the rest."""
    began: list[int] = []

    def call(number):
        began.append(number)
        if number == 0:
            plugin = "mine:Router"
            raise PlugInError(plugin, "raised")
        time.sleep(0.05)

    with ThreadPoolExecutor(1) as executor, pytest.raises(PlugInError):
        call_all(call, [(number,) for number in range(100)], executor=executor)
    assert len(began) < 50


def test_a_worker_that_dies_is_reported():
    """A worker that was killed is no bug of fedsim, and the message says what to do."""
    with pytest.raises(SimulationError, match="memory ran out; try fewer workers"):
        call_all(ByValue(die), [(9,), (9,), (9,)], workers=2)


def test_no_threads_or_processes_are_left():
    """A pool that was started here is gone afterwards."""
    before = threading.active_count()
    call_all(ByValue(square), [(1,), (2,)], workers=2)
    assert threading.active_count() == before
    assert usable_cpus() >= 1
