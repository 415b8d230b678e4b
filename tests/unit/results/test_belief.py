"""How many requests figures need before they are worth believing."""

from __future__ import annotations

import pytest

from fedsim.results.belief import belief, failure_bound, needed, percentile_of


@pytest.mark.parametrize(
    ("requests", "share", "expected"),
    [
        (999, 0.99, "none"),
        (1_000, 0.99, "few"),
        (9_999, 0.99, "few"),
        (10_000, 0.99, "enough"),
        (9_999, 0.999, "none"),
        (20, 0.5, "few"),
        (0, 0.5, "none"),
    ],
)
def test_a_percentile_needs_requests_beyond_it(requests, share, expected):
    """It is shown from 10 requests beyond it, and compared from 100."""
    assert belief(requests, share) == expected


def test_needed_requests_are_exact():
    """A percentile such as 0.999, which no binary number is, needs round numbers."""
    assert [needed(share) for share in (0.5, 0.9, 0.95, 0.99, 0.999)] == [20, 100, 200, 1000, 10000]
    assert needed(0.99, compared=True) == 10_000


@pytest.mark.parametrize(
    ("name", "share"),
    [("latency_p99_s", 0.99), ("ttft_p999", 0.999), ("latency_mean_s", None), ("goodput", None)],
)
def test_names_of_percentiles(name, share):
    """A measure's or a bound's name says which percentile it is."""
    assert percentile_of(name) == share


def test_no_failures_bound_their_share():
    """None in 3,000 leaves at most 0.0998 %: about 3 / n, the rule of three."""
    assert failure_bound(3_000) == pytest.approx(0.000998, abs=5e-7)
    assert failure_bound(3_000) == pytest.approx(3.0 / 3_000, rel=2e-3)
    assert (1.0 - failure_bound(20, 0.9)) ** 20 == pytest.approx(0.1)
