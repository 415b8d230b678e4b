"""A gateway's health checker as plug-ins see it."""

from __future__ import annotations

from typing import Any

from fedsim.federation.contracts import NodeHealth, NodeId
from fedsim.federation.health import HealthChecker
from fedsim.kernel.foreign import run_kernel
from fedsim.world.world import Site


class PlugInHealth:
    """The health checker, with probes that asyncio code can await; all else is its own.

    Args:
        health: The gateway's health checker.
        site: Where the gateway is.

    Attributes:
        checker: The gateway's health checker itself.
    """

    def __init__(self, health: HealthChecker, site: Site) -> None:
        self.checker = self._health = health
        self._site = site
        self.get_cached_health = health.get_cached_health

    async def check_node(self, node_id: NodeId) -> NodeHealth:
        """Probe a node now; raises ``NodeUnreachable`` or ``Timeout`` when it does not answer."""
        probe = self._health.check_node(node_id)
        return await run_kernel(self._site.loop, self._site.tasks, probe, f"probe {node_id}")

    async def probe(self, node_id: NodeId) -> NodeHealth:
        """Ask a node for its telemetry, and report it to no other part; there is no deadline."""
        probe = self._site.transport.probe(node_id)
        return await run_kernel(self._site.loop, self._site.tasks, probe, f"probe {node_id}")

    async def start_monitoring(self, interval_s: float) -> None:
        """Start to probe all nodes every *interval_s* seconds in the background."""
        await self._health.start_monitoring(interval_s)

    async def stop_monitoring(self) -> None:
        """Stop the background probes."""
        await self._health.stop_monitoring()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._health, name)
