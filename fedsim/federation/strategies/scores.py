"""Strategies that go by the policies' scores."""

from __future__ import annotations

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import InferenceRequest
from fedsim.federation.fleet import Fleet
from fedsim.federation.strategies.base import Candidates


class WeightedRandom:
    """At random, in proportion to the policies' score; evenly where there are no policies.

    Rule: P(node) = its score / sum of scores. Cost: O(n) scores. Example: scores 0.6, 0.3, 0.1
    give 60 %, 30 % and 10 % of the requests; a negative score counts as 0. Failure: a
    node that fails keeps its share until health or breaker exclude it.
    """

    def __init__(self, context: GatewayContext) -> None:
        self._rng = context.rng

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
