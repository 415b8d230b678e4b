"""The best split of streams over pools is the optimum of scipy's solver."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

from fedsim.scenario.best_split import least_load


def optimum(busy):
    """Return the least load by scipy."""
    streams, pools = busy.shape
    rows, columns = np.nonzero(np.isfinite(busy))
    at_most = np.zeros((pools, len(rows) + 1))
    at_most[columns, np.arange(len(rows))] = busy[rows, columns]
    at_most[:, -1] = -1.0
    whole = np.zeros((streams, len(rows) + 1))
    whole[rows, np.arange(len(rows))] = 1.0
    cost = [0.0] * len(rows) + [1.0]
    solution = linprog(cost, A_ub=at_most, b_ub=np.zeros(pools), A_eq=whole, b_eq=np.ones(streams))
    assert solution.x is not None
    return solution.x[-1]


@pytest.mark.parametrize("seed", range(60))
def test_is_the_optimum(seed):
    """With random loads, equal ones, and pools that serve only some."""
    rng = np.random.default_rng(seed)
    shape = rng.integers(1, 9, 2)
    busy = (
        np.exp(rng.normal(0.0, rng.choice([0.1, 1.0, 5.0]), shape))
        if seed % 3
        else rng.integers(1, 4, shape).astype(float)
    )
    busy[rng.random(shape) < 0.4] = np.inf
    busy[np.arange(shape[0]), rng.integers(0, shape[1], shape[0])] = 0.1 + rng.random(shape[0])

    assert least_load(busy) == pytest.approx(optimum(busy), rel=1e-6)


def test_by_hand():
    """A stream that two pools share, and one that has a single pool."""
    assert least_load(np.array([[1.0, 1.0]])) == pytest.approx(0.5)
    assert least_load(np.array([[1.0, 1.0], [np.inf, 0.5]])) == pytest.approx(0.75)
    assert least_load(np.array([[1.0, np.inf], [np.inf, 0.5]])) == pytest.approx(1.0)
