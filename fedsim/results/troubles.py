"""When nodes were in trouble, so that a router had a reason not to send to them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from fedsim.charts.intervals import FaultSpan, StateSpan, fault_spans, merged, state_spans
from fedsim.results.tables import Tables
from fedsim.world.observer import Directory

GRACE_S = 30.0
"""How long after its trouble a node is not judged yet, in seconds."""

_WELL = {"loading": "ready"}
_SEEN = {"health": "healthy", "breaker": "closed", "outlier": "admitted"}


def faults_of(tables: Tables, end_s: float) -> list[FaultSpan]:
    """Return the faults in which something was wrong with their subject, in the order of start."""
    events = tables.events_of("fault", "time_s", "subject", "before", "after")
    return [span for span in fault_spans(events, end_s) if span.is_harmful]


def states_of(tables: Tables, kind: str, end_s: float) -> list[StateSpan]:
    """Return how long each gateway held each view of that kind, in the order of events."""
    events = tables.events_of(kind, "time_s", "gateway", "subject", "after")
    return state_spans(
        ((time_s, gateway or "", subject, after) for time_s, gateway, subject, after in events),
        end_s,
    )


def troubles(
    tables: Tables, directory: Directory, end_s: float, *, seen: bool = True
) -> list[NDArray[np.float64]]:
    """Return for each node when it was in trouble: rows ``begin, end`` in seconds, apart.

    Trouble is a fault that strikes the node, its pool, its region or a link of one of them,
    loading, or not to be there, as a scaler has it; where *seen*, also being anything but healthy,
    ejected, or having anything but a closed circuit at some gateway; and ``GRACE_S`` after each.
    """
    spans: dict[str, list[tuple[float, float]]] = {}
    for kind, well in (_WELL | _SEEN if seen else _WELL).items():
        for state in states_of(tables, kind, end_s):
            if state.state != well:
                span = (state.start_s, state.end_s + GRACE_S)
                spans.setdefault(state.subject, []).append(span)
    for name, start_s, gone_s in _absences(tables, directory, end_s):
        spans.setdefault(name, []).append((start_s, gone_s + GRACE_S))
    for fault in faults_of(tables, end_s):
        for struck in fault.subject.replace(" <> ", " > ").split(" > "):
            spans.setdefault(struck, []).append((fault.start_s, fault.end_s + GRACE_S))
    found = []
    for node in directory.nodes:
        names = dict.fromkeys((node.name, node.pool, node.region))
        together = merged(span for name in names for span in spans.get(name, ()))
        found.append(np.array(together, dtype=np.float64).reshape(-1, 2))
    return found


def _absences(
    tables: Tables, directory: Directory, end_s: float
) -> Iterator[tuple[str, float, float]]:
    """Yield when nodes were not there or not ready, as scalers had it: the node, start and end."""
    first: dict[str, tuple[float, str]] = {}
    for time_s, subject, before in tables.events_of("presence", "time_s", "subject", "before"):
        first.setdefault(subject, (time_s, before))
    for state in states_of(tables, "presence", end_s):
        if state.state != "ready":
            yield state.subject, state.start_s, state.end_s
    for node, paid_s in zip(directory.nodes, tables.values("node_totals", "paid_s"), strict=True):
        until_s, before = first.get(node.name, (end_s, "absent" if paid_s == 0.0 else "ready"))
        if before == "absent":
            yield node.name, 0.0, until_s


def link_troubles(tables: Tables, end_s: float) -> NDArray[np.float64]:
    """Return when faults struck any link, and ``GRACE_S`` after: rows ``begin, end`` in seconds."""
    spans = [
        (fault.start_s, fault.end_s + GRACE_S)
        for fault in faults_of(tables, end_s)
        if " > " in fault.subject or " <> " in fault.subject
    ]
    return np.array(merged(spans), dtype=np.float64).reshape(-1, 2)


def within(times_s: NDArray[np.float64], spans: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which of *times_s* lie in one of *spans*, which are in order and apart."""
    place = np.searchsorted(spans[:, 0], times_s, side="right") - 1
    inside: NDArray[np.bool_] = place >= 0
    if len(spans):
        inside &= times_s < spans[np.maximum(place, 0), 1]
    return inside
