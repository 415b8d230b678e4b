"""Crashes against renewal theory: how long nodes are up, and who is served."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fedsim.workload.distributions import Constant
from fedsim.world.faults.config import FaultConfig
from fedsim.world.faults.gray import Errors, Slowdown
from fedsim.world.faults.stopping import Crash
from tests.simulated import run_world, small_world
from tests.theory.replications import Z_MOST, estimate

SEEDS = (1, 2, 3)
NODES = 300
MTBF_S, MTTR_S = 60.0, 20.0
AVAILABILITY = MTBF_S / (MTBF_S + MTTR_S)
RATE_S = 1.0 / MTBF_S + 1.0 / MTTR_S
"""Rate at which a node forgets whether it was up, per second."""

SERVICE_S = 15.0
DURATION_S = 1000.0
FORGOTTEN_S = 20.0 / RATE_S


def crashing(seed, rate_rps):
    """Return many nodes with room for all, each of which crashes by itself."""
    return small_world(
        Constant(SERVICE_S),
        rate_rps,
        DURATION_S,
        nodes=NODES,
        slots=10_000,
        faults=[FaultConfig(Crash(), pool="node", mtbf_s=MTBF_S, mttr_s=MTTR_S)],
        seed=seed,
    )


@pytest.mark.parametrize("seed", SEEDS)
class TestCrashes:
    def test_availability(self, seed):
        """A node is up for MTBF / (MTBF + MTTR) of the time, and a little more as it begins up.

        The nodes are replications of one another. A node that is up at 0 is up at t with
        probability A + (1 - A) exp(-rate t); its mean over the run is what is expected.
        """
        outcome = run_world(crashing(seed, rate_rps=0.1))
        length_s = outcome.end_s
        headstart = -math.expm1(-RATE_S * length_s) / (RATE_S * length_s)

        seen = estimate(outcome.tables.node_totals["up_s"] / length_s)

        assert abs(seen.z(AVAILABILITY + (1.0 - AVAILABILITY) * headstart)) < Z_MOST
        assert seen.half_width < 0.02 * AVAILABILITY

    def test_events(self, seed):
        """The events table has the times up and down, with their means.

        Of the spells that begin in the first half, hardly any outlasts the run: those that begin
        later are seen to end only if they are short.
        """
        events = run_world(crashing(seed, rate_rps=0.1)).tables.events
        begun_s = events.groupby("subject")["time_s"].shift(fill_value=0.0)
        lasted_s = events["time_s"] - begun_s

        for state, mean_s in (("up", MTBF_S), ("down", MTTR_S)):
            seen = estimate(lasted_s[(events["before"] == state) & (begun_s < DURATION_S / 2.0)])
            assert abs(seen.z(mean_s)) < Z_MOST
            assert seen.half_width < 0.05 * mean_s

    def test_who_is_served(self, seed):
        """A request is served if its node is up when it comes and stays up while it is served.

        At any node, that is A exp(-service / MTBF); a crash spares nobody in service.
        """
        outcome = run_world(crashing(seed, rate_rps=10.0))
        requests = outcome.requests[outcome.requests["arrived_s"] > FORGOTTEN_S]

        served = (requests["outcome"] == "ok").groupby(requests["node"], observed=True).mean()

        expected = AVAILABILITY * math.exp(-SERVICE_S / MTBF_S)
        assert set(requests["outcome"]) == {"ok", "node_unreachable"}
        seen = estimate(served)
        assert abs(seen.z(expected)) < Z_MOST
        assert seen.half_width < 0.04 * expected


def test_error_probability():
    """Of the requests during an error fault, its probability fails, and of the others none."""
    config = small_world(
        Constant(0.01),
        50.0,
        200.0,
        slots=100,
        faults=[FaultConfig(Errors(0.3), node="node-0", at_s=50.0, lasts_s=100.0)],
    )

    requests = run_world(config).requests

    failed = (requests["outcome"] == "internal").to_numpy()
    struck = requests["arrived_s"].between(50.0, 150.0).to_numpy()
    error = math.sqrt(0.3 * 0.7 / struck.sum())
    assert not failed[~struck].any()
    assert abs(failed[struck].mean() - 0.3) < Z_MOST * error


def test_slowdown():
    """While a slowdown lasts, services advance at its pace; begun or ended in one, part of them."""
    config = small_world(
        Constant(1.0),
        2.0,
        100.0,
        slots=1000,
        faults=[FaultConfig(Slowdown(4.0), node="node-0", at_s=40.0, lasts_s=20.0)],
    )

    requests = run_world(config).requests

    begins_s = requests["arrived_s"].to_numpy()
    ends_s = requests["finished_s"].to_numpy()
    slow_s = np.clip(ends_s, 40.0, 60.0) - np.clip(begins_s, 40.0, 60.0)
    work_s = (ends_s - begins_s) - slow_s + slow_s / 4.0
    assert (slow_s > 0.0).sum() > 10
    assert np.abs(work_s - 1.0).max() < 1e-9
