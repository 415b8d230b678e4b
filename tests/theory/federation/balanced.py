"""Fleets of equal nodes with one slot each, offered the same load, for strategies to balance."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedsim.federation.health import HealthConfig
from fedsim.workload.distributions import Exponential
from tests.simulated import HERE, Federation, draws_of, run_world, small_world
from tests.theory.replications import Estimate, estimate


@dataclass(frozen=True)
class Balancing:
    """A fleet, and how one gateway spreads memoryless requests over it; services take 1 s.

    Attributes:
        strategy: Its name.
        nodes: Number of nodes.
        load: Offered load of a node in erlangs.
        settings: The strategy's settings.
        probes_every_s: Time between two probes of a node, in seconds; None for no probes.
        requests: Requests of a replication that count.
        warmup_s: How long requests arrive before them, in seconds.
        gateways: Number of gateways, which take the requests in turn.
    """

    strategy: str
    nodes: int
    load: float
    settings: Mapping[str, object] = field(default_factory=dict)
    probes_every_s: float | None = None
    requests: int = 20_000
    warmup_s: float = 50.0
    gateways: int = 1

    def stay_s(self, seed: int, replications: int) -> Estimate:
        """Return the mean time in the system in seconds, from runs with seeds from *seed* on."""
        rows = np.array([self._observe(seed + number) for number in range(replications)])
        return estimate(rows[:, 0], rows[:, 1:])

    def _observe(self, seed: int) -> NDArray[np.float64]:
        """Return a run's mean time in the system, and its control variates, of mean 0."""
        rate_rps = self.load * self.nodes
        end_s = self.warmup_s + self.requests / rate_rps
        world = small_world(Exponential(1.0), rate_rps, end_s, nodes=self.nodes, seed=seed)
        health = None
        if self.probes_every_s is not None:
            health = HealthConfig(self.probes_every_s, jitter=0.0, degraded_factor=math.inf)
        federation = Federation(self.strategy, self.settings, health=health)
        requests = run_world(world, federation, {HERE: self.gateways}).requests
        counted = requests[requests["arrived_s"] >= self.warmup_s]
        draws = draws_of(world)
        service_s = draws.service_s[draws.arrived_s >= self.warmup_s]
        return np.array(
            [
                counted["latency_s"].mean(),
                len(counted) / self.requests - 1.0,
                service_s.mean() - 1.0,
            ]
        )


def only_idle(least: int, _most: int) -> float:
    """Return the share of the busier node where an idle node comes first, else any."""
    return 0.5 if least else 0.0


def jumping_stay_s(nodes: int, load: float, seed: int, steps: int) -> Estimate:
    """Return the mean time in the system under two choices with replacement, without a world.

    Counts alone jump: at each step a request arrives, or a node drawn at random is done with one if
    it has any. Steps come at a constant rate, so that their mean is a mean over time, and Little's
    law turns it into a stay. The second half of the steps counts, in twenty parts.
    """
    rng = random.Random(seed)
    counts = [0] * nodes
    arrives = load / (1.0 + load)
    present, parts = 0, [0] * 40
    for step in range(steps):
        if rng.random() < arrives:
            one, other = int(rng.random() * nodes), int(rng.random() * nodes)
            counts[one if counts[one] <= counts[other] else other] += 1
            present += 1
        else:
            done = int(rng.random() * nodes)
            if counts[done]:
                counts[done] -= 1
                present -= 1
        parts[step * 40 // steps] += present
    means = np.array(parts[20:]) * 40.0 / steps
    return estimate(means / (load * nodes))
