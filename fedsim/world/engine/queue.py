"""The sequences that wait for a place in an engine."""

from __future__ import annotations

from heapq import heappop, heappush

from fedsim.world.engine.sequence import WAITING, Sequence


class WaitingQueue:
    """Waiting sequences in the order in which they are to be admitted.

    They go by arrival; with *by_priority*, those of lower priority number go first and only equals
    by arrival. One that goes back, as it was preempted, stands before all others (of its priority).
    """

    __slots__ = ("_by_priority", "_entries", "_number", "_size")

    def __init__(self, by_priority: bool) -> None:
        self._by_priority = by_priority
        self._entries: list[tuple[int, int, Sequence]] = []
        self._number = 0
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def push(self, sequence: Sequence) -> None:
        """Let a sequence wait behind the others."""
        self._number = number = self._number + 1
        self._push(sequence, number)

    def push_front(self, sequence: Sequence) -> None:
        """Let a sequence wait before the others."""
        self._number = number = self._number + 1
        self._push(sequence, -number)

    def _push(self, sequence: Sequence, place: int) -> None:
        rank = sequence.priority if self._by_priority else 0
        heappush(self._entries, (rank, place, sequence))
        self._size += 1

    def head(self) -> Sequence:
        """Return the first in the queue, which must not be empty."""
        entries = self._entries
        while entries[0][2].state != WAITING:
            heappop(entries)
        return entries[0][2]

    def pop(self) -> None:
        """Take out the sequence that ``head`` returned."""
        heappop(self._entries)
        self._size -= 1

    def leave(self) -> None:
        """Record that a sequence in the queue has ceased to be in the state of waiting."""
        self._size -= 1

    def clear(self) -> list[Sequence]:
        """Empty the queue and return what was in it, in order."""
        waiting = [entry[2] for entry in sorted(self._entries) if entry[2].state == WAITING]
        self._entries.clear()
        self._size = 0
        return waiting
