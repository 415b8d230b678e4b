"""Distributions: what holds for all parameters and all uniforms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

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

LEAST, GREATEST = 2.0**-53, 1.0 - 2.0**-53

uniforms = st.floats(LEAST, GREATEST)
means = st.floats(1e-6, 1e6)
cvs = st.floats(0.02, 20.0)


@st.composite
def mixtures(draw):
    """Return any two-phase mixture, also with phases of very different scale."""
    fast_mean = draw(means)
    return Hyperexponential(
        draw(st.floats(1e-6, 1.0 - 1e-6)), fast_mean, fast_mean * draw(st.floats(1.0, 1e9))
    )


distributions = st.one_of(
    st.builds(Constant, means),
    st.builds(Exponential, means),
    st.builds(lambda low, width: Uniform(low, low + width), means, means),
    st.builds(Lognormal.from_mean_cv, means, cvs),
    st.builds(Gamma.from_mean_cv, means, cvs),
    st.builds(Weibull.from_mean_cv, means, cvs),
    st.builds(Pareto.from_mean_cv, means, cvs),
    st.builds(Hyperexponential.from_mean_cv, means, st.floats(1.0, 20.0)),
    mixtures(),
    st.builds(Empirical, st.lists(means, min_size=1, max_size=50).map(tuple)),
)


@given(distributions, uniforms, uniforms)
def test_monotone(distribution, one, other):
    """A greater share never lies below a smaller value, but for rounding."""
    low, high = sorted((one, other))

    assert distribution.quantile(low) <= distribution.quantile(high) * (1.0 + 1e-12)


@given(distributions, st.lists(uniforms, min_size=1, max_size=20))
@example(Lognormal(0.0, 1.0), [LEAST, 0.5, GREATEST])
def test_scalar_equals_vector(distribution, shares):
    """The two maps are one, to within rounding."""
    expected = [distribution.quantile(u) for u in shares]

    assert distribution.quantiles(np.array(shares)).tolist() == pytest.approx(expected, rel=1e-13)


@given(distributions, st.lists(uniforms, min_size=1, max_size=40), st.data())
def test_elements_are_independent(distribution, shares, data):
    """The bits of an element do not depend on its neighbours, so that blocks can be of any size."""
    start = data.draw(st.integers(0, len(shares) - 1))
    stop = data.draw(st.integers(start + 1, len(shares)))
    whole = distribution.quantiles(np.array(shares))

    assert (
        distribution.quantiles(np.array(shares[start:stop])).tolist() == whole[start:stop].tolist()
    )


@given(distributions, uniforms)
@example(Gamma.from_mean_cv(1.0, 20.0), LEAST)
@example(Pareto.from_mean_cv(1.0, 20.0), GREATEST)
@example(Lognormal.from_mean_cv(1.0, 20.0), GREATEST)
def test_is_a_time(distribution, u):
    """A quantile is a finite number from 0 on: it can be slept."""
    assert 0.0 <= distribution.quantile(u) < math.inf


@given(mixtures(), uniforms)
def test_hyperexponential_inverts_its_distribution(mixture, u):
    """The share below the quantile of u is u, as near as the quantile's own rounding allows."""
    value = mixture.quantile(u)
    slow, fast, share = mixture.slow_mean, mixture.fast_mean, mixture.slow_share
    below = -share * math.expm1(-value / slow) - (1.0 - share) * math.expm1(-value / fast)
    above = share * math.exp(-value / slow) + (1.0 - share) * math.exp(-value / fast)

    assert below == pytest.approx(u, rel=1e-12)
    assert above == pytest.approx(1.0 - u, rel=1e-11)


@given(means, st.floats(0.02, 20.0))
def test_mean_and_cv_survive(mean, cv):
    """A distribution made from a mean and a cv has them."""
    kinds: list[Any] = [Lognormal, Gamma, Weibull, Pareto]
    if cv >= 1.0:
        kinds.append(Hyperexponential)
    if cv <= 0.57:
        kinds.append(Uniform)
    for kind in kinds:
        made = kind.from_mean_cv(mean, cv)
        assert made.mean == pytest.approx(mean, rel=1e-9)
        assert made.cv == pytest.approx(cv, rel=1e-8)


@given(means, st.floats(1.01, 1000.0))
def test_median_and_p99_survive(median, ratio):
    """A distribution made from a median and a p99 has them."""
    kinds: list[Any] = [Lognormal, Gamma, Weibull, Pareto]
    if ratio <= 1.98:
        kinds.append(Uniform)
    for kind in kinds:
        made = kind.from_median_p99(median, median * ratio)
        assert made.quantile(0.5) == pytest.approx(median, rel=1e-9)
        assert made.quantile(0.99) == pytest.approx(median * ratio, rel=1e-9)
