"""Queues in their steady state: a world for each, what is seen in it, and control variates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtrc

from fedsim.federation.contracts import LoadBalanceStrategy
from fedsim.workload.distributions import Distribution, Exponential
from fedsim.world.config import WorldConfig
from tests.simulated import Draws, Federation, draws_of, run_world, small_world

SEEDS = (1000, 2000, 3000)
"""Seeds of the first replication of three samples; the others of a sample have the next ones."""

EXPONENTIAL = Exponential(1.0)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Queue:
    """A queueing system, what theory says of it, and how much of it is simulated.

    Attributes:
        name: Its name in Kendall's notation.
        load: Offered load of a slot in erlangs.
        wait_s: The mean wait in theory, in seconds, of those who are not turned away.
        waiting: The probability of waiting in theory, or None where it is of no interest.
        requests: Requests of a replication that count.
        warmup: Requests that come before them, so that the queue forgets that it was empty.
        service: Service times; the mean is 1 s.
        nodes: Number of nodes.
        slots: Slots of each.
        strategy: How one gateway chooses among the nodes.
        queue_limit: Most requests that wait.
        blocked: The probability of being turned away in theory.
    """

    name: str
    load: float
    wait_s: float
    waiting: float | None
    requests: int
    warmup: int
    service: Distribution = EXPONENTIAL
    nodes: int = 1
    slots: int = 1
    strategy: LoadBalanceStrategy = LoadBalanceStrategy.ROUND_ROBIN
    queue_limit: int | None = None
    blocked: float | None = None

    def __str__(self) -> str:
        return f"{self.name} at {self.load:g}"

    @property
    def rate_rps(self) -> float:
        """Arrivals per second."""
        return self.load * self.nodes * self.slots

    @property
    def start_s(self) -> float:
        """When the time begins that counts, in seconds."""
        return self.warmup / self.rate_rps

    @property
    def end_s(self) -> float:
        """When it ends, and the arrivals with it, in seconds."""
        return (self.warmup + self.requests) / self.rate_rps

    def world(self, seed: int) -> WorldConfig:
        """Return a world that is this queue."""
        return small_world(
            self.service,
            self.rate_rps,
            self.end_s,
            nodes=self.nodes,
            slots=self.slots,
            queue_limit=self.queue_limit,
            seed=seed,
        )


@dataclass(frozen=True)
class Sample:
    """What was seen in replications, an entry or row for each.

    Attributes:
        wait_s: Mean wait in seconds.
        waiting: Share that waited.
        blocked: Share that was turned away.
        controls: Control variates, whose mean is 0.
    """

    wait_s: Floats
    waiting: Floats
    blocked: Floats
    controls: Floats


def sample(queue: Queue, seed: int, replications: int) -> Sample:
    """Return what is seen in independent replications, with seeds from *seed* on."""
    rows = np.array([observe(queue, seed + number) for number in range(replications)])
    return Sample(rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3:])


def observe(queue: Queue, seed: int) -> list[float]:
    """Return mean wait, shares that waited and were turned away, and the control variates."""
    world = queue.world(seed)
    requests = run_world(world, Federation(queue.strategy)).requests
    waits_s = requests["queue_wait_s"].to_numpy()[requests["arrived_s"] >= queue.start_s]
    draws = draws_of(world)
    nodes = requests["node"].cat.codes.to_numpy()
    visits = [draws.take(np.flatnonzero(nodes == node)) for node in range(queue.nodes)]
    return [
        float(np.nanmean(waits_s)),
        float((waits_s > 0.0).mean()),
        float(np.isnan(waits_s).mean()),
        *plain_controls(queue, draws),
        math.fsum(backlog_control(queue, visits_s) for visits_s in visits) / len(waits_s),
        crowd_control(queue, draws) if queue.slots > 1 else 0.0,
    ]


# Control variates: they know the draws, and at most to which node each request went


def plain_controls(queue: Queue, draws: Draws) -> list[float]:
    """Return arrivals, services and squares of services, each over its mean, minus one."""
    service_s = draws.service_s[draws.arrived_s >= queue.start_s]
    arrivals = queue.rate_rps * (queue.end_s - queue.start_s)
    square = 1.0 + queue.service.cv**2
    return [
        len(service_s) / arrivals - 1.0,
        float(service_s.mean()) - 1.0,
        float((service_s**2).mean()) / square - 1.0,
    ]


def backlog_control(queue: Queue, visits: Draws) -> float:
    """Return by how much work came to a node while there was work already, more than the mean.

    With each request a slot gets work, and loses some until the next; *surplus* is that less its
    mean. Surpluses of the past make a backlog, which fades in the time in which a queue forgets,
    the variance of a surplus over the square of its mean. It says nothing about the surplus to
    come, so that the sum of the products has mean 0. In the mean wait it takes out most of the
    variance that arrivals and services by themselves leave.
    """
    gaps_s = np.diff(visits.arrived_s)
    gap_s = queue.nodes / queue.rate_rps
    surplus_s = (visits.service_s[:-1] - 1.0) / queue.slots - (gaps_s - gap_s)
    memory = 1.0 - (1.0 - queue.load) ** 2 / (1.0 + queue.service.cv**2)
    backlog_s = np.array(
        list(accumulate(surplus_s[:-1].tolist(), lambda sum_s, next_s: memory * sum_s + next_s))
    )
    products = np.maximum(backlog_s, 0.0) * surplus_s[1:]
    return math.fsum(products[visits.arrived_s[2:] >= queue.start_s])


def crowd_control(queue: Queue, draws: Draws) -> float:
    """Return by how many more would find all slots taken if none ever waited, over the mean.

    With a slot for everybody the number in service is Poisson distributed, its mean the load.
    """
    left_s = np.sort(draws.arrived_s + draws.service_s)
    came = np.arange(len(left_s))
    present = came - np.searchsorted(left_s, draws.arrived_s, side="right")
    excess = np.maximum(present - queue.slots, 0)[draws.arrived_s >= queue.start_s]
    load, slots = queue.load * queue.slots, queue.slots
    expected = load * float(pdtrc(slots - 1, load)) - slots * float(pdtrc(slots, load))
    return float(excess.mean()) / expected - 1.0
