"""Arrivals against the Poisson process, and tenants and origins against their shares."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from fedsim.kernel.streams import SERVICE, Streams, generator, keyed_uniforms
from fedsim.workload.arrivals import Poisson
from fedsim.workload.distributions import Lognormal
from fedsim.workload.sizes import Sizes
from fedsim.workload.tenants import Tenants
from fedsim.workload.tokens import Tokens
from fedsim.workload.traffic import Traffic
from tests.theory.workload.uniformity import P_LEAST, Z_MOST, chi_square_p, correlation_z, ks_p

RATE_RPS = 40.0
UNTIL_S = 2500.0
SEEDS = (1, 2, 3)


def times_s(seed):
    """Return the arrival times of a Poisson stream, some 100,000 of them."""
    rng = generator(seed, "workload/chat/arrivals")
    return np.concatenate(list(Poisson(RATE_RPS).times(rng, UNTIL_S)))


@pytest.mark.parametrize("seed", SEEDS)
class TestPoisson:
    def test_gaps_are_exponential(self, seed):
        """The gaps, sent through the exponential distribution function, are uniform."""
        gaps_s = np.diff(times_s(seed), prepend=0.0)

        assert ks_p(-np.expm1(-RATE_RPS * gaps_s)) > P_LEAST

    def test_gaps_are_independent(self, seed):
        """A gap says nothing of the next."""
        gaps_s = np.diff(times_s(seed))

        assert abs(correlation_z(gaps_s[:-1], gaps_s[1:])) < Z_MOST

    def test_times_are_uniform(self, seed):
        """Given their number, the arrivals lie anywhere, the end of the run included."""
        assert ks_p(times_s(seed) / UNTIL_S) > P_LEAST

    @pytest.mark.parametrize("window_s", [0.1, 1.0, 10.0])
    def test_counts(self, seed, window_s):
        """Mean and variance of the counts in windows are both the rate times the window."""
        windows = round(UNTIL_S / window_s)
        counts, _ = np.histogram(times_s(seed), windows, (0.0, UNTIL_S))
        mean = RATE_RPS * window_s

        assert abs(counts.mean() - mean) < Z_MOST * np.sqrt(mean / windows)
        # The variance of a sample variance of Poisson counts is (mean + 2 mean^2) / n.
        error = np.sqrt((mean + 2.0 * mean**2) / windows)
        assert abs(counts.var(ddof=1) - mean) < Z_MOST * error


@pytest.mark.parametrize("seed", SEEDS)
class TestTraffic:
    TRAFFIC = Traffic(
        name="chat",
        origins=(("us-east", 5.0), ("eu-west", 3.0), ("ap-south", 2.0)),
        arrivals=Poisson(RATE_RPS),
        sizes=Sizes(
            Tokens(Lognormal.from_median_p99(1020, 4142), Lognormal.from_median_p99(129, 601))
        ),
        tenants=Tenants(count=200, zipf=1.1),
    )

    def gathered(self, seed, name, dtype=None):
        """Return one part of all arrivals as an array."""
        blocks = self.TRAFFIC.blocks(Streams(seed), UNTIL_S)
        return np.concatenate([np.array(getattr(block, name), dtype) for block in blocks])

    def test_origins(self, seed):
        """The origins have their weights' shares."""
        counts = np.bincount(self.gathered(seed, "origins"))

        assert chi_square_p(counts, np.array([0.5, 0.3, 0.2])) > P_LEAST

    def test_tenants(self, seed):
        """The tenants have Zipf's shares, from the greatest to the least."""
        counts = np.bincount(self.gathered(seed, "tenants"), minlength=200)
        weights = np.arange(1, 201) ** -1.1

        assert chi_square_p(counts, weights / weights.sum()) > P_LEAST

    def test_tokens(self, seed):
        """Prompts are lognormal as asked: those up to a count come from below that and a half."""
        prompts = self.gathered(seed, "prompt_tokens")
        sigma = np.log(4142 / 1020) / ndtri(0.99)
        for tokens in (300, 1020, 4142):
            share = ndtr(np.log((tokens + 0.5) / 1020) / sigma)
            error = np.sqrt(share * (1.0 - share) / len(prompts))
            assert abs((prompts <= tokens).mean() - share) < Z_MOST * error

    def test_service_luck(self, seed):
        """The luck in service is uniform, and has nothing to do with size or attempt."""
        luck = self.gathered(seed, "service_uniforms")
        prompts = np.log(self.gathered(seed, "prompt_tokens"))
        second = keyed_uniforms(self.gathered(seed, "keys", np.uint64), SERVICE, 2)

        assert ks_p(luck) > P_LEAST
        for other in (prompts, second):
            assert abs(correlation_z(luck, other)) < Z_MOST
