"""The distribution of a sample."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Empirical:
    """The values of a sample, each as likely as it is frequent; nothing in between.

    Mean and coefficient of variation are those of the sample, with the variance over n.

    Attributes:
        values: The sample, at least one finite value, each >= 0; kept in ascending order.
    """

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        values = tuple(sorted(float(value) for value in self.values))
        if not values:
            message = "an empirical distribution needs at least one value"
            raise ValueError(message)
        for value in values:
            if not (math.isfinite(value) and value >= 0.0):
                message = (
                    "the values of an empirical distribution must be at least 0 and finite, not "
                    f"{value!r}"
                )
                raise ValueError(message)
        object.__setattr__(self, "values", values)

    @property
    def mean(self) -> float:
        """The sample's mean."""
        return math.fsum(self.values) / len(self.values)

    @property
    def cv(self) -> float:
        """The sample's standard deviation over its mean; 0 where all values are 0."""
        mean = self.mean
        if mean == 0.0:
            return 0.0
        variance = math.fsum((value - mean) ** 2 for value in self.values) / len(self.values)
        return math.sqrt(variance) / mean

    def quantile(self, u: float) -> float:
        """Return the least value of the sample at or below which more than a share *u* lies."""
        return self.values[int(u * len(self.values))]

    def quantiles(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the quantile at each of *u*."""
        values = np.array(self.values, dtype=np.float64)
        return values[(u * len(values)).astype(np.intp)]
