"""Strategies that go by turns."""

from __future__ import annotations

from fedsim.federation.contracts import InferenceRequest
from fedsim.federation.fleet import Fleet
from fedsim.federation.strategies.base import Candidates


class RoundRobin:
    """Each eligible node in turn.

    Rule: per gateway and set of eligible nodes a place in the ring of all nodes goes round,
    beginning anywhere; a retry, which leaves nodes out, takes the next turn of the same ring. Cost:
    O(log n), 0.15 us. Example: nodes a, b, c give b, c, a, b, ...; when b is not eligible any more,
    c, a, c, a. Failure: a node that fails fast gets its full share of requests until health or
    breaker exclude it. Source: Envoy main, commit 0d2acde2e8d7: round robin, whose index also goes
    on over changes of the set and begins at random.
    """

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the node whose turn it is."""
        return candidates.next()
