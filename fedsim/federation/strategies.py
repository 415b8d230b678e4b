"""The five load-balancing strategies: each chooses one of the eligible candidates.

A strategy belongs to one router, so to one gateway, and sees nodes through live views. Several
nodes that are equally good take turns.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Protocol

from fedsim.federation.contracts import (
    InferenceRequest,
    LoadBalanceStrategy,
    NodeId,
)
from fedsim.federation.fleet import Fleet
from fedsim.federation.health import ENOUGH_SAMPLES, HealthChecker
from fedsim.federation.runtime import Clock, Random

POINTS_PER_NODE = 256
"""Points of a node on the hash ring; the spread of the shares is about 1/sqrt of it, 6 %."""

REMEMBERED_TENANTS = 65_536
"""Tenants whose place on the ring is remembered before all are forgotten and found anew."""


class Candidates:
    """A set of nodes that a strategy may choose from; a router has one object for each such set.

    Attributes:
        positions: Positions of the eligible nodes in the router's list of nodes, ascending.
        turn: Index into *positions* of the node whose turn is next, for the strategy's use.
        gather: Takes a list over all nodes, and returns its entries for the eligible ones.
    """

    __slots__ = ("_members", "gather", "positions", "turn")

    def __init__(self, positions: tuple[int, ...]) -> None:
        self.positions = positions
        self.turn = 0
        self.gather: Callable[[Sequence[int]], Sequence[int]] = (
            itemgetter(*positions) if len(positions) > 1 else self._gather_few
        )
        self._members: frozenset[int] | None = None

    def __contains__(self, position: int) -> bool:
        """Return whether the node at *position* may be chosen."""
        if self._members is None:
            self._members = frozenset(self.positions)
        return position in self._members

    def take_turn(self, values: Sequence[float], best: float) -> int:
        """Return the position of the next node whose value is *best*, in turn."""
        try:
            index = values.index(best, self.turn)
        except ValueError:
            index = values.index(best)
        self.turn = (index + 1) % len(self.positions)
        return self.positions[index]

    def _gather_few(self, values: Sequence[int]) -> Sequence[int]:
        return [values[position] for position in self.positions]


class Strategy(Protocol):
    """Chooses a node. A class of one's own is built as ``Class(context)`` or ``Class()``."""

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the position of the chosen node, one of ``candidates.positions``."""
        ...


class RoundRobin:
    """Each eligible node in turn.

    Rule: per gateway and set of eligible nodes a counter goes round. Cost: O(1). Example: nodes
    a, b, c give a, b, c, a, ...; while b is not eligible, a, c, a, c; then the full round goes on
    where it was. Failure: a node that fails fast gets its full share of requests until health or
    breaker exclude it.
    """

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the node whose turn it is."""
        position = candidates.positions[candidates.turn]
        candidates.turn = (candidates.turn + 1) % len(candidates.positions)
        return position


class LeastConnections:
    """The node with the fewest requests in flight, as this gateway knows it.

    Rule: the least count of requests that this gateway sent and that have not ended; equal nodes
    take turns. Cost: O(n), about 0.03 us a node. Example: in flight a 2, b 1, c 1 gives b, then c,
    then a, b or c by turn. Failure: a node that fails fast always looks idle and attracts traffic
    until the breaker opens. Other gateways' requests are not seen.
    """

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the next of the least loaded nodes."""
        in_flight = fleet.in_flight
        everywhere = len(candidates.positions) == len(in_flight)
        loads = in_flight if everywhere else candidates.gather(in_flight)
        return candidates.take_turn(loads, min(loads))


class LeastLatency:
    """The node that is expected to answer first, by its median latency and its load; the default.

    Rule: the lowest product of the windowed median, network included, and the requests in flight
    plus one. The median drifts linearly towards that of the node's pool as its newest sample ages,
    and has arrived there when the window has passed. A node with fewer than five samples gets one
    trial request at a time. Cost: O(n), about 0.4 us a node. Example: window 60 s, pool median
    1 s; a node at 3 s whose newest sample is 30 s old counts as 2 s; with one request in flight as
    4 s. Failure: counts no failures; a node that fails fast keeps its old median until that
    expires. Source: ``least_time`` of NGINX Plus. Without the load, all gateways send everything
    to one node until its median rises, then to the next: the fault of the reference's default.
    """

    def __init__(self, health: HealthChecker | None, clock: Clock) -> None:
        self._health = health
        self._clock = clock

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return a node on trial, else the one with the lowest estimate."""
        now_s = self._clock.now()
        estimates = [self._estimate_s(fleet, node, now_s) for node in candidates.positions]
        best = min(estimates)
        if best == float("inf"):
            loads = candidates.gather(fleet.in_flight)
            return candidates.take_turn(loads, min(loads))
        return candidates.take_turn(estimates, best)

    def _estimate_s(self, fleet: Fleet, position: int, now_s: float) -> float:
        """Return aged median times load; -1 for a node due for a trial, infinity for one on it."""
        record = fleet.records[position]
        if self._health is None or record is None:
            return float("inf")
        window = record.window
        if window.count(now_s) < ENOUGH_SAMPLES:
            return -1.0 if fleet.in_flight[position] == 0 else float("inf")
        own_s, pool_s = window.median_s, self._health.pool_median_s(record)
        if pool_s > 0.0:
            age = (now_s - window.newest_s) / (window.expires_s - window.newest_s)
            own_s += (pool_s - own_s) * age
        return own_s * (fleet.in_flight[position] + 1)


class WeightedRandom:
    """At random, in proportion to the policies' score; evenly where there are no policies.

    Rule: P(node) = its score / sum of scores. Cost: O(n) scores. Example: scores 0.6, 0.3, 0.1
    give 60 %, 30 % and 10 % of the requests; a negative score counts as 0. Failure: a
    node that fails keeps its share until health or breaker exclude it.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return a node drawn by score."""
        positions = candidates.positions
        scores = [max(score, 0.0) for score in fleet.scores(candidates.positions, request)]
        mark = self._rng.random()
        if not any(scores):
            return positions[int(mark * len(positions))]
        mark *= sum(scores)
        for position, score in zip(positions, scores, strict=True):
            mark -= score
            if mark < 0.0:
                return position
        return positions[-1]


def _hash64(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


@lru_cache(maxsize=8)
def hash_ring(node_ids: tuple[NodeId, ...]) -> tuple[list[int], list[int]]:
    """Return the ring of *node_ids*: its points in ascending order, and the node of each.

    A node's points depend on its name alone, so that removing a node moves only its own keys.
    """
    points: list[tuple[int, int]] = []
    for position, node_id in enumerate(node_ids):
        for block in range(POINTS_PER_NODE // 8):
            digest = hashlib.blake2b(f"{node_id}#{block}".encode()).digest()
            points.extend(
                (int.from_bytes(digest[start : start + 8]), position) for start in range(0, 64, 8)
            )
    points.sort()
    return [point for point, _ in points], [position for _, position in points]


class ConsistentHash:
    """The node that the tenant's hash points at, so that a tenant stays where it is.

    Rule: one ring for all gateways with 256 points a node (blake2b of the node's name), walked
    clockwise from the hash of the tenant, or of the request's id where there is no tenant, to the
    first eligible node. Cost: O(log n) and the walk. Example: of ten nodes one is removed; its
    tenants, about a tenth, move, and no other does. Failure: the tenants of an excluded node
    spread over the others and return when it does. Source: Karger et al., STOC 1997.
    """

    def __init__(self) -> None:
        self._starts: dict[str, int] = {}
        self._version = -1
        self._points: list[int] = []
        self._owners: list[int] = []

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the first eligible node clockwise of the tenant."""
        if self._version != fleet.version:
            self._version = fleet.version
            self._points, self._owners = hash_ring(tuple(fleet.node_ids))
            self._starts.clear()
        start = self._start(request)
        positions, owners = candidates.positions, self._owners
        if len(positions) == len(fleet.node_ids):
            return owners[start]
        for step in range(len(owners)):
            owner = owners[(start + step) % len(owners)]
            if owner in candidates:
                return owner
        return positions[0]

    def _start(self, request: InferenceRequest) -> int:
        tenant = request.tenant_id
        key = request.request_id if tenant is None else tenant
        start = self._starts.get(key)
        if start is None:
            start = bisect_left(self._points, _hash64(key)) % len(self._points)
            if tenant is not None:
                if len(self._starts) >= REMEMBERED_TENANTS:
                    self._starts.clear()
                self._starts[key] = start
        return start


def build_strategy(
    strategy: LoadBalanceStrategy, health: HealthChecker | None, clock: Clock, rng: Random
) -> Strategy:
    """Return a fresh strategy of the named kind for one router."""
    match strategy:
        case LoadBalanceStrategy.ROUND_ROBIN:
            return RoundRobin()
        case LoadBalanceStrategy.LEAST_CONNECTIONS:
            return LeastConnections()
        case LoadBalanceStrategy.LEAST_LATENCY:
            return LeastLatency(health, clock)
        case LoadBalanceStrategy.WEIGHTED_RANDOM:
            return WeightedRandom(rng)
        case LoadBalanceStrategy.CONSISTENT_HASH:
            return ConsistentHash()
