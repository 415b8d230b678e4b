"""The requests and nodes that one row of a summary covers, as its measures read them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedsim.results.sample import Sample
from fedsim.results.slo import percentile_share

if TYPE_CHECKING:
    from pandas import DataFrame

PERCENTILES = ("p50", "p90", "p95", "p99", "p999")
"""The percentiles of latency, TTFT, time per output token and queue wait in every summary."""


class Group:
    """What a row of a summary covers.

    Args:
        requests: Its requests.
        window_s: Length of the summary's window, in seconds.
        nodes: Its rows of the table ``node_totals``, or None where nodes belong to no group.
        violations: Number of violations of each kind, by their measure.
    """

    def __init__(
        self,
        requests: Sample,
        window_s: float,
        nodes: DataFrame | None,
        violations: Mapping[str, int],
    ) -> None:
        self.requests = requests
        self.window_s = window_s
        self.nodes = nodes
        self.violations = violations
        self._known: dict[str, NDArray[np.float64]] = {}
        self._percentiles: dict[str, dict[str, float]] = {}

    @property
    def count(self) -> int:
        """Number of requests."""
        return len(self.requests.ok)

    @cached_property
    def successes(self) -> int:
        """Number of requests that succeeded."""
        return int(self.requests.ok.sum())

    @cached_property
    def good(self) -> int:
        """Number of requests that were served within their limits."""
        return int(self.requests.good.sum())

    def known(self, column: str) -> NDArray[np.float64]:
        """Return a column of the successful requests, without those whose value is missing."""
        if column not in self._known:
            values = getattr(self.requests, column)[self.requests.ok]
            self._known[column] = values[~np.isnan(values)]
        return self._known[column]

    def percentile(self, column: str, name: str) -> float:
        """Return one of ``PERCENTILES`` of ``known(column)``, NaN for no values."""
        # All of them at once: one partition of the values costs little more than one percentile.
        if column not in self._percentiles:
            self._percentiles[column] = percentiles(self.known(column), PERCENTILES)
        return self._percentiles[column][name]

    def node_sum(self, column: str) -> float:
        """Return the sum of a column over the nodes, NaN where any value is missing."""
        if self.nodes is None or column not in self.nodes:
            return math.nan
        return float(self.nodes[column].to_numpy().sum())


def percentiles(values: NDArray[np.float64], names: Sequence[str]) -> dict[str, float]:
    """Return percentiles by linear interpolation between order statistics, NaN for no values."""
    if not len(values):
        return dict.fromkeys(names, math.nan)
    found = np.quantile(values, [percentile_share(name) for name in names])
    return dict(zip(names, found.tolist(), strict=True))


def mean(values: NDArray[Any]) -> float:
    """Return the mean, NaN for no values."""
    return float(values.mean()) if len(values) else math.nan


def ratio(part: float, whole: float) -> float:
    """Return ``part / whole``, NaN where the whole is 0."""
    return part / whole if whole else math.nan
