"""Runs of steps: the closed form of their ends, and which step a time lies in."""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random

import pytest

from fedsim.world.engine.runs import StepRun, TokenTimes


def random_run(draw: Random) -> StepRun:
    """Return a run that may begin late, grow or shrink, and have one step or a million."""
    steps = draw.choice((1, 2, 10, 1_000, 10**6))
    first_s = draw.choice((1e-5, 0.01, 3.0)) * draw.uniform(0.5, 2.0)
    growth_s = draw.choice((0.0, first_s * draw.random(), -first_s * draw.random() / steps))
    return StepRun(draw.choice((0.0, 1.0, 1e6)) * draw.random(), first_s, growth_s, steps)


@pytest.mark.parametrize("seed", range(50))
def test_a_step_ends_when_the_durations_before_it_add_up(seed):
    """Each step takes the growth longer than the one before."""
    run = random_run(Random(seed))
    steps = min(run.steps, 50)

    ends_s = [
        run.start_s + math.fsum(run.first_s + run.growth_s * i for i in range(step))
        for step in range(1, steps + 1)
    ]

    assert [run.end_s(step) for step in range(1, steps + 1)] == pytest.approx(ends_s, rel=1e-12)


@pytest.mark.parametrize("seed", range(200))
def test_no_rounding_puts_an_end_on_the_wrong_side(seed):
    """At the very end of a step, and the next float before and after, the step is the right one."""
    draw = Random(seed)
    run = random_run(draw)
    for step in {1, run.steps, *(draw.randint(1, run.steps) for _ in range(50))}:
        end_s = run.end_s(step)
        for time_s in (end_s, math.nextafter(end_s, -math.inf), math.nextafter(end_s, math.inf)):
            found = run.step_at(time_s)

            assert found == run.steps or run.end_s(found) >= time_s
            assert found == 1 or run.end_s(found - 1) < time_s


def test_times_before_and_after_a_run():
    """The first step is the first that ends later; after the last there is no other."""
    run = StepRun(10.0, 1.0, 0.5, 3)

    assert run.step_at(-5.0) == run.step_at(10.0) == 1
    assert run.step_at(1e9) == 3


def test_steps_of_no_time():
    """They all end where they begin."""
    assert StepRun(1.0, 0.0, 0.0, 10).step_at(1.0) == 1


def test_tokens_of_several_runs():
    """Tokens are numbered through the runs that made them, those before a preemption included."""
    runs = [
        StepRun(0.0, 2.0, 0.0, 1, 7),
        StepRun(2.0, 1.0, 0.5, 3, 8),
        StepRun(6.5, 1.0, 0.0, 4, 11),
    ]
    runs += [StepRun(50.0, 1.0, 0.0, 1, 15), StepRun(51.0, 2.0, 0.0, 9, 16)]
    for run, following in pairwise(runs):
        run.following = following
    times = TokenTimes()
    assert times.at_s(1) == math.inf
    times.begin(1, runs[0])
    times.begin(5, runs[3])

    for order in (range(1, 15), (14, 6, 5, 4, 1, 9)):
        known = dict(zip(range(1, 5), (2.0, 3.0, 4.5, 6.5), strict=True))
        known |= {number: 51.0 + 2.0 * (number - 5) for number in range(5, 15)}
        assert [times.at_s(number) for number in order] == [known[number] for number in order]
    assert times.at_s(15) == math.inf


def test_a_long_life_leaves_nothing_behind():
    """However many runs follow one another, the first can be let go."""
    first = run = StepRun(0.0, 1.0, 0.0, 1, 0)
    for number in range(1, 300_000):
        run.following = run = StepRun(float(number), 1.0, 0.0, 1, number)
    del first

    assert run.number == 299_999
