"""Which kind of node a pool has."""

from __future__ import annotations

from fedsim.kernel.environment import Environment
from fedsim.kernel.streams import Streams
from fedsim.world.nodes.base import Node, NodeWatcher
from fedsim.world.nodes.batches import BatchNode
from fedsim.world.nodes.config import PoolConfig
from fedsim.world.nodes.engine import EngineNode
from fedsim.world.nodes.slots import SlotNode


def build_node(
    env: Environment,
    code: int,
    name: str,
    region: int,
    pool: PoolConfig,
    streams: Streams,
    watcher: NodeWatcher,
) -> Node:
    """Return a node of a pool; see `Node` for the arguments."""
    kind: type[Node]
    if pool.engine is not None:
        kind = EngineNode
    elif pool.batching is not None:
        kind = BatchNode
    else:
        kind = SlotNode
    return kind(env, code, name, region, pool, streams, watcher)
