"""Calls a function many times, in place, in worker processes or on any executor.

Results come as they complete. What all calls share travels to a worker process once. A process
that dies costs the calls that it may have died of another try, each alone.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")
Report = Callable[[float, int], None]
"""Is called with the number of calls that are done, a fraction of one included, and of all."""

MOST_DEATHS = 2
"""A call whose worker died so often while it was the only one is not tried again."""

_QUEUED = 2
"""Calls given to each worker process: what it does, and what it does next. More would all have to
be tried alone when a process dies."""


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """In place of the result of a call: the worker died each time that it was tried."""

    reason: str


def usable_cpus() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Workers(Generic[Result]):
    """Calls ``function(shared, *call)``, on workers that are started once.

    Args:
        function: A function of a module; called in place, it is also given ``progress``.
        shared: What all calls share.
        workers: Number of processes, by default one per processor; 1 calls in place.
        executor: Where to call instead; it is left running.
        begin: Is called first in each process; there are processes even for one call.
    """

    def __init__(
        self,
        function: Callable[..., Result],
        shared: bytes,
        *,
        workers: int | None = None,
        executor: Executor | None = None,
        begin: Callable[[], None] | None = None,
    ) -> None:
        self._function = function
        self._shared = shared
        self._workers = workers or usable_cpus()
        self._executor = executor
        self._begin = begin
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers[Result]:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._end_pool(at_once=kind is not None)

    def results(
        self, calls: Sequence[tuple[Any, ...]], progress: Report | None = None
    ) -> Generator[tuple[int, Result | WorkerDied]]:
        """Yield the place of each call among *calls* with its result, as they complete.

        Args:
            calls: The arguments of each call.
            progress: Is called with what is done, in this thread.

        Raises:
            Exception: What a call raises; calls that have not begun are cancelled.
        """
        report = progress or _unreported
        if self._executor is not None:
            found = self._on_executor(self._executor, calls)
        elif self._begin is None and min(self._workers, len(calls)) <= 1 and self._pool is None:
            yield from self._in_place(calls, report)
            return
        else:
            found = self._on_processes(calls)
        report(0, len(calls))
        for done, (place, result) in enumerate(found, start=1):
            yield place, result
            report(done, len(calls))

    def _in_place(
        self, calls: Sequence[tuple[Any, ...]], report: Report
    ) -> Iterator[tuple[int, Result]]:
        for place, call in enumerate(calls):

            def within(share: float, place: int = place) -> None:
                report(place + share, len(calls))

            within(0.0)
            yield place, self._function(self._shared, *call, progress=within)
        report(len(calls), len(calls))

    def _on_executor(
        self, executor: Executor, calls: Sequence[tuple[Any, ...]]
    ) -> Iterator[tuple[int, Result | WorkerDied]]:
        """Yield the results of an executor whose workers may die, and are replaced by itself."""
        ended: SimpleQueue[Future[Result]] = SimpleQueue()
        active: dict[Future[Result], int] = {}
        deaths: Counter[int] = Counter()

        def submit(place: int) -> None:
            future = executor.submit(self._function, self._shared, *calls[place])
            active[future] = place
            future.add_done_callback(ended.put)

        try:
            for place in range(len(calls)):
                submit(place)
            while active:
                future = ended.get()
                place = active.pop(future)
                error = None if future.cancelled() else future.exception()
                if error is None:
                    yield place, future.result()
                    continue
                deaths[place] += 1
                if deaths[place] < MOST_DEATHS:
                    submit(place)
                else:
                    yield place, WorkerDied(f"{type(error).__name__}: {error}")
        finally:
            for future in active:
                future.cancel()

    def _on_processes(
        self, calls: Sequence[tuple[Any, ...]]
    ) -> Iterator[tuple[int, Result | WorkerDied]]:
        ended: SimpleQueue[Future[Result]] = SimpleQueue()
        active: dict[Future[Result], int] = {}
        waiting = deque(range(len(calls)))
        suspects: deque[int] = deque()
        deaths: Counter[int] = Counter()
        alone = False
        while waiting or suspects or active:
            source, room = (suspects, 1) if suspects else (waiting, _QUEUED * self._workers)
            while source and len(active) < room and not (suspects and active):
                future = self._submit(calls[source[0]])
                if future is None:
                    break
                active[future] = source.popleft()
                alone = source is suspects
                future.add_done_callback(ended.put)
            if not active:
                continue
            future = ended.get()
            place = active.pop(future)
            if future.cancelled() or isinstance(future.exception(), BrokenProcessPool):
                self._end_pool(at_once=True)
                deaths[place] += alone  # of several, each may be innocent
                if deaths[place] < MOST_DEATHS:
                    suspects.append(place)
                else:
                    yield place, WorkerDied("its worker process died twice")
            else:
                yield place, future.result()

    def _submit(self, call: tuple[Any, ...]) -> Future[Result] | None:
        """Give a call to a worker process; None where one had died, and the pool is a new one."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                self._workers,
                mp_context=get_context("spawn"),
                initializer=_begin,
                initargs=(self._shared, self._begin),
            )
        try:
            with _starting():
                return self._pool.submit(_call, self._function, call)
        except BrokenProcessPool:
            self._end_pool(at_once=True)
            return None

    def _end_pool(self, *, at_once: bool) -> None:
        pool, self._pool = self._pool, None
        if pool is None:
            return
        if at_once:
            # Futures are not cancelled: Python 3.11 stumbles over cancelled ones of a pool that
            # dies.
            for process in list((pool._processes or {}).values()):
                process.terminate()
        pool.shutdown()


def _unreported(done: float, total: int) -> None:
    """Stand in for a progress callback."""


_SHARED = b""


def _begin(shared: bytes, first: Callable[[], None] | None) -> None:
    """Begin a worker process, with what all of its calls share."""
    global _SHARED  # noqa: PLW0603 - a worker process has nothing else to keep it in
    _SHARED = shared
    _end_with_parent()
    if first is not None:
        first()


def _call(function: Callable[..., Result], call: tuple[Any, ...]) -> Result:
    return function(_SHARED, *call)


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
