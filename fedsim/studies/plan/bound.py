"""The cheapest fleet whose mean capacity suffices: a line of the report, and a start.

Capacity is a mean, and realized work exceeds it by some per cent in a run, while a short window
holds a loose limit at more than its capacity. So the bound leaves out no fleet.

What a request takes of a node is that of a fixed sample of 10,000 requests of each stream, from
random streams of its own (`fedsim.scenario.request_samples`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedsim.scenario import best_split
from fedsim.studies.plan.box import Box, Point
from fedsim.studies.plan.cases import Case, World

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Demand:
    """What streams ask of pools under one choice.

    Attributes:
        rates_rps: Requests per second of each stream; 0 for users who wait for answers.
        node_s: What a request takes of a node, in seconds: a row per stream, a column per pool;
            infinite or 0 where the pool may not serve it.
    """

    rates_rps: Floats
    node_s: Floats

    @property
    def able(self) -> NDArray[np.bool_]:
        """Whether a pool may serve a stream at all."""
        return np.isfinite(self.node_s) & (self.node_s > 0.0)


def load_of(demand: Demand, world: World, alive: NDArray[np.bool_]) -> float:
    """Return the load of the busiest pool of a world under the best split of the streams.

    Args:
        demand: What streams ask of pools.
        world: The nodes and the traffic.
        alive: Whether the nodes of a pool live; a loss leaves those of its region dead.
    """
    nodes = np.where(alive, np.array(world.counts, dtype=float), 0.0)
    rows = demand.rates_rps > 0.0
    able = (demand.able & (nodes > 0.0))[rows]
    if not able.any(axis=1).all():
        return np.inf
    busy = np.full(able.shape, np.inf)
    work = demand.rates_rps[rows, None] * demand.node_s[rows] * world.traffic
    np.divide(work, nodes, out=busy, where=able)
    used = able.any(axis=0)
    return best_split.least_load(busy[:, used]) if rows.any() else 0.0


def lower_bound(box: Box, cases: Sequence[Case], demands: Sequence[Demand]) -> Point | None:
    """Return the cheapest fleet in the box whose mean capacity suffices in every case, or None.

    It is that of a mixed-integer linear program for each choice: whole nodes, and streams split
    over them in the best way. Cases of one absent node are left out.
    """
    found = [
        (cost, number, counts)
        for number, demand in enumerate(demands)
        if (solved := _solved(box, number, cases, demand)) is not None
        for cost, counts in [solved]
    ]
    if not found:
        return None
    _, number, counts = min(found, key=lambda each: each[:2])
    return Point(number, counts)


def _solved(
    box: Box, number: int, cases: Sequence[Case], demand: Demand
) -> tuple[float, tuple[int, ...]] | None:
    """Return the optimum of a choice and its counts, raised to numbers that the box has."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    pools, rows = len(box.pools), np.flatnonzero(demand.rates_rps > 0.0)
    kept = [case for case in cases if case.pool < 0]
    pairs = [
        (place, row, pool)
        for place, case in enumerate(kept)
        for row in rows
        for pool in range(pools)
        if demand.able[row, pool] and box.regions[pool] not in (case.region, case.lost)
    ]
    size = pools + len(pairs)
    matrix, low, high = [], [], []
    for place, case in enumerate(kept):
        for row in rows:  # all of a stream is served
            line = np.zeros(size)
            for at, pair in enumerate(pairs):
                line[pools + at] = float(pair[:2] == (place, row))
            matrix.append(line)
            low.append(1.0)
            high.append(1.0)
        for pool in range(pools):  # by no more than the nodes can
            line = np.zeros(size)
            line[pool] = -1.0
            for at, (case_place, row, column) in enumerate(pairs):
                if (case_place, column) == (place, pool):
                    work = demand.rates_rps[row] * demand.node_s[row, pool]
                    line[pools + at] = work * case.traffic
            matrix.append(line)
            low.append(-np.inf)
            high.append(0.0)
    for name, limit in box.limits.items():
        matrix.append(np.concatenate([box.per_node(name, number), np.zeros(len(pairs))]))
        low.append(-np.inf)
        high.append(limit)
    ends = [(levels[0], levels[-1]) for levels in box.levels]
    lows, highs = np.array(ends, dtype=float).T
    solved = milp(
        np.concatenate([box.per_node(box.minimize, number), np.zeros(len(pairs))]),
        integrality=np.concatenate([np.ones(pools), np.zeros(len(pairs))]),
        bounds=Bounds(
            np.concatenate([lows, np.zeros(len(pairs))]),
            np.concatenate([highs, np.ones(len(pairs))]),
        ),
        constraints=LinearConstraint(np.array(matrix), np.array(low), np.array(high)),
    )
    if not solved.success:
        return None
    wanted = np.round(solved.x[:pools]).astype(int).tolist()
    return float(solved.fun), tuple(
        next((level for level in levels if level >= count), levels[-1])
        for count, levels in zip(wanted, box.levels, strict=True)
    )


def loads_by(box: Box, demands: Sequence[Demand]) -> Callable[[Point, Case], float]:
    """Return what gives the load of a fleet in a case, each world computed once."""
    known: dict[World, float] = {}

    def load(point: Point, case: Case) -> float:
        world = case.rule(point.choice, point.counts, box.regions).world
        if world not in known:
            alive = np.array([not world.lost or region != world.lost for region in box.regions])
            known[world] = load_of(demands[world.choice], world, alive)
        return known[world]

    return load
