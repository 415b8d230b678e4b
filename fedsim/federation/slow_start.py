"""Slow start: a node that has recovered gets its share of requests little by little."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fedsim.federation.contracts import NodeId
from fedsim.federation.fleet import Fleet
from fedsim.federation.runtime import Clock, Random
from fedsim.federation.settings import Positive, PositiveSeconds, Share
from fedsim.federation.strategies.base import REMEMBERED, Candidates


@dataclass(frozen=True, slots=True)
class SlowStartConfig:
    """Settings of the slow start of nodes that have recovered.

    Attributes:
        window_s: Length of a slow start, in seconds.
        aggression: 1 grows linearly with time; more grows faster at first.
        min: Least factor of a node's weight, which it has at first.
    """

    window_s: PositiveSeconds = 30.0
    aggression: Positive = 1.0
    min: Share = 0.1


_LEAST_AGE_S = 0.001

_MOST_OWED = 2.0
"""Decisions that a node may have saved up; a strategy that did not want it cannot make up later."""


@dataclass(slots=True)
class _Group:
    """Nodes among which one that is in slow start gets the share of its scaled weight.

    Attributes:
        weight: Weight of those that are not in slow start.
        starting: Positions of those that are.
    """

    weight: float = 0.0
    starting: list[int] = field(default_factory=list)


class _Groups:
    """A set of candidates as slow start sees it.

    Attributes:
        candidates: The set, kept so that its ``id`` stays its own.
        whole: All its nodes.
        pools: The nodes of each pool that has some in slow start and some that are not.
        alone: Positions of the nodes in slow start that are in none of these pools.
        others: Positions of all nodes that are not in slow start.
    """

    __slots__ = ("alone", "candidates", "others", "pools", "whole")

    def __init__(self, fleet: Fleet, candidates: Candidates, starting: set[int]) -> None:
        self.candidates = candidates
        self.whole = _Group()
        pools: dict[str, _Group] = {}
        others = []
        for position in candidates.positions:
            deployment = fleet.deployments[position]
            for group in (self.whole, pools.setdefault(deployment.pool, _Group())):
                if position in starting:
                    group.starting.append(position)
                else:
                    group.weight += deployment.weight
            if position not in starting:
                others.append(position)
        self.others = tuple(others)
        self.pools = {
            pool: group for pool, group in pools.items() if group.weight and group.starting
        }
        joined = [position for group in self.pools.values() for position in group.starting]
        self.alone = [position for position in self.whole.starting if position not in joined]


class SlowStart:
    """Keeps which nodes are in slow start, and holds them to the share of a scaled weight.

    The weight of a node is scaled by f = max(min, (t / window) ** (1 / aggression)), where t is
    the time since the node recovered, 1 ms at least. With the defaults f is a tenth until 3 s, a
    half at 15 s, and 1 from 30 s on. The strategy chooses as ever, and a node in slow start is
    taken no more often than this weight gives: of n equal nodes, for f / (n - 1 + f) of the
    decisions. When it is chosen beyond that, the strategy chooses again among the nodes that are
    not in slow start, or are owed a decision where all are.

    The n nodes are those of the node's pool, of the decisions that go there, so that a strategy
    which prefers a region, a level or a price still does; where no other node of the pool is there
    for long, they are all candidates.

    Source: Envoy's slow start, which scales the weight of round robin and least request. For a
    strategy that goes by load, or by what nodes reported, (load + 1) / f would not do: a node that
    looks idle would still get everything until its next report, and of nodes with little load one
    at f gets nothing before others have 1 / f requests in flight.

    Attributes:
        since_s: Clock time in seconds at which each node in slow start recovered.
    """

    def __init__(self, clock: Clock, rng: Random, config: SlowStartConfig | None = None) -> None:
        self._clock = clock
        self._rng = rng
        self._config = config or SlowStartConfig()
        self.since_s: dict[NodeId, float] = {}
        self._owed: dict[NodeId, float] = {}
        self._version = -1
        self._known: dict[int, _Groups] = {}

    def recovered(self, node_id: NodeId) -> None:
        """Begin a node's slow start now; how soon it is owed a first decision is drawn."""
        self.since_s[node_id] = self._clock.now()
        self._owed[node_id] = self._rng.random()
        self._known.clear()

    def lost(self, node_id: NodeId) -> None:
        """End a node's slow start: it may not serve any more."""
        if node_id in self.since_s:
            self._end(node_id)

    def choose(
        self, fleet: Fleet, candidates: Candidates, select: Callable[[Candidates], int]
    ) -> int:
        """Return the position of a node of *candidates* for one decision.

        Args:
            fleet: The nodes.
            candidates: Those that may be chosen.
            select: The strategy's choice among some of them.
        """
        factors = self._factors(fleet)
        chosen = select(candidates)
        if not factors:
            return chosen
        groups = self._groups(fleet, candidates)
        owed, node_ids = self._owed, fleet.node_ids
        if chosen in factors and owed[node_ids[chosen]] < 1.0:
            left = groups.others or tuple(
                position for position in groups.whole.starting if owed[node_ids[position]] >= 1.0
            )
            if left:
                chosen = select(candidates.part(left))
        pool = groups.pools.get(fleet.deployments[chosen].pool)
        if pool is not None:
            self._owe(fleet, pool, pool.starting, factors)
        if groups.alone:
            self._owe(fleet, groups.whole, groups.alone, factors)
        if chosen in factors:
            owed[node_ids[chosen]] -= 1.0
        return chosen

    def _owe(
        self, fleet: Fleet, group: _Group, positions: list[int], factors: dict[int, float]
    ) -> None:
        """Owe *positions* their shares of one decision among the nodes of *group*."""
        deployments, owed = fleet.deployments, self._owed
        scaled = {
            position: deployments[position].weight * factors[position]
            for position in group.starting
        }
        total = group.weight + sum(scaled.values())
        for position in positions if total else ():
            node_id = fleet.node_ids[position]
            owed[node_id] = min(_MOST_OWED, owed[node_id] + scaled[position] / total)

    def _factors(self, fleet: Fleet) -> dict[int, float]:
        """Return the factor of each node in slow start, by position; some have ended theirs."""
        now_s, window_s = self._clock.now(), self._config.window_s
        ages_s = {node_id: now_s - since_s for node_id, since_s in self.since_s.items()}
        factors = {}
        for node_id, age_s in ages_s.items():
            if age_s >= window_s:
                self._end(node_id)
            elif node_id in fleet.positions:
                factors[fleet.positions[node_id]] = slow_start_share(self._config, age_s)
        return factors

    def _end(self, node_id: NodeId) -> None:
        del self.since_s[node_id], self._owed[node_id]
        self._known.clear()

    def _groups(self, fleet: Fleet, candidates: Candidates) -> _Groups:
        if self._version != fleet.version or len(self._known) >= REMEMBERED:
            self._version = fleet.version
            self._known.clear()
        groups = self._known.get(id(candidates))
        if groups is None:
            starting = {
                fleet.positions[node_id] for node_id in self.since_s if node_id in fleet.positions
            }
            groups = self._known[id(candidates)] = _Groups(fleet, candidates, starting)
        return groups


def slow_start_share(config: SlowStartConfig, age_s: float) -> float:
    """Return the factor of a node's weight *age_s* seconds after it recovered."""
    if age_s >= config.window_s:
        return 1.0
    progress = max(_LEAST_AGE_S, age_s) / config.window_s
    share: float = progress ** (1.0 / config.aggression)
    return max(config.min, share)
