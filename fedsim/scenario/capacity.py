"""Whether a scenario's load can be served at all: what is asked of pools against what they can do.

Load is counted in node-seconds per second: the arrival rate times what a request takes of a node at
full load (``node_time``). Faults are left out, and so are requests that time out or are refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedsim.errors import Problem
from fedsim.scenario.node_time import node_time_s
from fedsim.scenario.request_samples import sample_requests
from fedsim.scenario.source import Place
from fedsim.scenario.spec import Scenario
from fedsim.workload.arrivals import ClosedLoop
from fedsim.world.config import PoolConfig, StreamConfig

_LEAST_TIME_S = 1e-12


@dataclass(frozen=True, slots=True)
class PoolLoad:
    """A pool's share of the load, where each stream is spread over its pools by their capacity.

    Attributes:
        pool: The pool.
        region: Its region.
        capabilities: Keys of what it can do.
        kind: ``slots``, ``engine`` or ``batches``.
        nodes: Number of nodes.
        slots: Requests in service at once on all of them.
        offered_rps: Requests per second, on average over the run.
        utilization: Share of its capacity that they take; 1 or more cannot be sustained.
        peak_utilization: The same if all streams were at their peaks together.
    """

    pool: str
    region: str
    capabilities: tuple[str, ...]
    kind: str
    nodes: int
    slots: int
    offered_rps: float
    utilization: float
    peak_utilization: float

    @property
    def capacity_rps(self) -> float:
        """Most such requests per second that it can serve; NaN where none are offered."""
        return _ratio(self.offered_rps, self.utilization)


@dataclass(frozen=True, slots=True)
class CapabilityLoad:
    """The load of one capability against all pools that may serve it, by the best routing.

    Attributes:
        capability: Key of the capability.
        streams: The streams that ask for it.
        nodes: Nodes of the pools that may serve any of them.
        offered_rps: Requests per second, on average over the run.
        utilization: The least utilization of its busiest pool that any routing could reach, if
            nothing else were asked of them; 1 or more can never be served.
        peak_utilization: The same if all its streams were at their peaks together.
    """

    capability: str
    streams: tuple[str, ...]
    nodes: int
    offered_rps: float
    utilization: float
    peak_utilization: float

    @property
    def capacity_rps(self) -> float:
        """Most such requests per second that the pools can serve; NaN where none are offered."""
        return _ratio(self.offered_rps, self.utilization)


def capacity_table(scenario: Scenario) -> tuple[PoolLoad, ...]:
    """Return the load of each pool with every node up."""
    load = _Load(scenario)
    shares = load.shares()
    busy = shares * load.node_s / load.nodes
    means = load.rates_rps @ busy
    peaks = load.peaks_rps @ busy
    offered = load.rates_rps @ shares
    return tuple(
        PoolLoad(
            pool=pool.name,
            region=pool.region,
            capabilities=tuple(capability.key for capability in pool.capabilities),
            kind=_kind(pool),
            nodes=pool.count,
            slots=pool.count * pool.slots,
            offered_rps=float(offered[number]),
            utilization=float(means[number]),
            peak_utilization=float(peaks[number]),
        )
        for number, pool in enumerate(load.pools)
    )


def capability_table(scenario: Scenario) -> tuple[CapabilityLoad, ...]:
    """Return the load of each capability that is asked for, with every node up."""
    load = _Load(scenario)
    keys = dict.fromkeys(stream.capability.key for stream in load.streams)
    return tuple(
        load.of(key, [n for n, each in enumerate(load.streams) if each.capability.key == key])
        for key in keys
    )


def capacity_problems(scenario: Scenario) -> list[Problem]:
    """Return a problem for every capability whose load can never be served.

    They are no reason not to run: an overload with bounded queues and timeouts is a fair question.
    A closed loop asks for no more than it is given, and never is a problem.
    """
    load = _Load(scenario, closed_loops=False)
    keys = list(dict.fromkeys(stream.capability.key for stream in load.streams))
    rows = [
        load.of(key, [n for n, each in enumerate(load.streams) if each.capability.key == key])
        for key in keys
    ]
    overloaded = [row for row in rows if row.utilization >= 1.0]
    if not overloaded and len(rows) > 1:
        together = load.of(f"{' and '.join(keys)} together", list(range(len(load.streams))))
        overloaded = [together] if together.utilization >= 1.0 else []
    return [_problem(scenario, row) for row in overloaded]


class _Load:
    """Streams against pools, as arrays with a row per stream and a column per pool.

    Args:
        scenario: The scenario.
        closed_loops: Whether they count, with the rate that they have if nobody waits.
    """

    def __init__(self, scenario: Scenario, *, closed_loops: bool = True) -> None:
        world = scenario.world
        until_s = world.duration_s
        self.streams: Sequence[StreamConfig] = world.streams
        self.pools: Sequence[PoolConfig] = world.pools
        self.nodes = np.array([pool.count for pool in self.pools], dtype=float)
        traffics = [stream.traffic for stream in self.streams]
        self.rates_rps = np.array([traffic.mean_rps(until_s) for traffic in traffics])
        self.peaks_rps = np.array([traffic.peak_rps(until_s) for traffic in traffics])
        levels = {region.name: region.privacy for region in world.regions}
        federation = scenario.federation
        lawful = "privacy" in federation.policies and federation.router is None
        self.may_serve = np.array(
            [
                [
                    stream.capability in pool.capabilities
                    and not (lawful and levels[pool.region] < stream.qos.privacy)
                    for pool in self.pools
                ]
                for stream in self.streams
            ]
        )
        self.node_s = np.array([self._times_s(n, scenario) for n in range(len(self.streams))])
        for row, traffic in enumerate(traffics):
            if isinstance(traffic.arrivals, ClosedLoop):
                rate_rps = self._loop_rps(row, traffic.arrivals) if closed_loops else 0.0
                self.rates_rps[row] = self.peaks_rps[row] = rate_rps

    def _times_s(self, row: int, scenario: Scenario) -> list[float]:
        """Return what a request of a stream takes of a node of each pool; 0 where it may not."""
        traffic = self.streams[row].traffic
        sample = sample_requests(traffic, scenario.seed, scenario.duration_s)
        sizes = traffic.mean_sizes
        return [
            max(node_time_s(pool, sizes, sample), _LEAST_TIME_S) if may else 0.0
            for pool, may in zip(self.pools, self.may_serve[row], strict=True)
        ]

    def _loop_rps(self, row: int, loop: ClosedLoop) -> float:
        """Return the rate of users who never wait: their number over think and service time."""
        services_s = [
            node_s * pool.slots if _kind(pool) == "slots" else node_s
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

    def of(self, capability: str, rows: list[int]) -> CapabilityLoad:
        """Return the load of the streams in *rows* under the name *capability*."""
        usable = self.may_serve[rows].any(axis=0)
        return CapabilityLoad(
            capability=capability,
            streams=tuple(self.streams[row].traffic.name for row in rows),
            nodes=int(self.nodes[usable].sum()),
            offered_rps=float(self.rates_rps[rows].sum()),
            utilization=self._least_utilization(rows, self.rates_rps),
            peak_utilization=self._least_utilization(rows, self.peaks_rps),
        )

    def _least_utilization(self, rows: list[int], rates_rps: NDArray[np.float64]) -> float:
        """Return the utilization of the busiest pool under the best split, a linear program."""
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
        """Return the utilization if a stream had its pools for itself."""
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
        """Return the optimum; *bound*, which is no less, where the numbers are too extreme."""
        from scipy.optimize import linprog

        if not math.isfinite(bound):
            return bound
        # Unknowns: the share of each stream that each pool serves, then the utilization.
        busy = np.zeros((len(self.pools), len(pairs) + 1))
        busy[:, -1] = -1.0
        all_served = np.zeros((len(rows), len(pairs) + 1))
        for number, (row, column) in enumerate(pairs):
            node_seconds = rates_rps[row] * self.node_s[row, column]
            busy[column, number] = node_seconds / self.nodes[column]
            all_served[rows.index(row), number] = 1.0
        solution = linprog(
            c=[0.0] * len(pairs) + [1.0],
            A_ub=busy,
            b_ub=np.zeros(len(self.pools)),
            A_eq=all_served,
            b_eq=np.ones(len(rows)),
        )
        return bound if solution.x is None else float(solution.x[-1])


def _kind(pool: PoolConfig) -> str:
    if pool.engine is not None:
        return "engine"
    return "slots" if pool.batching is None else "batches"


def _ratio(offered_rps: float, utilization: float) -> float:
    return offered_rps / utilization if utilization > 0.0 else math.nan


def _problem(scenario: Scenario, row: CapabilityLoad) -> Problem:
    path = f"workload.{row.streams[0]}.arrivals"
    place = scenario.places.get(path) or scenario.places.get(
        f"workload.{row.streams[0]}", Place(str(scenario.path))
    )
    nodes = "one node" if row.nodes == 1 else f"{row.nodes} nodes"
    able = "can do none"
    if math.isfinite(row.utilization):
        able = f"can do {row.capacity_rps:.3g}/s, a utilization of {row.utilization:.0%}"
    message = (
        f"The load of {row.capability} can never be served: {row.offered_rps:.3g} requests/s "
        f"arrive on average, and the {nodes} that may serve them {able}."
    )
    remedy = "Lower the rate, or add nodes or a pool."
    return Problem(message, remedy, path, place.file, place.line, place.column)
