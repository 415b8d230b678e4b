"""The box of fleets to choose from, with what each costs and which quotas it exceeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fedsim.studies.plan.cases import Case

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

MOST_POINTS = 200_000
"""The largest box."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The pools under one combination of chosen values that are no counts, such as a strategy.

    Attributes:
        changes: The chosen values, by dotted path.
        cost: The price of a node of each pool, in US dollars per hour; NaN where not known.
        slots: Requests in service at once on a node of each.
        gpus: GPUs of a node of each pool, by their name.
        kinds: What tells the nodes of each pool from others: equal ones are equal nodes.
        may_serve: Whether a pool may serve a stream; a row per stream.
        ordered: Whether more of equal nodes never hurt: the strategy goes by no tenant or prompt.
        tied: Whether the strategy ties requests to single nodes by tenant or prompt.
        sizes: The slots of a node of each pool whose slots are chosen; 0 of others.
        group: What tells the choice from others that differ in more than ``sizes``.
        floors: The fewest nodes that the scaler of each pool leaves; -1 of pools whose nodes stay.
    """

    changes: Mapping[str, Any]
    cost: Floats
    slots: Counts
    gpus: Mapping[str, Counts]
    kinds: tuple[str, ...]
    may_serve: NDArray[np.bool_]
    ordered: bool = True
    tied: bool = False
    sizes: tuple[int, ...] = ()
    group: str = ""
    floors: tuple[int, ...] = ()

    @property
    def scaled(self) -> bool:
        """Whether a scaler changes the number of nodes of some pool."""
        return any(floor >= 0 for floor in self.floors)


@dataclass(frozen=True, slots=True)
class Point:
    """A fleet: a choice, and the nodes of each pool."""

    choice: int
    counts: tuple[int, ...]


class Box:
    """All fleets to choose from, in the order in which they are looked at.

    That is by what is minimized, then by cost, by the number of nodes, and then in the order of the
    file.

    Args:
        pools: The names of the pools.
        regions: The region of each.
        streams: The names of the streams.
        levels: How many nodes each pool may have, in ascending order.
        choices: The combinations of other values.
        minimize: What is to be as low as it can be.
        limits: The most that a fleet may have, by name.

    Attributes:
        choice: The choice of each point.
        counts: The nodes of each pool, a row per point.
        objective: What is minimized, of each point; of one with scaled pools the least that it can
            come to.
        cost: Its cost in US dollars per hour.
    """

    def __init__(
        self,
        pools: Sequence[str],
        regions: Sequence[str],
        streams: Sequence[str],
        levels: Sequence[Sequence[int]],
        choices: Sequence[Choice],
        minimize: Literal["cost", "nodes", "slots"] = "cost",
        limits: Mapping[str, float] | None = None,
    ) -> None:
        self.pools = tuple(pools)
        self.regions = tuple(regions)
        self.streams = tuple(streams)
        self.levels = tuple(tuple(each) for each in levels)
        self.choices = tuple(choices)
        self.minimize = minimize
        self.limits = dict(limits or {})
        grid = np.array(np.meshgrid(*self.levels, indexing="ij"), dtype=np.int64)
        fleets = grid.reshape(len(self.pools), -1).T
        self.choice = np.repeat(np.arange(len(self.choices)), len(fleets))
        self.counts = np.tile(fleets, (len(self.choices), 1))
        cost, objective = self._amount("cost"), self._least(minimize)
        nodes = self.counts.sum(axis=1)
        keys = (np.arange(len(nodes)), nodes, np.nan_to_num(cost).round(9), objective.round(9))
        order = np.lexsort(keys)
        self.choice, self.counts = self.choice[order], self.counts[order]
        self.cost, self.objective = cost[order], objective[order]

    def __len__(self) -> int:
        return len(self.counts)

    def point(self, place: int) -> Point:
        """Return the fleet at a place of the order."""
        return Point(int(self.choice[place]), tuple(self.counts[place].tolist()))

    @cached_property
    def _places(self) -> dict[Point, int]:
        return {self.point(place): place for place in range(len(self))}

    def place(self, point: Point) -> int | None:
        """Return the place of a fleet, or None where it is not in the box."""
        return self._places.get(point)

    def next(self, point: Point, pool: int, step: Literal[-1, 1]) -> Point | None:
        """Return the fleet with the next lower or higher number of nodes of a pool, or None."""
        levels = self.levels[pool]
        at = levels.index(point.counts[pool]) + step
        if not 0 <= at < len(levels):
            return None
        counts = list(point.counts)
        counts[pool] = levels[at]
        return Point(point.choice, tuple(counts))

    @property
    def scaled(self) -> bool:
        """Whether a scaler changes the number of nodes of some point."""
        return any(choice.scaled for choice in self.choices)

    @property
    def varied(self) -> list[int]:
        """The numbers of the pools whose count may be chosen."""
        return [pool for pool, levels in enumerate(self.levels) if len(levels) > 1]

    def top(self, choice: int) -> Point:
        """Return the largest fleet of a choice."""
        return Point(choice, tuple(levels[-1] for levels in self.levels))

    @property
    def groups(self) -> list[list[int]]:
        """The numbers of the choices that differ in their sizes alone, the largest one last."""
        found: dict[str, list[int]] = {}
        for number, choice in enumerate(self.choices):
            found.setdefault(choice.group, []).append(number)
        return [
            sorted(numbers, key=lambda number: sum(self.choices[number].sizes))
            for numbers in found.values()
        ]

    def quotas(self) -> dict[str, tuple[Floats, float]]:
        """Return what each point has of what is limited, and the limit, by name."""
        return {name: (self._amount(name), limit) for name, limit in self.limits.items()}

    def unserved(self, case: Case) -> NDArray[np.int64]:
        """Return the first stream that no node may serve in a case, of each point; -1 for none."""
        there = self.counts > 0
        for pool, region in enumerate(self.regions):
            if region in (case.region, case.lost):
                there[:, pool] = False
            elif case.pool == pool:
                there[:, pool] = self.counts[:, pool] > 1
        # A point without nodes in the region has nothing to lose.
        if case.lost:
            owned = [pool for pool, region in enumerate(self.regions) if region == case.lost]
            none = ~(self.counts[:, owned] > 0).any(axis=1)
            there[none] = self.counts[none] > 0
        found = np.full(len(self), -1)
        for number, choice in enumerate(self.choices):
            rows = self.choice == number
            able = choice.may_serve.T.astype(np.int64)
            served = there[rows].astype(np.int64) @ able > 0
            first = np.argmin(served, axis=1)
            found[rows] = np.where(served.all(axis=1), -1, first)
        return found

    def per_node(self, name: str, choice: int) -> Floats:
        """Return what a node of each pool has of something that is limited or minimized."""
        words, facts = name.split("."), self.choices[choice]
        if name == "cost":
            return facts.cost
        if name == "slots":
            return facts.slots.astype(float)
        if words[0] == "gpus":
            none = np.zeros(len(self.pools), dtype=np.int64)
            return facts.gpus.get(".".join(words[1:]), none).astype(float)
        region = ".".join(words[1:-1])
        return np.array([float(name == "nodes" or each == region) for each in self.regions])

    def _least(self, name: str) -> Floats:
        """Return the least that each point can come to, whatever its scalers do."""
        none = (-1,) * len(self.pools)
        floors = np.array([each.floors or none for each in self.choices])[self.choice]
        fewest = np.where(floors >= 0, np.minimum(self.counts, floors), self.counts)
        each = [self.per_node(name, number) for number in range(len(self.choices))]
        return self._summed(each, self.choice, fewest)

    def _amount(self, name: str) -> Floats:
        """Return what each point has of something."""
        each = [self.per_node(name, number) for number in range(len(self.choices))]
        return self._summed(each, self.choice, self.counts)

    @staticmethod
    def _summed(each: Sequence[NDArray[Any]], choice: Counts, counts: Counts) -> Floats:
        """Return the sum of what nodes have, of each point; NaN only where it has such nodes."""
        of_node = np.array(each, dtype=float)[choice]
        total: Floats = np.where(counts > 0, of_node * counts, 0.0).sum(axis=1)
        return total
