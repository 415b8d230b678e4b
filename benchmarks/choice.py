"""Least connections as a program without a federation has it: a count for each node."""

from __future__ import annotations


class LeastConnections:
    """The node with the fewest requests in flight, equal nodes in turn; one object a region.

    The rule, and so every choice, is the same as that of a fedsim gateway.

    Args:
        nodes: Number of nodes.
        turn: The node whose turn is first.
    """

    __slots__ = ("in_flight", "turn")

    def __init__(self, nodes: int, turn: int) -> None:
        self.in_flight = [0] * nodes
        self.turn = turn

    def select(self) -> int:
        """Return the next of the least loaded nodes, and count the request."""
        loads = self.in_flight
        best = min(loads)
        try:
            node = loads.index(best, self.turn)
        except ValueError:
            node = loads.index(best)
        self.turn = (node + 1) % len(loads)
        loads[node] += 1
        return node
