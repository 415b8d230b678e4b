"""Strategies that keep a tenant where it is, by a hash of its name."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from functools import lru_cache

from fedsim.federation.contracts import InferenceRequest, NodeId
from fedsim.federation.fleet import Fleet
from fedsim.federation.strategies.base import Candidates

POINTS_PER_NODE = 256
"""Points of a node on the hash ring; the spread of the shares is about 1/sqrt of it, 6 %."""

REMEMBERED_TENANTS = 65_536
"""Tenants whose place on the ring is remembered before all are dropped and found again."""


def hash64(text: str) -> int:
    """Return the 64-bit blake2b of *text*: the same in every process and on every machine."""
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
        start = self._place(fleet, request)
        positions, owners = candidates.positions, self._owners
        if len(positions) == len(fleet.node_ids):
            return owners[start]
        for step in range(len(owners)):
            owner = owners[(start + step) % len(owners)]
            if owner in candidates:
                return owner
        return positions[0]

    def _place(self, fleet: Fleet, request: InferenceRequest) -> int:
        """Return the index of the ring's first point clockwise of the tenant."""
        if self._version != fleet.version:
            self._version = fleet.version
            self._points, self._owners = hash_ring(tuple(fleet.node_ids))
            self._starts.clear()
        tenant = request.tenant_id
        key = request.request_id if tenant is None else tenant
        start = self._starts.get(key)
        if start is None:
            start = bisect_left(self._points, hash64(key)) % len(self._points)
            if tenant is not None:
                if len(self._starts) >= REMEMBERED_TENANTS:
                    self._starts.clear()
                self._starts[key] = start
        return start
