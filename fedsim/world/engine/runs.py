"""Runs: consecutive steps of an engine during which nothing joins or leaves."""

from __future__ import annotations

import math
from bisect import bisect_right


class Run:
    """Consecutive steps whose durations grow by the same amount from one to the next.

    Step i, from 1, ends at ``start_s + i * (first_s + growth_s * (i - 1) / 2)``.

    Args:
        start_s: When the first step begins, in seconds.
        first_s: Duration of the first step, in seconds.
        growth_s: By how much each step takes longer than the one before, in seconds.
        steps: Number of steps, >= 1.
        before: Steps that the engine had completed before.
    """

    __slots__ = ("before", "first_s", "growth_s", "start_s", "steps")

    def __init__(
        self, start_s: float, first_s: float, growth_s: float, steps: int, before: int
    ) -> None:
        self.start_s = start_s
        self.first_s = first_s
        self.growth_s = growth_s
        self.steps = steps
        self.before = before

    def end_s(self, step: int) -> float:
        """Return when a step of the run ends, in seconds; *step* counts from 1, 0 is its start."""
        return self.start_s + step * (self.first_s + 0.5 * self.growth_s * (step - 1))

    def step_at(self, time_s: float) -> int:
        """Return the first step that ends at *time_s* or later, from 1; the last if none does."""
        steps = self.steps
        if steps == 1:
            return 1
        elapsed_s = time_s - self.start_s
        half_s = 0.5 * self.growth_s
        linear_s = self.first_s - half_s
        root_s = linear_s + math.sqrt(linear_s * linear_s + 4.0 * half_s * max(elapsed_s, 0.0))
        step = math.ceil(2.0 * elapsed_s / root_s) if root_s > 0.0 else 1
        step = min(max(step, 1), steps)
        # The closed form may be off by one where a step ends close to the time.
        while step > 1 and self.end_s(step - 1) >= time_s:
            step -= 1
        while step < steps and self.end_s(step) < time_s:
            step += 1
        return step


class History:
    """The runs of an engine, kept as long as somebody may ask for the time of a token."""

    __slots__ = ("_befores", "_runs")

    def __init__(self) -> None:
        self._runs: list[Run] = []
        self._befores: list[int] = []

    def add(self, run: Run, steps: int) -> None:
        """Add the first *steps* of *run*, which are over."""
        self._runs.append(Run(run.start_s, run.first_s, run.growth_s, steps, run.before))
        self._befores.append(run.before)

    def end_s(self, step: int) -> float:
        """Return when the engine's step number *step*, from 1, ended, in seconds."""
        run = self._runs[bisect_right(self._befores, step - 1) - 1]
        return run.end_s(step - run.before)

    def clear(self) -> None:
        """Forget everything."""
        self._runs.clear()
        self._befores.clear()

    def forget_before(self, step: int) -> None:
        """Forget the runs that were over before the engine's step number *step*."""
        first = bisect_right(self._befores, step - 1) - 1
        if first > 0:
            del self._runs[:first], self._befores[:first]

    def __len__(self) -> int:
        return len(self._runs)
