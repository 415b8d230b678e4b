"""Intervals made from events: when a fault lasted, and when a state was held."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

_NORMAL = frozenset({"up", "normal", "", "nan"})
HARMLESS = frozenset({"rolling"})
"""States in which nothing is wrong with the subject itself: the nodes have events of their own."""


class FaultSpan(NamedTuple):
    """How long one fault lasted on one subject.

    Attributes:
        subject: What it struck.
        label: The state that it made, such as ``down`` or ``slow x5``.
        start_s: Its start, in seconds.
        end_s: Its end, in seconds.
    """

    subject: str
    label: str
    start_s: float
    end_s: float

    @property
    def is_harmful(self) -> bool:
        """Whether something was wrong with the subject itself."""
        return self.label not in HARMLESS


class StateSpan(NamedTuple):
    """How long a gateway held one view of a node.

    Attributes:
        gateway: The gateway; empty for what happens on a node.
        subject: The node.
        state: What the gateway took it for.
        start_s: From when, in seconds.
        end_s: Until when, in seconds.
    """

    gateway: str
    subject: str
    state: str
    start_s: float
    end_s: float


def fault_spans(
    events: Iterable[tuple[float, str, str | None, str | None]], end_s: float
) -> list[FaultSpan]:
    """Return when each fault began and ended, in the order of start.

    A fault is over when its subject leaves the state that it entered; one that strikes twice at
    once is over when both are.

    Args:
        events: Time, subject, state before and after of each event of a fault, in order.
        end_s: End of those that never end, in seconds.
    """
    running: dict[tuple[str, str], list[float]] = {}
    spans: list[FaultSpan] = []
    for time_s, subject, before, after in events:
        left, entered = str(before or ""), str(after or "")
        began = running.get((subject, left))
        if began:
            start_s = began.pop()
            if not began:
                spans.append(FaultSpan(subject, left, start_s, time_s))
        if entered not in _NORMAL:
            depth = running.setdefault((subject, entered), [])
            depth.append(depth[0] if depth else time_s)
    spans += [FaultSpan(*key, began[0], end_s) for key, began in running.items() if began]
    return sorted(spans, key=lambda span: (span.start_s, span.subject))


def state_spans(events: Iterable[tuple[float, str, str, str]], end_s: float) -> list[StateSpan]:
    """Return how long each gateway held each view of a node, in the order of the events.

    What was before the first change of a gateway and node is not in it.

    Args:
        events: Time, gateway, subject and state of each change, in order.
        end_s: End of the states that were never left, in seconds.
    """
    rows = list(events)
    until: dict[tuple[str, str], float] = {}
    spans: list[StateSpan] = []
    for time_s, gateway, subject, state in reversed(rows):
        left_s = min(until.get((gateway, subject), end_s), end_s)
        until[gateway, subject] = time_s
        spans.append(StateSpan(gateway, subject, state, time_s, left_s))
    return spans[::-1]


def merged(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the union of spans, in order and without overlaps."""
    union: list[tuple[float, float]] = []
    for start, end in sorted(spans):
        if union and start <= union[-1][1]:
            union[-1] = (union[-1][0], max(end, union[-1][1]))
        else:
            union.append((start, end))
    return union
