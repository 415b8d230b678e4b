"""The truth about nodes, which no real gateway knows."""

from __future__ import annotations

from collections.abc import Mapping

from fedsim.federation.contracts import NodeId
from fedsim.world.nodes.base import Node


class NodeInsight:
    """The federation's ``Insight`` into simulated nodes."""

    def __init__(self, nodes: Mapping[NodeId, Node]) -> None:
        self._nodes = nodes

    def depth(self, node_id: NodeId) -> int:
        """Return how many requests the node has in service and waiting at this moment."""
        node = self._nodes[node_id]
        return node.running + node.queued
