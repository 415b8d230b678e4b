"""What every strategy is given, and what it gives back."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Protocol, Self

from fedsim.federation.contracts import InferenceRequest
from fedsim.federation.fleet import Fleet
from fedsim.federation.runtime import Random

REMEMBERED = 1024
"""Sets of nodes that are remembered before all are forgotten.

Turns are not lost with them: a set that is in use keeps its own, and a new one begins anywhere.
"""


class Turn:
    """Which node is next: a place in the ring of all nodes, kept when the eligible set changes.

    Attributes:
        place: Position of the node whose turn is next, or of one before it that is not eligible.
    """

    __slots__ = ("place",)

    def __init__(self, place: int) -> None:
        self.place = place


class Candidates:
    """A set of nodes that a strategy may choose from; a router has one object for each such set.

    Attributes:
        positions: Positions of the eligible nodes in the router's list of nodes, ascending.
        turn: Whose turn is next.
        gather: Takes a list over all nodes, and returns its entries for the eligible ones.
    """

    __slots__ = ("_members", "_parts", "gather", "positions", "turn")

    def __init__(self, positions: tuple[int, ...], turn: Turn) -> None:
        self.positions = positions
        self.turn = turn
        self.gather: Callable[[Sequence[int]], Sequence[int]] = (
            itemgetter(*positions) if len(positions) > 1 else self._gather_few
        )
        self._members: frozenset[int] | None = None
        self._parts: dict[tuple[int, ...], Candidates] = {}

    def __contains__(self, position: int) -> bool:
        """Return whether the node at *position* may be chosen."""
        if self._members is None:
            self._members = frozenset(self.positions)
        return position in self._members

    @classmethod
    def drawn(cls, positions: tuple[int, ...], rng: Random) -> Self:
        """Return a set whose turns begin anywhere, so that gateways do not march in step."""
        return cls(positions, Turn(positions[int(rng.random() * len(positions))]))

    def part(self, positions: tuple[int, ...]) -> Candidates:
        """Return the one object for what is left of the set when some of its nodes are left out.

        It goes on with the turn of the whole set.

        Args:
            positions: What is left, ascending.
        """
        part = self._parts.get(positions)
        if part is None:
            if len(self._parts) >= REMEMBERED:
                self._parts.clear()
            part = self._parts[positions] = Candidates(positions, self.turn)
        return part

    def next(self) -> int:
        """Return the position of the node whose turn it is."""
        positions, turn = self.positions, self.turn  # as `next_of`, a call less for each decision
        index = bisect_left(positions, turn.place)
        position = positions[index if index < len(positions) else 0]
        turn.place = position + 1
        return position

    def next_of(self, nodes: Sequence[int]) -> int:
        """Return the next in turn of some *nodes* of the set, which are ascending positions."""
        index = bisect_left(nodes, self.turn.place)
        position = nodes[index if index < len(nodes) else 0]
        self.turn.place = position + 1
        return position

    def take_turn(self, values: Sequence[float], best: float) -> int:
        """Return the position of the next node whose value is *best*, in turn.

        Args:
            values: A value for each of *positions*.
            best: One of these values.
        """
        try:
            index = values.index(best, bisect_left(self.positions, self.turn.place))
        except ValueError:
            index = values.index(best)
        position = self.positions[index]
        self.turn.place = position + 1
        return position

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
