"""What queueing theory says: recursions for one path, closed forms for the mean.

Sources: L. Kleinrock, Queueing Systems, volume 1, 1975 (chapters 3, 5 and 6); S. Asmussen, Applied
Probability and Queues, 2003 (chapters III and XII). Rates are per second, times in seconds, and
loads in erlangs; service rates are per slot.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from heapq import heappop, heappush, heapreplace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Waits = NDArray[np.float64]

Visits = Iterable[tuple[float, float]]
"""Pairs of arrival and service time in seconds, in the order of arrival."""


# Recursions: what happens to each request, whatever its distribution


def lindley(visits: Visits) -> Waits:
    """Return the waits in a queue with one slot, W' = max(0, W + S - A) (Lindley, 1952)."""
    visits = list(visits)
    waits_s = [0.0] * bool(visits)
    for (before_s, service_s), (arrived_s, _) in pairwise(visits):
        waits_s.append(max(0.0, waits_s[-1] + service_s - (arrived_s - before_s)))
    return np.array(waits_s)


def kiefer_wolfowitz(visits: Visits, slots: int) -> Waits:
    """Return the waits in a queue with *slots* (Kiefer and Wolfowitz, 1955).

    Of the ascending vector of work left at each slot, the least is the wait of who comes next, and
    grows by its service; then time passes for all of them.
    """
    work_s = [0.0] * slots
    waits_s: list[float] = []
    now_s = 0.0
    for arrived_s, service_s in visits:
        passed_s, now_s = arrived_s - now_s, arrived_s
        work_s = sorted(max(0.0, left_s - passed_s) for left_s in work_s)
        waits_s.append(work_s[0])
        work_s[0] += service_s
    return np.array(waits_s)


def with_losses(visits: Visits, slots: int, room: int) -> Waits:
    """Return the waits where at most *room* are in the system, and NaN for who is turned away."""
    free_s = [0.0] * slots
    leaves_s: list[float] = []
    waits_s: list[float] = []
    for arrived_s, service_s in visits:
        while leaves_s and leaves_s[0] <= arrived_s:
            heappop(leaves_s)
        if len(leaves_s) == room:
            waits_s.append(math.nan)
            continue
        begins_s = max(arrived_s, free_s[0])
        heapreplace(free_s, begins_s + service_s)
        heappush(leaves_s, begins_s + service_s)
        waits_s.append(begins_s - arrived_s)
    return np.array(waits_s)


# Closed forms: what is true in the mean, in the steady state


def erlang_c(load: float, slots: int) -> float:
    """Return the probability that a request waits in an M/M/c queue (Erlang's second formula)."""
    blocked = 1.0
    for count in range(1, slots + 1):  # Erlang's first formula, slot by slot
        blocked = load * blocked / (count + load * blocked)
    return slots * blocked / (slots - load * (1.0 - blocked))


def m_m_c_wait_s(rate: float, service_s: float, slots: int) -> float:
    """Return the mean wait in an M/M/c queue."""
    load = rate * service_s
    return erlang_c(load, slots) * service_s / (slots - load)


def m_g_1_wait_s(rate: float, service_s: float, cv: float) -> float:
    """Return the mean wait in an M/G/1 queue (Pollaczek and Khinchine)."""
    load = rate * service_s
    return load / (1.0 - load) * service_s * (1.0 + cv * cv) / 2.0


def m_m_c_k_shares(load: float, slots: int, room: int) -> list[float]:
    """Return the share of time that 0, 1, ... *room* are in an M/M/c/K queue."""
    weights = [1.0]
    for count in range(1, room + 1):
        weights.append(weights[-1] * load / min(count, slots))
    return [weight / sum(weights) for weight in weights]


def m_m_c_k_wait_s(load: float, service_s: float, slots: int, room: int) -> float:
    """Return the mean wait of those whom an M/M/c/K queue takes, by Little's law on its queue."""
    shares = m_m_c_k_shares(load, slots, room)
    queued = sum(max(count - slots, 0) * share for count, share in enumerate(shares))
    return queued * service_s / (load * (1.0 - shares[room]))


def e_m_1_root(load: float, stages: int) -> float:
    """Return the probability of waiting in an E_k/M/1 queue.

    It is the root below 1 of sigma = A(mu (1 - sigma)), where A is the Laplace transform of the gap
    between arrivals, here k exponential stages. The mean wait is sigma / (1 - sigma) services.
    """
    sigma = 0.0
    for _ in range(10_000):  # rises to the root, by a factor of less than 1 each time
        sigma = (stages * load / (stages * load + 1.0 - sigma)) ** stages
    return sigma
