"""How long a health checker takes to notice a dead node: the law that its settings imply.

A node that dies at a random moment is probed next after the residual of a cycle of interval times
(1 + jitter U), whose density at r is the probability that a cycle is longer than r over the mean
cycle; the threshold asks for as many whole cycles more as failures beyond the first.
"""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from numpy.typing import NDArray

from fedsim.federation.contracts import HealthState, NodeHealth, NodeId, NodeUnreachable
from fedsim.federation.health import HealthChecker, HealthConfig
from fedsim.kernel.environment import Environment
from fedsim.kernel.tasks import SimClock, SimTasks
from tests.unit.federation.stand_ins import Onlooker

NODES = 1500
STEP_S = 0.005


class Mortals:
    """Nodes that answer probes at once until they die, and never again after."""

    def __init__(self, clock: SimClock, dies_s: dict[NodeId, float]) -> None:
        self._clock = clock
        self._dies_s = dies_s

    async def probe(self, node_id: NodeId) -> NodeHealth:
        """Answer, or fail at once."""
        if self._clock.now() >= self._dies_s[node_id]:
            raise NodeUnreachable(node_id)
        return NodeHealth(node_id, HealthState.HEALTHY, 0.0, 0.0, 0, None, 0, 0.0)


def detection_times(config: HealthConfig) -> NDArray[np.float64]:
    """Return how long after its death each of many nodes is found unhealthy, in seconds, sorted."""
    env, rng = Environment(), random.Random(11)
    clock, seen = SimClock(env), Onlooker()
    horizon_s = 40.0 * config.interval_s
    dies_s = {NodeId(str(node)): horizon_s * (0.5 + 0.4 * rng.random()) for node in range(NODES)}
    checker = HealthChecker(Mortals(clock, dies_s), clock, SimTasks(env), rng, config, seen)
    for node_id in dies_s:
        checker.register_node(node_id)
    SimTasks(env).spawn(checker.start_monitoring(), "start")
    env.run(until=horizon_s)
    found = [
        at_s - dies_s[NodeId(node)] for at_s, node, _, after in seen.health if after == "unhealthy"
    ]
    assert len(found) == NODES
    return np.sort(np.array(found))


def law(config: HealthConfig) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times in seconds and the probability that a death is noticed by then."""
    shortest_s = config.interval_s
    longest_s = shortest_s * (1.0 + config.jitter)
    grid = np.arange(0.0, longest_s, STEP_S) + 0.5 * STEP_S
    survival = np.where(
        grid < shortest_s, 1.0, (longest_s - grid) / max(longest_s - shortest_s, 1e-12)
    )
    density = survival / survival.sum()
    cycle = ((grid >= shortest_s) & (grid < longest_s)).astype(float)
    for _ in range(config.failure_threshold - 1):
        if config.jitter:
            density = np.convolve(density, cycle / cycle.sum())
        else:
            density = np.concatenate([np.zeros(round(shortest_s / STEP_S)), density])
    offset_s = 0.5 * STEP_S * config.failure_threshold if config.jitter else 0.5 * STEP_S
    times_s = np.array(np.arange(len(density)) * STEP_S + offset_s, dtype=np.float64)
    return times_s, np.cumsum(density)


CASES = [
    HealthConfig(),
    HealthConfig(jitter=0.0),
    HealthConfig(jitter=1.0, failure_threshold=2),
    HealthConfig(interval_s=2.0, jitter=0.5, failure_threshold=1),
]


@pytest.mark.parametrize(
    "config",
    CASES,
    ids=lambda config: f"{config.interval_s:g}s-{config.jitter:g}-{config.failure_threshold}",
)
def test_detection_time_has_the_law_of_its_settings(config: HealthConfig):
    """The mean is E[C^2] / 2 E[C] + (k - 1) E[C], and no quantile is off by more than chance."""
    found = detection_times(config)
    times_s, probability = law(config)

    jitter, failures = config.jitter, config.failure_threshold
    cycle_s = config.interval_s * (1.0 + 0.5 * jitter)
    square = config.interval_s**2 * (1.0 + jitter + jitter**2 / 3.0)
    mean_s = square / (2.0 * cycle_s) + (failures - 1) * cycle_s
    assert abs(found.mean() - mean_s) < 3.5 * found.std() / math.sqrt(NODES)

    expected = np.interp(found, times_s, probability)
    distance = np.abs(expected - (np.arange(NODES) + 0.5) / NODES).max()
    assert distance < 1.95 / math.sqrt(NODES)  # Kolmogorov and Smirnov, 0.1 %
    for share in (0.1, 0.5, 0.9, 0.99):
        off = np.interp(np.quantile(found, share), times_s, probability) - share
        assert abs(off) < 3.5 * math.sqrt(share * (1.0 - share) / NODES) + 1e-3


def test_never_sooner_or_later_than_it_can_be():
    """With the defaults a death is noticed after 20 to 33 s."""
    found = detection_times(HealthConfig())
    assert found[0] >= 20.0
    assert found[-1] <= 33.0
