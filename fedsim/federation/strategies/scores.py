"""Strategies that go by the policies' scores."""

from __future__ import annotations

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import InferenceRequest
from fedsim.federation.fleet import Fleet
from fedsim.federation.strategies.base import Candidates


class WeightedRandom:
    """At random, in proportion to the policies' score; evenly where there are no policies.

    Rule: P(node) = its score / sum of scores. Cost: O(n) scores. Example: scores 0.6, 0.3, 0.1 give
    60 %, 30 % and 10 % of the requests; a negative score counts as 0. Failure: a node that fails
    keeps its share until health or breaker exclude it.
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


class BestScore:
    """The node with the policies' highest score; of equal ones the first.

    Rule: argmax of the score, in the order of the catalog. This is what a router does that ranks
    candidates and takes the head of the list. Cost: O(n) scores. Example: scores 0.83, 0.91, 0.91
    give the second node, each time, until a score changes. Failure: all requests go to one node
    until health or latency change its score, so that equal nodes are loaded one after the other; a
    node that fails is left when its health score falls, and one that was slow is not tried again
    as long as others score higher. Source: the federation crate whose traits
    fedsim follows does this under the names of four strategies.
    """

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the first of the nodes with the highest score."""
        scores = fleet.scores(candidates.positions, request)
        return candidates.positions[scores.index(max(scores))]
