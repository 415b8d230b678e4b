"""Envoy's priority levels: which share of the requests goes to which level of nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import HealthState, InferenceRequest
from fedsim.federation.fleet import Fleet
from fedsim.federation.runtime import Random
from fedsim.federation.scopes import scope_of
from fedsim.federation.strategies.base import REMEMBERED, Candidates
from fedsim.federation.strategies.least import LeastInFlight
from fedsim.federation.strategies.sets import (
    Members,
    Sets,
    pick,
)


@dataclass(frozen=True, slots=True)
class EnvoyPrioritySettings:
    """When a lower level helps.

    Attributes:
        overprovisioning: What the nodes of a level are taken to be able to carry, in percent of
            what they do when all are there, >= 100.
        panic_threshold: Percentage of a level's nodes below which healthy and degraded ones are
            treated alike, 0 to 100; 0 for never. Where federation.panic is on, its threshold takes
            this one's place, and the level's unhealthy and ejected nodes are used as well.
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


def loads_in_panic(sizes: Sequence[int]) -> list[int]:
    """Return the percentage of requests for each level where all are in panic, of sum 100.

    Args:
        sizes: All nodes of each level, of sum 1 or more; the first level with nodes also gets what
            rounding down leaves.
    """
    total = sum(sizes)
    shares = [size * 100 // total for size in sizes]
    shares[next(index for index, size in enumerate(sizes) if size)] += 100 - sum(shares)
    return shares


@dataclass(slots=True)
class _Level:
    """The nodes of one priority, as they are now.

    Attributes:
        total: All its nodes.
        healthy: Those that are neither degraded nor unhealthy, of those that may be chosen.
        degraded: Those that are degraded, likewise.
        failing: Those that only panic lets be chosen.
        panic: Whether it uses them all alike.
    """

    total: int = 0
    healthy: list[int] = field(default_factory=list)
    degraded: list[int] = field(default_factory=list)
    failing: list[int] = field(default_factory=list)
    panic: bool = False

    @property
    def all(self) -> list[int]:
        """Positions of all its nodes that may be chosen, ascending."""
        return sorted((*self.healthy, *self.degraded, *self.failing))

    def add(self, fleet: Fleet, position: int, *, well: bool) -> None:
        """Add a node that may be chosen, healthy or only in panic."""
        if not well:
            self.failing.append(position)
        elif _is_degraded(fleet, position):
            self.degraded.append(position)
        else:
            self.healthy.append(position)


@dataclass(frozen=True, slots=True)
class Part:
    """Nodes of a level that are used alike.

    Attributes:
        nodes: They.
        panic: Whether they are all of a level in panic, which looks at nothing else.
    """

    nodes: Candidates
    panic: bool


class Levels:
    """Which part of which level a request goes to, as Envoy draws it.

    Args:
        rng: Draws the part.
        settings: When a lower level helps.
    """

    def __init__(self, rng: Random, settings: EnvoyPrioritySettings) -> None:
        self._rng = rng
        self._settings = settings
        self._members = Members()
        self._sets = Sets(rng)
        self._plans: dict[tuple[object, ...], tuple[list[int], list[Part]]] = {}

    def draw(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> Part:
        """Return the part of the candidates that *request* goes to."""
        positions = candidates.positions
        degraded = tuple([node for node in positions if _is_degraded(fleet, node)])
        members = self._members.of(fleet, request)
        opened = None
        if fleet.opened is not None:
            opened = fleet.opened.get(scope_of(request), frozenset())
        key = (fleet.version, members, positions, degraded, fleet.unusable, opened)
        plan = self._plans.get(key)
        if plan is None:
            if len(self._plans) >= REMEMBERED:
                self._plans.clear()
            plan = self._plans[key] = self._plan(fleet, members, positions, opened)
        cumulative, parts = plan
        return parts[pick(cumulative, self._rng)] if len(parts) > 1 else parts[0]

    def panicking(
        self, fleet: Fleet, members: Sequence[int], usable: Sequence[bool], threshold: float
    ) -> frozenset[int]:
        """Return the members whose level is in panic: ``Rule`` of panic mode, for the router.

        A level is in panic while fewer than *threshold* of its nodes are usable, unless the levels'
        health makes 100 or more together.
        """
        levels = _levels(fleet, members)
        for position, well in zip(members, usable, strict=True):
            levels[fleet.deployments[position].priority].add(fleet, position, well=well)
        if self._health(list(levels.values())) >= 100:
            return frozenset()
        return frozenset(
            position
            for position in members
            if _lacks(levels[fleet.deployments[position].priority], threshold)
        )

    def _plan(
        self,
        fleet: Fleet,
        members: tuple[int, ...],
        positions: tuple[int, ...],
        opened: frozenset[int] | None,
    ) -> tuple[list[int], list[Part]]:
        """Return the parts of the candidates that get requests, and their shares summed up."""
        by_number = _levels(fleet, members)
        levels = list(by_number.values())
        for position in positions:
            level = by_number[fleet.deployments[position].priority]
            level.add(fleet, position, well=position not in fleet.unusable)
        if opened is not None:
            for position in opened:
                by_number[fleet.deployments[position].priority].panic = True
        elif self._health(levels) < 100:
            for level in levels:
                level.panic = _lacks(level, self._settings.panic_threshold / 100.0)
        used = [
            (share, Part(self._sets.of(nodes), panic))
            for share, nodes, panic in self._shares(levels)
            if share and nodes
        ]
        if not used:  # too few of many to make one percent
            used = [(1, Part(self._sets.of(positions), True))]
        return list(accumulate(share for share, _ in used)), [part for _, part in used]

    def _shares(self, levels: list[_Level]) -> list[tuple[int, list[int], bool]]:
        """Return the percentage of requests for parts of the nodes, with these nodes."""
        if all(level.panic for level in levels):
            shares = loads_in_panic([level.total for level in levels])
            return [(share, each.all, True) for share, each in zip(shares, levels, strict=True)]
        found: list[tuple[int, list[int], bool]] = []
        for level, first, second in zip(levels, *loads(*self._healths(levels)), strict=True):
            if level.panic:
                found.append((first + second, level.all, True))
            else:
                found += [(first, level.healthy, False), (second, level.degraded, False)]
        return found

    def _healths(self, levels: list[_Level]) -> tuple[list[int], list[int]]:
        """Return the health of each level by its healthy nodes, and by its degraded ones."""
        factor = self._settings.overprovisioning
        return (
            [health_of(len(level.healthy), level.total, factor) for level in levels],
            [health_of(len(level.degraded), level.total, factor) for level in levels],
        )

    def _health(self, levels: list[_Level]) -> int:
        return sum(map(sum, self._healths(levels)))


def _levels(fleet: Fleet, members: Sequence[int]) -> dict[int, _Level]:
    """Return the levels of *members* by their numbers, ascending, each with its size."""
    numbers = [fleet.deployments[position].priority for position in members]
    levels = {number: _Level() for number in sorted(set(numbers))}
    for number in numbers:
        levels[number].total += 1
    return levels


def _lacks(level: _Level, threshold: float) -> bool:
    return len(level.healthy) + len(level.degraded) < threshold * level.total


def _is_degraded(fleet: Fleet, position: int) -> bool:
    record = fleet.records[position]
    return record is not None and record.status is HealthState.DEGRADED


class EnvoyPriority:
    """The first priority level as long as enough of it is there, then the next as well.

    Rule: levels are pools.<name>.priority, 0 first. A level's health is min(100, 140 x healthy
    nodes / all) %, and the same for its degraded nodes. If all of these make 100 or more, the
    healthy nodes of the first level get as many percent of the requests as its health is, the next
    what is left, then the degraded ones; if they make less, all are scaled up. Unless all levels
    make 100 together, a level of which fewer than the panic threshold are there is in panic: it
    uses healthy and degraded nodes alike, and with federation.panic, whose threshold then counts,
    its unhealthy and ejected ones as well; if all levels are in panic, they share by their sizes.
    Within a level as ``least_connections``. Cost: O(n), about 0.2 us a node. Example: three levels
    with health 10, 20, 10 and degraded 20, 10, 0 make 70; their healthy nodes get 16, 28, 14 % and
    their degraded ones 28, 14, 0 %. With none of 5, 2 of 6 and 1 of 3 nodes healthy, all are in
    panic and get 37, 42, 21 %. Failure: up to 28 % of a level can be missing before the next helps.
    Source: Envoy main, commit 247ad9167bb0: priority levels, overprovisioning factor, panic
    threshold.
    """

    def __init__(self, context: GatewayContext, settings: EnvoyPrioritySettings) -> None:
        self._least = LeastInFlight(context.rng)
        self._levels = Levels(context.rng, settings)
        self.panicking = self._levels.panicking

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the least loaded node of the level that is drawn."""
        return self._least.choose(fleet, self._levels.draw(fleet, candidates, request).nodes)
