"""Strategies that keep a tenant where it is and bound, weigh or table what the ring does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, log

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import InferenceRequest, NodeId
from fedsim.federation.fleet import Fleet
from fedsim.federation.strategies.base import Candidates
from fedsim.federation.strategies.hashing import REMEMBERED_TENANTS, ConsistentHash, hash64

LARGEST_TABLE = 5_000_011
"""Largest table of Envoy's, a prime."""

REMEMBERED_PLACES = 4
"""The best nodes of a tenant that are remembered."""


@dataclass(frozen=True, slots=True)
class BoundedLoadHashSettings:
    """How uneven loads may be.

    Attributes:
        balance: Most requests in flight of a node, over the mean of all; above 1.
    """

    balance: float = 1.25

    def __post_init__(self) -> None:
        if not self.balance > 1.0:
            msg = "balance is not above 1: use for instance 1.25, for at most 25 % above the mean"
            raise ValueError(msg)


class BoundedLoadHash(ConsistentHash):
    """The tenant's node, unless it is full: then the next one on the ring that is not.

    Rule: with m requests of this gateway in flight on the n eligible nodes, each takes at most
    ``ceil(balance * (m + 1) / n)``; walks the ring of ``consistent_hash`` clockwise from the
    tenant to the first node below that. Cost: O(n) to count, and the walk; 0.5 us and 0.03 us a
    node. Example: balance 1.25, 4 nodes, 7 in flight: ceil(1.25 * 8 / 4) = 3 at most on each.
    Failure: as ``consistent_hash``; a tenant of a full node spills over to the same next node each
    time, so that its second home stays warm. Source: Mirrokni, Thorup and Zadimoghaddam, Consistent
    Hashing with Bounded Loads, 2016.
    """

    def __init__(
        self, context: GatewayContext, settings: BoundedLoadHashSettings | None = None
    ) -> None:
        super().__init__()
        self._balance = (settings or BoundedLoadHashSettings()).balance

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the first node clockwise of the tenant that has room."""
        start = self._place(fleet, request)
        in_flight, positions, owners = fleet.in_flight, candidates.positions, self._owners
        loads = sum(in_flight[node] for node in positions)
        most = ceil(self._balance * (loads + 1) / len(positions))
        for step in range(len(owners)):
            owner = owners[(start + step) % len(owners)]
            if owner in candidates and in_flight[owner] < most:
                return owner
        return positions[0]


@dataclass(frozen=True, slots=True)
class MaglevSettings:
    """The size of the table.

    Attributes:
        table_size: Places of the table, a prime up to 5,000,011; 100 times the nodes or more.
    """

    table_size: int = 65_537

    def __post_init__(self) -> None:
        size = self.table_size
        if not 2 <= size <= LARGEST_TABLE or any(
            size % divisor == 0 for divisor in range(2, int(size**0.5) + 1)
        ):
            msg = f"table_size {size} is not a prime up to {LARGEST_TABLE}: use for instance 65537"
            raise ValueError(msg)


class Maglev:
    """The node that the tenant's place in a table of fixed size names.

    Rule: a table of 65,537 places, which nodes fill in turn, each along a permutation of its own,
    as often as its weight says; a tenant's hash names its place. Where that node is not eligible,
    the next places are asked, which belong to the others at random. Cost: O(1), 0.4 us; 70 ms a
    node set to fill the table. Example: weights a 1, b 2 give 21,846 and 43,691 places. Failure:
    the tenants of an excluded node spread over all others evenly. Removing a node moves its own
    tenants and a few others. Source: Eisenbud et al., Maglev, NSDI 2016; weights as in Envoy main,
    commit 08417eb62f1e.
    """

    def __init__(self, context: GatewayContext, settings: MaglevSettings | None = None) -> None:
        self._size = (settings or MaglevSettings()).table_size
        self._version = -1
        self._table: tuple[int, ...] = ()

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the node at the tenant's place, or at the next place of an eligible node."""
        if self._version != fleet.version:
            self._version = fleet.version
            weights = tuple(deployment.weight for deployment in fleet.deployments)
            self._table = maglev_table(tuple(fleet.node_ids), weights, self._size)
        table = self._table
        place = hash64(key_of(request)) % self._size
        for step in range(self._size):
            node = table[(place + step) % self._size]
            if node in candidates:
                return node
        return candidates.positions[0]


@lru_cache(maxsize=8)
def maglev_table(
    node_ids: tuple[NodeId, ...], weights: tuple[float, ...], size: int
) -> tuple[int, ...]:
    """Return the position in *node_ids* of the node that each of *size* places names.

    In each round a node takes the next free place of its permutation, if the rounds so far times
    its weight have reached its target, which then grows by the largest weight.
    """
    largest = max(weights)
    order = sorted(range(len(node_ids)), key=node_ids.__getitem__)
    hashes = [hash64(node_ids[node]) for node in order]
    skips = [hash64(f"{node_ids[node]}#skip") % (size - 1) + 1 for node in order]
    places = [value % size for value in hashes]
    shares = [weights[node] / largest for node in order]
    targets = [0.0] * len(order)
    table = [-1] * size
    filled = rounds = 0
    while True:
        rounds += 1
        for index, node in enumerate(order):
            if rounds * shares[index] < targets[index]:
                continue
            targets[index] += 1.0
            place, skip = places[index], skips[index]
            while table[place] >= 0:
                place = (place + skip) % size
            table[place] = node
            places[index] = (place + skip) % size
            filled += 1
            if filled == size:
                return tuple(table)


class RendezvousHash:
    """The node with the highest of the scores that the tenant and each node's name make.

    Rule: each pair of tenant and node has a hash u in (0, 1); the node with the largest
    ``-weight / ln(u)`` is taken, of the eligible ones. Cost: O(n), 1 us a node, for a tenant's
    first request; then 0.3 us. Example: weights a 1, b 2 give a third and two thirds of the
    tenants. Failure: the tenants of an excluded node spread over the others by their weights, and
    no other tenant ever moves, without any ring or table. Source: Thaler and Ravishankar, 1998; the
    weights by J. Schindelhauer and G. Schomaker, 2005.
    """

    def __init__(self) -> None:
        self._version = -1
        self._best: dict[str, tuple[int, ...]] = {}

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the tenant's highest node."""
        if self._version != fleet.version or len(self._best) >= REMEMBERED_TENANTS:
            self._version = fleet.version
            self._best.clear()
        key = key_of(request)
        best = self._best.get(key)
        if best is None:
            ranked = sorted(range(len(fleet.node_ids)), key=lambda node: -_score(fleet, node, key))
            best = tuple(ranked[:REMEMBERED_PLACES])
            if request.tenant_id is not None:
                self._best[key] = best
        for node in best:
            if node in candidates:
                return node
        return max(candidates.positions, key=lambda node: _score(fleet, node, key))


def key_of(request: InferenceRequest) -> str:
    """Return what places a request: its tenant, or its own id where it has none."""
    return request.request_id if request.tenant_id is None else request.tenant_id


def _score(fleet: Fleet, node: int, key: str) -> float:
    uniform = (hash64(f"{fleet.node_ids[node]}|{key}") + 0.5) / 2.0**64
    return -fleet.deployments[node].weight / log(uniform)
