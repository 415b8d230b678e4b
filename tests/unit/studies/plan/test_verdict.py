"""Whether a bound is held with confidence: closed forms, and what is never decided early."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fedsim.kernel.streams import generator
from fedsim.results.belief import failure_bound
from fedsim.studies.plan.verdict import Series, judged

ALPHA = 0.05


def times(values, limit=2.0, requests=10_000.0, percentile=0.95):
    """Return the series of a percentile."""
    found = np.asarray(values, dtype=float)
    counts = np.full(len(found), requests)
    return Series("p95", "latency_p95_s", found, limit, False, counts, percentile)


def shares(values, limit=0.99, requests=1_000.0):
    """Return the series of a success rate."""
    found = np.asarray(values, dtype=float)
    return Series("success rate", "success_rate", found, limit, True, np.full(len(found), requests))


class TestTimes:
    def test_upper_limit_is_students_for_symmetric_values(self):
        """Mean + t s / √n with t of 95 % and 4 degrees of freedom, 2.1318."""
        values = np.array([1.8, 1.85, 1.9, 1.95, 2.0])
        found = judged([times(values)], 5, 5, ALPHA)
        excess = values / 2.0 - 1.0
        expected = excess.mean() + 2.1318 * excess.std(ddof=1) / math.sqrt(5)
        assert found.high == pytest.approx(expected, rel=1e-4)
        assert found.state == "held"

    def test_a_mean_within_the_limit_is_not_enough(self):
        """The interval reaches beyond it: not decided, which counts as not held."""
        values = np.array([1.4, 2.5, 1.7, 2.2, 1.9, 2.1])
        assert values.mean() < 2.0
        found = judged([times(values)], 6, 6, ALPHA)
        assert found.state == "undecided"
        assert found.needed > 6

    def test_held_is_never_decided_early(self):
        """However quiet the first replications are."""
        assert judged([times([1.0] * 19)], 19, 20, ALPHA).state == "open"
        assert judged([times([1.0] * 20)], 20, 20, ALPHA).state == "held"

    def test_violated_is_decided_from_four_on(self):
        """Three replications decide nothing, four at 99 % do."""
        values = [3.0, 3.1, 2.9, 3.05]
        assert judged([times(values[:3])], 3, 20, ALPHA).state == "open"
        assert judged([times(values)], 4, 20, ALPHA).state == "violated"

    def test_four_that_scatter_decide_nothing(self):
        """Their mean is above the limit, their interval is not."""
        assert judged([times([1.0, 4.0, 1.5, 3.5])], 4, 20, ALPHA).state == "open"

    def test_a_percentile_of_too_few_requests_is_not_decided(self):
        """p95 needs 200: ten times five are not enough, and twenty replications more are."""
        found = judged([times([1.0] * 10, requests=5.0)], 10, 10, ALPHA)
        assert (found.state, found.needed) == ("undecided", 40)
        assert "this percentile needs 200" in found.reason

    def test_without_a_value_it_is_not_decided(self):
        """An objective of tokens for requests that have none."""
        nothing = times([math.nan] * 4)
        found = judged([nothing], 4, 4, ALPHA)
        assert found.state == "undecided"

    def test_one_sided_coverage(self):
        """A fleet exactly at its limit is called held in about 5 % of studies."""
        draws = generator(1, "verdict").normal(2.0, 0.2, size=(1000, 10))
        held = sum(judged([times(row)], 10, 10, ALPHA).state == "held" for row in draws)
        assert 0.03 < held / 1000 < 0.075


class TestShares:
    def test_without_failures_the_bound_of_the_rule_of_three_decides(self):
        """Of n requests without a failure, as many as 3 / n may fail."""
        found = judged([shares([1.0] * 4, requests=100.0)], 4, 4, ALPHA)
        assert found.high == pytest.approx(failure_bound(400.0) / 0.01 - 1.0, rel=1e-6)
        assert found.state == "held"
        few = judged([shares([1.0] * 4, limit=0.999, requests=100.0)], 4, 4, ALPHA)
        assert few.state == "undecided"
        assert few.needed == math.ceil(4 * failure_bound(400.0) / 0.001)

    def test_a_limit_of_all_means_no_failure(self):
        """One is enough to violate it, at once."""
        assert judged([shares([1.0] * 4, limit=1.0)], 4, 4, ALPHA).state == "held"
        found = judged([shares([1.0, 0.999], limit=1.0)], 2, 20, ALPHA)
        assert found.state == "violated"

    def test_excess_is_of_failures(self):
        """Two failures in a hundred, where one is allowed, are twice the limit."""
        assert shares([0.98]).excess.tolist() == pytest.approx([1.0])


def test_the_clearest_violation_and_the_tightest_bound_are_named():
    """Of several bounds."""
    loose, tight = times([1.0, 1.1, 0.9, 1.0]), shares([0.994, 0.995, 0.996, 0.995])
    assert judged([loose, tight], 4, 4, ALPHA).name == "success rate"
    wrong = shares([0.5, 0.52, 0.48, 0.5])
    assert judged([times([3.0, 3.1, 2.9, 3.0]), wrong], 4, 4, ALPHA).name == "success rate"


def test_no_request_that_succeeded_is_a_violation():
    """Nothing then says how long they took."""
    broken = Series("p95", "p95", np.array([math.nan]), 2.0, False, np.zeros(1), 0.95, "p95: none")
    assert judged([broken], 1, 20, ALPHA).reason == "p95: none"
