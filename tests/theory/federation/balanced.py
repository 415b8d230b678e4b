"""Fleets of equal nodes with one slot each, offered the same load, for strategies to balance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedsim.federation.config import HealthConfig
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
            health = HealthConfig(interval_s=self.probes_every_s, jitter=0.0)
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


def mean_field_stay_s(load: float, choices: int) -> float:
    """Return the mean time in the system where the best of some nodes is taken, of endless many.

    M. Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, IEEE Transactions on
    Parallel and Distributed Systems 12, 2001. Services take 1 s; one choice is an M/M/1 queue.
    """
    if choices == 1:
        return 1.0 / (1.0 - load)
    terms = [load ** ((choices**rank - choices) // (choices - 1)) for rank in range(1, 20)]
    return sum(terms)
