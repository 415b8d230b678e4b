"""What queueing theory says: recursions for one path, closed forms for the mean.

Sources: L. Kleinrock, Queueing Systems, volume 1, 1975 (chapters 3, 5 and 6); S. Asmussen, Applied
Probability and Queues, 2003 (chapters III and XII). Rates are per second, times in seconds, and
loads in erlangs; service rates are per slot.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from heapq import heappop, heappush, heapreplace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Waits = NDArray[np.float64]

Visits = Iterable[tuple[float, float]]
"""Pairs of arrival and service time in seconds, in the order of arrival."""


# Recursions: the wait of each request, whatever the distributions


def lindley(visits: Visits) -> Waits:
    """Return the waits in a queue with one slot, W' = max(0, W + S - A) (Lindley, 1952)."""
    visits = list(visits)
    waits_s = [0.0] * bool(visits)
    for (before_s, service_s), (arrived_s, _) in pairwise(visits):
        waits_s.append(max(0.0, waits_s[-1] + service_s - (arrived_s - before_s)))
    return np.array(waits_s)


def kiefer_wolfowitz(visits: Visits, slots: int) -> Waits:
    """Return the waits in a queue with *slots* (Kiefer and Wolfowitz, 1955).

    Of the ascending vector of work left at each slot, the least is the wait of the next arrival,
    and grows by its service; then time passes for all of them.
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
    """Return the waits where at most *room* are in the system, and NaN for each one turned away."""
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


# Closed forms: means in the steady state


def erlang_c(load: float, slots: int) -> float:
    """Return the probability that a request waits in an M/M/c queue (Erlang's second formula)."""
    blocked = 1.0
    for count in range(1, slots + 1):  # Erlang's first formula, slot by slot
        blocked = load * blocked / (count + load * blocked)
    return slots * blocked / (slots - load * (1.0 - blocked))


def erlang_b(load: float, slots: int) -> float:
    """Return the share of requests that a loss system turns away, whatever the service times."""
    return m_m_c_k_shares(load, slots, slots)[slots]


def m_m_c_wait_s(rate: float, service_s: float, slots: int) -> float:
    """Return the mean wait in an M/M/c queue."""
    load = rate * service_s
    return erlang_c(load, slots) * service_s / (slots - load)


def m_m_c_tail(rate: float, service_s: float, slots: int, wait_s: float) -> float:
    """Return the probability of waiting longer than *wait_s* in an M/M/c queue."""
    load = rate * service_s
    return erlang_c(load, slots) * math.exp(-(slots - load) * wait_s / service_s)


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
    """Return the mean wait of the requests that an M/M/c/K queue takes, by Little's law."""
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


def repairman(users: int, think_s: float, service_s: float, slots: int) -> tuple[float, float]:
    """Return throughput per second and mean response time of a closed loop.

    The number at the node is a birth and death process, M/M/c//N (Kleinrock, section 3.8). The
    think time may have any distribution, as at any node without a queue of a product-form network
    (Baskett, Chandy, Muntz and Palacios, 1975).
    """
    weights = [1.0]
    for here in range(1, users + 1):
        rates_ratio = (users - here + 1) / think_s * service_s / min(here, slots)
        weights.append(weights[-1] * rates_ratio)
    busy = sum(min(here, slots) * weight for here, weight in enumerate(weights)) / sum(weights)
    per_s = busy / service_s
    return per_s, users / per_s - think_s


def mean_field_stay_s(load: float, choices: int) -> float:
    """Return the mean time in the system where the best of some nodes is taken, of infinitely many.

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


def attempts_per_request(probability: float, retries: int) -> float:
    """Return the mean number of attempts where each fails by itself with *probability*, below 1."""
    return (1.0 - probability ** (retries + 1)) / (1.0 - probability)


def availability(up_s: float, down_s: float) -> float:
    """Return the share of the time in which a node is up, by the means of its times up and down.

    The shapes of the times do not matter (the renewal reward theorem).
    """
    return up_s / (up_s + down_s)


def ring_spread(nodes: int, points: int) -> float:
    """Return the mean squared coefficient of variation of the shares of nodes on a hash ring.

    Each node has so many *points* on it, spread uniformly, so that its share of the ring has a beta
    distribution with the parameters *points* and (*nodes* - 1) *points*.
    """
    return (nodes - 1) / (nodes * points + 1)
