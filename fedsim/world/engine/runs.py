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
        steps: Number of steps, >= 1; it falls where something joins or leaves earlier.
    """

    __slots__ = ("first_s", "growth_s", "start_s", "steps")

    def __init__(self, start_s: float, first_s: float, growth_s: float, steps: int) -> None:
        self.start_s = start_s
        self.first_s = first_s
        self.growth_s = growth_s
        self.steps = steps

    def end_s(self, step: int) -> float:
        """Return when a step of the run ends, in seconds; *step* counts from 1."""
        return self.start_s + step * (self.first_s + 0.5 * self.growth_s * (step - 1))

    def step_at(self, time_s: float) -> int:
        """Return the first step that ends at *time_s* or later, from 1; the last if none does."""
        steps = self.steps
        if steps == 1:
            return 1
        elapsed_s = max(time_s - self.start_s, 0.0)
        half_s = 0.5 * self.growth_s
        linear_s = self.first_s - half_s
        root_s = linear_s + math.sqrt(max(linear_s * linear_s + 4.0 * half_s * elapsed_s, 0.0))
        step = math.ceil(2.0 * elapsed_s / root_s) if root_s > 0.0 else 1
        step = min(max(step, 1), steps)
        # The closed form may be off by one where a step ends close to the time.
        while step > 1 and self.end_s(step - 1) >= time_s:
            step -= 1
        while step < steps and self.end_s(step) < time_s:
            step += 1
        return step


class TokenTimes:
    """When the tokens of one sequence were made: the runs that made them.

    Attributes:
        tokens: Tokens whose times it knows.
    """

    __slots__ = ("_firsts", "_runs", "tokens")

    def __init__(self) -> None:
        self.tokens = 0
        self._firsts: list[int] = []
        self._runs: list[Run] = []

    def add(self, run: Run, tokens: int) -> None:
        """Add the *tokens* that the first steps of *run* made."""
        if tokens:
            self._firsts.append(self.tokens)
            self._runs.append(run)
            self.tokens += tokens

    def at_s(self, number: int) -> float:
        """Return when token *number*, from 1 to ``tokens``, was made, in seconds."""
        index = bisect_right(self._firsts, number - 1) - 1
        return self._runs[index].end_s(number - self._firsts[index])
