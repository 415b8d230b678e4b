"""Envoy's priority levels: which share of the requests goes to which level of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import HealthState, InferenceRequest
from fedsim.federation.fleet import Fleet
from fedsim.federation.strategies.base import Candidates
from fedsim.federation.strategies.sets import Members, Sets, least_in_flight, pick


@dataclass(frozen=True, slots=True)
class EnvoyPrioritySettings:
    """When a lower level helps.

    Attributes:
        overprovisioning: What the nodes of a level are taken to be able to carry, in percent of
            what they do when all are there, >= 100.
        panic_threshold: Percentage of a level's nodes below which healthy and degraded ones are
            treated alike, 0 to 100; 0 for never.
    """

    overprovisioning: int = 140
    panic_threshold: float = 50.0

    def __post_init__(self) -> None:
        if self.overprovisioning < 100:
            msg = "overprovisioning is below 100 percent: use 100 or more"
            raise ValueError(msg)
        if not 0.0 <= self.panic_threshold <= 100.0:
            msg = "panic_threshold is a percentage: use 0 to 100"
            raise ValueError(msg)


def health_of(available: int, total: int, overprovisioning: int = 140) -> int:
    """Return the health of a level in percent, rounded down.

    Args:
        available: Its nodes that are healthy, or degraded.
        total: All its nodes; of none the health is 0.
        overprovisioning: As in `EnvoyPrioritySettings`.
    """
    return min(100, overprovisioning * available // total) if total else 0


def loads(healthy: Sequence[int], degraded: Sequence[int]) -> tuple[list[int], list[int]]:
    """Return the percentage of requests for each level's healthy and degraded nodes.

    Args:
        healthy: Health of each level by its healthy nodes, in percent.
        degraded: The same by its degraded nodes.

    Returns:
        Percentages for healthy nodes of each level and for degraded ones, of sum 100; all 0 where
        nothing is available.
    """
    parts = [*healthy, *degraded]
    whole = min(100, sum(parts))
    left, shares = 100, [0] * len(parts)
    if whole:
        for index, part in enumerate(parts):
            shares[index] = min(left, part * 100 // whole)
            left -= shares[index]
        shares[next(index for index, part in enumerate(parts) if part)] += left
    return shares[: len(healthy)], shares[len(healthy) :]


class _Level:
    """The nodes of one priority, as they are now."""

    __slots__ = ("degraded", "healthy", "total")

    def __init__(self) -> None:
        self.total = 0
        self.healthy: list[int] = []
        self.degraded: list[int] = []

    @property
    def eligible(self) -> list[int]:
        """Positions of all nodes that may be chosen, ascending."""
        return sorted((*self.healthy, *self.degraded))


class EnvoyPriority:
    """The first priority level as long as enough of it is there, then the next as well.

    Rule: levels are pools.<name>.priority, 0 first. A level's health is min(100, 140 x healthy
    nodes / all) %, and the same for its degraded nodes. If all of these make 100 or more, the
    healthy nodes of the first level get as many percent of the requests as its health is, the next
    what is left, then the degraded ones; if they make less, all are scaled up. A level of which
    fewer than panic_threshold percent are there treats healthy and degraded nodes alike, unless all
    levels make 100 together; if all are in panic, the levels share by their sizes. Within a level
    the fewest in flight, in turn. Cost: O(n), about 0.2 us a node. Example: three levels with
    health 10, 20, 10 and degraded 20, 10, 0 make 70; their healthy nodes get 16, 28, 14 % and their
    degraded ones 28, 14, 0 %. Failure: up to 28 % of a level can be missing before the next helps;
    only eligible nodes are ever chosen, so that real panic is the router's. Source: Envoy, priority
    levels, overprovisioning factor, panic threshold.
    """

    def __init__(self, context: GatewayContext, settings: EnvoyPrioritySettings) -> None:
        self._rng = context.rng
        self._settings = settings
        self._members = Members()
        self._sets = Sets()
        self._plans: dict[tuple[object, ...], tuple[list[int], list[Candidates]]] = {}

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the least loaded node of the level that is drawn."""
        records = fleet.records
        degraded = tuple(
            position
            for position in candidates.positions
            if (record := records[position]) is not None and record.status is HealthState.DEGRADED
        )
        members = self._members.of(fleet, request)
        key = (fleet.version, members, candidates.positions, degraded)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= 1024:
                self._plans.clear()
            plan = self._plans[key] = self._plan(fleet, members, candidates, degraded)
        cumulative, parts = plan
        part = parts[pick(cumulative, self._rng)] if len(parts) > 1 else parts[0]
        return least_in_flight(fleet, part)

    def _plan(
        self,
        fleet: Fleet,
        members: tuple[int, ...],
        candidates: Candidates,
        degraded: tuple[int, ...],
    ) -> tuple[list[int], list[Candidates]]:
        """Return the parts of the candidates that get requests, and their shares summed up."""
        numbers = sorted({fleet.deployments[position].priority for position in members})
        levels = {number: _Level() for number in numbers}
        for position in members:
            levels[fleet.deployments[position].priority].total += 1
        for position in candidates.positions:
            level = levels[fleet.deployments[position].priority]
            (level.degraded if position in degraded else level.healthy).append(position)
        shares = self._shares(list(levels.values()))
        used = [(share, part) for share, part in shares if share and part]
        used = used or [(1, list(candidates.positions))]  # too few of many to make one percent
        parts = [self._sets.of(part) for _, part in used]
        return list(accumulate(share for share, _ in used)), parts

    def _shares(self, levels: list[_Level]) -> list[tuple[int, list[int]]]:
        """Return the percentage of requests for parts of the nodes, with these nodes."""
        factor = self._settings.overprovisioning
        healthy = [health_of(len(level.healthy), level.total, factor) for level in levels]
        degraded = [health_of(len(level.degraded), level.total, factor) for level in levels]
        panics = [False] * len(levels)
        if sum(healthy) + sum(degraded) < 100:
            panics = [
                100.0 * len(level.eligible) < self._settings.panic_threshold * level.total
                for level in levels
            ]
        if all(panics):
            return [(level.total, level.eligible) for level in levels]
        to_healthy, to_degraded = loads(healthy, degraded)
        found: list[tuple[int, list[int]]] = []
        for level, panic, first, second in zip(
            levels, panics, to_healthy, to_degraded, strict=True
        ):
            if panic:
                found.append((first + second, level.eligible))
            else:
                found += [(first, level.healthy), (second, level.degraded)]
        return found
