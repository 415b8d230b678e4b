"""Distributions: figures by hand, and what their constructors refuse."""

from __future__ import annotations

import math
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from fedsim.workload.distributions import (
    Constant,
    Empirical,
    Exponential,
    Gamma,
    Hyperexponential,
    Lognormal,
    Pareto,
    Uniform,
    Weibull,
)


class TestByHand:
    """Quantiles, means and coefficients of variation with a known value."""

    def test_constant(self):
        """A constant is its value, at every quantile."""
        constant = Constant(3.0)

        assert (constant.mean, constant.cv, constant.quantile(0.2)) == (3.0, 0.0, 3.0)
        assert constant.quantiles(np.array([[0.1], [0.9]])).tolist() == [[3.0], [3.0]]

    def test_exponential(self):
        """An exponential distribution's median is ln 2 of its mean, its p99 ln 100."""
        exponential = Exponential(2.0)

        assert (exponential.mean, exponential.cv) == (2.0, 1.0)
        assert exponential.quantile(0.5) == pytest.approx(2.0 * math.log(2.0))
        assert exponential.quantile(0.99) == pytest.approx(2.0 * math.log(100.0))
        assert Exponential.from_median(2.0).quantile(0.5) == pytest.approx(2.0)

    def test_exponential_keeps_its_small_values(self):
        """The quantile of a tiny share is that share of the mean, without cancellation."""
        assert Exponential(1.0).quantile(1e-16) == pytest.approx(1e-16, rel=1e-15)

    def test_uniform(self):
        """A uniform distribution is linear between its bounds."""
        uniform = Uniform(1.0, 3.0)

        assert uniform.mean == 2.0
        assert uniform.cv == pytest.approx(1.0 / (2.0 * math.sqrt(3.0)))
        assert uniform.quantile(0.25) == 1.5

    def test_lognormal(self):
        """The median is exp(mu); the 99th percentile lies 2.3263 sigma above in logarithms."""
        lognormal = Lognormal(mu=1.0, sigma=0.5)

        assert lognormal.mean == pytest.approx(math.exp(1.125))
        assert lognormal.quantile(0.5) == pytest.approx(math.e)
        assert lognormal.quantile(0.99) == pytest.approx(math.exp(1.0 + 0.5 * 2.3263478740408408))

    def test_weibull(self):
        """Shape 1 is exponential; with shape 2 the mean is the scale times half root pi."""
        assert Weibull(1.0, 2.0).quantile(0.3) == pytest.approx(Exponential(2.0).quantile(0.3))
        assert Weibull(1.0, 2.0).cv == pytest.approx(1.0)
        assert Weibull(2.0, 3.0).mean == pytest.approx(1.5 * math.sqrt(math.pi))

    def test_gamma(self):
        """Shape 1 is exponential; the mean is shape times scale, the cv one over root shape."""
        assert Gamma(1.0, 2.0).quantile(0.3) == pytest.approx(Exponential(2.0).quantile(0.3))
        assert Gamma(4.0, 0.5).mean == 2.0
        assert Gamma(4.0, 0.5).cv == 0.5

    def test_pareto(self):
        """With shape 3 the mean is 1.5 times the minimum, and 7/8 lies below its double."""
        pareto = Pareto(minimum=2.0, shape=3.0)

        assert pareto.mean == 3.0
        assert pareto.cv == pytest.approx(1.0 / math.sqrt(3.0))
        assert pareto.quantile(0.875) == pytest.approx(4.0)

    def test_pareto_without_moments(self):
        """A heavy tail has no variance, a heavier one no mean."""
        assert (Pareto(1.0, 1.5).mean, Pareto(1.0, 1.5).cv) == (3.0, math.inf)
        assert (Pareto(1.0, 1.0).mean, Pareto(1.0, 1.0).cv) == (math.inf, math.inf)

    def test_hyperexponential(self):
        """Its quantile inverts the survival function of the mixture."""
        mixture = Hyperexponential(slow_share=0.1, fast_mean=1.0, slow_mean=10.0)
        value = mixture.quantile(0.9)

        assert mixture.mean == pytest.approx(1.9)
        assert mixture.cv == pytest.approx(math.sqrt(2 * (0.1 * 100 + 0.9) / 1.9**2 - 1))
        assert 0.1 * math.exp(-value / 10.0) + 0.9 * math.exp(-value) == pytest.approx(0.1)

    def test_hyperexponential_of_equal_means_is_exponential(self):
        """A mixture of one distribution with itself is that distribution."""
        assert Hyperexponential(0.3, 2.0, 2.0).quantile(0.7) == pytest.approx(
            Exponential(2.0).quantile(0.7), rel=1e-14
        )
        assert Hyperexponential.from_mean_cv(2.0, 1.0).cv == 1.0

    def test_hyperexponential_has_balanced_means(self):
        """Made from mean and cv, slow and fast values add up to the same total."""
        mixture = Hyperexponential.from_mean_cv(1.0, 3.0)

        slow = mixture.slow_share * mixture.slow_mean
        assert slow == pytest.approx(0.5)
        assert (1.0 - mixture.slow_share) * mixture.fast_mean == pytest.approx(0.5)

    def test_empirical(self):
        """Each value of the sample has its share; mean and cv are the sample's."""
        sample = Empirical((4.0, 1.0, 1.0, 2.0))

        assert sample.values == (1.0, 1.0, 2.0, 4.0)
        assert sample.mean == 2.0
        assert sample.cv == pytest.approx(math.sqrt(1.5) / 2.0)
        assert [sample.quantile(u) for u in (0.01, 0.49, 0.6, 0.76, 0.99)] == [1, 1, 2, 4, 4]
        assert Empirical((0.0, 0.0)).cv == 0.0

    @pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 1000, 4097])
    def test_empirical_stays_within_its_sample(self, count):
        """The greatest uniform below 1 meets the last value, whatever the rounding."""
        sample = Empirical(tuple(range(count)))

        assert sample.quantile(1.0 - 2.0**-53) == count - 1
        assert sample.quantiles(np.array([1.0 - 2.0**-53])).tolist() == [count - 1]


class TestFromDashboards:
    """Constructors from mean and cv, or from median and p99, recover what they are given."""

    @pytest.mark.parametrize("cv", [0.01, 0.5, 1.0, 2.0, 10.0])
    @pytest.mark.parametrize("kind", [Lognormal, Gamma, Weibull, Pareto])
    def test_from_mean_cv(self, kind, cv):
        """Mean and cv come out as they went in."""
        made = kind.from_mean_cv(3.0, cv)

        assert made.mean == pytest.approx(3.0, rel=1e-10)
        assert made.cv == pytest.approx(cv, rel=1e-8)

    @pytest.mark.parametrize("cv", [1.0, 1.001, 2.0, 10.0, 1000.0])
    def test_hyperexponential_from_mean_cv(self, cv):
        """Mean and cv come out as they went in."""
        made = Hyperexponential.from_mean_cv(3.0, cv)

        assert made.mean == pytest.approx(3.0, rel=1e-12)
        assert made.cv == pytest.approx(cv, rel=1e-12)

    @pytest.mark.parametrize("cv", [0.01, 0.5, 1.0 / math.sqrt(3.0)])
    def test_uniform_from_mean_cv(self, cv):
        """Mean and cv come out as they went in, up to bounds from 0 on."""
        made = Uniform.from_mean_cv(3.0, cv)

        assert made.mean == pytest.approx(3.0)
        assert made.cv == pytest.approx(cv)

    @pytest.mark.parametrize("p99", [3.03, 5.0, 12.0, 300.0])
    @pytest.mark.parametrize("kind", [Lognormal, Gamma, Weibull, Pareto])
    def test_from_median_p99(self, kind, p99):
        """Median and p99 come out as they went in."""
        made = kind.from_median_p99(3.0, p99)

        assert made.quantile(0.5) == pytest.approx(3.0, rel=1e-9)
        assert made.quantile(0.99) == pytest.approx(p99, rel=1e-9)

    def test_uniform_from_median_p99(self):
        """Median and p99 come out as they went in, up to bounds from 0 on."""
        made = Uniform.from_median_p99(3.0, 5.94)

        assert made.low == pytest.approx(0.0, abs=1e-12)
        assert made.quantile(0.5) == pytest.approx(3.0)
        assert made.quantile(0.99) == pytest.approx(5.94)


class TestRefusals:
    """What no distribution can have is refused, by name and with a remedy where there is one."""

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (
                lambda: Constant(-1.0),
                "the value of a constant must be at least 0 and finite, not -1",
            ),
            (lambda: Constant(math.nan), "the value of a constant must be at least 0 and finite"),
            (lambda: Exponential(0.0), "the mean of an exponential distribution must be greater"),
            (lambda: Exponential.from_median(-1.0), "the median of an exponential distribution"),
            (lambda: Uniform(-1.0, 1.0), "the low of a uniform distribution must be at least 0"),
            (lambda: Uniform(2.0, 1.0), "the high .* must be greater than its low, not 1.0"),
            (lambda: Uniform.from_mean_cv(1.0, 0.6), "can be 0.577 at most.*write gamma or"),
            (lambda: Uniform.from_median_p99(1.0, 2.0), "can be 1.98 times its median at most"),
            (
                lambda: Lognormal(0.0, 0.0),
                "a lognormal distribution takes a finite mu and 0 < sigma",
            ),
            (
                lambda: Lognormal.from_mean_cv(1.0, 0.0),
                "the cv of a lognormal distribution must be",
            ),
            (
                lambda: Lognormal.from_median_p99(1.0, 1.0),
                "must be greater than its median.*constant",
            ),
            (lambda: Gamma(1.0, math.inf), "the scale of a gamma distribution .* not inf"),
            (lambda: Gamma.from_median_p99(1.0, 1e99), "a p99 over median of 1e\\+99 is out of"),
            (lambda: Weibull(0.0, 1.0), "the shape of a weibull distribution must be greater"),
            (lambda: Weibull.from_mean_cv(1.0, 1e9), "the cv 1000000000.0 is out of the range"),
            (
                lambda: Pareto(0.0, 1.0),
                "the minimum of a pareto distribution must be greater than 0",
            ),
            (
                lambda: Hyperexponential.from_mean_cv(1.0, 0.9),
                "must be at least 1, not 0.9: write gamma",
            ),
            (lambda: Hyperexponential(1.0, 1.0, 2.0), "the slow_share .* between 0 and 1, not 1.0"),
            (
                lambda: Hyperexponential(0.5, 2.0, 1.0),
                "not be less than its fast_mean.*exchange them",
            ),
            (lambda: Empirical(()), "an empirical distribution needs at least one value"),
            (lambda: Empirical((1.0, -1.0)), "must be at least 0 and finite, not -1.0"),
        ],
    )
    def test_message(self, make, message):
        """The message names the parameter, its value and what would do."""
        with pytest.raises(ValueError, match=message):
            make()


def test_can_be_pickled_and_compared():
    """Distributions are values: a copy from another process equals the original."""
    for distribution in (Lognormal.from_mean_cv(1.0, 2.0), Empirical((1.0, 2.0)), Constant(1.0)):
        assert pickle.loads(pickle.dumps(distribution)) == distribution


def test_starts_fast():
    """Importing the package loads neither pandas nor scipy."""
    script = "import sys, fedsim.workload; print({'pandas', 'scipy'} & set(sys.modules))"
    answer = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert answer.stdout == "set()\n"
