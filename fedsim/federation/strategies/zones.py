"""Envoy's zone aware routing: as much stays in the own region as its nodes reach for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import InferenceRequest
from fedsim.federation.fleet import Fleet
from fedsim.federation.scopes import scope_of
from fedsim.federation.strategies.base import Candidates
from fedsim.federation.strategies.least import LeastInFlight
from fedsim.federation.strategies.sets import PerSet, by_region, pick

WHOLE = 10_000
"""The whole of which shares are whole numbers, as in Envoy."""


@dataclass(frozen=True, slots=True)
class EnvoyZoneAwareSettings:
    """When regions are looked at.

    Attributes:
        min_cluster_size: Eligible nodes below which regions are not looked at, >= 1.
        routing_enabled: Share of the requests for which regions are looked at, 0 to 1.
    """

    min_cluster_size: int = 6
    routing_enabled: float = 1.0

    def __post_init__(self) -> None:
        if self.min_cluster_size < 1:
            msg = "min_cluster_size counts nodes: use 1 or more"
            raise ValueError(msg)
        if not 0.0 <= self.routing_enabled <= 1.0:
            msg = "routing_enabled is a share: use 0 to 1"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class ZonePlan:
    """How a gateway spreads its requests over regions.

    Attributes:
        local: Share of the requests that stay, in 1/10000.
        residuals: Room of each region for requests from elsewhere, summed up; empty where all
            requests stay.
    """

    local: int
    residuals: tuple[int, ...]


def zone_plan(
    gateways: Sequence[int], nodes: Sequence[int], own: int | None, whole: int = WHOLE
) -> ZonePlan:
    """Return how a gateway of the region *own* spreads its requests.

    Args:
        gateways: Share of the gateways in each region with nodes, in parts of *whole*.
        nodes: Share of the eligible nodes in each region, likewise.
        own: Index of the gateway's own region, where both shares are above 0; None where it has no
            eligible nodes.
        whole: The whole of which shares are parts.
    """
    if own is not None and nodes[own] >= gateways[own]:
        return ZonePlan(whole, ())
    room = (max(0, there - here) for here, there in zip(gateways, nodes, strict=True))
    local = 0 if own is None else nodes[own] * whole // gateways[own]
    return ZonePlan(local, tuple(accumulate(room)))


class EnvoyZoneAware:
    """The own region as far as its nodes reach, the rest to regions with room.

    Rule: a region has a share of the gateways and a share of the eligible nodes. Where its share of
    nodes is no less, all requests of its gateways stay; else the part nodes / gateways stays, and
    the rest is drawn by what each region's share of nodes exceeds its share of gateways. Of a
    region without eligible nodes nothing stays. It takes at least min_cluster_size eligible nodes,
    two regions with nodes, a gateway in the own region, and no panic; else regions do not matter.
    Within a region (or all) as ``least_connections``. Cost: O(n of the region), as that. Example:
    gateways 40, 40, 20 % and nodes 25, 50, 25 %: of the first region's requests 62.5 % stay, and
    the rest goes in the proportion 10 to 5 to the others. Gateways 4, 3, 3, 0 and nodes 1, 4, 0, 3:
    the third region's requests go in the proportion 2,000 to 3,750 to the second and the fourth,
    and every node gets an eighth of all. Failure: a region that loses nodes sends more away at
    once; nothing else is looked at, so that a region with more traffic than gateways is overloaded
    while others idle. Source: Envoy main, commit 0d2acde2e8d7: zone aware routing; local cluster =
    the federation's gateways. Releases before the runtime guard
    enable_zone_routing_different_zone_counts spread such a region's requests over all nodes.
    """

    def __init__(self, context: GatewayContext, settings: EnvoyZoneAwareSettings) -> None:
        self._region = context.region
        self._gateways = context.gateways
        self._rng = context.rng
        self._least = LeastInFlight(context.rng)
        self._settings = settings
        self._plans = PerSet(self._plan)

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the least loaded node of the region that is drawn."""
        found = self._plans.of(fleet, candidates)
        if found is None or (fleet.opened and fleet.opened.get(scope_of(request))):
            return self._least.choose(fleet, candidates)
        plan, regions, own = found
        enabled = self._settings.routing_enabled
        if enabled < 1.0 and self._rng.random() >= enabled:
            return self._least.choose(fleet, candidates)
        if own is not None and (plan.local >= WHOLE or self._rng.random() * WHOLE < plan.local):
            return self._least.choose(fleet, regions[own])
        if not plan.residuals[-1]:  # shares are rounded down, which may leave no room anywhere
            return self._least.choose(fleet, candidates)
        return self._least.choose(fleet, regions[pick(plan.residuals, self._rng)])

    def _plan(
        self, fleet: Fleet, candidates: Candidates
    ) -> tuple[ZonePlan, list[Candidates], int | None] | None:
        """Return the plan with the nodes of each region, or None where regions do not matter."""
        groups = by_region(fleet, candidates.positions)
        gateways = sum(self._gateways.values())
        total = len(candidates.positions)
        regions = list(groups)
        small = total < self._settings.min_cluster_size or len(groups) < 2
        if small or not self._gateways.get(self._region):
            return None
        here = [self._gateways.get(name, 0) * WHOLE // gateways for name in regions]
        there = [len(groups[name]) * WHOLE // total for name in regions]
        own = regions.index(self._region) if self._region in groups else None
        parts = [Candidates.drawn(tuple(groups[name]), self._rng) for name in regions]
        return zone_plan(here, there, own), parts, own
