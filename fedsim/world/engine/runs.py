"""Runs: consecutive steps of an engine during which nothing joins or leaves."""

from __future__ import annotations

import math
from bisect import bisect_right


class StepRun:
    """Consecutive steps whose durations grow by the same amount from one to the next.

    Step i, from 1, ends at ``start_s + i * (first_s + growth_s * (i - 1) / 2)``.

    Args:
        start_s: When the first step begins, in seconds.
        first_s: Duration of the first step, in seconds.
        growth_s: By how much each step takes longer than the one before, in seconds.
        steps: Number of steps, >= 1; it falls where something joins or leaves earlier.
        number: Number of the first step among all of the engine.

    Attributes:
        following: The run after it, once there is one.
    """

    __slots__ = ("first_s", "following", "growth_s", "number", "start_s", "steps")

    def __init__(
        self, start_s: float, first_s: float, growth_s: float, steps: int, number: int = 0
    ) -> None:
        self.start_s = start_s
        self.first_s = first_s
        self.growth_s = growth_s
        self.steps = steps
        self.number = number
        self.following: StepRun | None = None

    @property
    def longest_s(self) -> float:
        """Duration of its longest step, in seconds."""
        return self.first_s + max(self.growth_s * (self.steps - 1), 0.0)

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
    """When the tokens of one sequence were, or will be, made.

    A sequence makes a token in the step that completes its prompt and in every step after that,
    until it is over or preempted; a preempted one goes on so when its tokens are computed again.
    Runs know which run follows them, so that a sequence costs the same however long it is, and a
    run is kept only while a sequence may still ask for it.
    """

    __slots__ = ("_passed", "_spells")

    def __init__(self) -> None:
        self._spells: list[tuple[int, int, StepRun]] = []
        self._passed: StepRun | None = None

    def begin(self, token: int, run: StepRun) -> None:
        """Note that the last step of *run* made token number *token*, and later steps the next."""
        self._spells.append((token, run.number + run.steps - 1, run))

    def at_s(self, number: int) -> float:
        """Return when token *number*, from 1, was made, in seconds; infinite while unknown."""
        place = bisect_right(self._spells, number, key=_token) - 1
        if place < 0:
            return math.inf
        token, step, run = self._spells[place]
        step += number - token
        passed = self._passed
        if passed is not None and run.number < passed.number <= step:
            run = passed  # tokens are mostly asked for in their order
        while step >= run.number + run.steps:
            if run.following is None:
                return math.inf
            run = run.following
        if run.following is not None:  # else it may still be replaced
            self._passed = run
        return run.end_s(step - run.number + 1)


def _token(spell: tuple[int, int, StepRun]) -> int:
    return spell[0]
