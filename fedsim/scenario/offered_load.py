"""Streams against the pools that may serve them: how much they ask of them, and the best spread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from fedsim.scenario import best_split
from fedsim.scenario.node_time import node_time_s
from fedsim.scenario.request_samples import RequestSample, sample_requests
from fedsim.scenario.spec import Scenario
from fedsim.workload.arrivals import ClosedLoop
from fedsim.world.config import StreamConfig
from fedsim.world.nodes.config import PoolConfig

_LEAST_TIME_S = 1e-12
_HOPELESS = 1e9
"""A pool so many times slower with a stream than all others together gets none of it."""


class OfferedLoad:
    """Streams against pools, as arrays with a row per stream and a column per pool.

    A closed loop counts with the rate that it has if no request waits.

    Args:
        scenario: The scenario.

    Attributes:
        scenario: The scenario.
        streams: The streams; without models where the federation does not go by them.
        pools: The pools.
        nodes: Nodes of each pool.
        rates_rps: Mean rate of each stream over the run, in requests per second; 0 where its
            requests fit into no engine that they may get, and are all refused.
        peaks_rps: Highest rate of each stream.
        fits: Whether a pool has a stream's capability, and its model where the stream names one.
        may_serve: Whether it does, and may hold the stream's data.
        node_s: What a request takes of a node at full load, in seconds; 0 where it may not.
    """

    def __init__(self, scenario: Scenario) -> None:
        world = scenario.world
        self.scenario = scenario
        self._samples: dict[int, RequestSample] = {}
        until_s = world.duration_s
        self.streams: Sequence[StreamConfig] = world.streams
        if scenario.federation.preset != "default":
            self.streams = [replace(stream, model=None) for stream in world.streams]
        self.pools: Sequence[PoolConfig] = world.pools
        self.nodes = np.array([pool.size for pool in self.pools], dtype=float)
        traffics = [stream.traffic for stream in self.streams]
        self.rates_rps = np.array([traffic.mean_rps(until_s) for traffic in traffics])
        self.peaks_rps = np.array([traffic.peak_rps(until_s) for traffic in traffics])
        levels = {region.name: region.privacy for region in world.regions}
        federation = scenario.federation
        lawful = "privacy" in federation.policies and federation.router is None
        self.fits = np.array(
            [[stream.fits(pool) for pool in self.pools] for stream in self.streams]
        )
        held = [
            [not (lawful and levels[pool.region] < stream.qos.privacy) for pool in self.pools]
            for stream in self.streams
        ]
        self.may_serve = self.fits & np.array(held)
        self.node_s = np.array([self._times_s(row) for row in range(len(self.streams))])
        for row, traffic in enumerate(traffics):
            if traffic.conversation is not None and traffic.conversation.max_context is not None:
                self.rates_rps[row] *= self.sample(row).kept
                self.peaks_rps[row] *= self.sample(row).kept
            if isinstance(traffic.arrivals, ClosedLoop):
                rate_rps = self._loop_rps(row, traffic.arrivals)
                self.rates_rps[row] = self.peaks_rps[row] = rate_rps
            if self._is_refused(row):
                self.rates_rps[row] = self.peaks_rps[row] = 0.0

    def without(self, region: str) -> OfferedLoad:
        """Return the same load where the nodes of a region may serve nothing."""
        lost = np.array([pool.region == region for pool in self.pools], dtype=bool)
        other = copy(self)
        other.may_serve = self.may_serve & ~lost
        other.node_s = np.where(lost, 0.0, self.node_s)
        return other

    @property
    def open_rps(self) -> NDArray[np.float64]:
        """Mean rate of each stream, 0 for closed loops: they ask for no more than they get."""
        loops = [isinstance(stream.traffic.arrivals, ClosedLoop) for stream in self.streams]
        rates_rps: NDArray[np.float64] = np.where(loops, 0.0, self.rates_rps)
        return rates_rps

    def sample(self, row: int) -> RequestSample:
        """Return the fixed sample of a stream's requests."""
        if row not in self._samples:
            traffic = self.streams[row].traffic
            self._samples[row] = sample_requests(traffic, self.scenario.duration_s)
        return self._samples[row]

    def _is_refused(self, row: int) -> bool:
        """Whether all that may serve a stream are engines into which no request of it fits."""
        engines = np.array([pool.engine is not None for pool in self.pools])
        may = self.may_serve[row]
        return bool(may.any() and engines[may].all() and np.isinf(self.node_s[row, may]).all())

    def _times_s(self, row: int) -> list[float]:
        """Return what a request of a stream takes of a node of each pool; 0 where it may not."""
        sizes = self.streams[row].traffic.mean_sizes
        sample = partial(self.sample, row)
        return [
            max(node_time_s(pool, sizes, sample), _LEAST_TIME_S) if may else 0.0
            for pool, may in zip(self.pools, self.may_serve[row], strict=True)
        ]

    def _loop_rps(self, row: int, loop: ClosedLoop) -> float:
        """Return the rate of users who never wait: their number over think and service time."""
        services_s = [
            node_s * pool.slots if kind(pool) == "slots" else node_s
            for pool, node_s in zip(self.pools, self.node_s[row].tolist(), strict=True)
            if node_s > 0.0
        ]
        return loop.users / (loop.think_s.mean + min(services_s, default=0.0))

    def shares(self) -> NDArray[np.float64]:
        """Return which share of each stream each pool serves, by what the pool could serve of it.

        Pools that could serve none, having requests that take forever, share evenly.
        """
        could_rps = np.zeros_like(self.node_s)
        np.divide(self.nodes, self.node_s, out=could_rps, where=self.may_serve)
        hopeless = ~could_rps.any(axis=1)
        could_rps[hopeless] = self.may_serve[hopeless]
        total = could_rps.sum(axis=1, keepdims=True)
        shares = np.zeros_like(could_rps)
        np.divide(could_rps, total, out=shares, where=total > 0)
        return shares

    def loads(
        self, shares: NDArray[np.float64], rates_rps: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the busy share of each pool that serves these *shares* of the streams."""
        served_rps = rates_rps[:, None] * shares
        busy = np.zeros_like(served_rps)
        np.multiply(served_rps, self.node_s, out=busy, where=served_rps > 0.0)
        by_pool: NDArray[np.float64] = busy.sum(axis=0) / self.nodes
        return by_pool

    def least_load(self, rows: list[int], rates_rps: NDArray[np.float64]) -> float:
        """Return the load of the busiest pool under the best split, a linear program.

        Args:
            rows: The streams that count.
            rates_rps: Rate of each stream, of those too that do not count.
        """
        rows = [row for row in rows if rates_rps[row] > 0.0]
        pairs = [
            (row, column)
            for row in rows
            for column in range(len(self.pools))
            if self.may_serve[row, column] and math.isfinite(self.node_s[row, column])
        ]
        served = {row for row, _ in pairs}
        if any(row not in served for row in rows):
            return math.inf
        alone = sum(self._alone(row, pairs, rates_rps) for row in rows)
        return alone if len(rows) < 2 else self._solve(rows, pairs, rates_rps, alone)

    def _alone(
        self, row: int, pairs: list[tuple[int, int]], rates_rps: NDArray[np.float64]
    ) -> float:
        """Return the load if a stream had its pools for itself."""
        columns = [column for each, column in pairs if each == row]
        capacity_rps = sum(self.nodes[column] / self.node_s[row, column] for column in columns)
        return float(rates_rps[row] / capacity_rps)

    def _solve(
        self,
        rows: list[int],
        pairs: list[tuple[int, int]],
        rates_rps: NDArray[np.float64],
        bound: float,
    ) -> float:
        """Return the optimum, which is at most *bound*."""
        if not math.isfinite(bound):
            return bound
        busy = np.full((len(rows), len(self.pools)), math.inf)
        for row, column in pairs:
            share = rates_rps[row] * self.node_s[row, column] / self.nodes[column] / bound
            if share < _HOPELESS:
                busy[rows.index(row), column] = share
        return bound * best_split.least_load(busy)


def kind(pool: PoolConfig) -> str:
    """Return what the nodes of a pool have: ``slots``, ``engine`` or ``batches``."""
    if pool.engine is not None:
        return "engine"
    return "slots" if pool.batching is None else "batches"
