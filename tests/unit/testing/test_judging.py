"""What is held, failed and not decided, with limits worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fedsim.results.belief import failure_bound
from fedsim.testing.judging import judged

T_9 = 1.833113  # one-sided 95 % of Student's t with nine degrees of freedom
SYMMETRIC = [9.0, 11.0] * 5  # mean 10, standard error √(10/9) / √10 = 1/3, no skewness


def at_most(values, limit, *, requests=1e6, name="latency_mean_s"):
    """Judge a largest value of a measure at 95 %."""
    return judged(name, values, limit, True, 0.95, requests, requests)


def at_least(values, limit, *, requests=1e6, name="success_rate"):
    """Judge a smallest value of a measure at 95 %."""
    return judged(name, values, limit, False, 0.95, requests, requests)


@pytest.mark.parametrize(
    ("limit", "result"),
    [(10.0 + T_9 / 3 + 1e-4, "held"), (10.0 + T_9 / 3 - 1e-4, "not decided"), (9.999, "failed")],
)
def test_the_limit_is_the_one_sided_one(limit, result):
    """Ten values of mean 10 and standard error 1/3 keep to 10.612 s, and to nothing less."""
    found, verdict, reason = at_most(SYMMETRIC, limit)
    assert verdict == result
    assert bool(reason) == (result != "held")
    assert found.high == pytest.approx(10.0 + T_9 / 3, abs=1e-5)


def test_a_true_mean_at_the_limit_is_rarely_called_held():
    """Where the truth is the limit itself, at most 5 % of studies say that it is held."""
    rng = np.random.default_rng(5)
    studies = rng.normal(10.0, 1.0, (1000, 8))
    held = sum(at_most(values, 10.0)[1] == "held" for values in studies)
    assert held <= 50 + 3.5 * math.sqrt(1000 * 0.05 * 0.95)
    assert held >= 50 - 3.5 * math.sqrt(1000 * 0.05 * 0.95)


def test_no_failure_shows_what_its_number_of_requests_does():
    """Of 2,994 requests none failed: 99.9 % is not shown, of 2,995 it is (the rule of three)."""
    assert failure_bound(2994) > 0.001 > failure_bound(2995)
    assert at_least([1.0] * 5, 0.999, requests=2995)[1] == "held"
    _, result, reason = at_least([1.0] * 5, 0.999, requests=2994)
    assert result == "not decided"
    assert "it takes 2,995 requests without a failure" in reason


def test_a_limit_of_all_means_no_failure():
    """100 % is held where nothing failed, and failed where anything did."""
    assert at_least([1.0] * 5, 1.0, requests=10)[1] == "held"
    assert at_least([1.0, 1.0, 0.9999], 1.0)[1] == "failed"


def test_a_percentile_of_few_requests_is_not_decided():
    """Below 1,000 requests a 99th percentile is no number, however low."""
    _, result, reason = at_most([1.0, 1.1], 50.0, requests=999, name="latency_p99_s")
    assert (result, reason) == (
        "not decided",
        "999 requests succeeded; this percentile needs 1,000.",
    )
    assert at_most([1.0, 1.1], 50.0, requests=1000, name="latency_p99_s")[1] == "held"


def test_one_replication_decides_nothing():
    """One run has no interval, and a replication without a value is said."""
    assert at_most([1.0], 50.0)[1:] == (
        "not decided",
        "One replication has no interval. Write expect: {replications: 5} or more.",
    )
    _, result, reason = at_most([1.0, math.nan, 1.0], 50.0)
    assert (result, reason) == ("not decided", "1 of 3 replications have no value.")


def test_equal_values_are_their_own_limit():
    """A count that is the same in every replication is held exactly up to itself."""
    assert at_most([2.0] * 3, 2.0, name="attempts_per_request")[1] == "held"
    assert at_most([2.0] * 3, 1.99, name="attempts_per_request")[1] == "failed"
