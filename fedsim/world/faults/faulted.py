"""A node that goes through several states while one fault strikes it, each of them reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedsim.world.faults.kind import Report

if TYPE_CHECKING:
    from fedsim.world.nodes.base import Node

UP, DOWN, DRAINING = "up", "down", "draining"


class FaultedNode:
    """What one cause does to one node, reported for the node itself."""

    def __init__(self, report: Report, node: Node) -> None:
        self._report = report
        self.node = node
        self._cause = object()
        self._state = UP
        self._drains = False
        self._machine: int | None = None

    def _is_there(self) -> bool:
        """Return whether the machine stands there that is struck; one that is absent never is."""
        node = self.node
        if self._state == UP:
            self._machine = node.machine if node.present else None
        return self._machine == node.machine

    def drain(self) -> None:
        """Have it refuse new requests."""
        if not self._is_there():
            return
        self._drains = True
        self.node.set_draining(self._cause, True)
        self._enter(DRAINING)

    def stop(self) -> None:
        """Take it down."""
        if not self._is_there():
            return
        self.node.take_down(self._cause)
        self._enter(DOWN)

    def start(self) -> None:
        """Bring it up, and let it take requests again if it refused them."""
        if self._state == UP:
            return
        self.node.bring_up(self._cause)
        if self._drains:
            self._drains = False
            self.node.set_draining(self._cause, False)
        self._enter(UP)

    def _enter(self, state: str) -> None:
        self._report(self.node.name, self._state, state)
        self._state = state
