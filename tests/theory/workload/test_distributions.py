"""Distributions: the mean and the cv that they state are those of their quantile function."""

from __future__ import annotations

import math

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


def integrals(distribution):
    """Return mean and cv by the trapezoidal rule over the quantile function.

    The substitution u = 1 / (1 + exp(-y)) turns both ends of (0, 1) into tails that fall off
    exponentially, where the rule converges faster than any power of its step.
    """
    y = np.linspace(-36.0, 36.0, 7201)
    u = 1.0 / (1.0 + np.exp(-y))
    u, y = u[u < 1.0], y[u < 1.0]
    weights = 0.01 / (2.0 + np.exp(y) + np.exp(-y))
    values = distribution.quantiles(u)
    mean = float(np.sum(weights * values))
    variance = float(np.sum(weights * (values - mean) ** 2))
    return mean, math.sqrt(variance) / mean


@pytest.mark.parametrize(
    "distribution",
    [
        Constant(2.0),
        Exponential(0.7),
        Uniform(1.0, 5.0),
        Lognormal.from_median_p99(0.9, 4.0),
        Lognormal.from_mean_cv(3.0, 2.0),
        Gamma.from_mean_cv(2.0, 0.3),
        Gamma.from_mean_cv(2.0, 3.0),
        Gamma.from_median_p99(0.9, 4.0),
        Weibull.from_mean_cv(2.0, 0.3),
        Weibull.from_mean_cv(2.0, 3.0),
        Weibull.from_median_p99(0.9, 4.0),
        Pareto(1.0, 8.0),
        Pareto.from_mean_cv(2.0, 0.2),
        Hyperexponential.from_mean_cv(2.0, 1.5),
        Hyperexponential.from_mean_cv(2.0, 5.0),
        Hyperexponential(0.6, 1.0, 30.0),
    ],
    ids=repr,
)
def test_mean_and_cv(distribution):
    """Numeric integration of the quantile function gives the stated mean and cv."""
    mean, cv = integrals(distribution)

    assert mean == pytest.approx(distribution.mean, rel=1e-7)
    assert cv == pytest.approx(distribution.cv, rel=1e-6, abs=1e-6)


def test_empirical():
    """The average over equal shares is the sample's mean, exactly as many times each value."""
    sample = Empirical((1.0, 2.0, 2.0, 8.0, 3.5))
    values = sample.quantiles((np.arange(1000) + 0.5) / 1000)

    assert values.mean() == pytest.approx(sample.mean)
    assert values.std() / values.mean() == pytest.approx(sample.cv)
