"""Replications in rounds, until estimates are exact enough."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fedsim.studies.precision import LOOKS, ROUND, Precision, reached_in_words

P99 = "latency_p99_s"


def symmetric(count, mean, deviation):
    """Return values with exactly that mean and standard deviation, and no skewness."""
    values = np.where(np.arange(count) % 2, 1.0, -1.0) * math.sqrt((count - 1) / count)
    return (mean + deviation * values).tolist()


def rounds(precision, value_of):
    """Return the numbers of replications that were looked at."""
    seen = [precision.replications]
    while precision.goes_on({P99: [value_of(precision.replications)]}):
        seen.append(precision.replications)
    return seen


def test_ten_replications_within_one_and_a_quarter_percent():
    """6.289 ± 0.079 of ten, deviation 0.110: ± 1.26 %, within 1.3 % after two looks, not 1.25 %."""
    values = symmetric(10, 6.289, 0.110)
    loose = Precision({P99: 0.0129}, 10, 100, 0.95)
    assert loose.goes_on({P99: [values]})
    assert loose.reached.half_widths[P99] == pytest.approx(0.0126, abs=1e-4)
    assert not loose.goes_on({P99: [values]})
    assert loose.reached.enough
    strict = Precision({P99: 0.0125}, 10, 100, 0.95)
    assert strict.goes_on({P99: [values]})
    assert strict.goes_on({P99: [values]})


def test_rounds_go_on_until_two_looks_in_a_row():
    """About twelve replications give ± 1 % of it; the looks at 15 and 20 find that."""
    precision = Precision({P99: 0.01}, 10, 100, 0.95)
    seen = rounds(precision, lambda count: symmetric(count + count % 2, 6.289, 0.110))
    assert seen == [10, 15, 20]
    assert ROUND == 5
    assert LOOKS == 2
    assert precision.reached.enough


def test_there_is_a_largest_number():
    """A wide interval stops at the largest number, and says how wide it is."""
    precision = Precision({P99: 0.01}, 10, 23, 0.95)
    seen = rounds(precision, lambda count: symmetric(count + count % 2, 1.0, 1.0))
    assert seen == [10, 15, 20, 23]
    assert not precision.reached.enough
    assert precision.reached.half_widths[P99] > 0.3


def test_the_slowest_variant_decides_and_shares_are_absolute():
    """Every variant must be exact; a share's half-width is in shares, not relative to it."""
    exact, wide = symmetric(10, 1.0, 0.001), symmetric(10, 1.0, 0.5)
    precision = Precision({P99: 0.02}, 10, 10, 0.95)
    precision.goes_on({P99: [exact, wide]})
    assert precision.reached.half_widths[P99] > 0.3
    shares = Precision({"goodput_share": 0.01}, 10, 10, 0.95)
    shares.goes_on({"goodput_share": [symmetric(10, 0.05, 0.01)]})
    assert shares.reached.half_widths["goodput_share"] == pytest.approx(0.00715, abs=1e-4)


def test_without_targets_the_first_number_is_enough():
    """Nothing is looked at."""
    assert not Precision({}, 10, 100, 0.95).goes_on({})


def test_a_variant_without_values_does_not_go_on_for_ever():
    """It does not count; where no variant has a value, the search ends. One value has no width."""
    unknown = Precision({P99: 0.5}, 2, 7, 0.95)
    assert rounds(unknown, lambda count: [math.nan] * count) == [2]
    assert not unknown.reached.enough
    assert reached_in_words(unknown.reached) == f"{P99} not known"
    exact, none = symmetric(10, 1.0, 0.001), [math.nan] * 10
    other = Precision({P99: 0.5}, 10, 100, 0.95)
    assert other.goes_on({P99: [exact, none]})
    assert not other.goes_on({P99: [exact, none]})
    assert other.reached.enough
    one = Precision({P99: 0.5}, 2, 7, 0.95)
    assert rounds(one, lambda count: [1.0] + [math.nan] * (count - 1)) == [2, 7]
