"""The node with the fewest requests in flight for its weight, as other strategies choose within."""

from __future__ import annotations

from fedsim.federation.fleet import Fleet
from fedsim.federation.runtime import Random
from fedsim.federation.strategies.base import Candidates
from fedsim.federation.strategies.schedules import SmoothTurns
from fedsim.federation.strategies.sets import PerSet, least_in_flight


class LeastInFlight:
    """Chooses the node with the fewest requests in flight, divided by its weight.

    Equal nodes take turns, where weights differ smoothly in their proportion, as in NGINX's
    least_conn; so an idle fleet serves by weight as well.

    Args:
        rng: Draws where turns by weight begin.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._turns = PerSet(self._turns_of)

    def choose(self, fleet: Fleet, candidates: Candidates) -> int:
        """Return the position of the node."""
        turns = self._turns.of(fleet, candidates)
        if turns is None:
            return least_in_flight(fleet, candidates)
        loads = [
            fleet.in_flight[node] / fleet.deployments[node].weight for node in candidates.positions
        ]
        least = min(loads)
        places = [place for place, load in enumerate(loads) if load == least]
        return turns.pick(places) if len(places) > 1 else candidates.positions[places[0]]

    def _turns_of(self, fleet: Fleet, candidates: Candidates) -> SmoothTurns | None:
        """Return the turns of nodes whose weights differ, None for others."""
        deployments, positions = fleet.deployments, candidates.positions
        if len({deployments[node].weight for node in positions}) == 1:
            return None
        return SmoothTurns(positions, lambda node: deployments[node].weight, self._rng)
