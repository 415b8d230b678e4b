"""Means over replications, their intervals, and paired differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit

from fedsim.studies.statistics import (
    chances_of_best,
    equivalence,
    estimate,
    estimates,
    holm,
    paired_difference,
    t_quantiles,
    verdict,
)


def width(found):
    """Return the width of an interval, or of several."""
    return found.high - found.low


def shown(values, better, adjusted=None):
    """Return the verdict of the differences *values* from 0."""
    found = paired_difference(values, np.zeros(len(values)))
    return verdict(found.absolute, better, found.p if adjusted is None else adjusted)


def coverage_z(found, truth):
    """Return how many standard errors the share of intervals that hold *truth* is from 95 %."""
    covered = (found.low <= truth) & (truth <= found.high)
    return (covered.mean() - 0.95) / math.sqrt(0.95 * 0.05 / covered.size)


def test_quantiles_are_those_of_the_tables():
    """The quantiles of Student's t agree with the printed tables (Law, table T.1)."""
    found = t_quantiles([1, 2, 4, 9, 19, 29, 1e9])
    assert found == pytest.approx([12.706, 4.303, 2.776, 2.262, 2.093, 2.045, 1.960], abs=5e-4)
    one_sided = t_quantiles([4, 9, 19, 29], confidence=0.9)
    assert one_sided == pytest.approx([2.132, 1.833, 1.729, 1.699], abs=5e-4)
    assert np.isnan(t_quantiles([0, -1])).all()


def test_interval_by_hand():
    """Symmetric values with mean 2 and standard deviation 1 give Student's 4.303 / sqrt(3)."""
    found = estimate([1.0, 2.0, 3.0])
    assert (found.mean, found.count) == (2.0, 3)
    half_width = 4.302652730 / math.sqrt(3.0)
    assert (found.low, found.high) == pytest.approx((2.0 - half_width, 2.0 + half_width))


def test_interval_of_skewed_values_by_hand():
    """The values 0, 0, 1 have s = 1/√3, third moment 1/9 and a = 1/6, and the mean ± s/√3 G."""
    found = estimate([0.0, 0.0, 1.0])
    t, a = 4.302652730, 1.0 / 6.0
    above, below = (
        (math.copysign(abs(1.0 + 6.0 * a * (x - a)) ** (1 / 3), 1.0 + 6.0 * a * (x - a)) - 1.0)
        / (2.0 * a)
        for x in (t, -t)
    )
    assert found.low == pytest.approx(1.0 / 3.0 - above / 3.0)
    assert found.high == pytest.approx(1.0 / 3.0 - below / 3.0)
    assert found.high - found.mean > 3.0 * (found.mean - found.low)


VALUES = st.lists(st.floats(-1e3, 1e3).map(lambda x: round(x, 3)), min_size=3, max_size=12)


@given(VALUES, st.floats(0.001, 1e3), st.floats(-1e3, 1e3))
def test_an_interval_does_not_depend_on_units(values, scale, shift):
    """Scaled and shifted values have the same interval, scaled and shifted; negated, mirrored."""
    found = estimate(values)
    moved = estimate(np.array(values) * scale + shift)
    near = 1e-9 + 1e-6 * scale * max(map(abs, values))
    assert moved.mean == pytest.approx(found.mean * scale + shift, abs=near)
    assert moved.low == pytest.approx(found.low * scale + shift, abs=near * 1e3)
    assert moved.high == pytest.approx(found.high * scale + shift, abs=near * 1e3)
    mirrored = estimate([-value for value in values])
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))


@given(VALUES)
def test_an_interval_holds_its_mean_and_keeps_within_bounds(values):
    """The mean lies between the ends, and no end lies beyond what the measure can be."""
    found = estimate(values, (-10.0, math.inf))
    assert max(found.low, -10.0) == found.low
    free = estimate(values)
    assert free.low <= free.mean <= free.high


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=5))
def test_values_without_skewness_have_students_interval(half):
    """Values that are symmetric about their mean have equal sides, those of Student's t."""
    values = np.array([*half, *(-value for value in half), 0.0])
    found = estimate(values)
    error = values.std(ddof=1) / math.sqrt(len(values))
    assert found.high == pytest.approx(t_quantiles(len(values) - 1) * error, abs=1e-9)
    assert found.low == pytest.approx(-found.high, abs=1e-9)


@given(VALUES)
def test_the_p_value_is_that_of_the_interval(values):
    """It is below 5 % where the interval excludes 0, and only there."""
    both = paired_difference(values, np.zeros(len(values)))
    found, p = both.absolute, both.p
    if abs(p - 0.05) > 1e-6:
        assert (p < 0.05) == (found.low > 0.0 or found.high < 0.0)


def test_p_values_of_equal_and_of_few_values():
    """Equal values show any difference from 0, and one value shows nothing."""
    pairs = ([1.0, 1.0], [0.0, 0.0]), ([-2.0] * 3, [0.0] * 3), ([0.3] * 3, [0.3] * 3)
    assert [paired_difference(*pair).p for pair in pairs] == [0.0, 0.0, 1.0]
    assert math.isnan(paired_difference([1.0], [0.0]).p)


def test_coverage_of_the_interval():
    """Thirty normal values cover their mean in 95 % of cases, and skewed ones better than by t."""
    rng = np.random.default_rng(20260)
    assert abs(coverage_z(estimates(rng.normal(3.0, 2.0, size=(30, 20_000))), 3.0)) < 3.5
    skewed = rng.exponential(1.0, size=(10, 20_000))
    found = estimates(skewed)
    half = t_quantiles(9) * skewed.std(axis=0, ddof=1) / math.sqrt(10.0)
    plain = (np.abs(found.mean - 1.0) <= half).mean()
    adjusted = ((found.low <= 1.0) & (found.high >= 1.0)).mean()
    assert plain < 0.91
    assert adjusted > plain + 0.01


def test_coverage_of_the_paired_difference():
    """The paired interval covers a difference, and is far narrower where seeds matter most."""
    rng = np.random.default_rng(20261)
    seeds = rng.normal(0.0, 10.0, size=(20, 5_000))
    first = seeds + rng.normal(1.0, 0.5, size=seeds.shape)
    second = seeds + rng.normal(0.0, 0.5, size=seeds.shape)
    paired = estimates(first - second)
    assert abs(coverage_z(paired, 1.0)) < 3.5
    assert width(paired).mean() < 0.1 * width(estimates(first)).mean()
    found = paired_difference(first[:, 0], second[:, 0]).narrowed
    variances = first[:, 0].var(ddof=1) + second[:, 0].var(ddof=1)
    assert found == pytest.approx(math.sqrt(variances) / (first - second)[:, 0].std(ddof=1))
    assert found > 10.0


def test_a_ratio_has_fiellers_interval():
    """The ends of a relative difference are where the t interval of A − θB just holds 0."""
    rng = np.random.default_rng(20262)
    second = rng.normal(10.0, 1.0, size=10)
    first = 1.2 * second + rng.normal(0.0, 0.4, size=10)
    found = paired_difference(first, second).relative
    assert found.mean == pytest.approx(first.mean() / second.mean() - 1.0)
    for end in (found.low, found.high):
        rest = first - (1.0 + end) * second
        t = rest.mean() / (rest.std(ddof=1) / math.sqrt(10.0))
        assert abs(t) == pytest.approx(2.262157, rel=1e-5)
    assert found.low < 0.2 < found.high


def test_a_ratio_covers_although_its_denominator_is_random():
    """The interval of the ratio of two means holds it in 95 % of cases."""
    rng = np.random.default_rng(20263)
    second = rng.normal(4.0, 2.0, size=(1_000, 10))
    first = rng.normal(5.0, 2.0, size=second.shape)
    found = [paired_difference(*pair).relative for pair in zip(first, second, strict=True)]
    covered = np.mean([each.low <= 0.25 <= each.high for each in found])
    assert abs(covered - 0.95) < 3.5 * math.sqrt(0.95 * 0.05 / 1_000)


def test_a_ratio_to_nothing_is_none():
    """A baseline of 0 has no ratio, one that may be 0 has no ends, and no share falls below −1."""
    assert math.isnan(paired_difference([1.0, 2.0], [0.0, 0.0]).relative.mean)
    wide = paired_difference([1.0, 2.0, 4.0], [-1.0, 0.5, 1.0], (0.0, math.inf)).relative
    assert (wide.low, wide.high) == (-1.0, math.inf)


def test_one_value_has_no_interval():
    """One replication has a mean and no interval, so that it shows no difference."""
    found = estimate([5.0])
    assert (found.mean, found.count) == (5.0, 1)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert shown([5.0], "lower") == "no difference shown"


def test_missing_values_are_left_out():
    """A replication without a value counts neither in the mean nor in the degrees of freedom."""
    found = estimate([1.0, math.nan, 2.0, 3.0])
    assert found == estimate([1.0, 2.0, 3.0])
    nothing = estimate([math.nan, math.nan])
    assert nothing.count == 0
    assert math.isnan(nothing.mean)
    assert math.isnan(nothing.low)
    assert shown([math.nan, math.nan], "lower") == "not measured"


def test_a_pair_counts_where_both_have_a_value():
    """A seed on which one of the two has no value is left out of their difference."""
    found = paired_difference([1.0, math.nan, 4.0, 7.0], [0.0, 0.0, math.nan, 5.0]).absolute
    assert (found.mean, found.count) == (1.5, 2)


def test_equal_values_have_no_spread():
    """Values whose mean is rounded have an interval of no width, and keep their own value."""
    found = estimate([0.1] * 3)
    assert (found.mean, found.low, found.high) == (0.1, 0.1, 0.1)
    assert shown([0.0] * 3, "lower") == "no difference shown"
    assert shown([-0.1] * 3, "lower") == "better"


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
    assert shown(values, better) == expected


def test_an_adjusted_p_value_decides_the_verdict():
    """An interval without zero shows nothing where the allowance for other differences says so."""
    values = [1.0, 1.1, 0.9]
    assert shown(values, "lower", 0.049) == "worse"
    assert shown(values, "lower", 0.051) == "no difference shown"


def test_holm_by_hand():
    """The published example, in any order, and without those that were not tested."""
    assert holm([0.012, 0.03, 0.04, 0.2]) == pytest.approx([0.048, 0.09, 0.09, 0.2])
    assert holm([0.2, 0.04, math.nan, 0.012, 0.03]) == pytest.approx(
        [0.2, 0.09, math.nan, 0.048, 0.09], nan_ok=True
    )
    assert holm([0.6, 0.7]).tolist() == [1.0, 1.0]
    assert holm([]).tolist() == []


def test_equivalence_by_hand():
    """Ten differences of mean 0.4 and deviation 1.2 are within 2: t is 6.32 and 4.22, p 0.0011."""
    differences = np.array([1.0, -1.0] * 5) * 1.2 * math.sqrt(0.9) + 0.4
    found = equivalence(differences, np.zeros(10), 2.0, relative=False)
    assert (found.difference.low, found.difference.high) == pytest.approx((-0.30, 1.10), abs=5e-3)
    assert t_of(found.p_low, 9) == pytest.approx(6.32, abs=5e-3)
    assert t_of(found.p_high, 9) == pytest.approx(4.22, abs=5e-3)
    assert found.p == found.p_high == pytest.approx(0.0011, abs=5e-5)


def t_of(p, degrees):
    """Return the t whose one-sided p-value is *p*."""
    return float(-stdtrit(degrees, p))


def test_equivalence_of_ratios_goes_by_their_interval():
    """A variant is no worse by a share where the 90 % interval of the ratio ends below it."""
    rng = np.random.default_rng(20264)
    base = rng.normal(10.0, 1.0, size=12)
    other = 1.01 * base + rng.normal(0.0, 0.1, size=12)
    high = equivalence(other, base, 0.02, relative=True).difference.high
    assert equivalence(other, base, high + 1e-6, relative=True).p_high < 0.05
    assert equivalence(other, base, high - 1e-6, relative=True).p_high > 0.05


def test_chances_of_the_best():
    """They add up to one, share what is equal, and follow what decides between equal means."""
    rng = np.random.default_rng(20265)
    values = rng.normal(0.0, 1.0, size=(12, 3)) + np.array([0.0, 0.1, 5.0])
    found = chances_of_best([values], np.random.default_rng(1))
    assert found.sum() == pytest.approx(1.0)
    assert found[2] == 0.0
    assert 0.2 < found[0] < 0.98
    same = np.array([0.1, 0.2, 0.7])[:, np.newaxis] * np.ones((3, 2))
    assert chances_of_best([same], rng).tolist() == [0.5, 0.5]
    assert chances_of_best([same, same + np.array([1.0, 0.0])], rng).tolist() == [0.0, 1.0]
    same[:, 0] = math.nan
    assert chances_of_best([same], rng).tolist() == [0.0, 1.0]


def test_the_chance_of_the_best_keeps_replications_whole():
    """A variant that is better in every replication is the best, whatever the replications."""
    seeds = np.random.default_rng(2).normal(0.0, 100.0, size=8)
    found = chances_of_best([np.column_stack([seeds, seeds + 0.01])], np.random.default_rng(3))
    assert found.tolist() == [1.0, 0.0]


def test_estimates_of_a_table_are_those_of_its_columns():
    """Means over the first axis are what each column gives by itself."""
    table = np.random.default_rng(5).random((6, 4))
    table[2, 1] = math.nan
    found = estimates(table)
    for column in range(4):
        alone = estimate(table[:, column])
        assert found.mean[column] == pytest.approx(alone.mean, rel=1e-14)
        assert found.low[column] == pytest.approx(alone.low, rel=1e-12)
        assert found.high[column] == pytest.approx(alone.high, rel=1e-12)
        assert found.count[column] == alone.count
