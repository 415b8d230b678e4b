"""What a router calls: clocks, shared randomness, and how much for each decision."""

from __future__ import annotations

import datetime as dt
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np

from fedsim.federation.router import Router
from fedsim.world.guards import RouterGuard

_CLOCKS = tuple(
    getattr(time, name + end)
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time")
    for end in ("", "_ns")
)
_HOUSE = str(Path(__file__).parents[1]) + os.sep
_FEDERATION = _HOUSE + "federation" + os.sep
_LIBRARY = str(Path(os.__file__).parent) + os.sep
_INSTALLED = ("site-packages", "dist-packages")


@dataclass(frozen=True, slots=True)
class Calls:
    """What user's code, or a strategy of ours, called of clocks and shared randomness.

    Attributes:
        clocks: Each call once, such as ``time.time() in my_routers.py:12``.
        randomness: The same of the global ``random`` and ``numpy.random``.
    """

    clocks: tuple[str, ...]
    randomness: tuple[str, ...]


def watched_calls(run: Callable[[], object]) -> Calls:
    """Return what is called of clocks and shared randomness while *run* runs."""
    clocks: dict[str, None] = {}
    randomness: dict[str, None] = {}
    shared = (_owner(random.getrandbits), _owner(np.random.bytes))

    def watch(frame: FrameType, event: str, called: Any) -> None:
        if event != "c_call":
            return
        owner = getattr(called, "__self__", None)
        is_clock = called in _CLOCKS or (
            isinstance(owner, type)
            and issubclass(owner, dt.date)
            and called.__name__ in {"now", "utcnow", "today"}
        )
        if not is_clock and not any(owner is each for each in shared):
            return
        where = _user(frame, through_random=not is_clock)
        if where is not None and is_clock:
            name = getattr(owner, "__name__", "time")
            clocks.setdefault(f"{name}.{called.__name__}() in {where}")
        elif where is not None:
            randomness.setdefault(f"in {where}")

    with _profiled(watch):
        run()
    return Calls(tuple(clocks), tuple(randomness))


def counted_calls(run: Callable[[], object]) -> float:
    """Return the mean number of calls, Python's and C's, within a decision while *run* runs."""
    decisions = calls = depth = 0
    entries = _entries()

    def count(frame: FrameType, event: str, _: Any) -> None:
        nonlocal decisions, calls, depth
        if event == "call":
            if frame.f_code in entries:
                decisions += depth == 0
                depth += 1
            calls += depth > 0
        elif event == "return":
            if frame.f_code in entries:
                depth -= 1
        elif event == "c_call":
            calls += depth > 0

    with _profiled(count):
        run()
    return calls / max(decisions, 1)


def _entries() -> frozenset[CodeType]:
    """Return the code that every decision begins with: our router's, or the guard's of another."""
    return frozenset(
        {Router.route.__code__, Router.route_excluding.__code__, RouterGuard._route.__code__}
    )


@contextmanager
def _profiled(watch: Callable[[FrameType, str, Any], None]) -> Iterator[None]:
    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(before)


def _owner(method: Any) -> Any:
    return method.__self__


def _user(frame: FrameType | None, *, through_random: bool) -> str | None:
    """Return where a call comes from; None where that is neither a user's code nor a strategy.

    Args:
        frame: The caller.
        through_random: Whether functions of the module ``random`` are looked through.
    """
    while frame is not None and through_random and frame.f_globals.get("__name__") == "random":
        frame = frame.f_back
    if frame is None:
        return None
    file = frame.f_code.co_filename
    if file.startswith(_HOUSE) and not file.startswith(_FEDERATION):
        return None
    if file.startswith(_LIBRARY) and not any(part in file for part in _INSTALLED):
        return None
    return f"{Path(file).name}:{frame.f_lineno}"
