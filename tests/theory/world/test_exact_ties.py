"""Times that tie to the last bit: an answer comes before its deadline, and before its hedge.

All times are multiples of an eighth of a second, so that sums of them are exact.
"""

from __future__ import annotations

import random

import pytest

from fedsim.federation.gateway import TimeoutConfig
from fedsim.federation.hedging import HedgeConfig
from fedsim.workload.closed_forms import Constant
from tests.given import Given, GivenArrivals
from tests.simulated import Federation, run_world, small_world


def world(seed):
    """Return a world in which requests come at random, and each is answered after one second."""
    rng = random.Random(seed)
    times_s = sorted(rng.randrange(400) / 8.0 for _ in range(100))
    arrivals = GivenArrivals([Given(at_s) for at_s in times_s])
    return small_world(Constant(0.5), arrivals, 60.0, nodes=3, slots=1000, round_trip_s=0.5)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "timeout",
    [TimeoutConfig(1.0, None), TimeoutConfig(None, 1.0), TimeoutConfig(1.0, 1.0), None],
)
def test_an_answer_at_the_deadline(seed, timeout):
    """All requests are served, and none is hedged, whatever else happens at the time."""
    hedge = HedgeConfig(after_s=1.0, budget=None)

    outcome = run_world(world(seed), Federation(timeout=timeout, parts={"hedge": hedge}))

    assert len(outcome.requests) == 100
    assert (outcome.requests["outcome"] == "ok").all()
    assert (outcome.requests["latency_s"] == 1.0).all()
    assert not outcome.attempts["hedge"].any()


def test_an_answer_after_the_deadline():
    """An eighth of a second less, and none is served."""
    outcome = run_world(world(1), Federation(timeout=TimeoutConfig(0.875, None)))

    assert (outcome.requests["outcome"] == "timeout").all()
