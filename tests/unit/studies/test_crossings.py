"""Knees and crossovers of curves whose crossings are known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fedsim.studies.crossings import Crossover, Knee, crossovers, knee

RATES = np.arange(2.0, 10.0)


def mean_latency_s(rate, capacity=10.0):
    """Return the mean time in an M/M/1 system: 1 / (μ − λ)."""
    return 1.0 / (capacity - rate)


def curves(rows, noise=0.0, capacity=10.0, seed=1):
    """Return latencies by replication and rate, each row with an error of its own."""
    draws = np.random.default_rng(seed)
    shared = np.exp(noise * draws.standard_normal((rows, 1)))
    own = np.exp(0.3 * noise * draws.standard_normal((rows, len(RATES))))
    return mean_latency_s(RATES, capacity) * shared * own


class TestKnee:
    def test_is_where_the_latency_of_a_single_server_reaches_the_limit(self):
        """The closed form: λ = μ − 1 / limit, up to the interpolation between two rates."""
        for limit_s in (0.15, 0.3, 0.5, 0.7):
            found = knee(RATES, curves(3), limit_s, "lower", seed=1, logarithmic=True)
            true = 10.0 - 1.0 / limit_s
            assert found.held == "below"
            assert found.at == pytest.approx(true, abs=0.09)
            assert found.low == found.at == found.high
            assert found.holds <= true <= found.misses == found.holds + 1.0

    def test_covers_the_true_knee(self):
        """Nominal 95 %, with five replications and errors of 10 %, at a rate that was swept."""
        limit_s, covered = mean_latency_s(6.0), 0
        for seed in range(200):
            found = knee(
                RATES, curves(5, 0.1, seed=seed), limit_s, "lower", seed=seed, logarithmic=True
            )
            covered += found.low <= 6.0 <= found.high
        assert 180 <= covered <= 198

    def test_may_be_at_the_upper_side(self):
        """A latency falls with more nodes, so that the limit is held above the knee."""
        found = knee(RATES, curves(2)[:, ::-1], 0.3, "lower", seed=1)
        assert (found.held, found.holds, found.misses) == ("above", 5.0, 4.0)
        assert 4.0 < found.at < 5.0

    def test_of_a_share_that_is_to_be_high(self):
        """The measure falls below its limit where the line between two points does."""
        shares = np.array([[1.0, 0.98, 0.9, 0.5]])
        found = knee(np.arange(4.0), shares, 0.94, "higher", seed=1)
        assert found.at == pytest.approx(1.5)
        assert math.isnan(found.low)  # one replication says nothing about others
        assert math.isnan(found.high)

    def test_is_missing_where_the_limit_is_held_or_missed_throughout(self):
        """No number is made up."""
        assert knee(RATES, curves(2), 2.0, "lower", seed=1) == Knee("everywhere")
        assert knee(RATES, curves(2), 0.01, "lower", seed=1) == Knee("nowhere")

    def test_says_where_it_may_lie_beyond_what_was_swept(self):
        """A draw without a knee is one that lies farther out."""
        found = knee(RATES, curves(5, 0.2), 0.98, "lower", seed=1)
        assert math.isinf(found.high)
        assert found.low < found.at <= 9.0

    def test_misses_where_nothing_has_a_value(self):
        """A rate at which no request succeeds has no latency; it does not hold the limit."""
        values = curves(3)
        values[:, 5:] = np.nan
        assert knee(RATES, values, 5.0, "lower", seed=1).at == RATES[4]

    def test_does_without_a_replication_that_failed(self):
        """The others give the means of that point."""
        values = curves(4, 0.01)
        values[1, 3] = np.nan
        assert knee(RATES, values, 0.3, "lower", seed=1).at == pytest.approx(6.7, abs=0.2)


class TestCrossovers:
    def test_is_where_two_servers_are_equally_fast(self):
        """One with half the network time and less capacity: 1/(10 − λ) + 0.2 = 1/(9 − λ)."""
        rates = np.linspace(2.0, 8.0, 13)
        true = 9.5 - math.sqrt(0.25 + 1.0 / 0.2)
        noise = 1.0 + 0.02 * np.random.default_rng(3).standard_normal((10, 1))
        far, near = (0.2 + mean_latency_s(rates)) * noise, mean_latency_s(rates, 9.0) * noise
        (found,) = crossovers(rates, far, near, "lower", seed=1)
        assert found.first_is_better
        assert found.at == pytest.approx(true, abs=0.05)
        assert found.low <= found.at <= found.high
        (mirrored,) = crossovers(rates, near, far, "lower", seed=1)
        assert mirrored == Crossover(False, found.at, found.low, found.high)

    def test_is_not_reported_of_chance(self):
        """Two variants that are equal change places in the means, and nothing is shown."""
        draws = np.random.default_rng(5)
        pairs = draws.standard_normal((40, 2, 4, 6))
        found = [crossovers(np.arange(6.0), a, b, "lower", seed=1) for a, b in pairs]
        assert sum(map(bool, found)) <= 2

    def test_rests_in_the_middle_of_a_tie(self):
        """Where both are equal over a range, its middle."""
        gain = np.array([[2.0, 1.0, 0.0, 0.0, -1.0]]).repeat(3, axis=0)
        (found,) = crossovers(np.arange(5.0), gain, np.zeros_like(gain), "higher", seed=1)
        assert (found.first_is_better, found.at) == (False, 2.5)

    def test_needs_several_replications(self):
        """One replication shows no difference."""
        gain = np.array([[1.0, -1.0]])
        assert crossovers(np.arange(2.0), gain, np.zeros_like(gain), "higher", seed=1) == []
