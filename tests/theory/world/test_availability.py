"""Availability under faults at random against renewal theory, whatever the shape of the times.

A node that is up for times of mean MTBF and down for times of mean MTTR in turn is up for a share
MTBF / (MTBF + MTTR) of the time in the long run; the shapes of the times do not matter.
"""

from __future__ import annotations

import pytest

from fedsim.studies.queueing import availability
from fedsim.workload.distributions import Constant, Lognormal, Uniform, Weibull
from fedsim.world.faults.config import FaultConfig
from fedsim.world.faults.stopping import Correlated, Crash, Spot
from tests.simulated import run_world, small_world
from tests.theory.replications import Z_MOST, estimate

NODES = 200
MTBF_S, MTTR_S, NOTICE_S = 60.0, 20.0, 10.0
DURATION_S = 6000.0
"""A hundred MTBF, so that the share of the time before the first fault does not show."""

TIMES = {
    "exponential": (None, None),
    "weibull and lognormal": (
        Weibull.from_mean_cv(MTBF_S, 1.5),
        Lognormal.from_mean_cv(MTTR_S, 1.0),
    ),
    "regular": (Uniform.from_mean_cv(MTBF_S, 0.3), Uniform.from_mean_cv(MTTR_S, 0.3)),
}


def up_share(seed, nodes=NODES, **fault):
    """Return the share of the time that each of many nodes is up under a fault at random."""
    config = small_world(
        Constant(0.01),
        0.01,
        DURATION_S,
        nodes=nodes,
        faults=[FaultConfig(pool="node", mtbf_s=MTBF_S, mttr_s=MTTR_S, **fault)],
        seed=seed,
    )
    outcome = run_world(config)
    return outcome.tables.node_totals["up_s"] / outcome.end_s


def ahead(expected, cycle_s):
    """Return the most by which beginning up may raise the share, to first order in a cycle."""
    return (1.0 - expected) * cycle_s / DURATION_S


@pytest.mark.parametrize("times", TIMES)
@pytest.mark.parametrize("seed", [1, 2])
def test_crashes(times, seed):
    """A node is up for MTBF / (MTBF + MTTR) of the time, whatever the shape of both times."""
    up, down = TIMES[times]

    seen = estimate(up_share(seed, kind=Crash(), up=up, down=down))

    expected = availability(MTBF_S, MTTR_S)
    assert seen.z(expected) > -Z_MOST
    assert seen.z(expected + ahead(expected, MTBF_S + MTTR_S)) < Z_MOST
    assert seen.half_width < 0.01


def test_spot():
    """A node that is reclaimed serves on during the notice, and is down for the time after it."""
    seen = estimate(up_share(1, nodes=50, kind=Spot(NOTICE_S)))

    expected = availability(MTBF_S + NOTICE_S, MTTR_S)
    assert seen.z(expected) > -Z_MOST
    assert seen.z(expected + ahead(expected, MTBF_S + NOTICE_S + MTTR_S)) < Z_MOST
    assert seen.half_width < 0.02


def test_groups():
    """A rack is up for MTBF / (MTBF + MTTR) of the time, and all of its nodes are alike."""
    size = 4
    shares = up_share(1, kind=Correlated(size)).to_numpy().reshape(-1, size)

    assert (shares == shares[:, :1]).all()
    expected = availability(MTBF_S, MTTR_S)
    seen = estimate(shares[:, 0])
    assert seen.z(expected) > -Z_MOST
    assert seen.z(expected + ahead(expected, MTBF_S + MTTR_S)) < Z_MOST
