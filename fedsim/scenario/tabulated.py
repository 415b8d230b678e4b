"""Gamma distributions as tables, for a sample of requests that is drawn before a run.

The quantiles of a gamma distribution take a special function of scipy's, whose import takes longer
than all else that a check does. A table of 16,000 points differs from them by a few parts in a
million, up to 50 where the coefficient of variation is 5, which is far below what 10,000 draws can
resolve. A run takes the exact ones.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import cached_property
from operator import is_not
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.distributions import Gamma

T = TypeVar("T")
Floats = NDArray[np.float64]

_POINTS = 8_000
_RARE = 1e-10
_BEND = -3.0


def tabulated(value: T) -> T:
    """Return *value* with a table in place of each gamma distribution within its fields."""
    changed: Any = value
    if isinstance(value, Gamma):
        changed = TabulatedGamma(value)
    elif isinstance(value, tuple):
        each_of = tuple(tabulated(each) for each in value)
        changed = each_of if any(map(is_not, value, each_of)) else value
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        old = {each.name: getattr(value, each.name) for each in dataclasses.fields(value)}
        tables = {name: tabulated(each) for name, each in old.items()}
        new = {name: each for name, each in tables.items() if each is not old[name]}
        changed = dataclasses.replace(value, **new) if new else value
    found: T = changed
    return found


@dataclass(frozen=True)
class TabulatedGamma:
    """A gamma distribution whose quantiles are read off a table.

    Attributes:
        exact: The distribution.
    """

    exact: Gamma

    @property
    def mean(self) -> float:
        """The mean."""
        return self.exact.mean

    @property
    def cv(self) -> float:
        """Standard deviation over mean."""
        return self.exact.cv

    def quantile(self, u: float) -> float:
        """Return the value below which a share *u* lies, 0 < *u* < 1."""
        return float(self.quantiles(np.array(u)))

    def quantiles(self, u: Floats) -> Floats:
        """Return the quantile at each of *u*, with a relative error below 1e-4."""
        shares, logarithms = self._table
        return self.exact.scale * np.exp(np.interp(u, shares, logarithms))

    @cached_property
    def _table(self) -> tuple[Floats, Floats]:
        """Shares below some values, and the logarithms of the values over the scale."""
        shape = self.exact.shape
        # Where x is distributed so, log x has the density exp(shape log x - x) / Γ(shape).
        lowest = (math.log(_RARE) + math.lgamma(shape + 1.0)) / shape
        spread = 8.0 * math.sqrt(shape)
        if shape > spread:
            lowest = max(lowest, math.log(shape - spread))
        highest = math.log(shape + spread + 30.0)
        upper = max(lowest, _BEND)  # a small shape has a long lower tail, which is smooth
        logarithms = np.concatenate(
            [np.linspace(lowest, upper, _POINTS), np.linspace(upper, highest, _POINTS)]
        )
        densities = np.exp(shape * logarithms - np.exp(logarithms) - math.lgamma(shape))
        areas = 0.5 * (densities[1:] + densities[:-1]) * np.diff(logarithms)
        shares = np.concatenate([[0.0], np.cumsum(areas)])
        return shares / shares[-1], logarithms
