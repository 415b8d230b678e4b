"""Measures what a pool's scaler goes by: samples of its nodes, arrivals, latencies."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fedsim.kernel.environment import Environment
from fedsim.world.live import LiveRequest, OnOver
from fedsim.world.nodes.base import Node
from fedsim.world.observer import Value, WorldObserver
from fedsim.world.scalers.preset import BY_NODE, SignalConfig

Key = tuple[int, int]
"""A node by its code, and which machine it is."""

Measured = tuple[float, float, float | None, float | None, float]
"""In flight, queued, share and tokens of the key-value cache, and utilization of a node."""


NodeLoad = tuple[float | None, ...]
"""The signal of a node, and what else is measured of it, in the order of `NodeView`."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a scaler knows at a time.

    Attributes:
        nodes: What is measured of each node.
        total: The signal over the pool; None where nothing is known.
        recent: The same over the short window; None without one.
    """

    nodes: dict[Key, NodeLoad]
    total: float | None
    recent: float | None


class Traffic:
    """Counts attempts sent to each pool, and collects the latencies of what it served.

    It stands in front of the observer of the transports, and hears of requests that are over; a
    world has one only where a scaler goes by them.

    Attributes:
        sent: Attempts so far, by the code of the node.
    """

    def __init__(self, observer: WorldObserver, env: Environment, nodes: Sequence[Node]) -> None:
        self.sent = [0] * len(nodes)
        self._observer = observer
        self._env = env
        self._pools = [node.pool.name for node in nodes]
        self._served: dict[str, deque[tuple[float, float, float]]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._observer, name)

    def attempt_started(self, **values: Value) -> int:
        """Count an attempt."""
        self.sent[int(values["node"])] += 1
        return self._observer.attempt_started(**values)

    def collect(self, pool: str) -> deque[tuple[float, float, float]]:
        """Return the requests that *pool* serves from now on: end, latency, TTFT, in seconds."""
        return self._served.setdefault(pool, deque())

    def watching(self, on_over: OnOver | None) -> OnOver:
        """Return what a request calls when it is over, which notes its latency if it was served."""

        def over(live: LiveRequest, outcome: str) -> None:
            served = self._served.get(self._pools[live.node])
            if outcome == "ok" and served is not None:
                now_s = self._env.now
                served.append((now_s, now_s - live.arrived_s, live.ttft_s))
            if on_over is not None:
                on_over(live, outcome)

        return over


class PoolMeter:
    """Samples the nodes of a pool, and says what a scaler knows of it.

    Args:
        env: The environment.
        nodes: The nodes of the pool.
        signal: What is measured, over which window, and how late it is known.
        short_s: A second, shorter window in seconds, or None.
        keeps_highest: Whether a node's value is the highest of the window, not the mean.
        by_node: Whether the pool's signal is that of the nodes which are ready now, not of those
            that were.
        traffic: Counts attempts and latencies, where the signal is of these.
        details: Whether all that is measured of a node is wanted, not the signal alone.
    """

    def __init__(
        self,
        env: Environment,
        nodes: Sequence[Node],
        signal: SignalConfig,
        short_s: float | None,
        traffic: Traffic | None,
        *,
        keeps_highest: bool,
        by_node: bool,
        details: bool,
    ) -> None:
        self._env = env
        self._nodes = nodes
        self._signal = signal
        self._short_s = short_s
        self._keeps_highest = keeps_highest
        self._by_node = by_node
        self._details = details
        self._column = None
        if signal.of in BY_NODE:
            self._column = (0, 1, 2, 4)[BY_NODE.index(signal.of)]
        self._traffic = traffic
        self._served = None
        self._percentile = 0.0
        if "_p" in signal.of:
            assert traffic is not None
            self._served = traffic.collect(nodes[0].pool.name)
            self._percentile = float(signal.of.rpartition("_p")[2]) / 100.0
        self._times_s: deque[float] = deque()
        self._samples: deque[tuple[dict[Key, Measured], int]] = deque()
        self._busy_s = [0.0] * len(nodes)
        engine = nodes[0].pool.engine
        self._kv_capacity = (
            None if engine is None else float(engine.kv_blocks * engine.block_tokens)
        )
        self._taken = 0
        self._cached: tuple[tuple[int, int], Known] | None = None

    def sample_if_due(self) -> None:
        """Take a sample of the nodes that are ready now, if it is time for the next one."""
        every_s = self._signal.every_s
        if self._env.now < (self._taken + 1) * every_s - 1e-9:
            return
        found: dict[Key, Measured] = {}
        for place, node in enumerate(self._nodes):
            if not node.present:
                continue
            busy_s = node.busy_s()
            used = (busy_s - self._busy_s[place]) / every_s
            self._busy_s[place] = busy_s
            if node.takes_requests:
                running, queued = node.running, node.queued
                tokens = node.kv_used_tokens()
                found[node.code, node.machine] = (
                    float(running + queued),
                    float(queued),
                    node.kv_usage(),
                    None if tokens < 0 else float(tokens),
                    min(used, 1.0),
                )
        sent = 0
        if self._traffic is not None:
            sent = sum(self._traffic.sent[node.code] for node in self._nodes)
        self._times_s.append(self._env.now)
        self._samples.append((found, sent))
        self._taken += 1
        oldest_s = self._env.now - self._signal.window_s - self._signal.lag_s - every_s
        while self._times_s[0] < oldest_s:
            self._times_s.popleft()
            self._samples.popleft()

    def known(self) -> Known:
        """Return what is known now: the window that ended ``lag`` ago."""
        until_s = self._env.now - self._signal.lag_s
        times_s = list(self._times_s)
        end = bisect_right(times_s, until_s + 1e-9)
        start = bisect_right(times_s, until_s - self._signal.window_s + 1e-9, 0, end)
        key = self._taken - len(times_s) + start, self._taken - len(times_s) + end
        if self._served is None and self._cached is not None and self._cached[0] == key:
            return self._cached[1]
        samples = list(self._samples)[max(start - 1, 0) : end]
        before = samples.pop(0) if start > 0 and samples else None
        nodes = self._by_nodes([found for found, _ in samples])
        known = Known(nodes, self._total(samples, before, until_s, nodes), None)
        if self._short_s is not None:
            short = bisect_right(times_s, until_s - self._short_s + 1e-9, 0, end)
            recent, earlier = list(self._samples)[short:end], None
            if short > 0:
                earlier = list(self._samples)[short - 1]
            known = replace(known, recent=self._total(recent, earlier, until_s, nodes))
        self._cached = key, known
        return known

    def _by_nodes(self, samples: Sequence[dict[Key, Measured]]) -> dict[Key, NodeLoad]:
        """Return the mean or highest of each node's samples."""
        columns: dict[Key, list[Measured]] = {}
        for found in samples:
            for key, measured in found.items():
                columns.setdefault(key, []).append(measured)
        views: dict[Key, NodeLoad] = {}
        for key, rows in columns.items():
            if self._details:
                joined = [self._joined(values) for values in zip(*rows, strict=True)]
                value = None if self._column is None else joined[self._column]
                *load, used = joined
                views[key] = (value, *load, self._kv_capacity, used)
            elif self._column is not None:
                value = self._joined([measured[self._column] for measured in rows])
                views[key] = (value,)
        return views

    def _joined(self, values: Sequence[float | None]) -> float | None:
        numbers = [value for value in values if value is not None]
        if not numbers:
            return None
        return max(numbers) if self._keeps_highest else sum(numbers) / len(numbers)

    def _total(
        self,
        samples: Sequence[tuple[dict[Key, Measured], int]],
        before: tuple[dict[Key, Measured], int] | None,
        until_s: float,
        nodes: dict[Key, NodeLoad],
    ) -> float | None:
        """Return the signal of the pool."""
        of = self._signal.of
        if self._served is not None:
            return self._tail(until_s)
        if not samples:
            return None
        if of == "arrival_rate":
            first = 0 if before is None else before[1]
            return (samples[-1][1] - first) / (len(samples) * self._signal.every_s)
        if self._by_node:
            ready = {(node.code, node.machine) for node in self._nodes if node.takes_requests}
            known = [load[0] for key, load in nodes.items() if key in ready]
            return math.fsum(value for value in known if value is not None) if known else None
        column = self._column
        assert column is not None
        sums = [sum(measured[column] or 0.0 for measured in found.values()) for found, _ in samples]
        return sum(sums) / len(sums)

    def _tail(self, until_s: float) -> float | None:
        """Return the percentile of the window times the number of ready nodes."""
        assert self._served is not None
        served, since_s = self._served, until_s - self._signal.window_s
        while served and served[0][0] <= since_s:
            served.popleft()
        column = 1 if self._signal.of.startswith("latency") else 2
        found = sorted(row[column] for row in served if row[0] <= until_s and row[column] >= 0.0)
        if not found:
            return None
        place = self._percentile * (len(found) - 1)
        low = int(place)
        high = min(low + 1, len(found) - 1)
        value = found[low] + (found[high] - found[low]) * (place - low)
        return value * sum(node.takes_requests for node in self._nodes)
