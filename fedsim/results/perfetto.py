"""A run as a Perfetto trace: requests at gateways and in slots of nodes, over simulated time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedsim.results.lanes import NEVER, Stages, in_lanes, nanoseconds, stages
from fedsim.results.packets import Ints, Packets

if TYPE_CHECKING:
    from fedsim.results.run import Run

MOST_REQUESTS = 50_000
"""Of a run with more requests, so many are in a trace, evenly spread over the arrivals."""

_LAST = 2**40


@dataclass(frozen=True, slots=True)
class PerfettoTrace:
    """A trace, and what is in it.

    Attributes:
        data: The file's bytes, which are a function of the run.
        requests: How many requests are in it.
        of: How many requests the run has.
        events: Begins and ends of slices, instants and values of counters.
    """

    data: bytes
    requests: int
    of: int
    events: int


def perfetto_trace(run: Run, most: int = MOST_REQUESTS) -> PerfettoTrace:
    """Return a run as a trace for https://ui.perfetto.dev.

    Args:
        run: A run with its tables.
        most: Requests that are in it at most, >= 1, each with all of its attempts.

    Raises:
        ArgumentError: The package perfetto is not installed.
        ResultsError: The run was saved without its tables.
    """
    packets = Packets(f"{run.name}: {run.strategy}, seed {run.seed}")
    if run.start is not None:
        packets.clock(round(run.start.timestamp() * 1e9))
    count = run.tables.count("requests")
    chosen = np.ones(count, dtype=bool)
    if count > most:
        chosen[:] = False
        chosen[np.arange(most) * count // most] = True
    times = stages(run.tables, run.end_s)
    facts = _Facts(run, times, chosen)
    _write_events(run, packets)
    _Gateways(facts, packets).write()
    _Nodes(facts, packets).write()
    return PerfettoTrace(packets.data(), int(chosen.sum()), count, packets.events)


class _Facts:
    """What both sides of a trace are made of, and in which slot each attempt was served.

    Attributes:
        run: The run.
        times: When each attempt was where; attempts that waited for a slot in the picture are
            shown at their node by as much later.
        requests: Whether each request is in the trace.
        attempts: Whether each attempt is.
        ids: The id of each request.
        slot: The slot of each attempt.
    """

    def __init__(self, run: Run, times: Stages, requests: NDArray[np.bool_]) -> None:
        self.run, self.times, self.requests = run, times, requests
        tables = run.tables
        self.attempts = requests[tables.request_rows]
        self.ids: NDArray[np.bytes_] = np.array(tables.requests["request_id"].tolist(), dtype="S")
        self.node, self.nodes = tables.values("attempts", "node"), tables.labels("attempts", "node")
        self.served = times.service_ns != NEVER
        self.slot = np.zeros(len(self.node), np.int64)
        slots = {info.name: info.slots for info in run.directory.nodes}
        for code, name in enumerate(self.nodes):
            rows = np.flatnonzero((self.node == code) & self.served)
            begin = (times.arrived_ns + times.wait_ns)[rows]
            end = begin + times.service_ns[rows]
            self.slot[rows], later = in_lanes(begin, end, slots[name], times.slack_ns[rows])
            times.arrived_ns[rows] += np.array(later, np.int64)
        self.served_ns = times.arrived_ns + times.wait_ns


def _write_events(run: Run, packets: Packets) -> None:
    """Write faults and what else happened as instants, of the world and of each gateway."""
    events, tracks = run.events, dict[str, int]()
    columns = ("kind", "subject", "gateway", "before", "after", "detail")
    place, labels = [], []
    for texts in zip(*(events[name] for name in columns), strict=True):
        kind, subject, gateway, before, after, detail = (
            text if isinstance(text, str) else "" for text in texts
        )
        where = f"{gateway}: health and circuits" if gateway else "faults and fleet"
        if where not in tracks:
            tracks[where] = packets.track(where, packets.root)
        place.append(tracks[where])
        change = " → ".join(state for state in (before, after) if state)
        name = f"{kind} {subject}" + (f": {change}" if change else "")
        labels.append({"name": name, "notes": {"detail": detail}})
    times_ns, rows = nanoseconds(events["time_s"].to_numpy()), np.arange(len(place))
    packets.add(
        packets.instant,
        times_ns,
        np.array(place, np.int64),
        (rows, 0, 0),
        labels=labels,
        label=rows,
    )


class _Gateways:
    """Requests at the gateways that sent them: each a slice, with its attempts and their stages.

    A hedge runs while another attempt of its request does, so it has a slice of its own next to
    that of the request.
    """

    def __init__(self, facts: _Facts, packets: Packets) -> None:
        self._facts, self._packets = facts, packets
        tables, end_s = facts.run.tables, facts.run.end_s
        self._hedge = tables.values("attempts", "hedge").astype(bool)
        self._begin_ns = nanoseconds(tables.values("requests", "arrived_s"))
        ends_ns = nanoseconds(tables.values("requests", "finished_s"))
        self._end_ns = np.where(ends_ns == NEVER, nanoseconds(np.array([end_s]))[0], ends_ns)

    def write(self) -> None:
        """Write the requests of each gateway, and those that no gateway sent anywhere."""
        facts, packets = self._facts, self._packets
        rows = np.flatnonzero(facts.requests)
        hedges = np.flatnonzero(facts.attempts & self._hedge)
        begins = np.concatenate([self._begin_ns[rows], facts.times.started_ns[hedges]])
        ends = np.concatenate([self._end_ns[rows], facts.times.finished_ns[hedges]])
        rank = np.empty(len(begins), np.int64)
        rank[np.argsort(begins, kind="stable")] = np.arange(len(begins))
        tracks = self._tracks(rows, hedges, begins, ends)
        outcome = facts.run.tables.values("requests", "outcome")[rows].astype(np.int64)
        names = facts.run.tables.labels("requests", "outcome")
        labels = [{"notes": {"outcome": name}} for name in names]
        begun = packets.begin, begins[: len(rows)], tracks[: len(rows)]
        order = rank[: len(rows)]
        packets.add(*begun, (order, -1, 0), labels=labels, label=outcome, ids=facts.ids[rows])
        packets.add(packets.end, ends[: len(rows)], tracks[: len(rows)], (order, _LAST, 0))
        place = np.empty(len(self._begin_ns), np.int64)
        place[rows] = np.arange(len(rows))
        attempts = np.flatnonzero(facts.attempts & ~self._hedge)
        mine = facts.run.tables.request_rows[attempts]
        self._attempts(attempts, tracks[place[mine]], rank[place[mine]], self._end_ns[mine], "")
        until = facts.times.finished_ns[hedges]
        self._attempts(hedges, tracks[len(rows) :], rank[len(rows) :], until, "hedge to ")

    def _tracks(self, rows: Ints, hedges: Ints, begins: Ints, ends: Ints) -> Ints:
        """Return a track for each request, and for each hedge, on which nothing overlaps."""
        tables, packets = self._facts.run.tables, self._packets
        gateways, names = tables.values("attempts", "gateway"), tables.labels("attempts", "gateway")
        origins = tables.labels("requests", "origin")
        first = np.unique(tables.request_rows, return_index=True)
        sent = len(names) + tables.values("requests", "origin").astype(np.int64)
        sent[first[0]] = gateways[first[1]]
        places = np.concatenate([sent[rows], gateways[hedges].astype(np.int64)])
        names = [*names, *(f"{name}: never sent" for name in origins)]
        group = packets.track("gateways", packets.root)
        found = np.empty(len(begins), np.int64)
        for code in np.unique(places).tolist():
            mine = np.flatnonzero(places == code)
            lanes = np.array(in_lanes(begins[mine], ends[mine])[0], np.int64)
            gateway = packets.track(names[code], group)
            tracks = [packets.track("requests", gateway) for _ in range(lanes.max() + 1)]
            found[mine] = np.array(tracks)[lanes]
        return found

    def _attempts(self, rows: Ints, tracks: Ints, rank: Ints, until: Ints, before: str) -> None:
        """Write attempts with their stages; an arrow leads from one to its slot."""
        facts, packets, times = self._facts, self._packets, self._facts.times
        ends = np.minimum(times.finished_ns[rows], until)
        outcomes = facts.run.tables.labels("attempts", "outcome")
        outcome = facts.run.tables.values("attempts", "outcome")[rows].astype(np.int64)
        labels = [
            {"name": f"{before}{name}", "notes": {"outcome": each}}
            for name in facts.nodes
            for each in outcomes
        ]
        label = facts.node[rows].astype(np.int64) * len(outcomes) + outcome
        for served, number in ((True, "flow_ids"), (False, "")):
            some = np.flatnonzero(facts.served[rows] == served)
            packets.add(
                packets.begin,
                times.started_ns[rows][some],
                tracks[some],
                (rank[some], rows[some], 0),
                labels=labels,
                label=label[some],
                number=number,
                numbers=rows[some] + 1 if number else None,
            )
        packets.add(packets.end, ends, tracks, (rank, rows, 5))
        arrived, begun = times.arrived_ns[rows], facts.served_ns[rows]
        over = begun + times.service_ns[rows]
        waited = (arrived != NEVER) & (begun > arrived)
        _slices(
            packets, "queued", waited, arrived, np.minimum(begun, ends), tracks, (rank, rows, 1)
        )
        served_here = facts.served[rows]
        over = np.minimum(over, ends)
        _slices(packets, "service", served_here, begun, over, tracks, (rank, rows, 3))


class _Nodes:
    """The slots of nodes, and what was sampled there."""

    def __init__(self, facts: _Facts, packets: Packets) -> None:
        self._facts, self._packets = facts, packets

    def write(self) -> None:
        """Write the counters of each node, and what was in each of its slots."""
        facts, packets = self._facts, self._packets
        samples = facts.run.nodes
        sampled = samples["node"].astype(object).to_numpy()
        group = packets.track("nodes", packets.root)
        rows = np.flatnonzero(facts.served & facts.attempts)
        tracks = np.zeros(len(rows), np.int64)
        for info in facts.run.directory.nodes:
            node = packets.track(info.name, group)
            self._counters(node, samples[sampled == info.name], info.kv_tokens)
            if info.name in facts.nodes:
                mine = np.flatnonzero(facts.node[rows] == facts.nodes.index(info.name))
                tracks[mine] = self._slots(node, facts.slot[rows[mine]], info.slots)
        self._serve(rows, tracks)

    def _slots(self, node: int, slot: Ints, slots: int) -> Ints:
        """Return the track of each slot, where there are requests."""
        found = np.empty(len(slot), np.int64)
        for number in np.unique(slot).tolist():
            beyond = "" if number < slots else ", beyond the slots"
            found[slot == number] = self._packets.track(f"slot {number}{beyond}", node)
        return found

    def _serve(self, rows: Ints, tracks: Ints) -> None:
        facts, packets, times = self._facts, self._packets, self._facts.times
        begins = facts.served_ns[rows]
        ends = begins + times.service_ns[rows]
        rank = np.empty(len(rows), np.int64)
        rank[np.argsort(begins, kind="stable")] = np.arange(len(rows))
        packets.add(
            packets.begin,
            begins,
            tracks,
            (rank, 0, 0),
            number="terminating_flow_ids",
            numbers=rows + 1,
            ids=facts.ids[facts.run.tables.request_rows[rows]],
        )
        packets.add(packets.end, ends, tracks, (rank, 0, 5))
        known = times.decode_ns[rows] != NEVER
        first = ends - np.where(known, times.decode_ns[rows], 0)
        _slices(packets, "prefill", known, begins, first, tracks, (rank, 0, 1))
        _slices(packets, "decode", known, first, ends, tracks, (rank, 0, 3))

    def _counters(self, node: int, samples: Any, room: int | None) -> None:
        """Write the numbers of a node where they change."""
        times_ns, held = nanoseconds(samples["time_s"].to_numpy()), samples["kv_used_tokens"]
        shown = [(name, "requests", samples[name]) for name in ("queued", "running")]
        if held.notna().any():
            share = ("KV cache in use", "%", 100.0 * held / room) if room else None
            shown.append(share or ("KV cache in use", "tokens", held))
        for name, unit, column in shown:
            values = column.to_numpy(np.float64, na_value=0.0)
            rows = np.flatnonzero(np.diff(values, prepend=np.nan) != 0.0)
            if len(rows):
                track = np.full(len(rows), self._packets.counter(name, node, unit))
                kind, number = self._packets.counter_value, "double_counter_value"
                self._packets.add(kind, times_ns[rows], track, number=number, numbers=values[rows])


def _slices(
    packets: Packets,
    name: str,
    wanted: NDArray[np.bool_],
    begins: Ints,
    ends: Ints,
    tracks: Ints,
    order: tuple[Ints, Ints | int, int],
) -> None:
    """Write slices with a name where they are wanted and take any time."""
    some = np.flatnonzero(wanted & (begins < ends))
    first, second, third = order
    second = second if isinstance(second, int) else second[some]
    rank = first[some]
    labels = ({"name": name},)
    packets.add(packets.begin, begins[some], tracks[some], (rank, second, third), labels=labels)
    packets.add(packets.end, ends[some], tracks[some], (rank, second, third + 1))
