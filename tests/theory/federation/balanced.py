"""Fleets of equal nodes with one slot each, offered the same load, for strategies to balance."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
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


def mean_field_stay_s(load: float, choices: int) -> float:
    """Return the mean time in the system where the best of some nodes is taken, of endless many.

    M. Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, IEEE Transactions on
    Parallel and Distributed Systems 12, 2001. Services take 1 s; one choice is an M/M/1 queue.
    """
    if choices == 1:
        return 1.0 / (1.0 - load)
    terms = [load ** ((choices**rank - choices) // (choices - 1)) for rank in range(1, 20)]
    return float(sum(terms))


Busier = Callable[[int, int], float]
"""Gives the share of the requests that the busier of two nodes gets, by the counts on both."""


def jumps(share: float) -> Busier:
    """Return the rule by which the busier node always gets the same share."""
    return lambda _least, _most: share


def least_busy(_least: int, _most: int) -> float:
    """Return the share of the busier node where all go to the less busy one."""
    return 0.0


def only_idle(least: int, _most: int) -> float:
    """Return the share of the busier node where an idle node comes first, else any."""
    return 0.5 if least else 0.0


def two_nodes_stay_s(load: float, busier: Busier, room: int = 40) -> float:
    """Return the mean time in the system of two nodes, from the Markov chain of their queues.

    Args:
        load: Offered load of a node in erlangs; services take 1 s, and a node has one slot.
        busier: The rule.
        room: Requests that a node has room for; the chain must hardly ever get there.
    """
    states = np.arange(room * room).reshape(room, room)
    rates = np.zeros((room * room, room * room))
    for one in range(room):
        for other in range(room):
            here = states[one, other]
            share = busier(min(one, other), max(one, other))
            to_one = 0.5 if one == other else share if one > other else 1.0 - share
            if one + 1 < room:
                rates[here, states[one + 1, other]] += 2.0 * load * to_one
            if other + 1 < room:
                rates[here, states[one, other + 1]] += 2.0 * load * (1.0 - to_one)
            if one:
                rates[here, states[one - 1, other]] += 1.0
            if other:
                rates[here, states[one, other - 1]] += 1.0
    rates -= np.diag(rates.sum(axis=1))
    rates[:, 0] = 1.0  # the shares of all states make 1
    shares = np.linalg.solve(rates.T, np.eye(room * room)[0]).reshape(room, room)
    counts = np.add.outer(np.arange(room), np.arange(room))
    return float((shares * counts).sum()) / (2.0 * load)


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
