"""Means of simulated queues against closed forms, in the steady state.

The formulas and their sources are in ``fedsim/studies/queueing.py``. Sizes were chosen so that the
95 % confidence intervals are as narrow as the tests demand, which they assert as well.
"""

from __future__ import annotations

import pytest

from fedsim.federation.contracts import LoadBalanceStrategy
from fedsim.studies.queueing import (
    e_m_1_root,
    erlang_c,
    m_g_1_wait_s,
    m_m_c_k_shares,
    m_m_c_k_wait_s,
    m_m_c_wait_s,
)
from fedsim.workload.distributions import Constant, Lognormal
from tests.chosen import others_slow
from tests.theory.replications import Z_MOST, estimate
from tests.theory.world.steady import SEEDS, Queue, sample


def m_m_1(load, requests, warmup):
    """Return the queue with memoryless arrivals and services."""
    return Queue("M/M/1", load, m_m_c_wait_s(load, 1.0, 1), load, requests, warmup)


def m_m_8(load, requests, warmup):
    """Return a node with eight slots: Erlang's delay system."""
    wait_s = m_m_c_wait_s(8 * load, 1.0, 8)
    return Queue("M/M/8", load, wait_s, erlang_c(8 * load, 8), requests, warmup, slots=8)


def m_d_1(load, requests, warmup):
    """Return the queue with equal services."""
    wait_s = m_g_1_wait_s(load, 1.0, 0.0)
    return Queue("M/D/1", load, wait_s, load, requests, warmup, Constant(1.0))


def m_g_1(load, requests, warmup):
    """Return the queue with lognormal services of cv 2."""
    service = Lognormal.from_mean_cv(1.0, 2.0)
    return Queue("M/G/1", load, m_g_1_wait_s(load, 1.0, 2.0), load, requests, warmup, service)


def m_m_4_8(requests, warmup):
    """Return a node with four slots and four places to wait, offered 3.2 erlangs."""
    wait_s = m_m_c_k_wait_s(3.2, 1.0, 4, 8)
    blocked = m_m_c_k_shares(3.2, 4, 8)[8]
    return Queue(
        "M/M/4/8", 0.8, wait_s, None, requests, warmup, slots=4, queue_limit=4, blocked=blocked
    )


def round_robin(load, requests, warmup):
    """Return four nodes in turn: each sees every fourth arrival, so an E4/M/1 queue."""
    root = e_m_1_root(load, 4)
    return Queue("round robin", load, root / (1.0 - root), root, requests, warmup, nodes=4)


def random_splitting(load, requests, warmup):
    """Return four nodes at random: each sees Poisson arrivals, so an M/M/1 queue."""
    wait_s = m_m_c_wait_s(load, 1.0, 1)
    strategy = LoadBalanceStrategy.WEIGHTED_RANDOM
    return Queue(
        "random splitting", load, wait_s, load, requests, warmup, nodes=4, strategy=strategy
    )


FAST = [
    m_m_1(0.7, 1500, 150),
    m_m_8(0.7, 4200, 150),
    m_d_1(0.7, 1200, 100),
    m_g_1(0.5, 3200, 150),
    m_m_4_8(1800, 50),
    round_robin(0.7, 1800, 400),
    random_splitting(0.7, 1500, 400),
]

SLOW = [
    m_m_1(0.9, 20_000, 1500),
    m_m_8(0.9, 22_000, 1500),
    m_d_1(0.9, 10_000, 1000),
    m_g_1(0.9, 50_000, 5000),
    m_m_4_8(3000, 50),
    round_robin(0.9, 18_000, 3500),
    random_splitting(0.9, 18_000, 6000),
]


@pytest.mark.parametrize("seed", others_slow(SEEDS, SEEDS[:1]))
@pytest.mark.parametrize("queue", others_slow(FAST, [FAST[1], FAST[4]]), ids=str)
def test_moderate_load(queue, seed):
    """At moderate load the means are those of theory, within 5 %."""
    agrees(queue, sample(queue, seed, replications=25), precision=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("queue", SLOW, ids=str)
def test_high_load(queue, seed):
    """At high load, where queues forget slowly, the means are those of theory, within 2 %."""
    agrees(queue, sample(queue, seed, replications=60), precision=0.02)


def agrees(queue, seen, precision):
    """Assert that waits, and who waits or is turned away, are as theory has it.

    Each is estimated with the control variates to the relative *precision*, and without them as
    well as replications go; and the control variates themselves have mean 0.
    """
    for name, values, expected in (
        ("mean wait", seen.wait_s, queue.wait_s),
        ("probability of waiting", seen.waiting, queue.waiting),
        ("probability of being turned away", seen.blocked, queue.blocked),
    ):
        if expected is None:
            continue
        controlled = estimate(values, seen.controls)
        print(
            f"{queue}: {name} {controlled.mean:.5f}, theory {expected:.5f}, "
            f"z {controlled.z(expected):+.2f}, plain z {estimate(values).z(expected):+.2f}, "
            f"half-width {100.0 * controlled.half_width / expected:.2f} %"
        )
        assert abs(controlled.z(expected)) < Z_MOST, name
        assert controlled.half_width <= precision * expected, name
        assert abs(estimate(values).z(expected)) < Z_MOST, name
    for control in seen.controls.T:
        assert not control.any() or abs(estimate(control).z(0.0)) < Z_MOST
