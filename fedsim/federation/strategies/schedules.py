"""Strategies that go by weights: Envoy's earliest deadline first, and NGINX's smooth turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace
from typing import ClassVar

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import InferenceRequest
from fedsim.federation.fleet import Fleet
from fedsim.federation.runtime import Random
from fedsim.federation.strategies.base import Candidates
from fedsim.federation.strategies.choices import any_of, draw
from fedsim.federation.strategies.sets import PerSet

STARTS = 2**24
"""Among so many turns a schedule's first one is drawn; more than the longest cycle in use."""


def _drawn_start(weights: Sequence[float], rng: Random) -> tuple[list[int], int]:
    """Return how often each of some nodes has been picked at least by a turn drawn at random.

    Returns:
        For each node its share of the turns so far by its weight, rounded down, and how many of
        these turns that leaves, less than there are nodes: these have to be played.
    """
    turns, total = int(rng.random() * STARTS), sum(weights)
    picked = [int(turns * weight / total) for weight in weights]
    return picked, turns - sum(picked)


class Schedule:
    """Whose turn it is among nodes with weights, the earliest deadline first.

    A node that has been picked is due again 1/weight later, in virtual time; of nodes that are due
    at once, the one that was added first. It begins at a random place of its whole cycle, so that
    the first picks of many schedules are in proportion to the weights.

    Args:
        positions: The nodes.
        weight: Gives a node's weight, > 0, whenever it is added again.
        rng: Draws where to begin.
    """

    def __init__(
        self, positions: Sequence[int], weight: Callable[[int], float], rng: Random
    ) -> None:
        self._weight = weight
        self._added = len(positions)
        weights = [weight(node) for node in positions]
        picked, left = _drawn_start(weights, rng)
        # Of nodes due at once the one goes first that was picked, and so added, the longest ago.
        added = sorted(range(len(picked)), key=lambda place: picked[place] / weights[place])
        self._due = [
            ((picked[place] + 1) / weights[place], order, positions[place])
            for order, place in enumerate(added)
        ]
        heapify(self._due)
        # Turns at a weight are counted, not added up, so that nodes due at once by their weights
        # are so to the last bit: when that began, how many, and the weight.
        self._turns = {
            node: (0.0, count + 1, each)
            for node, count, each in zip(positions, picked, weights, strict=True)
        }
        for _ in range(left):
            self.pick()

    def pick(self) -> int:
        """Return the node whose turn it is, and add it again."""
        due, _, node = self._due[0]
        weight = self._weight(node)
        since, count, before = self._turns[node]
        if weight != before:
            since, count = due, 0
        self._turns[node] = since, count + 1, weight
        heapreplace(self._due, (since + (count + 1) / weight, self._added, node))
        self._added += 1
        return node


class SmoothTurns:
    """Whose turn it is among nodes with weights, smoothly.

    In each turn every node is owed its weight more; the one that is owed most is picked, the first
    of equals, and owes the sum of all weights. It begins at a random place of its whole cycle.

    Args:
        positions: The nodes.
        weight: Gives a node's weight, > 0, at each turn.
        rng: Draws where to begin.
    """

    def __init__(
        self, positions: Sequence[int], weight: Callable[[int], float], rng: Random
    ) -> None:
        self._positions = positions
        self._weight = weight
        weights = [weight(node) for node in positions]
        total = sum(weights)
        picked, left = _drawn_start(weights, rng)
        self._owed = [
            sum(picked) * each - count * total for each, count in zip(weights, picked, strict=True)
        ]
        settling = len(positions) if any(picked) else 0
        for _ in range(left + settling):  # shares rounded down are not quite its own: n turns mend
            self.pick()

    def pick(self, places: Sequence[int] | None = None) -> int:
        """Return the node whose turn it is, of those at *places* among the positions, or of all."""
        if places is None:
            places = range(len(self._positions))
        owed, total = self._owed, 0.0
        for place in places:
            weight = self._weight(self._positions[place])
            owed[place] += weight
            total += weight
        best = max(places, key=owed.__getitem__)
        owed[best] -= total
        return self._positions[best]


class _ByWeight:
    """Each node in turn by the weights of the catalog.

    Attributes:
        turns: Makes the turns of a set of nodes, from their positions, a weight for each, and
            randomness for where to begin.
    """

    turns: ClassVar[type[Schedule] | type[SmoothTurns]]

    def __init__(self, context: GatewayContext) -> None:
        rng = context.rng
        self._turns: PerSet[Schedule | SmoothTurns] = PerSet(
            lambda fleet, candidates: self.turns(
                candidates.positions, lambda node: fleet.deployments[node].weight, rng
            )
        )

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the node whose turn it is."""
        return self._turns.of(fleet, candidates).pick()


class EnvoyWeightedRoundRobin(_ByWeight):
    """Each node in turn, more often the more weight it has, the earliest deadline first.

    Rule: a node is due again 1/weight after its last turn; of those due at once, the one that was
    added first. Weights come from the catalog (``pools.<name>.weight``), all equal where none is
    given. A gateway begins at a random place of the cycle, drawn for each set of eligible nodes.
    Cost: O(log n), 0.6 us, and O(n) for a new set. Example: weights a 2, b 1 give a, b, a, a, b, a,
    ...: two thirds and one third, and never more than two in a row; the first requests of 100
    gateways as well. Weights 5, 1, 1 give a, a, a, a, b, c, a. Failure: a node that fails keeps its
    share until health or breaker exclude it; then the others keep theirs to each other. Source:
    Envoy main, commit 10f2a5bd8dae: EDF scheduler, round robin.
    """

    turns = Schedule


class SmoothWeightedRoundRobin(_ByWeight):
    """Each node in turn, more often the more weight it has, as evenly spread as can be.

    Rule: in each turn every node is owed its weight more; the node that is owed most gets the
    request, the first of equals, and owes the sum of all weights. Weights come from the catalog
    (``pools.<name>.weight``), all equal where none is given. A gateway begins at a random place of
    the cycle, drawn for each set of eligible nodes; NGINX begins at the first. Cost: O(n), about
    0.1 us a node, and O(n^2) for a new set. Example: weights a 5, b 1, c 1 give a, a, b, a, c, a,
    a.
    Failure: a node that fails keeps its share until health or breaker exclude it; then the others
    keep theirs to each other. NGINX itself lowers the weight of a server that fails. Source: NGINX
    since 1.3.1, commit 52327e0627f4: smooth weighted round robin.
    """

    turns = SmoothTurns


@dataclass(frozen=True, slots=True)
class EnvoyLeastRequestSettings:
    """Envoy's settings of its least-request load balancer, with its defaults.

    Attributes:
        choices: Nodes drawn for each request, with replacement, 2 or more.
        full_scan: Whether to look at all nodes instead, and draw among the least busy ones.
        active_request_bias: How much requests in flight count against a node's weight, 0 or more;
            0 is weighted round robin. Given, it has equal weights scheduled as well; not given, it
            is 1.
    """

    choices: int = 2
    full_scan: bool = False
    active_request_bias: float | None = None

    def __post_init__(self) -> None:
        if self.choices < 2:
            msg = "choices is below 2: use 2 or more"
            raise ValueError(msg)
        if self.active_request_bias is not None and self.active_request_bias < 0.0:
            msg = "active_request_bias is negative: use 0 or more"
            raise ValueError(msg)


class EnvoyLeastRequest:
    """Envoy's least request: the better of some draws, or a schedule by weight over load.

    Rule: where all weights are equal and no bias is given, ``choices`` draws with replacement, and
    the node with strictly fewer requests in flight; of equals, the one drawn first. With unequal
    weights, or where active_request_bias is given, earliest deadline first with the weight ``weight
    / (in flight + 1) ** active_request_bias``, worked out when a node is added again. Cost:
    O(choices) or O(log n), 0.6 us. Example: of two nodes the busier one is taken in 25 % of the
    draws, since both draws may fall on it; with a bias of 1, one request in flight on the first and
    none on the second, the second gets two thirds. Failure: a node that fails fast looks idle; with
    weights, one that was busy when it was last picked waits for its turn, and a busy node is never
    left alone for good. Source: Envoy main, commit 0a31a547fa09: least request; releases before the
    runtime guard least_request_lb_active_request_bias_forces_weighted draw whatever the bias.
    """

    def __init__(
        self, context: GatewayContext, settings: EnvoyLeastRequestSettings | None = None
    ) -> None:
        self._settings = settings or EnvoyLeastRequestSettings()
        self._rng = context.rng
        self._schedules = PerSet(self._schedule)

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the better of some nodes drawn, or the one whose turn it is."""
        schedule = self._schedules.of(fleet, candidates)
        if schedule is not None:
            return schedule.pick()
        positions, in_flight = candidates.positions, fleet.in_flight
        if self._settings.full_scan:
            least = min(in_flight[node] for node in positions)
            idlest = [node for node in positions if in_flight[node] == least]
            return any_of(idlest, self._rng)
        drawn = draw(self._rng, len(positions), self._settings.choices, replacement=True)
        return min((positions[index] for index in drawn), key=in_flight.__getitem__)

    def _schedule(self, fleet: Fleet, candidates: Candidates) -> Schedule | None:
        """Return the schedule of nodes with unequal weights or a bias, None for others."""
        deployments, bias = fleet.deployments, self._settings.active_request_bias
        if bias is None:
            if len({deployments[node].weight for node in candidates.positions}) == 1:
                return None
            bias = 1.0

        def weight(node: int) -> float:
            share: float = deployments[node].weight / (fleet.in_flight[node] + 1) ** bias
            return share

        return Schedule(candidates.positions, weight, self._rng)
