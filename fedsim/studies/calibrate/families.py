"""Families of service times, fitted by maximum likelihood.

Estimators: Johnson, Kotz and Balakrishnan, *Continuous Univariate Distributions*, volume 1, 2nd ed.
(1994): lognormal 14.4, gamma 17.7, exponential 19.7, Weibull 21.4. Hyperexponential times have the
balanced means of ``Hyperexponential.from_mean_cv``, so that a scenario can name what is fitted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.distributions import (
    Distribution,
    Exponential,
    Gamma,
    Hyperexponential,
    Lognormal,
    Weibull,
)

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """A distribution that was fitted to a sample.

    Attributes:
        family: What a scenario calls it.
        parameters: Number of parameters that were fitted.
        distribution: The distribution.
        log_density: Its logarithmic density at times in seconds.
        share_below: The share of times that are less.
    """

    family: str
    parameters: int
    distribution: Distribution
    log_density: Callable[[Floats], Floats]
    share_below: Callable[[Floats], Floats]


def fit_exponential(sample: Floats) -> Fitted:
    """Return the exponential distribution with the sample's mean."""
    mean = float(sample.mean())
    return Fitted(
        "exponential",
        1,
        Exponential(mean),
        lambda times: -times / mean - math.log(mean),
        lambda times: -np.expm1(-times / mean),
    )


def fit_lognormal(sample: Floats) -> Fitted:
    """Return the lognormal distribution with the mean and variance of the sample's logarithms."""
    from scipy.special import ndtr

    logs = np.log(sample)
    mu, sigma = float(logs.mean()), float(logs.std())
    return Fitted(
        "lognormal",
        2,
        Lognormal(mu, sigma),
        lambda times: (
            -(((np.log(times) - mu) / sigma) ** 2) / 2.0
            - np.log(times * sigma * math.sqrt(2.0 * math.pi))
        ),
        lambda times: np.asarray(ndtr((np.log(times) - mu) / sigma)),
    )


def fit_gamma(sample: Floats) -> Fitted:
    """Return the gamma distribution whose log shape − digamma(shape) is that of the sample."""
    from scipy.optimize import brentq
    from scipy.special import digamma, gammainc, gammaln

    mean = float(sample.mean())
    gap = math.log(mean) - float(np.log(sample).mean())
    log_shape = brentq(lambda x: x - float(digamma(math.exp(x))) - gap, -12.0, 25.0)
    shape = math.exp(float(log_shape))
    scale = mean / shape
    norm = float(gammaln(shape)) + shape * math.log(scale)
    return Fitted(
        "gamma",
        2,
        Gamma(shape, scale),
        lambda times: (shape - 1.0) * np.log(times) - times / scale - norm,
        lambda times: np.asarray(gammainc(shape, times / scale)),
    )


def fit_weibull(sample: Floats) -> Fitted:
    """Return the Weibull distribution with the greatest likelihood."""
    from scipy.optimize import brentq

    greatest = float(sample.max())
    logs = np.log(sample / greatest)

    def slope(log_shape: float) -> float:
        shape = math.exp(log_shape)
        powers = np.exp(shape * logs)
        return float((powers * logs).sum() / powers.sum() - 1.0 / shape - logs.mean())

    shape = math.exp(float(brentq(slope, -5.0, 12.0)))
    scale = greatest * float(np.mean(np.exp(shape * logs))) ** (1.0 / shape)
    return Fitted(
        "weibull",
        2,
        Weibull(shape, scale),
        lambda times: (
            math.log(shape / scale)
            + (shape - 1.0) * np.log(times / scale)
            - (times / scale) ** shape
        ),
        lambda times: -np.expm1(-((times / scale) ** shape)),
    )


def fit_hyperexponential(sample: Floats) -> Fitted:
    """Return the hyperexponential distribution of balanced means with the greatest likelihood."""
    from scipy.optimize import minimize

    def distribution(place: Floats) -> Hyperexponential:
        share = 0.5 / (1.0 + math.exp(min(float(place[1]), 30.0)))
        mean = math.exp(float(place[0]))
        return Hyperexponential(share, mean / (2.0 * (1.0 - share)), mean / (2.0 * share))

    def loss(place: Floats) -> float:
        return -float(_mixed_log_density(distribution(place), sample).sum())

    start = np.array([math.log(float(sample.mean())), 1.0])
    found = minimize(loss, start, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-6})
    best = distribution(found.x)
    return Fitted(
        "hyperexponential",
        2,
        best,
        lambda times: _mixed_log_density(best, times),
        lambda times: (
            -best.slow_share * np.expm1(-times / best.slow_mean)
            - (1.0 - best.slow_share) * np.expm1(-times / best.fast_mean)
        ),
    )


def _mixed_log_density(mixture: Hyperexponential, times: Floats) -> Floats:
    slow = math.log(mixture.slow_share / mixture.slow_mean) - times / mixture.slow_mean
    fast = math.log((1.0 - mixture.slow_share) / mixture.fast_mean) - times / mixture.fast_mean
    return np.logaddexp(slow, fast)


FAMILIES: Mapping[str, Callable[[Floats], Fitted]] = {
    "exponential": fit_exponential,
    "lognormal": fit_lognormal,
    "gamma": fit_gamma,
    "weibull": fit_weibull,
    "hyperexponential": fit_hyperexponential,
}
"""How each family is fitted to a sample of times > 0 that are not all equal."""
