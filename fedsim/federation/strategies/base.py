"""What every strategy is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Protocol

from fedsim.federation.contracts import InferenceRequest
from fedsim.federation.fleet import Fleet


class Candidates:
    """A set of nodes that a strategy may choose from; a router has one object for each such set.

    Attributes:
        positions: Positions of the eligible nodes in the router's list of nodes, ascending.
        turn: Index into *positions* of the node whose turn is next, for the strategy's use.
        gather: Takes a list over all nodes, and returns its entries for the eligible ones.
    """

    __slots__ = ("_members", "gather", "positions", "turn")

    def __init__(self, positions: tuple[int, ...]) -> None:
        self.positions = positions
        self.turn = 0
        self.gather: Callable[[Sequence[int]], Sequence[int]] = (
            itemgetter(*positions) if len(positions) > 1 else self._gather_few
        )
        self._members: frozenset[int] | None = None

    def __contains__(self, position: int) -> bool:
        """Return whether the node at *position* may be chosen."""
        if self._members is None:
            self._members = frozenset(self.positions)
        return position in self._members

    def take_turn(self, values: Sequence[float], best: float) -> int:
        """Return the position of the next node whose value is *best*, in turn."""
        try:
            index = values.index(best, self.turn)
        except ValueError:
            index = values.index(best)
        self.turn = (index + 1) % len(self.positions)
        return self.positions[index]

    def _gather_few(self, values: Sequence[int]) -> Sequence[int]:
        return [values[position] for position in self.positions]


class Strategy(Protocol):
    """Chooses a node. A class of one's own is built as ``Class(context)`` or ``Class()``.

    Beyond ``select`` it may have ``on_start(target, request)``, called when an attempt is about to
    be sent, and ``on_complete(target, request, outcome, latency_s)``, called when it has ended in
    ``ok``, the kind of an error, or ``cancelled``.
    """

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the position of the chosen node, one of ``candidates.positions``."""
        ...
