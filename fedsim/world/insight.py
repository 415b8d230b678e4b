"""The truth about nodes, which no real gateway knows, and the reports of idle ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fedsim.federation.contracts import NodeId
from fedsim.kernel.environment import Environment
from fedsim.kernel.streams import Streams
from fedsim.world.network import Network
from fedsim.world.nodes.base import Node


class IdleReports:
    """Carries the report of a node that has become idle to one gateway, drawn at random.

    Nodes report nothing before somebody asks for it; then all that are idle do.

    Args:
        env: The environment.
        nodes: All nodes.
        network: The network; a report takes the median time of one leg.
        streams: Random streams of the run.
    """

    def __init__(
        self, env: Environment, nodes: Sequence[Node], network: Network, streams: Streams
    ) -> None:
        self._env = env
        self._nodes = nodes
        self._network = network
        self._streams = streams
        self._listeners: list[tuple[int, Callable[[NodeId], None]]] = []

    def listen(self, region: int, report: Callable[[NodeId], None]) -> None:
        """Have *report* called, for a gateway in a region by its code, with nodes that are idle."""
        if not self._listeners:
            self._rng = self._streams.python_random("world/idle_reports")
            for node in self._nodes:
                node.report_idle(self._tell)
            self._env.call_soon(lambda _: self._tell_all())
        self._listeners.append((region, report))

    def _tell_all(self) -> None:
        for node in self._nodes:
            node.note_idle()

    def _tell(self, node: Node) -> None:
        listener = int(self._rng.random() * len(self._listeners))
        region, report = self._listeners[listener]
        leg_s = self._network.median_leg_s(node.region, region)
        self._env.call_at(self._env.now + leg_s, lambda _: report(node.node_id))


class NodeInsight:
    """The federation's ``Insight`` into simulated nodes, for one gateway.

    Args:
        nodes: All nodes by id.
        idle: Carries the reports of idle nodes.
        region: Code of the gateway's region.
    """

    def __init__(self, nodes: Mapping[NodeId, Node], idle: IdleReports, region: int) -> None:
        self._nodes = nodes
        self._idle = idle
        self._region = region

    def depth(self, node_id: NodeId) -> int:
        """Return how many requests the node has in service and waiting at this moment."""
        node = self._nodes[node_id]
        return node.running + node.queued

    def on_idle(self, report: Callable[[NodeId], None]) -> None:
        """Have *report* called with a node that has become idle and reports here."""
        self._idle.listen(self._region, report)
