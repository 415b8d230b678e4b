"""Means over replications, their intervals, and paired differences."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fedsim.studies.statistics import (
    estimate,
    estimates,
    paired_difference,
    t_quantiles,
    verdict,
)


def test_quantiles_are_those_of_the_tables():
    """The quantiles of Student's t agree with the printed tables (Law, table T.1)."""
    found = t_quantiles([1, 2, 4, 9, 29, 1e9])
    assert found == pytest.approx([12.706, 4.303, 2.776, 2.262, 2.045, 1.960], abs=5e-4)
    assert np.isnan(t_quantiles([0, -1])).all()


def test_interval_by_hand():
    """Three values with mean 2 and standard deviation 1 give 4.303 / sqrt(3)."""
    found = estimate([1.0, 2.0, 3.0])
    assert (found.mean, found.count) == (2.0, 3)
    assert found.half_width == pytest.approx(4.302652730 / math.sqrt(3.0))
    assert (found.low, found.high) == (2.0 - found.half_width, 2.0 + found.half_width)


def test_coverage_of_the_interval():
    """The interval of five normal values holds their mean in 95 % of 20,000 cases."""
    rng = np.random.default_rng(20260)
    found = estimates(rng.normal(3.0, 2.0, size=(5, 20_000)))
    covered = np.abs(found.mean - 3.0) <= found.half_width
    z = (covered.mean() - 0.95) / math.sqrt(0.95 * 0.05 / covered.size)
    assert abs(z) < 3.5


def test_coverage_of_the_paired_difference():
    """The paired interval covers a difference, and is far narrower where seeds matter most."""
    rng = np.random.default_rng(20261)
    seeds = rng.normal(0.0, 10.0, size=(8, 5_000))
    first = seeds + rng.normal(1.0, 0.5, size=seeds.shape)
    second = seeds + rng.normal(0.0, 0.5, size=seeds.shape)
    paired = estimates(first - second)
    covered = np.abs(paired.mean - 1.0) <= paired.half_width
    z = (covered.mean() - 0.95) / math.sqrt(0.95 * 0.05 / covered.size)
    assert abs(z) < 3.5
    assert paired.half_width.mean() < 0.1 * estimates(first).half_width.mean()


def test_one_value_has_no_interval():
    """One replication has a mean and no interval, so that it shows no difference."""
    found = estimate([5.0])
    assert (found.mean, found.count) == (5.0, 1)
    assert math.isnan(found.half_width)
    assert verdict(found, "lower") == "no difference shown"


def test_missing_values_are_left_out():
    """A replication without a value counts neither in the mean nor in the degrees of freedom."""
    found = estimate([1.0, math.nan, 2.0, 3.0])
    assert found == estimate([1.0, 2.0, 3.0])
    nothing = estimate([math.nan, math.nan])
    assert nothing.count == 0
    assert math.isnan(nothing.mean)
    assert math.isnan(nothing.half_width)
    assert verdict(nothing, "lower") == "not measured"


def test_a_pair_counts_where_both_have_a_value():
    """A seed on which one of the two has no value is left out of their difference."""
    found = paired_difference([1.0, math.nan, 4.0, 7.0], [0.0, 0.0, math.nan, 5.0])
    assert (found.mean, found.count) == (1.5, 2)


def test_equal_values_have_no_spread():
    """Values whose mean is rounded have an interval of no width, and keep their own value."""
    found = estimate([0.1] * 3)
    assert (found.mean, found.half_width) == (0.1, 0.0)
    assert verdict(estimate([0.0] * 3), "lower") == "no difference shown"
    assert verdict(estimate([-0.1] * 3), "lower") == "better"


@pytest.mark.parametrize(
    ("values", "better", "expected"),
    [
        ([1.0, 1.1, 0.9], "lower", "worse"),
        ([1.0, 1.1, 0.9], "higher", "better"),
        ([-1.0, -1.1, -0.9], "lower", "better"),
        ([-1.0, -1.1, -0.9], "higher", "worse"),
        ([1.0, 1.1, 0.9], None, "higher"),
        ([-1.0, -1.1, -0.9], None, "lower"),
        ([1.0, -1.0, 0.1], "lower", "no difference shown"),
    ],
)
def test_verdict_knows_which_way_is_better(values, better, expected):
    """An interval without zero is better or worse by the measure's good direction."""
    assert verdict(estimate(values), better) == expected


def test_estimates_of_a_table_are_those_of_its_columns():
    """Means over the first axis are what each column gives by itself."""
    table = np.random.default_rng(5).random((6, 4))
    table[2, 1] = math.nan
    found = estimates(table)
    for column in range(4):
        alone = estimate(table[:, column])
        assert found.mean[column] == pytest.approx(alone.mean, rel=1e-14)
        assert found.half_width[column] == pytest.approx(alone.half_width, rel=1e-12)
        assert found.count[column] == alone.count
