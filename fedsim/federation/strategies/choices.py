"""Strategies that draw a few nodes and take the better one, and the draw of a single one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import InferenceRequest
from fedsim.federation.fleet import Fleet
from fedsim.federation.runtime import Random
from fedsim.federation.strategies.base import Candidates


class RandomChoice:
    """A node at random, all alike.

    Rule: each eligible node with the same probability. Cost: O(1), 0.2 us. Example: of four nodes
    each gets 25 % of the requests, give or take: a node's share of 100 requests is 25 +- 4.3.
    Failure: a node that fails keeps its share until health or breaker exclude it. Knows nothing, so
    nothing that it knows is stale: what a strategy has to beat. Source: ``random`` of Envoy main as
    of late 2026.
    """

    def __init__(self, context: GatewayContext) -> None:
        self._rng = context.rng

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return any node."""
        return any_of(candidates.positions, self._rng)


@dataclass(frozen=True, slots=True)
class PowerOfTwoSettings:
    """How nodes are drawn.

    Attributes:
        choices: Nodes drawn for each request, 1 or more.
        replacement: Whether one node may be drawn several times for a request.
    """

    choices: int = 2
    replacement: bool = False

    def __post_init__(self) -> None:
        if self.choices < 1:
            msg = "choices is below 1: use 1 or more, 2 for the power of two"
            raise ValueError(msg)


class PowerOfTwo:
    """The better of two nodes drawn at random, by requests in flight.

    Rule: draws ``choices`` different nodes and takes the one with the fewest of this gateway's
    requests in flight; of equals, the one drawn first. Cost: O(choices), 0.5 us. Example: with two
    nodes it always takes the less busy one; with replacement it takes the busier one in 25 % of
    the draws. With many nodes at 90 % load, requests spend 2.61 service times in the system, where
    a random choice makes it 10. Failure: a node that fails fast looks idle in every draw, but gets
    no more than the draws that it is in: 2/n of the requests. Source: M. Mitzenmacher, The Power of
    Two Choices in Randomized Load Balancing, 2001.
    """

    def __init__(self, context: GatewayContext, settings: PowerOfTwoSettings | None = None) -> None:
        settings = settings or PowerOfTwoSettings()
        self._rng = context.rng
        self._choices = settings.choices
        self._replacement = settings.replacement

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the least busy of the nodes drawn."""
        positions, in_flight = candidates.positions, fleet.in_flight
        drawn = draw(self._rng, len(positions), self._choices, self._replacement)
        best = positions[drawn[0]]
        for index in drawn[1:]:
            if in_flight[positions[index]] < in_flight[best]:
                best = positions[index]
        return best


def any_of(nodes: Sequence[int], rng: Random) -> int:
    """Return one of *nodes* at random."""
    return nodes[int(rng.random() * len(nodes))]


def draw(rng: Random, count: int, choices: int, replacement: bool = False) -> list[int]:
    """Return *choices* indices below *count* at random, different ones unless with replacement.

    Where there are fewer than so many different ones, all are returned, in a random order.
    """
    if replacement:
        return [int(rng.random() * count) for _ in range(choices)]
    if choices == 2 and count > 1:
        first = int(rng.random() * count)
        second = int(rng.random() * (count - 1))
        return [first, second + (second >= first)]
    drawn: list[int] = []
    for taken in range(min(choices, count)):
        index = int(rng.random() * (count - taken))
        for earlier in sorted(drawn):
            index += index >= earlier
        drawn.append(index)
    return drawn
