"""Strategies that go by turns."""

from __future__ import annotations

from fedsim.federation.contracts import InferenceRequest
from fedsim.federation.fleet import Fleet
from fedsim.federation.strategies.base import Candidates


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
