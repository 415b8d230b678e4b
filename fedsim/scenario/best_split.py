"""The split of streams over pools under which the busiest pool is least busy: a linear program.

The simplex method. The streams and pools of a scenario are few; a library's solver would take
longer to import than the problem takes to solve.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_NEGLIGIBLE = 1e-11
_MOST_STEPS = 10_000


def least_load(busy: Floats) -> float:
    """Return the load of the busiest pool under the best split.

    Args:
        busy: A row per stream, a column per pool: the share of the pool's time that the whole
            stream would take; infinite where the pool cannot serve it. No row is all infinite.

    Returns:
        The optimum; where rounding errors forbid to reach it, the load of a split that is worse.
    """
    streams, pools = busy.shape
    rows, columns = np.nonzero(np.isfinite(busy))
    pairs = np.arange(len(rows))
    # Unknowns: the share of each pair, the distance of each pool from the load, and the load.
    equations = np.zeros((streams + pools, len(pairs) + pools + 1))
    equations[rows, pairs] = 1.0
    equations[streams + columns, pairs] = busy[rows, columns]
    equations[streams + np.arange(pools), len(pairs) + np.arange(pools)] = 1.0
    equations[streams:, -1] = -1.0
    wanted = np.concatenate([np.ones(streams), np.zeros(pools)])
    cost = np.zeros(equations.shape[1])
    cost[-1] = 1.0
    basis = _first_split(busy, rows, columns)
    value, stalled = _load(equations, basis, wanted, cost), False
    for _ in range(_MOST_STEPS):
        # Bland's rule wherever a step has gained nothing: the steepest descent might cycle there.
        if not _improve(equations, basis, wanted, cost, first=stalled):
            break
        now = _load(equations, basis, wanted, cost)
        value, stalled = min(value, now), now >= value
    return value


def _first_split(busy: Floats, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> list[int]:
    """Return the unknowns above 0 where each stream is on the pool that is least busy with it."""
    streams, pools = busy.shape
    best = np.argmin(busy, axis=1)
    taken = np.flatnonzero(columns == best[rows]).tolist()
    loads = np.bincount(best, weights=busy[np.arange(streams), best], minlength=pools)
    busiest = int(np.argmax(loads))
    distances = [len(rows) + pool for pool in range(pools) if pool != busiest]
    return [*taken, *distances, len(rows) + pools]


def _improve(
    equations: Floats, basis: list[int], wanted: Floats, cost: Floats, *, first: bool
) -> bool:
    """Exchange one unknown of the basis for one that lowers the load; False where none does.

    It is the *first* of those, or the one that lowers it most for its size.
    """
    square = equations[:, basis]
    prices = np.linalg.solve(square.T, cost[basis])
    gains = prices @ equations - cost
    entering = int(np.argmax(gains > _NEGLIGIBLE if first else gains))
    if gains[entering] <= _NEGLIGIBLE:
        return False
    values, change = np.linalg.solve(square, np.column_stack([wanted, equations[:, entering]])).T
    shrinking = np.flatnonzero(change > _NEGLIGIBLE)
    ratios = np.maximum(values[shrinking], 0.0) / change[shrinking]
    ties = shrinking[ratios <= ratios.min() + _NEGLIGIBLE]
    basis[min(ties.tolist(), key=basis.__getitem__)] = entering
    return True


def _load(equations: Floats, basis: list[int], wanted: Floats, cost: Floats) -> float:
    return float(np.linalg.solve(equations[:, basis], wanted) @ cost[basis])
