"""Capacity that is there and not used, because health checks or breakers keep requests away."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from fedsim.charts.intervals import merged
from fedsim.results.finding import Finding, Rows
from fedsim.results.troubles import GRACE_S, faults_of, link_troubles, states_of

if TYPE_CHECKING:
    from fedsim.results.run import Run
    from fedsim.world.observer import NodeInfo

MUCH = 0.5
"""Share of a pool that health checks must keep from being used before it is said."""

LONG_S = 30.0
"""How long capacity is kept from being used before it is said, in seconds."""


def removed_capacity(run: Run) -> Iterator[Finding]:
    """Yield the finding that health checks took much of a pool away whose nodes were sound.

    A node is sound while no fault but one of its health endpoint strikes it, nor its links.
    """
    states = states_of(run.tables, "health", run.end_s)
    unhealthy = [state for state in states if state.state == "unhealthy"]
    if not unhealthy:
        return
    excused = _excused(run)
    nodes = {info.name: code for code, info in enumerate(run.directory.nodes)}
    sizes: dict[str, int] = {}
    for info in run.directory.nodes:
        sizes[info.pool] = sizes.get(info.pool, 0) + 1
    steps: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for state in unhealthy:
        node = nodes[state.subject]
        where = steps.setdefault((run.directory.nodes[node].pool, state.gateway), [])
        end_s = min(state.end_s, run.duration_s)
        for begin_s, finish_s in _without(state.start_s, end_s, excused[node]):
            where += [(begin_s, 1), (finish_s, -1)]
    for pool, size in sizes.items():
        found = [_worst(each, size) for (name, _), each in steps.items() if name == pool]
        lasted_s, removed, when_s = max(found, default=(0.0, 0, 0.0))
        if lasted_s >= LONG_S:
            text = (
                f"Healthy capacity was removed by health checks: at most {size - removed} of "
                f"{size} nodes of {pool} were used at {when_s:.0f} s, and no more than half for "
                f"{lasted_s:.0f} s in all, though nothing was wrong with the others; see panic."
            )
            members = [info.name for info in run.directory.nodes if info.pool == pool]
            yield Finding(text, pool, events=_events(run, "health", members))


def stuck_trials(run: Run) -> Iterator[Finding]:
    """Yield the finding that a trial request of a half-open circuit never had an answer."""
    states = states_of(run.tables, "breaker", run.end_s)
    half_open = [state for state in states if state.state == "half_open"]
    if not half_open:
        return
    open_ended = np.flatnonzero(run.tables.are("attempts", "unfinished"))
    columns = ("started_s", "gateway", "node")
    started_s, gateways, nodes = (run.tables.values("attempts", name) for name in columns)
    at_s = started_s[open_ended]
    names = {info.name: code for code, info in enumerate(run.directory.nodes)}
    reported: set[tuple[str, str]] = set()
    for gateway, node, _, start_s, end_s in half_open:
        stuck = gateways[open_ended] == run.directory.gateways.index(gateway)
        stuck &= nodes[open_ended] == names[node]
        stuck &= (at_s >= start_s) & (at_s <= end_s - LONG_S)
        if stuck.any() and (gateway, node) not in reported:
            reported.add((gateway, node))
            since_s = float(at_s[stuck][0])
            text = (
                f"Half-open trial without an end: the request that {gateway} sent to {node} at "
                f"{since_s:.0f} s, to try its half-open circuit, was never answered and had no "
                f"deadline, and kept others from {node} meanwhile; see timeout."
            )
            pool = run.directory.nodes[names[node]].pool
            yield Finding(text, pool, open_ended[stuck], _events(run, "breaker", [node], gateway))


def _events(run: Run, kind: str, nodes: Sequence[str], gateway: str | None = None) -> Rows:
    """Return the rows of the events of a kind on nodes, in the eyes of one gateway or of all."""
    columns = ("kind", "subject", "gateway")
    kinds, subjects, seen_by = (run.tables.values("events", name) for name in columns)
    mine = (kinds == kind) & np.isin(subjects.astype(str), nodes)
    return np.flatnonzero(mine if gateway is None else mine & (seen_by == gateway))


def _excused(run: Run) -> list[list[tuple[float, float]]]:
    """Return for each node when something but its health endpoint was wrong, or just had been.

    In panic a gateway does not go by health, so that this excuses all of them.
    """
    tables, last_s = run.tables, run.end_s
    panics = (each for each in states_of(tables, "panic", last_s) if each.state == "on")
    everywhere = [(each.start_s, each.end_s) for each in panics]
    everywhere += [(begin_s, end_s) for begin_s, end_s in link_troubles(tables, last_s).tolist()]
    faults = (each for each in faults_of(tables, last_s) if not each.label.startswith("health"))
    loading = (each for each in states_of(tables, "loading", last_s) if each.state != "ready")
    spans: dict[str, list[tuple[float, float]]] = {}
    wrong = [(each.subject, each.start_s, each.end_s) for each in faults]
    wrong += [(each.subject, each.start_s, each.end_s) for each in loading]
    for subject, start_s, end_s in wrong:
        spans.setdefault(subject, []).append((start_s, end_s + GRACE_S))
    return [
        merged([*everywhere, *(span for name in _names(info) for span in spans.get(name, ()))])
        for info in run.directory.nodes
    ]


def _names(info: NodeInfo) -> dict[str, None]:
    return dict.fromkeys((info.name, info.pool, info.region))


def _without(
    start_s: float, end_s: float, excused: list[tuple[float, float]]
) -> Iterator[tuple[float, float]]:
    """Yield the parts of [start, end) outside of the *excused* spans, which are in order."""
    for begin_s, finish_s in excused:
        if begin_s >= end_s:
            break
        if begin_s > start_s:
            yield start_s, begin_s
        start_s = max(start_s, finish_s)
    if start_s < end_s:
        yield start_s, end_s


def _worst(steps: list[tuple[float, int]], size: int) -> tuple[float, int, float]:
    """Return how long much of a pool was removed, the most nodes at once, and when that was."""
    lasted_s, most, when_s = 0.0, 0, 0.0
    removed, before_s = 0, 0.0
    for time_s, step in sorted(steps):
        if removed >= MUCH * size:
            lasted_s += time_s - before_s
        removed, before_s = removed + step, time_s
        if removed > most:
            most, when_s = removed, time_s
    return lasted_s, most, when_s
