"""Distributions whose quantile function is found numerically: a few microseconds a value."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.checks import ascending, positive
from fedsim.workload.inversion import root


@dataclass(frozen=True, slots=True)
class Gamma:
    """The gamma distribution: for a whole *shape*, the sum of that many exponential stages.

    Attributes:
        shape: Shape, > 0; 1 is exponential.
        scale: Mean over shape, > 0.
    """

    shape: float
    scale: float

    def __post_init__(self) -> None:
        positive("a gamma distribution", shape=self.shape, scale=self.scale)

    @classmethod
    def from_mean_cv(cls, mean: float, cv: float) -> Self:
        """Return the gamma distribution with this *mean* > 0 and *cv* > 0."""
        positive("a gamma distribution", mean=mean, cv=cv)
        return cls(1.0 / (cv * cv), mean * cv * cv)

    @classmethod
    def from_median_p99(cls, median: float, p99: float) -> Self:
        """Return the gamma distribution with these quantiles, 0 < *median* < *p99*.

        Raises:
            ValueError: They are not ascending, or so close or so far apart that no shape between
                0.02 and 10 million has them.
        """
        ascending("a gamma distribution", median, p99)
        from scipy.special import gammaincinv

        ratio = p99 / median

        def excess(shape: float) -> float:
            return ratio - float(gammaincinv(shape, 0.99) / gammaincinv(shape, 0.5))

        shape = root(excess, 0.02, 1e7, "a p99 over median of", ratio)
        return cls(shape, median / float(gammaincinv(shape, 0.5)))

    @property
    def mean(self) -> float:
        """The mean."""
        return self.shape * self.scale

    @property
    def cv(self) -> float:
        """Standard deviation over mean."""
        return 1.0 / math.sqrt(self.shape)

    def quantile(self, u: float) -> float:
        """Return the value below which a share *u* lies, 0 < *u* < 1."""
        from scipy.special import gammaincinv

        return self.scale * float(gammaincinv(self.shape, u))

    def quantiles(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the quantile at each of *u*."""
        from scipy.special import gammaincinv

        return self.scale * np.asarray(gammaincinv(self.shape, u), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Hyperexponential:
    """A mixture of two exponential distributions: mostly fast, now and then slow.

    Attributes:
        slow_share: Share of the values that come from the slow one, 0 < *slow_share* < 1.
        fast_mean: Mean of the fast one, > 0.
        slow_mean: Mean of the slow one, >= *fast_mean*.
    """

    slow_share: float
    fast_mean: float
    slow_mean: float

    def __post_init__(self) -> None:
        owner = "a hyperexponential distribution"
        positive(owner, fast_mean=self.fast_mean, slow_mean=self.slow_mean)
        if not 0.0 < self.slow_share < 1.0:
            message = f"the slow_share of {owner} must lie between 0 and 1, not {self.slow_share!r}"
            raise ValueError(message)
        if self.slow_mean < self.fast_mean:
            message = (
                f"the slow_mean of {owner} must not be less than its fast_mean, not "
                f"{self.slow_mean!r} with {self.fast_mean!r}: exchange them"
            )
            raise ValueError(message)

    @classmethod
    def from_mean_cv(cls, mean: float, cv: float) -> Self:
        """Return the hyperexponential distribution with balanced means.

        The slow and the fast values add up to the same total, the usual choice where a mean and a
        coefficient of variation are all that is known.

        Args:
            mean: The mean, > 0.
            cv: Standard deviation over mean, >= 1.

        Raises:
            ValueError: The mean is not positive, or the cv less than 1.
        """
        positive("a hyperexponential distribution", mean=mean, cv=cv)
        if cv < 1.0:
            message = (
                f"the cv of a hyperexponential distribution must be at least 1, not {cv!r}: write "
                "gamma or lognormal for a smaller one"
            )
            raise ValueError(message)
        square = cv * cv
        # The share is (1 - r) / 2, written so that nothing cancels for a great cv.
        fast_twice = 1.0 + math.sqrt((square - 1.0) / (square + 1.0))
        slow_share = 1.0 / ((square + 1.0) * fast_twice)
        return cls(slow_share, mean / fast_twice, mean / (2.0 * slow_share))

    @property
    def mean(self) -> float:
        """The mean."""
        return self.slow_share * self.slow_mean + (1.0 - self.slow_share) * self.fast_mean

    @property
    def cv(self) -> float:
        """Standard deviation over mean."""
        slow, fast = self.slow_mean, self.fast_mean
        share = self.slow_share
        # Variance = mean^2 + 2 share (1 - share) (slow - fast)^2, a sum of positive terms.
        spread = (slow - fast) / self.mean
        return math.sqrt(1.0 + 2.0 * share * (1.0 - share) * spread * spread)

    def quantile(self, u: float) -> float:
        """Return the value below which a share *u* lies, 0 < *u* < 1.

        Newton's method on the logarithm of the survival function. That logarithm is convex, so
        that the iterates rise to the root from any point left of it; each of the three bounds of
        the start is such a point, and the greatest is off by a factor of 2 in the survival at most.
        """
        exp, log, log1p, expm1 = math.exp, math.log, math.log1p, math.expm1
        share, slow, fast = self.slow_share, self.slow_mean, self.fast_mean
        rest = 1.0 - share
        target = -log1p(-u)
        value = max(
            target / (share / slow + rest / fast),
            slow * (target + log(share)),
            fast * (target + log1p(-share)),
        )
        while True:
            slow_tail = share * exp(-value / slow)
            fast_tail = rest * exp(-value / fast)
            survival = slow_tail + fast_tail
            if u < 0.5:
                log_survival = log1p(share * expm1(-value / slow) + rest * expm1(-value / fast))
            else:
                log_survival = log(survival)
            hazard = (slow_tail / slow + fast_tail / fast) / survival
            step = (log_survival + target) / hazard
            if step <= 1e-15 * value:
                return value
            value += step

    def quantiles(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the quantile at each of *u*, one by one."""
        quantile = self.quantile
        flat = [quantile(value) for value in u.ravel().tolist()]
        return np.array(flat, dtype=np.float64).reshape(u.shape)
