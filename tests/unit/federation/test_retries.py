"""Backoff and budget of retries."""

from __future__ import annotations

import pytest

from fedsim.federation.budgets import Budget
from fedsim.federation.retries import RetryConfig, backoff_s
from tests.unit.federation.stand_ins import Dice, HandClock


@pytest.mark.parametrize(
    ("retry", "wait_s"), [(1, 0.1), (2, 0.2), (3, 0.4), (4, 0.8), (8, 10.0), (100, 10.0)]
)
def test_backoff_doubles_up_to_its_longest(retry, wait_s):
    """100, 200, 400 ms, and so on up to 10 s."""
    assert backoff_s(RetryConfig(jitter="none"), retry, Dice(0.3)) == pytest.approx(wait_s)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.999])
def test_full_jitter_takes_a_share(share):
    """With full jitter a uniform share of the backoff is waited."""
    assert backoff_s(RetryConfig(), 3, Dice(share)) == pytest.approx(0.4 * share)


@pytest.mark.parametrize(("share", "wait_s"), [(0.0, 0.2), (0.5, 0.3), (0.999, 0.3998)])
def test_equal_jitter_waits_half(share, wait_s):
    """With equal jitter half of the backoff is waited, and a uniform share of the rest."""
    config = RetryConfig(jitter="equal")

    assert backoff_s(config, 3, Dice(share)) == pytest.approx(wait_s)


def test_decorrelated_jitter_goes_by_the_wait_before():
    """From the base to three times the wait before: up to 300 ms, then up to three times that."""
    config = RetryConfig(jitter="decorrelated", backoff_max_s=0.5)
    assert backoff_s(config, 1, Dice(0.0)) == pytest.approx(0.1)
    first_s = backoff_s(config, 1, Dice(0.25))
    assert first_s == pytest.approx(0.15)
    assert backoff_s(config, 2, Dice(0.5), first_s) == pytest.approx(0.1 + 0.5 * 0.35)
    assert backoff_s(config, 9, Dice(0.999), 9.0) == 0.5


def test_without_jitter_nothing_is_drawn():
    """A backoff without jitter leaves the random stream as it is."""
    dice = Dice(0.5)
    backoff_s(RetryConfig(jitter="none"), 1, dice)

    assert dice.rolls == 0


class TestBudget:
    """Retries as a share of requests."""

    def spend(self, budget, attempts=1000):
        """Return how many retries are granted, and send them."""
        granted = sum(budget.reserve() for _ in range(attempts))
        for _ in range(granted):
            budget.spend()
        return granted

    def test_floor(self):
        """Ten retries in ten seconds are granted however few the requests."""
        clock = HandClock()

        assert self.spend(Budget(clock, 0.2, 10, 10.0)) == 10

    def test_share(self):
        """100 requests in ten seconds give 10 + 20 retries, no more."""
        clock = HandClock()
        budget = Budget(clock, 0.2, 10, 10.0)
        for _ in range(100):
            clock.now_s += 0.05
            budget.count_request(clock.now_s)

        assert self.spend(budget) == 30

    def test_the_window_slides(self):
        """Requests and retries count for ten seconds."""
        clock = HandClock()
        budget = Budget(clock, 0.2, 10, 10.0)
        for _ in range(100):
            budget.count_request(0.0)
        clock.now_s = 5.0
        assert self.spend(budget) == 30

        clock.now_s = 9.999
        assert self.spend(budget) == 0
        clock.now_s = 10.0  # the requests are forgotten, the retries are not
        assert self.spend(budget) == 0
        clock.now_s = 15.0
        assert self.spend(budget) == 10
