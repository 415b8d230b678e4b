"""Calls in place, in processes and on any executor: results, deaths, and nothing left running."""

from __future__ import annotations

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cloudpickle
import pytest

from fedsim.studies.workers import WorkerDied, Workers, usable_cpus


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


def square(shared, number, delay_s=0.0, progress=None):
    """Take some time, and say so halfway."""
    time.sleep(delay_s)
    if progress:
        progress(0.5)
    return number * number + len(shared)


def fail(shared, number, progress=None):
    """Fail from the third call on."""
    if number >= 3:
        raise ValueError(number)
    return number


def die(shared, number, marks, times):
    """End the process without a word at the call with number 2, so many times."""
    tries = len(list(Path(marks).glob(f"{number}-*")))
    (Path(marks) / f"{number}-{tries}").touch()
    if number == 2 and tries < times:
        os._exit(9)
    time.sleep(0.02)
    return number


def found(function, calls, **how):
    """Return the results in the order of the calls."""
    with Workers(ByValue(function), b"shared", **how) as workers:
        return [result for _, result in sorted(workers.results(calls))]


def test_every_call_has_its_result_wherever_it_is_computed():
    """Results come with the place of their call, and with what all calls share."""
    calls = [(number, 0.2 if number == 0 else 0.0) for number in range(6)]
    expected = [6, 7, 10, 15, 22, 31]
    assert found(square, calls, workers=1) == expected
    assert found(square, calls, workers=2) == expected
    with ThreadPoolExecutor(3) as executor:
        assert found(square, calls, executor=executor) == expected
        assert executor.submit(abs, -5).result() == 5, "the executor is left running"


def test_results_come_as_they_complete():
    """A slow call holds no other back."""
    with Workers(ByValue(square), b"", workers=2) as workers:
        list(workers.results([(1,), (2,)]))  # the processes are there
        calls = [(0, 1.0), *((number,) for number in range(1, 6))]
        places = [place for place, _ in workers.results(calls)]
    assert places[-1] == 0
    assert sorted(places) == [0, 1, 2, 3, 4, 5]


def test_progress_ends_with_everything_done():
    """Progress never runs back, and knows the whole from the start."""
    for count in (1, 2):
        reported: list[tuple[float, int]] = []

        def tell(*pair, reported=reported):
            reported.append(pair)

        with Workers(ByValue(square), b"", workers=count) as workers:
            list(workers.results([(1,), (2,), (3,)], tell))
        assert [done for done, _ in reported] == sorted(done for done, _ in reported)
        assert reported[0] == (0, 3)
        assert reported[-1] == (3, 3)


def test_progress_within_a_call_is_reported_in_place():
    """Without other processes the share of a call that is done counts as well."""
    reported: list[float] = []
    with Workers(ByValue(square), b"", workers=1) as workers:
        list(workers.results([(1,), (2,)], lambda done, _: reported.append(done)))
    assert reported == [0.0, 0.5, 1.0, 1.5, 2]


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_call_raises_is_raised(workers):
    """The error keeps its class and what it says."""
    with pytest.raises(ValueError, match="3"):
        found(fail, [(number,) for number in range(4)], workers=workers)


def test_calls_that_have_not_begun_are_cancelled():
    """After a failure an executor is not kept busy with the rest."""
    began: list[int] = []

    def call(shared, number):
        began.append(number)
        time.sleep(0.05)
        return number

    with ThreadPoolExecutor(1) as executor, Workers(call, b"", executor=executor) as workers:
        results = workers.results([(number,) for number in range(100)])
        next(results)
        results.close()
    assert len(began) < 50


def test_a_worker_that_dies_costs_nothing_but_time(tmp_path):
    """Everything has its result, and only what may have been the reason is done twice."""
    calls = [(number, str(tmp_path), 1) for number in range(12)]
    assert found(die, calls, workers=2) == list(range(12))
    twice = [number for number in range(12) if (tmp_path / f"{number}-1").exists()]
    assert 2 in twice
    assert len(twice) <= 4


def test_a_call_whose_worker_dies_twice_is_given_up(tmp_path):
    """The others go on, and it is tried alone twice."""
    calls = [(number, str(tmp_path), 9) for number in range(6)]
    results = found(die, calls, workers=2)
    assert isinstance(results[2], WorkerDied)
    assert [result for result in results if result != results[2]] == [0, 1, 3, 4, 5]
    assert len(list(tmp_path.glob("2-*"))) == 3


def test_a_death_among_others_does_not_count_against_a_call(tmp_path):
    """A call whose worker is killed once among others and once alone still has its result."""
    calls = [(number, str(tmp_path), 2) for number in range(6)]
    assert found(die, calls, workers=2) == list(range(6))


def test_no_threads_or_processes_are_left():
    """A pool that was started here is gone afterwards."""
    before = threading.active_count()
    found(square, [(1,), (2,)], workers=2)
    assert threading.active_count() == before
    assert usable_cpus() >= 1
