"""Strategies that go by weights: earliest deadline first, as Envoy schedules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heapify, heapreplace

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import InferenceRequest
from fedsim.federation.fleet import Fleet
from fedsim.federation.runtime import Random
from fedsim.federation.strategies.base import Candidates
from fedsim.federation.strategies.choices import any_of, draw
from fedsim.federation.strategies.sets import PerSet


class Schedule:
    """Whose turn it is among nodes with weights, the earliest deadline first.

    A node that has been picked is due again 1/weight later, in virtual time; of nodes that are due
    at once, the one that was added first. It begins at a random place, so that gateways which
    begin together do not march in step.

    Args:
        positions: The nodes.
        weight: Gives a node's weight, > 0, whenever it is added again.
        rng: Draws where to begin.
    """

    def __init__(
        self, positions: tuple[int, ...], weight: Callable[[int], float], rng: Random
    ) -> None:
        self._weight = weight
        self._added = len(positions)
        self._due = [(1.0 / weight(node), order, node) for order, node in enumerate(positions)]
        heapify(self._due)
        for _ in range(int(rng.random() * len(positions))):
            self.pick()

    def pick(self) -> int:
        """Return the node whose turn it is, and add it again."""
        due, _, node = self._due[0]
        heapreplace(self._due, (due + 1.0 / self._weight(node), self._added, node))
        self._added += 1
        return node


class SmoothWeightedRoundRobin:
    """Each node in turn, more often the more weight it has, evenly spread.

    Rule: earliest deadline first; a node is due again 1/weight after its last turn. Weights come
    from the catalog (``pools.<name>.weight``), all equal where none is given. Cost: O(log n), 0.6
    us. Example: weights a 2, b 1 give a, b, a, a, b, a, ...: two thirds and one third, and never
    more than two in a row. Failure: a node that fails keeps its share until health or breaker
    exclude it; then the others keep theirs to each other. Source: Envoy's EDF scheduler.
    """

    def __init__(self, context: GatewayContext) -> None:
        rng = context.rng
        self._schedules = PerSet(
            lambda fleet, candidates: Schedule(
                candidates.positions, lambda node: fleet.deployments[node].weight, rng
            )
        )

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the node whose turn it is."""
        return self._schedules.of(fleet, candidates).pick()


@dataclass(frozen=True, slots=True)
class EnvoyLeastRequestSettings:
    """Envoy's settings of its least-request load balancer, with its defaults.

    Attributes:
        choices: Nodes drawn for each request, with replacement, 2 or more.
        full_scan: Whether to look at all nodes instead, and draw among the least busy ones.
        active_request_bias: How much requests in flight count against a node's weight, 0 or more;
            0 is weighted round robin.
    """

    choices: int = 2
    full_scan: bool = False
    active_request_bias: float = 1.0

    def __post_init__(self) -> None:
        if self.choices < 2:
            msg = "choices is below 2: use 2 or more"
            raise ValueError(msg)
        if self.active_request_bias < 0.0:
            msg = "active_request_bias is negative: use 0 or more"
            raise ValueError(msg)


class EnvoyLeastRequest:
    """Envoy's least request: the better of some draws, or a schedule by weight over load.

    Rule: where all weights are equal, ``choices`` draws with replacement, and the node with
    strictly fewer requests in flight; of equals, the one drawn first. With unequal weights,
    earliest deadline first with the weight ``weight / (in flight + 1) ** active_request_bias``,
    worked out when a node is added again. Cost: O(choices) or O(log n), 0.6 us. Example: of two
    nodes the busier one is taken in 25 % of the draws, since both draws may fall on it. Failure: a
    node that fails fast looks idle; with weights, one that was busy when it was last picked waits
    for its turn, and a busy node is never left alone for good. Source: Envoy, least request load
    balancer.
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
        """Return the schedule of nodes with unequal weights, None for equal ones."""
        deployments, bias = fleet.deployments, self._settings.active_request_bias
        if len({deployments[node].weight for node in candidates.positions}) == 1:
            return None

        def weight(node: int) -> float:
            share: float = deployments[node].weight / (fleet.in_flight[node] + 1) ** bias
            return share

        return Schedule(candidates.positions, weight, self._rng)
