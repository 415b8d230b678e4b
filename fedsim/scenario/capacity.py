"""Whether a scenario's load can be served at all: offered load against slots, before any run.

Load is counted in erlangs: the mean number of slots that it keeps busy, which is the arrival rate
times the mean service time. Faults are left out, and so are requests that time out or are refused.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fedsim.errors import Problem
from fedsim.scenario.source import Place
from fedsim.scenario.spec import Scenario
from fedsim.world.config import PoolConfig, StreamConfig


@dataclass(frozen=True, slots=True)
class PoolLoad:
    """A pool's share of the load, where each stream is spread evenly over the slots it may use.

    Attributes:
        pool: The pool.
        region: Its region.
        capabilities: Keys of what it can do.
        nodes: Number of nodes.
        slots: Requests in service at once on all of them.
        offered_erlangs: Mean number of busy slots that its share of the load asks for.
    """

    pool: str
    region: str
    capabilities: tuple[str, ...]
    nodes: int
    slots: int
    offered_erlangs: float

    @property
    def utilization(self) -> float:
        """Busy share of the slots; 1 or more cannot be sustained."""
        return self.offered_erlangs / self.slots


@dataclass(frozen=True, slots=True)
class CapabilityLoad:
    """The load of one capability against all pools that may serve it, by the best routing.

    Attributes:
        capability: Key of the capability.
        streams: The streams that ask for it.
        slots: Slots of the pools that may serve any of them.
        utilization: The least utilization of its busiest pool that any routing could reach, if
            nothing else were asked of them; 1 or more can never be served.
    """

    capability: str
    streams: tuple[str, ...]
    slots: int
    utilization: float

    @property
    def offered_erlangs(self) -> float:
        """Mean number of busy slots that it asks for."""
        return self.utilization * self.slots


def capacity_table(scenario: Scenario) -> tuple[PoolLoad, ...]:
    """Return the load of each pool with every node up."""
    load = _Load(scenario)
    share = load.may_serve * load.slots
    total = share.sum(axis=1, keepdims=True)
    share = np.divide(share, total, out=np.zeros_like(share), where=total > 0)
    erlangs = np.nansum(load.rates_rps[:, None] * share * load.service_s, axis=0)
    return tuple(
        PoolLoad(
            pool=pool.name,
            region=pool.region,
            capabilities=tuple(capability.key for capability in pool.capabilities),
            nodes=pool.count,
            slots=pool.count * pool.slots,
            offered_erlangs=float(erlangs[number]),
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
    """
    if all(row.utilization < 1.0 for row in capacity_table(scenario)):
        return []
    overloaded = [row for row in capability_table(scenario) if row.utilization >= 1.0]
    if overloaded:
        return [_problem(scenario, row) for row in overloaded]
    load = _Load(scenario)
    names = list(dict.fromkeys(stream.capability.key for stream in load.streams))
    together = load.of(" and ".join(names) + " together", list(range(len(load.streams))))
    return [_problem(scenario, together)] if together.utilization >= 1.0 else []


class _Load:
    """Streams against pools, as arrays with a row per stream and a column per pool."""

    def __init__(self, scenario: Scenario) -> None:
        world = scenario.world
        self.streams: Sequence[StreamConfig] = world.streams
        self.pools: Sequence[PoolConfig] = world.pools
        self.slots = np.array([pool.count * pool.slots for pool in self.pools], dtype=float)
        self.rates_rps = np.array([_rate_rps(each, world.duration_s) for each in self.streams])
        self.service_s = np.array(
            [[_service_mean_s(each, pool) for pool in self.pools] for each in self.streams]
        )
        levels = {region.name: region.privacy for region in world.regions}
        federation = scenario.federation
        lawful = "privacy" in federation.policies and federation.router is None
        self.may_serve = np.array(
            [
                [
                    each.capability in pool.capabilities
                    and not (lawful and levels[pool.region] < each.qos.privacy)
                    for pool in self.pools
                ]
                for each in self.streams
            ],
            dtype=float,
        )

    def of(self, capability: str, rows: list[int]) -> CapabilityLoad:
        """Return the load of the streams in *rows* under the name *capability*."""
        usable = self.may_serve[rows].any(axis=0)
        return CapabilityLoad(
            capability=capability,
            streams=tuple(self.streams[row].traffic.name for row in rows),
            slots=int(self.slots[usable].sum()),
            utilization=self._least_utilization(rows),
        )

    def _least_utilization(self, rows: list[int]) -> float:
        """Return the utilization of the busiest pool under the best split, a linear program."""
        pairs = [
            (row, column)
            for row in rows
            for column in range(len(self.pools))
            if self.may_serve[row, column] and math.isfinite(self.service_s[row, column])
        ]
        served = {row for row, _ in pairs}
        if any(row not in served for row in rows):
            return math.inf
        alone = sum(self._alone(row, pairs) for row in rows)
        return alone if len(rows) == 1 else self._solve(rows, pairs, alone)

    def _alone(self, row: int, pairs: list[tuple[int, int]]) -> float:
        """Return the utilization if a stream had its pools for itself."""
        columns = [column for each, column in pairs if each == row]
        if any(self.service_s[row, column] == 0.0 for column in columns):
            return 0.0
        capacity_rps = sum(self.slots[column] / self.service_s[row, column] for column in columns)
        return float(self.rates_rps[row] / capacity_rps)

    def _solve(self, rows: list[int], pairs: list[tuple[int, int]], bound: float) -> float:
        """Return the optimum; *bound*, which is no less, where the numbers are too extreme."""
        from scipy.optimize import linprog

        # Unknowns: the share of each stream that each pool serves, then the utilization.
        busy = np.zeros((len(self.pools), len(pairs) + 1))
        busy[:, -1] = -1.0
        all_served = np.zeros((len(rows), len(pairs) + 1))
        for number, (row, column) in enumerate(pairs):
            erlangs = self.rates_rps[row] * self.service_s[row, column]
            busy[column, number] = erlangs / self.slots[column]
            all_served[rows.index(row), number] = 1.0
        solution = linprog(
            c=[0.0] * len(pairs) + [1.0],
            A_ub=busy,
            b_ub=np.zeros(len(self.pools)),
            A_eq=all_served,
            b_eq=np.ones(len(rows)),
        )
        return bound if solution.x is None else float(solution.x[-1])


def _rate_rps(stream: StreamConfig, duration_s: float) -> float:
    """Return the mean rate over the run, in requests per second."""
    arrivals = stream.traffic.arrivals
    if arrivals.trace is None:
        return arrivals.rate_rps
    speed = getattr(arrivals, "speed", 1.0)
    return float(np.searchsorted(arrivals.trace.times_s / speed, duration_s)) / duration_s


def _service_mean_s(stream: StreamConfig, pool: PoolConfig) -> float:
    """Return the mean service time of a stream's requests in a pool, in seconds."""
    assert pool.service is not None
    return pool.service.mean_s(stream.traffic.mean_sizes)


def _problem(scenario: Scenario, row: CapabilityLoad) -> Problem:
    path = f"workload.{row.streams[0]}.arrivals"
    place = scenario.places.get(path, Place(str(scenario.path)))
    message = (
        f"The load of {row.capability} can never be served: it asks for "
        f"{row.offered_erlangs:.1f} erlangs (slots busy on average), and the pools that may serve "
        f"it have {row.slots} slots with every node up, a utilization of {row.utilization:.0%}."
    )
    remedy = "Lower the rate, or add nodes, slots or a pool."
    return Problem(message, remedy, path, place.file, place.line, place.column)
