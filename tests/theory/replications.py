"""Means from independent replications, with their standard errors, and control variates.

A control variate is a quantity of the same run whose mean is known; here it is subtracted, so that
every control has mean 0. Regressing the result on the controls takes out what they explain of its
variance, and leaves its mean as it was (Lavenberg and Welch, A perspective on the use of control
variables, Management Science 27, 1981). As that would also take out a fault of the controls
themselves, those are tested for mean 0 alongside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

Z_MOST = 3.5
"""Most standard errors between a mean and its theory: one test in 2,000 fails by chance."""


@dataclass(frozen=True)
class Estimate:
    """A mean, from replications.

    Attributes:
        mean: The mean.
        standard_error: Its standard error.
        freedom: Degrees of freedom of that.
    """

    mean: float
    standard_error: float
    freedom: int

    @property
    def half_width(self) -> float:
        """Half the width of the 95 % confidence interval."""
        return float(stdtrit(self.freedom, 0.975)) * self.standard_error

    def z(self, expected: float) -> float:
        """Return the distance from *expected* in standard errors."""
        return (self.mean - expected) / self.standard_error


def estimate(values: ArrayLike, controls: ArrayLike | None = None) -> Estimate:
    """Return the mean of *values*, one for each replication.

    Args:
        values: One result for each replication.
        controls: For each replication a row of control variates, of mean 0; a column that never
            varies is left out.
    """
    results = np.asarray(values, dtype=np.float64)
    columns = [np.ones(len(results))]
    if controls is not None:
        columns += [column for column in np.asarray(controls).T if np.ptp(column) > 0.0]
    design = np.column_stack(columns)
    fit, *_ = np.linalg.lstsq(design, results, rcond=None)
    freedom = len(results) - design.shape[1]
    variance = float(((results - design @ fit) ** 2).sum()) / freedom
    scale = float(np.linalg.inv(design.T @ design)[0, 0])
    return Estimate(float(fit[0]), (variance * scale) ** 0.5, freedom)
