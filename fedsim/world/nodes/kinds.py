"""The nodes of pools, each of the kind that its pool has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fedsim.world.nodes.base import Node, NodeIdentity, NodeSurroundings
from fedsim.world.nodes.batches import BatchNode
from fedsim.world.nodes.config import PoolConfig
from fedsim.world.nodes.engine import EngineNode
from fedsim.world.nodes.slots import SlotNode


def build_nodes(
    pools: Sequence[PoolConfig], regions: Mapping[str, int], surroundings: NodeSurroundings
) -> list[Node]:
    """Return the nodes of all pools, in their order, each of the kind that its pool has.

    Args:
        pools: The pools.
        regions: The code of each region by its name.
        surroundings: What the nodes have of the world.
    """
    nodes: list[Node] = []
    for pool in pools:
        kind = _kind(pool)
        for number in range(pool.size):
            name = f"{pool.name}-{number}"
            identity = NodeIdentity(len(nodes), name, regions[pool.region], pool)
            node = kind(identity, surroundings)
            if number >= pool.count:
                node.leave()
            nodes.append(node)
    return nodes


def _kind(pool: PoolConfig) -> type[Node]:
    if pool.engine is not None:
        return EngineNode
    return SlotNode if pool.batching is None else BatchNode
