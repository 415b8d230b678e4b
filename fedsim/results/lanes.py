"""What each attempt did when, and the lanes that show it: intervals of one lane do not overlap.

All times here are whole nanoseconds of simulated time, so that what ends when something else
begins does so exactly.

A run records how long an attempt was on the network, waited and was served, and not when it came to
its node. Half of the time on the network is put before and half after the node; where no slot of
the node is free then, it is shown there earlier or later, within its time on the network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

import numpy as np
from numpy.typing import NDArray

from fedsim.results.tables import Tables

Times = NDArray[np.int64]

NEVER = -1
"""In place of a time that there is not."""


@dataclass(frozen=True, slots=True, eq=False)
class Stages:
    """When each attempt was where, by row of the attempts table.

    Attributes:
        started_ns: When its gateway sent it.
        finished_ns: When the answer, the error or the deadline came; the end of the run where it
            is unfinished.
        arrived_ns: When it came to its node, ``NEVER`` where that is not known.
        wait_ns: How long it waited there.
        service_ns: How long it was served, ``NEVER`` where it was not.
        decode_ns: The last part of that, in which all output tokens but the first came; ``NEVER``
            where first tokens are not known.
        slack_ns: How much earlier or later it may have come to its node, at most.
    """

    started_ns: Times
    finished_ns: Times
    arrived_ns: Times
    wait_ns: Times
    service_ns: Times
    decode_ns: Times
    slack_ns: Times


def nanoseconds(times_s: NDArray[np.float64]) -> Times:
    """Return times in whole nanoseconds, ``NEVER`` for NaN."""
    known = np.isfinite(times_s)
    return np.where(known, np.rint(np.where(known, times_s, 0.0) * 1e9), NEVER).astype(np.int64)


def stages(tables: Tables, end_s: float) -> Stages:
    """Return when each attempt was where.

    Args:
        tables: The tables of a run.
        end_s: When it ended, in seconds.
    """
    started, finished, wait, service = (
        nanoseconds(tables.values("attempts", name))
        for name in ("started_s", "finished_s", "queue_wait_s", "service_s")
    )
    finished = np.where(finished == NEVER, nanoseconds(np.array([end_s]))[0], finished)
    network = _network_ns(tables, finished - started - np.maximum(wait, 0) - np.maximum(service, 0))
    there = wait != NEVER
    return Stages(
        started,
        finished,
        np.where(there, started + network // 2, NEVER),
        np.where(there, wait, 0),
        np.where(there, service, NEVER),
        np.where(there & (service != NEVER), _decode_ns(tables, service), NEVER),
        network // 2,
    )


def _network_ns(tables: Tables, rest: Times) -> Times:
    """Return how long each attempt was on the network, there and back.

    It is the *rest* of the time of an attempt that was answered. One that was given up may be
    served for longer than its gateway waits: the median of its gateway and node is taken for it,
    where that is longer.
    """
    answered, rest = tables.are("attempts", "ok"), np.maximum(rest, 0)
    nodes = len(tables.labels("attempts", "node")) + 1
    pair = tables.values("attempts", "gateway").astype(np.int64) * nodes
    pair += tables.values("attempts", "node")
    for each in np.unique(pair[~answered]).tolist():
        usual = rest[answered & (pair == each)]
        if len(usual):
            lost = ~answered & (pair == each)
            rest[lost] = np.maximum(rest[lost], int(np.median(usual)))
    return rest


def _decode_ns(tables: Tables, service: Times) -> Times:
    """Return how long each attempt decoded: time per output token times tokens after the first.

    It is known of the attempts that answered.
    """
    rows = tables.request_rows
    tpot_s = tables.values("requests", "tpot_s")[rows]
    tokens = tables.values("requests", "output_tokens")[rows]
    decode = nanoseconds(np.where(np.isnan(tpot_s), 0.0, tpot_s) * np.maximum(tokens - 1, 0))
    known = ~np.isnan(tables.values("requests", "ttft_s")[rows]) & tables.are("attempts", "ok")
    return np.where(known, np.minimum(decode, service), NEVER)


def in_lanes(
    begin_ns: Times, end_ns: Times, most: int | None = None, slack_ns: Times | None = None
) -> tuple[list[int], list[int]]:
    """Return the lane of each interval, and how much later each is there, in nanoseconds.

    The lowest free lane is taken. Where none is and there are *most* lanes, an interval is moved
    into one within its slack, and those before it there out of its way within theirs; where that
    is not enough, or there are fewer lanes, it gets a new one.

    Args:
        begin_ns: When each begins.
        end_ns: When each ends.
        most: How many lanes there are to be.
        slack_ns: How much earlier or later each may be; with *most*.
    """
    slack = [0] * len(begin_ns) if slack_ns is None else slack_ns.tolist()
    packed = _Packing(begin_ns.tolist(), end_ns.tolist(), slack)
    lanes = [0] * len(begin_ns)
    free: list[int] = []
    busy: list[tuple[int, int]] = []
    for row in np.argsort(begin_ns, kind="stable").tolist():
        while busy and busy[0][0] <= packed.begins[row]:
            heappush(free, heappop(busy)[1])
        lane = heappop(free) if free else len(packed.lanes)
        if lane == len(packed.lanes):
            if most is not None and lane >= most:
                lane = packed.make_room(row, busy)
            if lane == len(packed.lanes):
                packed.lanes.append([])
        lanes[row] = lane
        heappush(busy, (packed.put(row, lane), lane))
    return lanes, packed.later


class _Packing:
    """Intervals in lanes, each of which may be somewhat earlier or later."""

    def __init__(self, begins: list[int], ends: list[int], slack: list[int]) -> None:
        self.begins, self.ends, self.slack = begins, ends, slack
        self.later = [0] * len(begins)
        self.lanes: list[list[int]] = []

    def put(self, row: int, lane: int) -> int:
        """Put an interval behind all others of a lane, and return when it ends."""
        before = self.lanes[lane]
        if before:
            self.later[row] = max(self._end(before[-1]) - self.begins[row], 0)
        before.append(row)
        return self._end(row)

    def make_room(self, row: int, busy: list[tuple[int, int]]) -> int:
        """Return a lane where an interval can be put, and take it from those that are *busy*.

        It is the one in which others have to be moved least; where they cannot be, a new one.
        """
        latest, found, least = self.begins[row] + self.slack[row], len(self.lanes), 0
        for end, lane in sorted(busy):
            needed = max(end - latest, 0)
            if found < len(self.lanes) and needed >= least:
                break
            if needed <= self._room(lane):
                found, least = lane, needed
        if found < len(self.lanes):
            self._move(found, least)
            busy[:] = [each for each in busy if each[1] != found]
            heapify(busy)
        return found

    def _end(self, row: int) -> int:
        return self.ends[row] + self.later[row]

    def _gaps(self, lane: int) -> Iterator[tuple[int, int]]:
        """Yield the intervals of a lane from the last one on, each with what is free before it."""
        rows = self.lanes[lane]
        for place in range(len(rows) - 1, -1, -1):
            begin = self.begins[rows[place]] + self.later[rows[place]]
            yield rows[place], begin - (self._end(rows[place - 1]) if place else 0)

    def _room(self, lane: int) -> int:
        """Return how much earlier the last interval of a lane can be."""
        room, free = _FAR, 0
        for row, gap in self._gaps(lane):
            own = self.slack[row] + self.later[row]
            room, free = min(room, free + own), free + gap
            if free >= room:
                break
        return min(room, free)

    def _move(self, lane: int, by: int) -> None:
        """Let the last interval of a lane be earlier, and those before it as far as they must."""
        for row, gap in self._gaps(lane):
            if by <= 0:
                break
            self.later[row] -= by
            by -= gap


_FAR = 2**62
