"""Whom faults strike: nodes, shares of them, groups, and the links between two ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from fedsim.world.faults.config import FaultConfig
from fedsim.world.nodes.base import Node


def named_nodes(fault: FaultConfig, nodes: Sequence[Node], regions: Sequence[str]) -> list[Node]:
    """Return the nodes of the region, pool or pools that a fault names, or its one node.

    Args:
        fault: The fault.
        nodes: All nodes.
        regions: Names of all regions by code.
    """
    return [
        node
        for node in nodes
        if fault.node == node.name
        or fault.pool == node.pool.name
        or fault.region == regions[node.region]
        or node.pool.name in fault.pools
    ]


def share_of(nodes: Sequence[Node], share: float, rng: np.random.Generator) -> list[Node]:
    """Return a random share of *nodes*, rounded, at least one of them, in their own order."""
    count = max(1, round(share * len(nodes)))
    chosen = sorted(rng.permutation(len(nodes))[:count].tolist())
    return [nodes[index] for index in chosen]


def groups_of(nodes: Sequence[Node], size: int | None) -> list[list[Node]]:
    """Return groups of *size* consecutive nodes, the last one of the rest; None for one group."""
    step = size or max(len(nodes), 1)
    return [list(nodes[start : start + step]) for start in range(0, len(nodes), step)]


def struck_links(
    ends: tuple[str, str],
    one_way: bool,
    nodes: Sequence[Node],
    regions: Sequence[str],
    gateways: Sequence[str],
) -> Iterator[tuple[int, int, bool, bool]]:
    """Yield each gateway and node between which messages are struck, and in which directions.

    Args:
        ends: The two ends, each a region, gateway, pool or node.
        one_way: Whether only messages from the first end to the second are struck.
        nodes: All nodes.
        regions: Names of all regions by code.
        gateways: Names of all gateways by code.

    Yields:
        Code of the gateway, code of the node, whether requests are struck, whether answers are.
    """
    for gateway, name in enumerate(gateways):
        places = {name, name.rpartition("/")[0]}
        for node in nodes:
            around = {node.name, node.pool.name, regions[node.region]}
            out = ends[0] in places and ends[1] in around
            back = ends[0] in around and ends[1] in places
            if out or back:
                yield gateway, node.code, out or not one_way, back or not one_way
