"""How far work on many runs is: what a callback gets, and the words for it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Progress"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a study is; as text, a line such as ``12 of 50 runs, 1 failed, 3.1/s, 0:12 left``.

    Attributes:
        done: Number of runs that have ended, the failed ones included; of one that runs in this
            process, its share counts that is over.
        runs: Number of all runs that are asked for so far.
        failed: Number of those that failed.
        found: Number of those that had been done before, as the study's directory shows.
        wall_s: Time since the first run began, in seconds.
        fleets: Number of fleets that a plan may still have to look at, each in some runs more; 0
            for other studies.
    """

    done: float
    runs: int = 1
    failed: int = 0
    found: int = 0
    wall_s: float = math.nan
    fleets: int = 0

    @property
    def per_second(self) -> float:
        """Runs that end per second of the wall clock; NaN before anything is done."""
        new = self.done - self.found
        return new / self.wall_s if new > 0.0 and self.wall_s > 0.0 else math.nan

    @property
    def left_s(self) -> float:
        """The time that the rest takes at this speed, in seconds; NaN before anything is done."""
        return (self.runs - self.done) / self.per_second

    @property
    def left(self) -> str:
        """The time that is left in words, such as ``0:12 left``; empty where it is not known."""
        return "" if math.isnan(self.left_s) else f"{_clock(self.left_s)} left"

    def __str__(self) -> str:
        parts = [f"{int(self.done)} of {self.runs} runs"]
        if self.fleets:
            return f"{int(self.done)} runs, at most {self.fleets:,} fleets left"
        if self.failed:
            parts.append(f"{self.failed} failed")
        if self.done < self.runs and self.left:
            parts += [f"{self.per_second:.2g}/s", self.left]
        return ", ".join(parts)


Tell = Callable[[Progress], None]
"""What is called with how far a study is, in the thread that began it."""


class Meter:
    """Counts what is done, and reports it.

    Args:
        tell: Is called with each report; None for no reports.
        runs: Number of runs to expect.

    Attributes:
        failed: Number of runs that failed.
    """

    def __init__(self, tell: Tell | None, runs: int = 0) -> None:
        self.failed = 0
        self._tell = tell
        self._runs = runs
        self._before = self._found = 0
        self._began_s = time.perf_counter()
        self._anchored = False

    def expect(self, runs: int, found: int = 0) -> None:
        """Expect more runs, of which some are found done; all before them have ended."""
        self._before = self._runs + found
        self._runs += runs
        self._found += found

    def ended(self, wall_s: float) -> None:
        """Note what a run took that has ended: before the first, a worker process had to start."""
        if not self._anchored:
            self._anchored = True
            self._began_s = max(self._began_s, time.perf_counter() - wall_s)

    def __call__(self, done: float) -> None:
        """Tell that so many of those that were expected last, and not found, are done."""
        if self._tell is not None:
            wall_s = time.perf_counter() - self._began_s
            done += self._before
            self._tell(Progress(done, self._runs, self.failed, self._found, wall_s))


def _clock(seconds: float) -> str:
    """Return a time as a clock shows it: ``0:12``, ``1:02:03``."""
    minutes, seconds = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
