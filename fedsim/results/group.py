"""The requests and nodes that one row of a summary covers, as its measures read them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsim.results.sample import Sample
from fedsim.results.slo import percentile_share
from fedsim.results.tables import Tables

PERCENTILES = ("p50", "p90", "p95", "p99", "p999")
"""The percentiles of latency, TTFT, time per output token and queue wait in every summary."""

_FEW = 500
"""As many values are sorted faster than they are partitioned around ten places."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """What the measures need to know of each node, as parallel arrays; see ``docs/tables.md``.

    Attributes:
        pool: Code of its pool.
        region: Code of its region.
        slots: Requests that it serves at once.
        cost_usd_per_hour: Its price, NaN for none.
        busy_slot_s: Slots in use, integrated over the run.
        wasted_slot_s: Those of them whose result no request took.
        window_busy_slot_s: Slots in use, integrated over the window.
        window_busy_s: Time in use within the window, in seconds.
        window_paid_s: Time paid for within the window, in seconds.
        window_up_s: Time up within the window, in seconds.
    """

    pool: NDArray[np.integer[Any]]
    region: NDArray[np.integer[Any]]
    slots: NDArray[np.int64]
    cost_usd_per_hour: NDArray[np.float64]
    busy_slot_s: NDArray[np.float64]
    wasted_slot_s: NDArray[np.float64]
    window_busy_slot_s: NDArray[np.float64]
    window_busy_s: NDArray[np.float64]
    window_paid_s: NDArray[np.float64]
    window_up_s: NDArray[np.float64]

    @classmethod
    def of(cls, tables: Tables) -> Nodes:
        """Return all nodes of a run."""
        return cls(*(tables.values("node_totals", each.name) for each in fields(cls)))

    def part(self, rows: NDArray[np.integer[Any]]) -> Nodes:
        """Return the nodes in *rows*."""
        return Nodes(*(getattr(self, each.name)[rows] for each in fields(Nodes)))


class Group:
    """What a row of a summary covers.

    Args:
        requests: Its requests.
        window_s: Length of the summary's window, in seconds.
        nodes: Its nodes, or None where nodes belong to no group.
        violations: Number of violations of each kind, by their measure.
    """

    def __init__(
        self,
        requests: Sample,
        window_s: float,
        nodes: Nodes | None,
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
        return int(np.count_nonzero(self.requests.ok))

    @cached_property
    def good(self) -> int:
        """Number of requests that were served within their limits."""
        return int(np.count_nonzero(self.requests.good))

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

    @cached_property
    def presence(self) -> NDArray[np.float64]:
        """The share of the window that each node is paid for: 1, but where a scaler says less.

        A run of before there were scalers does not say it.
        """
        assert self.nodes is not None
        paid_s = np.where(
            np.isnan(self.nodes.window_paid_s), self.window_s, self.nodes.window_paid_s
        )
        return paid_s / self.window_s if self.window_s else np.full(len(paid_s), np.nan)

    def node_sum(self, column: str) -> float:
        """Return the sum of a column over the nodes, NaN where any value is missing."""
        return math.nan if self.nodes is None else float(getattr(self.nodes, column).sum())


def percentiles(values: NDArray[np.float64], names: Sequence[str]) -> dict[str, float]:
    """Return percentiles by linear interpolation between order statistics, NaN for no values.

    They are those of ``numpy.quantile``, to the last bit, for a small part of its cost on few
    values, which a study has in each of many groups.
    """
    if not len(values):
        return dict.fromkeys(names, math.nan)
    places = [(len(values) - 1) * percentile_share(name) for name in names]
    ordered: Sequence[float] | NDArray[np.float64]
    if len(values) <= _FEW:
        ordered = np.sort(values).tolist()
    else:
        around = {each for place in places for each in (math.floor(place), math.ceil(place))}
        ordered = np.partition(values, sorted(around))
    return {name: _between(ordered, place) for name, place in zip(names, places, strict=True)}


def _between(ordered: Sequence[float] | NDArray[np.float64], place: float) -> float:
    """Return what lies at *place* between two neighbors, computed as numpy does."""
    low, high = float(ordered[math.floor(place)]), float(ordered[math.ceil(place)])
    share = place - math.floor(place)
    step = high - low
    return high - step * (1.0 - share) if share >= 0.5 else low + step * share


def mean(values: NDArray[Any]) -> float:
    """Return the mean, NaN for no values; ``values.mean()`` to the last bit, at a quarter of it."""
    return float(np.add.reduce(values) / len(values)) if len(values) else math.nan


def ratio(part: float, whole: float) -> float:
    """Return ``part / whole``, NaN where the whole is 0."""
    return part / whole if whole else math.nan
