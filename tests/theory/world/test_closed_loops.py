"""Closed loops against the machine repairman: a fixed number of users, thinking or waiting."""

from __future__ import annotations

import pytest

from fedsim.studies.queueing import repairman
from fedsim.workload.arrivals import ClosedLoop
from fedsim.workload.distributions import Constant, Exponential, Lognormal
from tests.simulated import run_world, small_world
from tests.theory.replications import Z_MOST, estimate

SEEDS = range(1, 21)
THINK_S = 5.0
WARMUP_S = 60.0
UNTIL_S = 460.0


def mean_value_analysis(users: int) -> tuple[float, float]:
    """Return both for one slot, by the recursion of Reiser and Lavenberg (1980)."""
    queue = per_s = response_s = 0.0
    for count in range(1, users + 1):
        response_s = 1.0 + queue
        per_s = count / (THINK_S + response_s)
        queue = per_s * response_s
    return per_s, response_s


@pytest.mark.parametrize("users", [1, 2, 9, 30])
def test_the_two_theories_agree(users):
    """Birth and death, and mean value analysis, give one result."""
    assert repairman(users, THINK_S, 1.0, 1) == pytest.approx(mean_value_analysis(users), rel=1e-12)


@pytest.mark.parametrize(
    ("users", "slots", "think_s"),
    [
        (8, 1, Exponential(THINK_S)),
        (12, 2, Lognormal.from_mean_cv(THINK_S, 2.0)),
        (14, 3, Constant(THINK_S)),
    ],
    ids=["M/M/1//8", "lognormal think", "constant think"],
)
def test_throughput_and_response(users, slots, think_s):
    """Throughput and response are those of the machine repairman, within their intervals."""
    per_s, response_s = repairman(users, THINK_S, 1.0, slots)
    rates, responses_s = [], []
    for seed in SEEDS:
        loop = ClosedLoop(users, think_s)
        config = small_world(Exponential(1.0), loop, UNTIL_S, slots=slots, seed=seed)
        requests = run_world(config).requests
        counted = requests[requests["arrived_s"] >= WARMUP_S]
        rates.append(len(counted) / (UNTIL_S - WARMUP_S))
        responses_s.append(counted["latency_s"].mean())

    throughput, response = estimate(rates), estimate(responses_s)
    assert abs(throughput.z(per_s)) < Z_MOST
    assert abs(response.z(response_s)) < Z_MOST
    assert throughput.half_width < 0.03 * per_s
    assert response.half_width < 0.1 * response_s


def test_any_number_of_slots():
    """Where nobody waits, the rate is the number of users over think and service."""
    loop = ClosedLoop(20, Exponential(THINK_S))
    rates = []
    for seed in SEEDS:
        config = small_world(Exponential(1.0), loop, UNTIL_S, slots=20, seed=seed)
        arrived_s = run_world(config).requests["arrived_s"]
        rates.append((arrived_s >= WARMUP_S).sum() / (UNTIL_S - WARMUP_S))

    assert abs(estimate(rates).z(20.0 / (THINK_S + 1.0))) < Z_MOST


def test_turns_survive_the_router():
    """Whoever serves it, the n-th turn of a user is the same request: only its time differs."""
    loop = ClosedLoop(6, Exponential(THINK_S))
    slow_s, fast_s = (
        run_world(small_world(Exponential(service_s), loop, 200.0, seed=3))
        .requests.set_index(["user", "turn"])["service_s"]
        .to_dict()
        for service_s in (3.0, 0.1)
    )
    shared = slow_s.keys() & fast_s.keys()

    assert len(shared) > 50
    assert len(fast_s) > len(slow_s)
    assert all(slow_s[name] == pytest.approx(30.0 * fast_s[name]) for name in shared)
