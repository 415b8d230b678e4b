"""Static batches without a limit, against their embedded Markov chain and a closed-form bound.

A batch of b requests takes ``alpha * b + tau``; whoever waits when the node becomes idle is the
next batch. Inoue (Queueing analysis of GPU-based inference servers with dynamic batching: A
closed-form characterization, Performance Evaluation 147, 2021) bounds the mean latency by the
smaller of two closed forms; the chain of batch sizes gives it exactly. The forms here are checked
against the chain, and the simulation against both.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import gammaln, xlogy

from fedsim.federation.contracts import Capability, QoSRequirements
from fedsim.workload.arrivals import Poisson
from fedsim.workload.distributions import Constant
from fedsim.workload.sizes import Sizes
from fedsim.workload.tokens import Tokens
from fedsim.workload.traffic import Traffic
from fedsim.world.config import RegionConfig, StreamConfig, WorldConfig
from fedsim.world.network import NetworkConfig
from fedsim.world.nodes.config import BatchConfig, PoolConfig
from fedsim.world.service import TokenBatches
from tests.simulated import HERE, run_world
from tests.theory.replications import Z_MOST, estimate

ALPHA_S, TAU_S = 1.0, 4.0
LIMIT = 10_000
REQUESTS = {0.1: 2000, 0.5: 4000, 0.8: 8000}
"""Requests of a run by load, enough for the width that is asked for."""


def bound_s(rate_rps: float) -> float:
    """Return Inoue's upper bound of the mean latency in seconds.

    The mean falls with the mean size of a batch, which is at least 1, whence the first form, and at
    least that of a node which is never idle, whence the second.
    """
    load = rate_rps * ALPHA_S
    more = 1.0 + 2.0 * rate_rps * TAU_S + (1.0 - rate_rps * TAU_S) / (1.0 + load)
    light_s = (ALPHA_S + TAU_S) / 2.0 / (1.0 - load) * more
    heavy_s = 1.5 * TAU_S / (1.0 - load) + ALPHA_S / 2.0 * (load + 2.0) / (1.0 - load**2)
    return min(light_s, heavy_s)


def chain_latency_s(rate_rps: float) -> float:
    """Return the mean latency in seconds, from the stationary law of the batch sizes.

    Those who arrive while a batch is at work, a mean of half of it before its end, are the next
    batch; where nobody arrives, the next one has one request, which did not wait.
    """
    load = rate_rps * ALPHA_S
    most = int(40.0 + 12.0 * rate_rps * TAU_S / (1.0 - load))
    sizes = np.arange(1, most + 1)
    took_s = ALPHA_S * sizes + TAU_S
    counts, means = np.arange(most + 1), rate_rps * took_s[:, None]
    arrivals = np.exp(xlogy(counts, means) - means - gammaln(counts + 1))
    moves = arrivals[:, 1:].copy()
    moves[:, 0] += arrivals[:, 0]
    moves /= moves.sum(axis=1, keepdims=True)
    system = np.vstack([moves.T - np.eye(most), np.ones(most)])
    shares = np.linalg.lstsq(system, np.append(np.zeros(most), 1.0), rcond=None)[0]
    following = shares @ arrivals
    waited_s = shares @ (arrivals[:, 1:] * sizes * took_s[:, None] / 2.0)
    served_s = following[1:] * sizes * took_s
    latency_s = waited_s.sum() + served_s.sum() + following[0] * (ALPHA_S + TAU_S)
    return float(latency_s / ((following[1:] * sizes).sum() + following[0]))


@pytest.mark.parametrize("load", [0.01, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9])
def test_the_bound_holds_for_the_chain(load):
    """The closed forms bound the chain's mean from above, closely where the node is never idle."""
    exact_s, limit_s = chain_latency_s(load / ALPHA_S), bound_s(load / ALPHA_S)

    assert exact_s <= limit_s * (1.0 + 1e-9)
    assert limit_s == pytest.approx(exact_s, rel=0.15)
    if load >= 0.6:
        assert limit_s == pytest.approx(exact_s, rel=1e-3)


def latency_s(rate_rps: float, seed: int) -> float:
    """Return the mean latency of simulated requests, in seconds."""
    duration_s = REQUESTS[rate_rps * ALPHA_S] / rate_rps
    service = TokenBatches(tokens_per_s=1.0 / ALPHA_S, base_s=TAU_S)
    pool = PoolConfig(
        "node",
        HERE,
        1,
        "model",
        (Capability.EMBED,),
        LIMIT,
        None,
        batching=BatchConfig(LIMIT, 0.0, service),
    )
    traffic = Traffic("embed", ((HERE, 1.0),), Poisson(rate_rps), Sizes(Tokens(Constant(1.0))))
    config = WorldConfig(
        seed=seed,
        duration_s=duration_s,
        drain_s=1e6,
        regions=(RegionConfig(HERE),),
        network=NetworkConfig(0.0, {}, 0.0),
        pools=(pool,),
        streams=(StreamConfig(traffic, Capability.EMBED, QoSRequirements()),),
        nodes_every_s=None,
    )
    requests = run_world(config).requests
    kept = requests["arrived_s"] > 0.05 * duration_s
    return float(requests["latency_s"][kept].mean())


@pytest.mark.parametrize("load", REQUESTS)
def test_simulation_agrees_with_the_chain(load):
    """The mean latency of a simulated node is that of the chain."""
    rate_rps = load / ALPHA_S

    found = estimate([latency_s(rate_rps, seed) for seed in range(8)])

    exact_s = chain_latency_s(rate_rps)
    assert abs(found.z(exact_s)) < Z_MOST
    assert found.half_width < 0.06 * exact_s
