"""Calls a function many times, in place or in other processes, with results in order."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import connection, get_context, parent_process
from typing import Any, TypeVar

from fedsim.errors import SimulationError

Result = TypeVar("Result")
Progress = Callable[[float, int], None]
"""Is called with the number of calls that are done, a fraction of one included, and of all."""


def usable_cpus() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def call_all(
    function: Callable[..., Result],
    calls: Sequence[tuple[Any, ...]],
    *,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> list[Result]:
    """Return ``function(*call)`` for each of *calls*, in their order.

    Args:
        function: A function of a module; called in place, it is also given ``progress``.
        calls: The arguments of each call.
        workers: Number of processes, by default one per processor; 1 calls in place.
        executor: Where to call instead; it is left running.
        progress: Is called with what is done, in this thread.

    Raises:
        Exception: Whatever the first call in the order that fails raises; calls that have not
            begun are cancelled, and processes started here are ended.
        SimulationError: A worker process died.
    """
    report = progress or _unreported
    workers = min(workers or usable_cpus(), len(calls))
    if executor is None and workers == 1:
        return _in_place(function, calls, report)
    try:
        if executor is not None:
            return _on_executor(executor, function, calls, report)
        with _processes(workers) as pool:
            with _starting():
                futures = [pool.submit(function, *call) for call in calls]
            return _gather(futures, report)
    except BrokenProcessPool as error:
        msg = (
            "a worker process died, most likely because memory ran out; try fewer workers, "
            "such as --workers 1"
        )
        raise SimulationError(msg) from error


def _unreported(done: float, total: int) -> None:
    """Stand in for a progress callback."""


def _in_place(
    function: Callable[..., Result], calls: Sequence[tuple[Any, ...]], report: Progress
) -> list[Result]:
    results = []
    for number, call in enumerate(calls):

        def within(share: float, number: int = number) -> None:
            report(number + share, len(calls))

        within(0.0)
        results.append(function(*call, progress=within))
    report(len(calls), len(calls))
    return results


def _on_executor(
    executor: Executor,
    function: Callable[..., Result],
    calls: Sequence[tuple[Any, ...]],
    report: Progress,
) -> list[Result]:
    futures = [executor.submit(function, *call) for call in calls]
    try:
        return _gather(futures, report)
    finally:
        for future in futures:
            future.cancel()


def _gather(futures: Sequence[Future[Result]], report: Progress) -> list[Result]:
    """Return the results in order; of several failures, the first in that order is raised."""
    waiting = set(futures)
    wanted = len(futures)
    report(0, len(futures))
    while waiting:
        waiting = wait(waiting, return_when=FIRST_COMPLETED).not_done
        failed = [number for number, future in enumerate(futures) if _failed(future)]
        if failed and failed[0] < wanted:
            wanted = failed[0]
            waiting = {future for future in futures[:wanted] if not future.done()}
        report(sum(future.done() for future in futures), len(futures))
    return [future.result() for future in futures]


def _failed(future: Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is not None


@contextmanager
def _processes(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Yield a pool of processes, which ends at once when the block raises."""
    pool = ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_end_with_parent
    )
    try:
        yield pool
    except BaseException:
        # Futures are not cancelled: Python 3.11 stumbles over cancelled ones of a pool that dies.
        for process in list(pool._processes.values()):
            process.terminate()
        raise
    finally:
        pool.shutdown()


@contextmanager
def _starting() -> Iterator[None]:
    """Let processes start that ignore Ctrl-C, and do not run the user's script again.

    Ctrl-C reaches every process of a terminal; this one ends its workers itself. A script without
    ``if __name__ == "__main__"`` would start workers from within each worker; what workers need of
    it travels to them by value.
    """
    main = sys.modules["__main__"]
    spec, file = getattr(main, "__spec__", None), main.__dict__.pop("__file__", None)
    main.__spec__ = None
    masks = hasattr(signal, "pthread_sigmask")
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT}) if masks else set()
    try:
        yield
    finally:
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        main.__spec__ = spec
        if file is not None:
            main.__file__ = file


def _end_with_parent() -> None:
    """Watch the parent from a thread, and end when it is gone, even if it was killed."""
    parent = parent_process()
    if parent is None:
        return

    def watch() -> None:
        connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
