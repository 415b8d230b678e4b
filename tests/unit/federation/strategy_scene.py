"""A strategy before nodes of which load, telemetry and caches are set by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from fedsim.federation.builder import FederationBuilder
from fedsim.federation.catalog import Deployment
from fedsim.federation.contracts import (
    Capability,
    HealthState,
    InferenceRequest,
    NodeId,
    QoSRequirements,
    RegionId,
    RouteTarget,
)
from fedsim.federation.health import HealthChecker, NodeRecord
from fedsim.federation.router import Router
from fedsim.federation.runtime import Surroundings
from tests.unit.federation.stand_ins import (
    EAST,
    Dice,
    HandClock,
    Network,
    NoTasks,
    catalog_of,
    drive,
    sources,
)

BLOCK_TOKENS = 16


def prompt(*blocks: int, tenant: str | None = None, number: object = 1) -> InferenceRequest:
    """Return a request whose prompt has these blocks."""
    tokens = BLOCK_TOKENS if blocks else 0
    qos = QoSRequirements()
    return InferenceRequest(Capability.GENERATE, b"", qos, str(number), tenant, blocks, tokens)


class StrategyScene:
    """A router with the strategy of a name, in the region ``east``, on a hand clock."""

    def __init__(
        self,
        *nodes: Deployment | str,
        strategy: str,
        settings: Mapping[str, object] | None = None,
        rng: Any = None,
        gateways: Mapping[str, int] | None = None,
        policies: Any = (),
        panic: float | None = None,
    ) -> None:
        self.clock = HandClock()
        self.catalog = catalog_of(*nodes)
        self.rng = rng or Dice()
        builder = (
            FederationBuilder(catalog=self.catalog, policies=list(policies))
            .with_load_balance(strategy)
            .with_strategy_settings(settings or {})
            .with_panic(panic)
            .with_gateways({RegionId(name): count for name, count in (gateways or {}).items()})
        )
        self.prefixes = builder.prefixes
        gateway = builder.build(
            Surroundings(Network(self.clock), self.clock, NoTasks(), sources(self.rng), EAST)
        )
        assert isinstance(gateway.router, Router)
        assert isinstance(gateway.health, HealthChecker)
        self.router, self.health = gateway.router, gateway.health
        self.breaker = gateway.breaker

    def names(self) -> list[str]:
        """Return all nodes."""
        return list(map(str, self.router.fleet.node_ids))

    def load(self, **in_flight: int) -> None:
        """Set the requests in flight by node."""
        fleet = self.router.fleet
        for node, count in in_flight.items():
            fleet.in_flight[fleet.positions[NodeId(node)]] = count

    def tell(
        self,
        node: str,
        *,
        queue: int = 0,
        running: int | None = None,
        kv: float | None = None,
        used: float | None = None,
        at_s: float | None = None,
    ) -> None:
        """Set what a node's last probe said."""
        record = self.record(node)
        record.queue_depth, record.running = queue, running
        record.kv_usage, record.gpu_utilization = kv, used
        record.telemetry_s = self.clock.now_s if at_s is None else at_s

    def record(self, node: str) -> NodeRecord:
        """Return what the health checker knows of a node."""
        record = self.health.record(NodeId(node))
        assert record is not None
        return record

    def degrade(self, *nodes: str) -> None:
        """Make nodes degraded."""
        for node in nodes:
            self.health._move(self.record(node), HealthState.DEGRADED, "test")

    def lose(self, *nodes: str) -> None:
        """Make nodes unhealthy."""
        for node in nodes:
            self.health._move(self.record(node), HealthState.UNHEALTHY, "test")

    def cache(self, node: str, *blocks: int) -> None:
        """Let a node have been sent a prompt."""
        self.prefixes.sent(NodeId(node), prompt(*blocks))

    def start(self, node: str, request: InferenceRequest) -> RouteTarget:
        """Have a request in flight to a node."""
        target = RouteTarget(NodeId(node), EAST)
        self.router.on_start(target, request)
        return target

    def choose(self, request: InferenceRequest | None = None, *excluded: str) -> str:
        """Return the name of the chosen node."""
        request = request or prompt()
        names = [NodeId(name) for name in excluded]
        found = self.router.route_excluding(request, names) if names else self.router.route(request)
        return str(drive(found).node_id)

    def serve(self, request: InferenceRequest) -> str:
        """Have a request sent to the chosen node, and return its name."""
        node = self.choose(request)
        self.prefixes.sent(NodeId(node), request)
        self.start(node, request)
        return node

    def shares(self, count: int) -> dict[str, float]:
        """Return each region's share of many requests that take no time."""
        fleet = self.router.fleet
        chosen: Counter[str] = Counter()
        for _ in range(count):
            chosen[fleet.region_ids[fleet.positions[NodeId(self.choose())]]] += 1
        return {region: chosen[region] / count for region in sorted(chosen)}
