"""Envoy's weighted and load-aware choice of a region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import exp, inf

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import HealthState, InferenceRequest, RegionId
from fedsim.federation.fleet import Fleet
from fedsim.federation.health import NodeRecord
from fedsim.federation.runtime import Random
from fedsim.federation.scopes import Scope, scope_of
from fedsim.federation.strategies.base import Candidates
from fedsim.federation.strategies.least import LeastInFlight
from fedsim.federation.strategies.priorities import EnvoyPrioritySettings, Levels
from fedsim.federation.strategies.schedules import Schedule
from fedsim.federation.strategies.sets import (
    Members,
    PerSet,
    Sets,
    by_region,
    pick,
)


def effective_weight(
    weight: float, eligible: int, total: int, overprovisioning: int = 140
) -> float:
    """Return the weight of a region of which *eligible* of *total* nodes are there, in percent.

    As in Envoy, the percentage that is left of the weight is rounded down.

    Args:
        weight: Its weight when all are there.
        eligible: Nodes that may be chosen.
        total: All its nodes, >= 1.
        overprovisioning: What the region is taken to be able to carry, in percent of what it does.
    """
    return weight * min(100, overprovisioning * eligible // total)


class _Regions:
    """The regions of one part of a level, with a schedule of their turns."""

    def __init__(self, parts: list[Candidates], weights: list[float], rng: Random) -> None:
        self._parts = parts
        places = [place for place, weight in enumerate(weights) if weight]
        self._schedule = Schedule(places, weights.__getitem__, rng)

    def next(self) -> Candidates:
        """Return the nodes of the region whose turn it is."""
        return self._parts[self._schedule.pick()]


class EnvoyLocalityWeighted:
    """Regions by weight, less where many of their nodes are missing.

    Rule: of the nodes of the priority level that ``envoy_priority`` would draw, a region's weight
    is the sum of its nodes' weights (pools.<name>.weight), times min(100, 140 x eligible / all) %.
    Regions take turns in proportion, the earliest deadline first, beginning at a random place of
    the cycle; within one as ``least_connections``. A level in panic looks at no region, and there
    is panic with federation.panic alone. Cost: O(regions) and as envoy_priority. Example: weights 1
    and 2: the first gets 33 % while 70 % or more of its nodes are there, 32 % at 69, 26 % at 50, 15
    % at 25, nothing at 0. Failure: up to 29 % of a region's nodes can be missing before others
    help; those that are left carry the load. Source: Envoy main, commit 7924be2c83c1: locality
    weighted load balancing.
    """

    def __init__(self, context: GatewayContext) -> None:
        self._rng = context.rng
        self._least = LeastInFlight(context.rng)
        self._levels = Levels(context.rng, EnvoyPrioritySettings(panic_threshold=0.0))
        self.panicking = self._levels.panicking
        self._sets = Sets(context.rng)
        self._members = Members()
        self._regions: PerSet[dict[Scope, _Regions]] = PerSet(lambda _, __: {})

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the least loaded node of the region whose turn it is."""
        part = self._levels.draw(fleet, candidates, request)
        if part.panic:
            return self._least.choose(fleet, part.nodes)
        known = self._regions.of(fleet, part.nodes)
        scope = scope_of(request)
        regions = known.get(scope)
        if regions is None:
            regions = known[scope] = self._plan(fleet, part.nodes, request)
        return self._least.choose(fleet, regions.next())

    def _plan(self, fleet: Fleet, nodes: Candidates, request: InferenceRequest) -> _Regions:
        """Return the regions of nodes of one level, with their weights as of now."""
        level = fleet.deployments[nodes.positions[0]].priority
        groups = by_region(fleet, nodes.positions)
        everywhere = by_region(
            fleet,
            [
                position
                for position in self._members.of(fleet, request)
                if fleet.deployments[position].priority == level
            ],
        )
        weights = [
            effective_weight(
                sum(fleet.deployments[member].weight for member in everywhere[region]),
                len(positions),
                len(everywhere[region]),
            )
            for region, positions in groups.items()
        ]
        parts = [self._sets.of(positions) for positions in groups.values()]
        return _Regions(parts, weights, self._rng)


@dataclass(frozen=True, slots=True)
class EnvoyLoadAwareLocalitySettings:
    """How load is measured, and when requests leave the region.

    Attributes:
        variance_threshold: How much busier the own region may be than the others before requests
            leave it, as a share of the GPUs' time, 0 to 1.
        probe_floor: Share of the requests that always goes to other regions, 0 to 1.
        tick_s: How often shares are worked out, in seconds.
        smoothing_s: Time over which utilisation is smoothed, in seconds.
        stale_after_s: Age from which a node's telemetry is not believed any more, in seconds.
    """

    variance_threshold: float = 0.1
    probe_floor: float = 0.03
    tick_s: float = 1.0
    smoothing_s: float = 5.0
    stale_after_s: float = 180.0

    def __post_init__(self) -> None:
        for name in ("variance_threshold", "probe_floor"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                msg = f"{name} is a share: use 0 to 1"
                raise ValueError(msg)
        for name in ("tick_s", "smoothing_s", "stale_after_s"):
            if getattr(self, name) <= 0.0:
                msg = f"{name.removesuffix('_s')} must be above 0: use 1s, for instance"
                raise ValueError(msg)


def load_aware_shares(
    nodes: Sequence[int],
    utilization: Sequence[float],
    own: int | None,
    settings: EnvoyLoadAwareLocalitySettings,
) -> list[float]:
    """Return each region's share of a gateway's requests.

    Args:
        nodes: Eligible nodes of each region, >= 1.
        utilization: Mean utilisation of each, 0 to 1; 0 where nothing is known.
        own: Index of the gateway's region, or None where it has no eligible nodes.
        settings: Threshold and floor.
    """
    room = [count * max(0.0, 1.0 - used) for count, used in zip(nodes, utilization, strict=True)]
    if not any(room):
        return [count / sum(nodes) for count in nodes]
    total = sum(room)
    shares = [part / total for part in room]
    away = sum(nodes) - (nodes[own] if own is not None else 0)
    if own is None or not away:
        return shares
    busy = sum(count * used for count, used in zip(nodes, utilization, strict=True))
    mean = (busy - nodes[own] * utilization[own]) / away
    if room[own] > 0.0 and utilization[own] <= mean + settings.variance_threshold:
        shares = [float(index == own) for index in range(len(nodes))]
    lacking = settings.probe_floor - (1.0 - shares[own])
    if lacking <= 0.0:
        return shares
    shares = [share + lacking * count / away for share, count in zip(shares, nodes, strict=True)]
    shares[own] = 1.0 - settings.probe_floor
    return shares


class _Load:
    """The smoothed utilisation of each region by nodes of one capability, worked out each tick."""

    __slots__ = ("_at_s", "_settings", "by_region", "due_s")

    def __init__(self, settings: EnvoyLoadAwareLocalitySettings) -> None:
        self._settings = settings
        self._at_s = 0.0
        self.due_s = -inf
        self.by_region: dict[RegionId, float] = {}

    def refresh(self, fleet: Fleet, members: Sequence[int], now_s: float) -> None:
        """Take over what the nodes' last probes said."""
        settings = self._settings
        keep = exp((self._at_s - now_s) / settings.smoothing_s)
        oldest_s = now_s - settings.stale_after_s
        before, self.by_region = self.by_region, {}
        for region, positions in by_region(fleet, members).items():
            found = [
                used
                for position in positions
                if (used := _utilization(fleet.records[position], oldest_s)) is not None
            ]
            if found:
                mean = sum(found) / len(found)
                last = before.get(region, mean)
                self.by_region[region] = mean + (last - mean) * keep
        self._at_s = now_s
        self.due_s = now_s + settings.tick_s


def _utilization(record: NodeRecord | None, oldest_s: float) -> float | None:
    """Return what a node that is not unhealthy said since *oldest_s*, or None."""
    if record is None or record.telemetry_s < oldest_s or record.status is HealthState.UNHEALTHY:
        return None
    return record.gpu_utilization


class _Spread:
    """The regions of a set of nodes, and their shares as of a tick."""

    __slots__ = ("as_of_s", "cumulative", "nodes", "own", "parts", "regions")

    def __init__(self, groups: dict[RegionId, list[int]], region: RegionId, rng: Random) -> None:
        self.regions = list(groups)
        self.parts = [Candidates.drawn(tuple(positions), rng) for positions in groups.values()]
        self.nodes = [len(positions) for positions in groups.values()]
        self.own = self.regions.index(region) if region in groups else None
        self.as_of_s = -inf
        self.cumulative: list[float] = []


class EnvoyLoadAwareLocality:
    """The own region until it is busier than the others, then regions by their free capacity.

    Rule: each tick, a region's utilisation is the mean of what its nodes' last probes said
    (gpu_utilization), smoothed over smoothing (first value as it is). While the own region's is
    below 100 % and at most that of all other nodes plus variance_threshold, its requests stay, but
    for the probe_floor that is spread over the others by their nodes. Else a region's share is in
    proportion to nodes x (1 - utilisation), nodes where nothing is known of it, and by nodes alone
    where all are at 100 %. Within a region as ``least_connections``. Cost: as least_connections and
    O(n) a tick. Example: ten nodes each, the own region at 70 %, others at 30 and 40 %: 70 > 35 +
    10, so 3 / 16, 7 / 16 and 6 / 16 or 19, 44 and 37 %. Failure: telemetry is as old as the last
    probe, so that a health interval well above the tick makes regions swing; nodes that die leave
    the mean when health says so. Nodes without a GPU report no utilisation, and a fleet of such
    never spills over. Source: Envoy main, commit 02717d7c9884: load_aware_locality, an extension in
    the making.
    """

    def __init__(self, context: GatewayContext, settings: EnvoyLoadAwareLocalitySettings) -> None:
        self._region = context.region
        self._clock = context.clock
        self._rng = context.rng
        self._least = LeastInFlight(context.rng)
        self._settings = settings
        self._members = Members()
        self._loads: dict[Scope, _Load] = {}
        self._spreads: PerSet[dict[Scope, _Spread]] = PerSet(lambda _, __: {})

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the least loaded node of the region that is drawn."""
        scope = scope_of(request)
        load = self._loads.get(scope)
        if load is None:
            load = self._loads[scope] = _Load(self._settings)
        now_s = self._clock.now()
        if now_s >= load.due_s:
            load.refresh(fleet, self._members.of(fleet, request), now_s)
        known = self._spreads.of(fleet, candidates)
        spread = known.get(scope)
        if spread is None:
            groups = by_region(fleet, candidates.positions)
            spread = known[scope] = _Spread(groups, self._region, self._rng)
        if spread.as_of_s != load.due_s:
            spread.as_of_s = load.due_s
            used = [load.by_region.get(region, 0.0) for region in spread.regions]
            shares = load_aware_shares(spread.nodes, used, spread.own, self._settings)
            spread.cumulative = list(accumulate(shares))
        if len(spread.parts) == 1:
            return self._least.choose(fleet, spread.parts[0])
        return self._least.choose(fleet, spread.parts[pick(spread.cumulative, self._rng)])
