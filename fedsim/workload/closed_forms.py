"""Distributions whose quantile function is a formula.

Each takes well under a microsecond for a scalar quantile and a few nanoseconds for each element of
an array. The fields are the usual parameters; ``from_mean_cv`` and ``from_median_p99`` take what a
person has read off a dashboard instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.checks import ascending, not_negative, positive
from fedsim.workload.inverse_normal import inverse_normal
from fedsim.workload.inversion import root

_inverse_normal = NormalDist().inv_cdf
_Z99 = _inverse_normal(0.99)
_LOG_2 = math.log(2.0)
_LOG_50 = math.log(50.0)
_LOG_100 = math.log(100.0)
_SIGMA_MAX = 20.0


@dataclass(frozen=True, slots=True)
class Constant:
    """Always the same value.

    Attributes:
        value: The value, >= 0.
    """

    value: float

    def __post_init__(self) -> None:
        not_negative("a constant", value=self.value)

    @property
    def mean(self) -> float:
        """The value."""
        return self.value

    @property
    def cv(self) -> float:
        """0."""
        return 0.0

    def quantile(self, u: float) -> float:
        """Return the value, whatever *u*."""
        return self.value

    def quantiles(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return an array of the shape of *u*, full of the value."""
        return np.full(u.shape, self.value)


@dataclass(frozen=True, slots=True)
class Exponential:
    """The exponential distribution, without memory: coefficient of variation 1.

    Attributes:
        mean: The mean, > 0.
    """

    mean: float

    def __post_init__(self) -> None:
        positive("an exponential distribution", mean=self.mean)

    @classmethod
    def from_median(cls, median: float) -> Self:
        """Return the exponential distribution with this *median*, > 0."""
        positive("an exponential distribution", median=median)
        return cls(median / _LOG_2)

    @property
    def cv(self) -> float:
        """1."""
        return 1.0

    def quantile(self, u: float) -> float:
        """Return the value below which a share *u* lies, 0 < *u* < 1."""
        return -self.mean * math.log1p(-u)

    def quantiles(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the quantile at each of *u*."""
        return -self.mean * np.log1p(-u)


@dataclass(frozen=True, slots=True)
class Uniform:
    """All values between two bounds, equally likely.

    Attributes:
        low: The least value, >= 0.
        high: The greatest, > *low*.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        not_negative("a uniform distribution", low=self.low, high=self.high)
        if self.high <= self.low:
            message = (
                f"the high of a uniform distribution must be greater than its low, not "
                f"{self.high!r} with a low of {self.low!r}"
            )
            raise ValueError(message)

    @classmethod
    def from_mean_cv(cls, mean: float, cv: float) -> Self:
        """Return the uniform distribution with this *mean* and *cv*, 0 < *cv* <= 1/sqrt(3)."""
        positive("a uniform distribution", mean=mean, cv=cv)
        half_width = math.sqrt(3.0) * cv * mean
        if half_width > mean * (1.0 + 1e-12):
            message = (
                f"the cv of a uniform distribution can be 0.577 at most, or it has negative "
                f"values, not {cv!r}: write gamma or lognormal for a greater one"
            )
            raise ValueError(message)
        return cls(max(mean - half_width, 0.0), mean + half_width)

    @classmethod
    def from_median_p99(cls, median: float, p99: float) -> Self:
        """Return the uniform distribution with these quantiles, *p99* <= 1.98 times *median*."""
        ascending("a uniform distribution", median, p99)
        half_width = (p99 - median) / 0.98
        if half_width > median * (1.0 + 1e-12):
            message = (
                f"the p99 of a uniform distribution can be 1.98 times its median at most, or it "
                f"has negative values, not {p99!r} with a median of {median!r}: write gamma or "
                "lognormal"
            )
            raise ValueError(message)
        return cls(max(median - half_width, 0.0), median + half_width)

    @property
    def mean(self) -> float:
        """The middle between the bounds."""
        return (self.low + self.high) / 2.0

    @property
    def cv(self) -> float:
        """Standard deviation over mean."""
        return (self.high - self.low) / (math.sqrt(12.0) * self.mean)

    def quantile(self, u: float) -> float:
        """Return the value below which a share *u* lies, 0 < *u* < 1."""
        return self.low + (self.high - self.low) * u

    def quantiles(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the quantile at each of *u*."""
        return self.low + (self.high - self.low) * u


@dataclass(frozen=True, slots=True)
class Lognormal:
    """The exponential of a normal distribution: skewed, with a tail that is often what one has.

    Attributes:
        mu: Logarithm of the median.
        sigma: Standard deviation of the logarithm, 0 < *sigma* <= 20.
    """

    mu: float
    sigma: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mu) and 0.0 < self.sigma <= _SIGMA_MAX):
            message = (
                f"a lognormal distribution takes a finite mu and 0 < sigma <= {_SIGMA_MAX:g}, not "
                f"{self.mu!r} and {self.sigma!r}"
            )
            raise ValueError(message)

    @classmethod
    def from_mean_cv(cls, mean: float, cv: float) -> Self:
        """Return the lognormal distribution with this *mean* > 0 and *cv* > 0."""
        positive("a lognormal distribution", mean=mean, cv=cv)
        variance = math.log1p(cv * cv)
        return cls(math.log(mean) - variance / 2.0, math.sqrt(variance))

    @classmethod
    def from_median_p99(cls, median: float, p99: float) -> Self:
        """Return the lognormal distribution with these quantiles, 0 < *median* < *p99*."""
        ascending("a lognormal distribution", median, p99)
        return cls(math.log(median), math.log(p99 / median) / _Z99)

    @property
    def mean(self) -> float:
        """The mean, greater than the median."""
        return math.exp(self.mu + self.sigma * self.sigma / 2.0)

    @property
    def cv(self) -> float:
        """Standard deviation over mean."""
        return math.sqrt(math.expm1(self.sigma * self.sigma))

    def quantile(self, u: float) -> float:
        """Return the value below which a share *u* lies, 0 < *u* < 1."""
        return math.exp(self.mu + self.sigma * _inverse_normal(u))

    def quantiles(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the quantile at each of *u*."""
        return np.exp(self.mu + self.sigma * inverse_normal(u))


@dataclass(frozen=True, slots=True)
class Weibull:
    """A power of an exponential distribution: *shape* below 1 has the heavier tail.

    Attributes:
        shape: Shape, > 0; 1 is exponential.
        scale: The value below which 63.2 % lies, > 0.
    """

    shape: float
    scale: float

    def __post_init__(self) -> None:
        positive("a weibull distribution", shape=self.shape, scale=self.scale)

    @classmethod
    def from_mean_cv(cls, mean: float, cv: float) -> Self:
        """Return the Weibull distribution with this *mean* > 0 and 0.001 <= *cv* <= 1,000."""
        positive("a weibull distribution", mean=mean, cv=cv)
        shape = root(lambda shape: cv - _weibull_cv(shape), 0.08, 2000.0, "the cv", cv)
        return cls(shape, mean / math.gamma(1.0 + 1.0 / shape))

    @classmethod
    def from_median_p99(cls, median: float, p99: float) -> Self:
        """Return the Weibull distribution with these quantiles, 0 < *median* < *p99*."""
        ascending("a weibull distribution", median, p99)
        shape = math.log(_LOG_100 / _LOG_2) / math.log(p99 / median)
        return cls(shape, median / _LOG_2 ** (1.0 / shape))

    @property
    def mean(self) -> float:
        """The mean."""
        return self.scale * math.gamma(1.0 + 1.0 / self.shape)

    @property
    def cv(self) -> float:
        """Standard deviation over mean."""
        return _weibull_cv(self.shape)

    def quantile(self, u: float) -> float:
        """Return the value below which a share *u* lies, 0 < *u* < 1."""
        return self.scale * math.pow(-math.log1p(-u), 1.0 / self.shape)

    def quantiles(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the quantile at each of *u*."""
        return self.scale * np.power(-np.log1p(-u), 1.0 / self.shape)


@dataclass(frozen=True, slots=True)
class Pareto:
    """A power law above a least value, Pareto's type I.

    Attributes:
        minimum: The least value, > 0.
        shape: Exponent of the tail, > 0: the mean is finite above 1, the variance above 2.
    """

    minimum: float
    shape: float

    def __post_init__(self) -> None:
        positive("a pareto distribution", minimum=self.minimum, shape=self.shape)

    @classmethod
    def from_mean_cv(cls, mean: float, cv: float) -> Self:
        """Return the Pareto distribution with this *mean* > 0 and *cv* > 0; its shape exceeds 2."""
        positive("a pareto distribution", mean=mean, cv=cv)
        shape = 1.0 + math.hypot(1.0, 1.0 / cv)
        return cls(mean * (shape - 1.0) / shape, shape)

    @classmethod
    def from_median_p99(cls, median: float, p99: float) -> Self:
        """Return the Pareto distribution with these quantiles, 0 < *median* < *p99*.

        A *p99* of more than 50 times the *median* has no finite mean.
        """
        ascending("a pareto distribution", median, p99)
        shape = _LOG_50 / math.log(p99 / median)
        return cls(median / math.pow(2.0, 1.0 / shape), shape)

    @property
    def mean(self) -> float:
        """The mean; infinite where the shape is 1 or less."""
        if self.shape <= 1.0:
            return math.inf
        return self.minimum * self.shape / (self.shape - 1.0)

    @property
    def cv(self) -> float:
        """Standard deviation over mean; infinite where the shape is 2 or less."""
        if self.shape <= 2.0:
            return math.inf
        return 1.0 / math.sqrt(self.shape * (self.shape - 2.0))

    def quantile(self, u: float) -> float:
        """Return the value below which a share *u* lies, 0 < *u* < 1."""
        return self.minimum * math.pow(1.0 - u, -1.0 / self.shape)

    def quantiles(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the quantile at each of *u*."""
        return self.minimum * np.power(1.0 - u, -1.0 / self.shape)


def _weibull_cv(shape: float) -> float:
    """Return the coefficient of variation, by logarithms as the gammas overflow and cancel."""
    inverse = 1.0 / shape
    return math.sqrt(
        math.expm1(math.lgamma(1.0 + 2.0 * inverse) - 2.0 * math.lgamma(1.0 + inverse))
    )
