"""Simulated time and seeded randomness for other people's modules, while their own steps run.

A library that imports `time`, `datetime` or `random` has them, or functions of them, among its
globals. While a step of it runs, those globals are exchanged for ones that read simulated time and
draw from a stream of the plug-in's own; afterwards they are what they were. Nothing else in the
process sees a difference at any time, and the library's code is not changed.
"""

from __future__ import annotations

import datetime as dt
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from functools import partial
from types import ModuleType, TracebackType, coroutine
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
"""What calendars show when simulated time is 0."""

_EPOCH_S = EPOCH.timestamp()


_entered: list[tuple[ForeignGlobals, list[Any]]] = []
"""The contexts that are entered now, the innermost last, with the globals that each exchanged.

One list serves the process: only one run at a time goes on in it (`fedsim.kernel.exclusive`).
"""


class ForeignGlobals:
    """A context in which some modules see simulated time and draw seeded random numbers.

    Entering and leaving it takes about a microsecond. It may be entered again inside itself. The
    tasks that are made while it is entered enter it for each of their steps.

    Args:
        modules: The modules of the library that read time or draw random numbers; what other
            modules see does not change.
        now: Gives simulated time in seconds.
        rng: What stands in for the module `random`; where it is None, that is left as it is.
        others: More globals to exchange while a step runs: module, name and stand-in.
    """

    def __init__(
        self,
        modules: Sequence[ModuleType],
        now: Callable[[], float],
        rng: random.Random | None = None,
        others: Sequence[tuple[ModuleType, str, object]] = (),
    ) -> None:
        stand_ins = _stand_ins(now, rng)
        self._exchanged = [
            (vars(module), name, stand_ins[id(value)])
            for module in modules
            for name, value in vars(module).items()
            if id(value) in stand_ins
        ]
        self._exchanged += [(vars(module), name, value) for module, name, value in others]

    def __enter__(self) -> None:
        # Recorded before the first exchange, so that an interrupt in between loses nothing.
        _entered.append((self, [names[name] for names, name, _ in self._exchanged]))
        for names, name, stand_in in self._exchanged:
            names[name] = stand_in

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _leave_last()

    @coroutine
    def steps(self, awaitable: Awaitable[T]) -> Generator[Any, Any, T]:
        """Await asyncio code of the library, and enter this context for each of its steps."""
        steps = awaitable.__await__()
        resume: Callable[[], Any] = partial(next, steps)
        while True:
            with self:
                try:
                    awaited = resume()
                except StopIteration as end:
                    result: T = end.value
                    return result
            try:
                yield awaited
            except BaseException as thrown:  # noqa: BLE001 - it is thrown where it belongs
                resume = partial(_throw, steps, thrown)
            else:
                resume = partial(next, steps)


def _leave_last() -> None:
    context, before = _entered[-1]
    for (names, name, _), value in zip(context._exchanged, before, strict=True):
        names[name] = value
    _entered.pop()  # last: an interrupt in between leaves the rest to leave_beyond


def depth() -> int:
    """Return how many contexts are entered."""
    return len(_entered)


def leave_beyond(depth: int) -> None:
    """Leave what was entered beyond *depth*: an interrupt may have cut a step short."""
    while len(_entered) > depth:
        _leave_last()


def within_entered(coroutine: Any) -> Any:
    """Return *coroutine*, whose steps enter the context that is entered now, if there is one."""
    return _Stepped(_entered[-1][0], coroutine) if _entered else coroutine


class _Stepped(Coroutine[Any, Any, Any]):
    """A coroutine whose steps enter a context; all else is the coroutine's."""

    def __init__(self, context: ForeignGlobals, coroutine: Any) -> None:
        self._context = context
        self._coroutine = coroutine

    def send(self, value: Any) -> Any:
        with self._context:
            return self._coroutine.send(value)

    def throw(self, *thrown: Any) -> Any:
        with self._context:
            return self._coroutine.throw(*thrown)

    def close(self) -> None:
        with self._context:
            self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._context.steps(self._coroutine)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._coroutine, name)


def _throw(steps: Generator[Any, Any, Any], thrown: BaseException) -> Any:
    return steps.throw(thrown)


class _Like:
    """Stands in for a module: has some entries of its own, all others are the module's."""

    def __init__(self, module: ModuleType, entries: dict[str, Any]) -> None:
        vars(self).update(entries)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _stand_ins(now: Callable[[], float], rng: random.Random | None) -> dict[int, Any]:
    """Return what to put in the place of a global, by the identity of the latter."""
    clocks: dict[str, Any] = {
        "time": lambda: _EPOCH_S + now(),
        "time_ns": lambda: round((_EPOCH_S + now()) * 1e9),
        "monotonic": now,
        "monotonic_ns": lambda: round(now() * 1e9),
        "perf_counter": now,
        "perf_counter_ns": lambda: round(now() * 1e9),
    }
    calendar = _calendar(now)
    found: dict[int, Any] = {
        id(time): _Like(time, clocks),
        id(dt): _Like(dt, {"datetime": calendar}),
        id(dt.datetime): calendar,
    }
    found.update((id(getattr(time, name)), clock) for name, clock in clocks.items())
    if rng is not None:
        drawn = [name for name in random.__all__ if hasattr(rng, name)]
        entries = {name: getattr(rng, name) for name in drawn}
        found[id(random)] = _Like(random, entries)
        found.update((id(getattr(random, name)), entry) for name, entry in entries.items())
    return found


def _calendar(now: Callable[[], float]) -> type[dt.datetime]:
    """Return a `datetime` class to which it is `EPOCH` plus simulated time, in UTC everywhere."""

    class SimulatedDatetime(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Any:
            instant = EPOCH + dt.timedelta(seconds=now())
            return instant.replace(tzinfo=None) if tz is None else instant.astimezone(tz)

        @classmethod
        def utcnow(cls) -> Any:
            return cls.now()

        @classmethod
        def today(cls) -> Any:
            return cls.now()

    return SimulatedDatetime
