"""Calls a function many times, in place, in worker processes or on any executor.

Results come as they complete. What all calls share travels to a worker process once. A process
that dies costs the call that it was at another try, alone; the others go on.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Executor, Future
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
        self._processes: list[_Process] = []

    def __enter__(self) -> Workers[Result]:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._end(self._processes, at_once=kind is not None)

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
        elif self._begin is None and min(self._workers, len(calls)) <= 1 and not self._processes:
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
        """Yield the results of processes, each of which does one call at a time."""
        waiting, suspects, deaths = deque(range(len(calls))), deque[int](), Counter[int]()
        alone: int | None = None
        while True:
            busy = [each for each in self._processes if each.place is not None]
            if suspects and not busy:
                alone = suspects.popleft()
                busy = self._give(calls, [alone], 1)
            elif waiting and not suspects and alone is None:
                room = self._workers - len(busy)
                busy += self._give(calls, [waiting.popleft() for _ in range(room) if waiting], room)
            if not busy:
                return
            for process in _ready(busy):
                place, answer = process.take()
                if answer is not None:
                    yield place, answer.result()
                else:
                    self._end([process], at_once=True)
                    deaths[place] += place == alone  # of several, each may be innocent
                    if deaths[place] < MOST_DEATHS:
                        suspects.append(place)
                    else:
                        yield place, WorkerDied("its worker process died twice")
                alone = None if place == alone else alone

    def _give(
        self, calls: Sequence[tuple[Any, ...]], places: Sequence[int], room: int
    ) -> list[_Process]:
        """Give calls to processes that have none, and return those; new ones start together."""
        idle = [each for each in self._processes if each.place is None]
        new = [_Process() for _ in places[len(idle) : room]]
        for process in new:
            process.begin(self._function, self._shared, self._begin)
        self._processes += new
        chosen = [*idle, *new][: len(places)]
        for process, place in zip(chosen, places, strict=True):
            process.give(place, calls[place])
        return chosen

    def _end(self, processes: Sequence[_Process], *, at_once: bool) -> None:
        ended = list(processes)
        self._processes = [each for each in self._processes if each not in ended]
        for process in ended:
            process.end(at_once=at_once)
        for process in ended:
            process.join()


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a call in another process came to."""

    value: Any
    error: Exception | None = None

    def result(self) -> Any:
        """Return what the call returned.

        Raises:
            Exception: What it raised.
        """
        if self.error is not None:
            raise self.error
        return self.value


class _Process:
    """A worker process at the other end of a pipe.

    Attributes:
        place: The place of the call that it is at; None for none.
    """

    def __init__(self) -> None:
        context = get_context("spawn")
        self._connection, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there,))
        self.place: int | None = None
        with _starting():
            self._process.start()
        there.close()

    def begin(self, *what: Any) -> None:
        """Send what all calls have in common."""
        self._send(what)

    def give(self, place: int, call: tuple[Any, ...]) -> None:
        """Let it do a call."""
        self.place = place
        self._send(call)

    def take(self) -> tuple[int, _Answer | None]:
        """Return the place of its call, and what that came to; None where the process died."""
        place, self.place = self.place, None
        assert place is not None
        try:
            answer: _Answer | None = self._connection.recv() if self._connection.poll() else None
        except (EOFError, OSError):
            answer = None
        return place, answer

    @property
    def signals(self) -> list[Any]:
        """What is ready for `connection.wait` when it has answered or died."""
        return [self._connection, self._process.sentinel]

    def end(self, *, at_once: bool) -> None:
        """End it; one that is at a call does not listen."""
        if at_once or self.place is not None:
            self._process.terminate()
        self._send(None)
        self._connection.close()

    def join(self) -> None:
        """Wait until it has ended."""
        self._process.join()

    def _send(self, what: Any) -> None:
        try:
            self._connection.send(what)
        except OSError:
            pass  # it has died, as whoever waits for its answer finds out


def _ready(processes: Sequence[_Process]) -> list[_Process]:
    """Wait, and return those that have answered or died."""
    ready = connection.wait([signal for each in processes for signal in each.signals])
    return [each for each in processes if any(signal in ready for signal in each.signals)]


def _unreported(done: float, total: int) -> None:
    """Stand in for a progress callback."""


def _serve(calls: connection.Connection) -> None:
    """Do calls until there are no more, as a worker process."""
    _end_with_parent()
    try:
        function, shared, begin = calls.recv()
        if begin is not None:
            begin()
        while (call := calls.recv()) is not None:
            _answer(calls, function, shared, call)
    except EOFError:
        return


def _answer(
    calls: connection.Connection,
    function: Callable[..., Any],
    shared: bytes,
    call: tuple[Any, ...],
) -> None:
    """Send what a call comes to; an error keeps its traceback as a note."""
    try:
        calls.send(_Answer(function(shared, *call)))
    except Exception as error:  # noqa: BLE001 - whatever it raises is raised in the parent
        error.add_note("".join(traceback.format_exception(error)))
        try:
            calls.send(_Answer(None, error))
        except Exception:  # noqa: BLE001 - an error that cannot travel
            calls.send(_Answer(None, RuntimeError(f"{type(error).__name__}: {error}")))


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
