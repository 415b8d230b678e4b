"""An estimate of what is in the prefix caches of nodes, from what a gateway sent them."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from itertools import islice, takewhile

from fedsim.federation.contracts import InferenceRequest, NodeId

CAPACITY_BLOCKS = 31_250
"""Blocks that are remembered of each node by default.

The Kubernetes Gateway API Inference Extension remembers as many (``lruCapacityPerServer``); in
blocks of 16 tokens that is a cache of 500,000.
"""


class PrefixIndex:
    """For each node, the blocks of prompts that this gateway sent it most lately.

    It is an estimate: other gateways send to the same nodes, a cache may be smaller or larger than
    assumed, and a node that restarts loses its own. Requests without blocks leave it as it is.

    Because a block's hash covers all that comes before it too, and the end of a prompt is
    forgotten before its beginning, a node that has a block of a prompt has all that precede it.

    Args:
        capacity_blocks: Blocks to remember of each node, >= 1; those sent longest ago are
            forgotten, of one prompt the last first.

    Raises:
        ValueError: *capacity_blocks* is below 1.
    """

    def __init__(self, capacity_blocks: int = CAPACITY_BLOCKS) -> None:
        if capacity_blocks < 1:
            msg = f"a prefix index needs room for a block, not for {capacity_blocks}"
            raise ValueError(msg)
        self._capacity_blocks = capacity_blocks
        self._nodes: dict[NodeId, dict[int, None]] = {}

    def sent(self, node_id: NodeId, request: InferenceRequest) -> None:
        """Record that *request* was sent to a node; costs about 0.1 us a block."""
        known = self._nodes.setdefault(node_id, {})
        for block in reversed(request.blocks[: self._capacity_blocks]):
            known.pop(block, None)
            known[block] = None
        for block in list(islice(known, max(len(known) - self._capacity_blocks, 0))):
            del known[block]

    def hit_tokens(self, node_id: NodeId, request: InferenceRequest) -> int:
        """Return how many tokens of the prompt are thought to be in the node's cache.

        Whole blocks are counted, so that it may be too many by less than one block where all of a
        prompt is known, the last block of which may be a shorter one. Costs a look-up a block.
        """
        known = self._nodes.get(node_id)
        if known is None:
            return 0
        hits = sum(1 for _ in takewhile(known.__contains__, request.blocks))
        return hits * request.block_tokens

    def matches(self, request: InferenceRequest) -> Mapping[NodeId, int]:
        """Return how many blocks of the prompt each node has, of the nodes that have any.

        Costs a few look-ups a node where nodes have as much of it as the one before, as of a shared
        system prompt, else one for each doubling of the prompt's length: 0.3 to 1 us a node.
        """
        blocks = request.blocks
        if not blocks:
            return {}
        first, depth = blocks[0], 0
        found: dict[NodeId, int] = {}
        for node_id, known in self._nodes.items():
            if first in known:
                depth = found[node_id] = depth_of(known, blocks, depth)
        return found

    def size_blocks(self, node_id: NodeId) -> int:
        """Return how many blocks are remembered of a node."""
        return len(self._nodes.get(node_id, ()))


def depth_of(known: Container[int], blocks: Sequence[int], guess: int = 0) -> int:
    """Return how many of *blocks* from the first on are *known*, by bisection.

    Where a block is known all that precede it must be, as it is where a block's hash covers all
    that comes before it too.

    Args:
        known: The blocks that are known.
        blocks: The blocks of a prompt.
        guess: What it may be, 0 to their number; costs two look-ups where it is right.
    """
    low, high = 0, len(blocks)
    if guess == high or blocks[guess] not in known:
        if not guess or blocks[guess - 1] in known:
            return guess
        high = guess - 1
    else:
        low = guess + 1
    while low < high:
        middle = (low + high) // 2
        if blocks[middle] in known:
            low = middle + 1
        else:
            high = middle
    return low
