"""Distributions of times and token counts, as quantile functions.

A draw is the quantile of a uniform. So one uniform, kept with the request, is the same draw for
every pool that may serve it, and a comparison of two routers compares nothing but the routers.

    closed form    Constant, Exponential, Uniform, Lognormal, Weibull, Pareto
    numeric        Gamma, Hyperexponential
    from a sample  Empirical

All are frozen, can be pickled, and have no state. Their unit is the caller's: seconds or tokens.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.closed_forms import (
    Constant,
    Exponential,
    Lognormal,
    Pareto,
    Uniform,
    Weibull,
)
from fedsim.workload.empirical import Empirical
from fedsim.workload.numeric_forms import Gamma, Hyperexponential

__all__ = [
    "Constant",
    "Distribution",
    "Empirical",
    "Exponential",
    "Gamma",
    "Hyperexponential",
    "Lognormal",
    "Pareto",
    "Uniform",
    "Weibull",
]


class Distribution(Protocol):
    """A distribution of values that are 0 or more, known by its quantile function.

    ``quantile`` is pure and never falls as *u* rises. ``quantiles`` is the same map for an array;
    the two agree to within rounding (a relative 1e-13), and each element of the result depends on
    its own *u* alone.
    """

    @property
    def mean(self) -> float:
        """The mean, in the unit of the values; infinite where there is none."""
        ...

    @property
    def cv(self) -> float:
        """Standard deviation over mean; infinite where there is no variance."""
        ...

    def quantile(self, u: float) -> float:
        """Return the value below which a share *u* lies; *u* is greater than 0 and less than 1."""
        ...

    def quantiles(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the quantile at each of *u*, all greater than 0 and less than 1."""
        ...
