"""What strategies work out once for each set of candidates, and how they pick within a part."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from fedsim.federation.contracts import InferenceRequest, RegionId
from fedsim.federation.fleet import Fleet
from fedsim.federation.runtime import Random
from fedsim.federation.scopes import Scope, scope_of
from fedsim.federation.strategies.base import REMEMBERED, Candidates

T = TypeVar("T")


class PerSet(Generic[T]):
    """A value for each set of candidates, made when it is first asked for.

    Args:
        make: Makes the value; it may depend on the set and on what the catalog says of its nodes.
    """

    def __init__(self, make: Callable[[Fleet, Candidates], T]) -> None:
        self._make = make
        self._version = -1
        self._known: dict[int, tuple[Candidates, T]] = {}

    def of(self, fleet: Fleet, candidates: Candidates) -> T:
        """Return the value of *candidates*, a set of the router's."""
        if self._version != fleet.version or len(self._known) >= REMEMBERED:
            self._version = fleet.version
            self._known.clear()
        found = self._known.get(id(candidates))
        if found is None:  # the set is kept with its value, so that its id stays its own
            found = self._known[id(candidates)] = (candidates, self._make(fleet, candidates))
        return found[1]


class Members:
    """The nodes that serve a scope, whatever else stands against them."""

    def __init__(self) -> None:
        self._version = -1
        self._known: dict[Scope, tuple[int, ...]] = {}

    def of(self, fleet: Fleet, request: InferenceRequest) -> tuple[int, ...]:
        """Return the positions of the nodes that serve the scope of *request*."""
        if self._version != fleet.version:
            self._version = fleet.version
            self._known.clear()
        scope = scope_of(request)
        found = self._known.get(scope)
        if found is None:
            found = self._known[scope] = tuple(fleet.members(scope))
        return found


class Sets:
    """The object for each part of a set of nodes, in which the part's turn is kept.

    Args:
        rng: Draws where the turns of a new part begin.
    """

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._known: dict[tuple[int, ...], Candidates] = {}

    def of(self, positions: Sequence[int]) -> Candidates:
        """Return the one object for *positions*, which are ascending."""
        key = tuple(positions)
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            found = self._known[key] = Candidates.drawn(key, self._rng)
        return found


def least_in_flight(fleet: Fleet, candidates: Candidates) -> int:
    """Return the position of the node with the fewest requests in flight; equal ones take turns."""
    in_flight = fleet.in_flight
    everywhere = len(candidates.positions) == len(in_flight)
    loads = in_flight if everywhere else candidates.gather(in_flight)
    return candidates.take_turn(loads, min(loads))


def by_region(fleet: Fleet, positions: Sequence[int]) -> dict[RegionId, list[int]]:
    """Return *positions* by region, regions in the order of their first node."""
    regions: dict[RegionId, list[int]] = {}
    for position in positions:
        regions.setdefault(fleet.region_ids[position], []).append(position)
    return regions


def pick(cumulative: Sequence[float], rng: Random) -> int:
    """Return an index at random, in proportion to the steps of *cumulative*."""
    mark = rng.random() * cumulative[-1]
    return bisect_right(cumulative, mark)
