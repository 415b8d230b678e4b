"""Step times: the formula term by term, and tables between, on and beyond their points."""

from __future__ import annotations

import math
from itertools import product

import pytest

from fedsim.world.engine.measured import MeasuredSteps
from fedsim.world.engine.steps import Coefficients

FORMULA = Coefficients(
    p0_s=5.0, p1_s=0.1, p2_s=0.001, d0_s=3.0, d1_s=0.5, d2_s=0.01, floor_s=7.0, step_overhead_s=0.25
)

PREFILL = ((100, 0, 12.0), (200, 0, 14.0), (400, 0, 18.0), (100, 1000, 13.0), (400, 1000, 22.0))
DECODE = (
    (2, 100, 5.0),
    (2, 300, 7.0),
    (2, 700, 8.0),
    (6, 100, 9.0),
    (6, 300, 12.0),
)
TABLE = MeasuredSteps(PREFILL, DECODE)


def lone_prompt_s(steps: MeasuredSteps, new: int, cached: int) -> float:
    """Return the time of a step that prefills one prompt."""
    return steps.step_s(steps.prefill_s(new, cached), 1, 0, 0)


def decode_s(steps: MeasuredSteps, batch: int, context: int) -> float:
    """Return the time of a step of *batch* sequences with *context* each."""
    return steps.step_s(0.0, 0, batch, batch * context)


class TestFormula:
    def test_prefill(self):
        """p0 + p1·n + p2·n·(c + n/2), and never less than the floor."""
        prefill_s = FORMULA.prefill_s(10, 20)

        assert prefill_s == pytest.approx(0.1 * 10 + 0.001 * 10 * (20 + 5))
        assert FORMULA.step_s(prefill_s, 1, 0, 0) == 7.25
        assert FORMULA.step_s(10.0, 2, 0, 0) == 15.25

    def test_decode(self):
        """d0 + d1·B + d2·Σctx; the floor is for prefill alone."""
        assert FORMULA.step_s(0.0, 0, 2, 100) == pytest.approx(3.0 + 1.0 + 1.0 + 0.25)

    def test_both_share_the_larger_base(self):
        """The weights are read once."""
        assert FORMULA.step_s(0.5, 1, 2, 100) == pytest.approx(5.0 + 0.5 + 1.0 + 1.0 + 0.25)
        decodes_longer = Coefficients(1.0, 0.1, 0.0, 3.0, 0.5, 0.01, floor_s=100.0)
        assert decodes_longer.step_s(0.5, 1, 2, 100) == pytest.approx(3.0 + 0.5 + 1.0 + 1.0)

    def test_a_mixture_of_experts_reads_more_weights_in_larger_batches(self):
        """One sequence goes through 8 of 128 experts, many through nearly all; it is a base."""
        mixture = Coefficients(9.0, 0.1, 0.0, 3.0, 0.5, 0.0, dw_s=16.0)

        assert mixture.step_s(0.0, 0, 1, 0) == pytest.approx(3.0 + 1.0 + 0.5)
        assert mixture.step_s(0.0, 0, 1000, 0) == pytest.approx(3.0 + 16.0 + 500.0)
        assert mixture.step_s(1.0, 1, 1, 0) == pytest.approx(9.0 + 1.0 + 0.5)

    def test_the_line_is_that_of_the_steps(self):
        """It holds for any context."""
        intercept_s, slope_s, until = FORMULA.decode_line(4, 50)

        assert until == math.inf
        for context in (50, 1_000):
            step_s = FORMULA.step_s(0.0, 0, 4, context)
            assert intercept_s + slope_s * context == pytest.approx(step_s)


class TestTable:
    @pytest.mark.parametrize(("new", "cached", "time_s"), PREFILL)
    def test_one_prompt_takes_what_was_measured(self, new, cached, time_s):
        """At each point, with cached tokens or without."""
        assert lone_prompt_s(TABLE, new, cached) == pytest.approx(time_s)

    @pytest.mark.parametrize(("batch", "context", "time_s"), DECODE)
    def test_a_batch_takes_what_was_measured(self, batch, context, time_s):
        """At each point."""
        assert decode_s(TABLE, batch, context) == pytest.approx(time_s)

    def test_in_between_all_is_linear(self):
        """Between batches and contexts, between new tokens and cached ones."""
        assert decode_s(TABLE, 2, 200) == pytest.approx(6.0)
        assert decode_s(TABLE, 4, 300) == pytest.approx(0.5 * (7.0 + 12.0))
        assert decode_s(TABLE, 4, 200) == pytest.approx(0.25 * (5.0 + 7.0 + 9.0 + 12.0))
        assert lone_prompt_s(TABLE, 400, 500) == pytest.approx(20.0)

    def test_beyond_the_ends_the_last_points_are_extended(self):
        """Also where one batch was measured with longer contexts than another."""
        assert decode_s(TABLE, 2, 1100) == pytest.approx(9.0)
        assert decode_s(TABLE, 6, 700) == pytest.approx(18.0)
        assert decode_s(TABLE, 4, 700) == pytest.approx(0.5 * (8.0 + 18.0))
        assert decode_s(TABLE, 10, 100) == pytest.approx(13.0)
        assert decode_s(TABLE, 2, 0) == pytest.approx(4.0)

    def test_but_no_time_falls_beyond_an_end(self):
        """Noise in the last two points must not make a long context free."""
        steps = MeasuredSteps(PREFILL, ((1, 100, 5.0), (1, 200, 4.0)))

        assert decode_s(steps, 1, 150) == pytest.approx(4.5)
        assert decode_s(steps, 1, 10**6) == 4.0
        assert decode_s(steps, 1, 0) == 5.0
        assert decode_s(steps, 1000, 100) == 5.0

    def test_many_short_prompts_take_what_one_long_one_does(self):
        """Where prompts do not attend to much, four of 100 tokens are as good as one of 400."""
        linear = MeasuredSteps(PREFILL[:3], DECODE)

        assert linear.step_s(4 * linear.prefill_s(100, 0), 4, 0, 0) == pytest.approx(18.0)

    def test_both_share_the_larger_base(self):
        """Bases are the times at no new tokens, 10 s here, and of the batch at no context."""
        prefill = PREFILL[:3]
        fast = MeasuredSteps(prefill, DECODE)
        slow = MeasuredSteps(prefill, tuple((b, c, time_s + 20.0) for b, c, time_s in DECODE))
        prefill_s = fast.prefill_s(200, 0)

        assert fast.step_s(prefill_s, 1, 2, 600) == pytest.approx(10.0 + 4.0 + 3.0)
        assert slow.step_s(prefill_s, 1, 2, 600) == pytest.approx(24.0 + 4.0 + 3.0)

    def test_the_overhead_is_added_to_every_step(self):
        """To all three kinds, and to the line."""
        steps = MeasuredSteps(PREFILL, DECODE, step_overhead_s=1.0)

        assert lone_prompt_s(steps, 100, 0) == pytest.approx(13.0)
        assert decode_s(steps, 2, 100) == pytest.approx(6.0)
        assert steps.step_s(0.0, 1, 2, 0) == pytest.approx(TABLE.step_s(0.0, 1, 2, 0) + 1.0)
        assert steps.decode_line(2, 200)[0] == TABLE.decode_line(2, 200)[0] + 1.0

    @pytest.mark.parametrize("batch", [1, 2, 3, 6, 50])
    def test_the_line_is_that_of_the_steps(self, batch):
        """From the context that was asked for up to the one that is returned, at least one on."""
        for each in (0, 99, 100, 250, 300, 699, 700, 5_000):
            context = batch * each
            intercept_s, slope_s, until = TABLE.decode_line(batch, context)
            assert until > context
            for at in (context, context + 1, min(until, context + 1e6)):
                if at <= until:
                    step_s = TABLE.step_s(0.0, 0, batch, at)
                    assert intercept_s + slope_s * at == pytest.approx(step_s)

    def test_one_point_is_a_constant(self):
        """Without a second one nothing says how times grow."""
        steps = MeasuredSteps(((100, 0, 2.0),), ((4, 100, 3.0),))

        assert lone_prompt_s(steps, 100, 0) == lone_prompt_s(steps, 900, 0) == 2.0
        for batch, context in product((1, 4, 9), (1, 100, 900)):
            assert decode_s(steps, batch, context) == 3.0

    @pytest.mark.parametrize(
        ("prefill", "decode", "message"),
        [
            ((), DECODE, "the prefill table has no points"),
            (PREFILL, (), "the decode table has no points"),
            (((1, 0, 1.0), (1, 0, 2.0)), DECODE, "two points at"),
            (PREFILL, ((1, 1, 0.0),), "not one of a table of times"),
            (PREFILL, ((1, -1, 1.0),), "not one of a table of times"),
        ],
    )
    def test_a_table_that_makes_no_sense_is_refused(self, prefill, decode, message):
        """The message names what is wrong."""
        with pytest.raises(ValueError, match=message):
            MeasuredSteps(prefill, decode)
