"""When nodes were in trouble, so that a router had a reason not to send to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fedsim.charts.faults import fault_intervals, harmful, merged, state_intervals

if TYPE_CHECKING:
    from pandas import DataFrame

    from fedsim.world.observer import Directory

GRACE_S = 30.0
"""How long after its trouble a node is not judged yet, in seconds."""

_WELL = {"loading": "ready"}
_SEEN = {"health": "healthy", "breaker": "closed", "outlier": "admitted"}


def troubles(
    events: DataFrame, directory: Directory, end_s: float, *, seen: bool = True
) -> list[NDArray[np.float64]]:
    """Return for each node when it was in trouble: rows ``begin, end`` in seconds, apart.

    Trouble is a fault that strikes the node, its pool, its region or a link of one of them, and
    loading; where *seen*, also being anything but healthy, ejected, or having anything but a closed
    circuit at some gateway; and ``GRACE_S`` after each.
    """
    spans: dict[str, list[tuple[float, float]]] = {}
    faults = harmful(fault_intervals(events, end_s))
    for kind, well in (_WELL | _SEEN if seen else _WELL).items():
        states = state_intervals(events, kind, end_s)
        troubled = states[states["state"] != well]
        for subject, begin_s, finish_s in _rows(troubled):
            spans.setdefault(subject, []).append((begin_s, finish_s + GRACE_S))
    for subject, begin_s, finish_s in _rows(faults):
        for struck in subject.replace(" <> ", " > ").split(" > "):
            spans.setdefault(struck, []).append((begin_s, finish_s + GRACE_S))
    found = []
    for node in directory.nodes:
        names = dict.fromkeys((node.name, node.pool, node.region))
        together = merged(span for name in names for span in spans.get(name, ()))
        found.append(np.array(together, dtype=np.float64).reshape(-1, 2))
    return found


def link_troubles(events: DataFrame, end_s: float) -> NDArray[np.float64]:
    """Return when faults struck any link, and ``GRACE_S`` after: rows ``begin, end`` in seconds."""
    spans = [
        (begin_s, finish_s + GRACE_S)
        for subject, begin_s, finish_s in _rows(harmful(fault_intervals(events, end_s)))
        if " > " in subject or " <> " in subject
    ]
    return np.array(merged(spans), dtype=np.float64).reshape(-1, 2)


def within(times_s: NDArray[np.float64], spans: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which of *times_s* lie in one of *spans*, which are in order and apart."""
    place = np.searchsorted(spans[:, 0], times_s, side="right") - 1
    inside: NDArray[np.bool_] = place >= 0
    if len(spans):
        inside &= times_s < spans[np.maximum(place, 0), 1]
    return inside


def _rows(table: DataFrame) -> list[tuple[str, float, float]]:
    columns = (table[name].tolist() for name in ("subject", "start_s", "end_s"))
    return [(str(subject), begin, end) for subject, begin, end in zip(*columns, strict=True)]
