"""A run as a Perfetto trace, read back by protobuf: its slices nest, and its flows connect."""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import fedsim
from fedsim.cli.app import app
from fedsim.errors import ArgumentError
from fedsim.results.lanes import in_lanes
from fedsim.results.perfetto import perfetto_trace
from fedsim.results.run import Run
from tests.unit.scenario.writing import write

protos: Any = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2")

SCENARIO = """
name: traced
duration: 30s
warmup: 0s
start: 2026-11-03T14:05Z
regions: {east: {}, west: {}}
network: {between: {east/west: 60ms}}
pools:
  chat: {region: east, count: 2, slots: 3, queue_limit: 8,
         service: {distribution: lognormal, median: 500ms, p99: 3s}}
  llm: {region: west, count: 1, model: small,
        engine: {profile: llama-3.1-8b/bf16/a100_sxm/tp1, max_batch: 4, request_overhead: 5ms}}
workload:
  chat: {capability: code, arrivals: {process: poisson, rate: 9/s}}
  llm:
    model: small
    arrivals: {process: poisson, rate: 2/s}
    tokens: {prompt: {distribution: lognormal, median: 200, p99: 2000},
             output: {distribution: lognormal, median: 60, p99: 400}}
federation:
  timeout: {attempt: 3s, request: 6s}
  hedge: {after: 1s, budget: 50%}
faults:
  - {kind: outage, node: chat-0, at: 12s, lasts: 8s}
"""
CAPABLE = {"pools.chat.capabilities": ["code"], "pools.llm.capabilities": ["generate"]}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run with waits, retries, hedges, failures, an engine and an outage."""
    folder = tmp_path_factory.mktemp("traced")
    return fedsim.simulate(fedsim.load(write(folder, SCENARIO), CAPABLE))


@dataclass
class Slice:
    """A slice as it was read back."""

    name: str
    track: int
    begin: int
    notes: dict[str, str]
    out: list[int]
    into: list[int]
    end: int = -1
    inside: list[Slice] = field(default_factory=list)


@dataclass
class Read:
    """A trace as a viewer reads it: tracks by number, and slices from a stack of each track."""

    names: dict[int, str] = field(default_factory=dict)
    parents: dict[int, int] = field(default_factory=dict)
    tops: list[Slice] = field(default_factory=list)
    instants: list[tuple[str, int, str]] = field(default_factory=list)
    values: dict[tuple[str, str], list[tuple[int, float]]] = field(default_factory=dict)
    clocks: list[dict[int, int]] = field(default_factory=list)

    def place(self, track: int) -> list[str]:
        """Return the names of a track and of those around it, the outermost first."""
        around = self.place(self.parents[track]) if track in self.parents else []
        return [*around, self.names[track]]

    def of(self, group: str) -> list[Slice]:
        """Return the outermost slices of all tracks in a group."""
        return [each for each in self.tops if self.place(each.track)[1] == group]


def read(data: bytes) -> Read:
    """Read a trace; whatever does not nest fails."""
    found, open_slices = Read(), dict[int, list[Slice]]()
    before = 0
    for packet in protos.Trace.FromString(data).packet:
        if packet.HasField("track_descriptor"):
            track = packet.track_descriptor
            found.names[track.uuid] = track.name
            if track.parent_uuid:
                found.parents[track.uuid] = track.parent_uuid
        elif packet.HasField("clock_snapshot"):
            clocks = packet.clock_snapshot.clocks
            found.clocks.append({each.clock_id: each.timestamp for each in clocks})
        else:
            assert packet.timestamp >= before
            before = packet.timestamp
            event = packet.track_event
            assert event.track_uuid in found.names
            _read_event(found, open_slices, packet.timestamp, event)
    assert not any(open_slices.values())
    return found


def _read_event(found: Read, stacks: dict[int, list[Slice]], when: int, event: Any) -> None:
    stack = stacks.setdefault(event.track_uuid, [])
    if event.type == event.TYPE_SLICE_BEGIN:
        notes = {each.name: each.string_value for each in event.debug_annotations}
        flows = list(event.flow_ids), list(event.terminating_flow_ids)
        each = Slice(event.name, event.track_uuid, when, notes, *flows)
        (stack[-1].inside if stack else found.tops).append(each)
        stack.append(each)
    elif event.type == event.TYPE_SLICE_END:
        ended = stack.pop()
        ended.end = when
        assert all(ended.begin <= each.begin <= each.end <= when for each in ended.inside)
    elif event.type == event.TYPE_INSTANT:
        found.instants.append((found.names[event.track_uuid], when, event.name))
    else:
        *_, node, name = found.place(event.track_uuid)
        values = found.values.setdefault((node, name), [])
        values.append((when, event.double_counter_value))


@pytest.fixture(scope="module")
def trace(run: Run) -> Read:
    """The trace of the run, read back."""
    return read(perfetto_trace(run).data)


def nanoseconds(time_s: Any) -> int:
    """Return a time of the tables as a trace has it."""
    return round(float(time_s) * 1e9)


def test_every_request_is_a_slice_of_its_gateway(run: Run, trace: Read):
    """With its times to the nanosecond, its outcome, and an inner slice for each attempt."""
    requests = run.requests.set_index("request_id")
    attempts = run.attempts
    slices = {each.name: each for each in trace.of("gateways") if not each.name.startswith("hedge")}
    hedges = [each for each in trace.of("gateways") if each.name.startswith("hedge")]

    assert set(slices) == set(requests.index)
    for name, each in slices.items():
        row = requests.loc[name]
        finished = row["finished_s"] if row["finished_s"] == row["finished_s"] else run.end_s
        assert (each.begin, each.end) == (nanoseconds(row["arrived_s"]), nanoseconds(finished))
        assert each.notes == {"outcome": row["outcome"]}
    assert len(hedges) == int(attempts["hedge"].sum()) > 0
    inner = Counter(
        (name, each.name, each.begin) for name, outer in slices.items() for each in outer.inside
    )
    assert inner == Counter(
        (row.request_id, row.node, nanoseconds(row.started_s))
        for row in attempts[~attempts["hedge"]].itertuples()
    )
    place = attempts.drop_duplicates("request_id").set_index("request_id")["gateway"]
    assert all(trace.place(slices[name].track)[2] == place[name] for name in place.index)


def test_flows_lead_from_each_served_attempt_to_its_slot(run: Run, trace: Read):
    """One arrow for each attempt that a node served, to a slice of that request and node."""
    served = run.attempts["service_s"].notna()
    sources = {
        number: (attempt, outer)
        for outer in trace.of("gateways")
        for attempt in (outer, *outer.inside)
        for number in attempt.out
    }
    ends = {number: each for each in trace.of("nodes") for number in each.into}

    assert len(ends) == len(trace.of("nodes")) == int(served.sum())
    assert set(sources) == set(ends) == {row + 1 for row in np.flatnonzero(served)}
    for number, each in ends.items():
        attempt, outer = sources[number]
        row = run.attempts.iloc[number - 1]
        assert each.name == row["request_id"]
        assert outer.name in {each.name, attempt.name}
        assert attempt.name.removeprefix("hedge to ") == row["node"]
        assert trace.place(each.track)[2] == row["node"]
        assert attempt.begin == nanoseconds(row["started_s"]) <= each.begin


def test_stages_have_the_times_of_the_tables(run: Run, trace: Read):
    """Waits and services of answers, prefill and decode of an engine, each as long as recorded."""
    rows = {number + 1: row for number, row in enumerate(run.attempts.itertuples())}
    requests = run.requests.set_index("request_id")
    for outer in trace.of("gateways"):
        for attempt in outer.inside:
            row = rows[attempt.out[0]] if attempt.out else None
            if row is not None and row.outcome == "ok":
                long = {each.name: each.end - each.begin for each in attempt.inside}
                assert long.get("queued", 0) == nanoseconds(row.queue_wait_s)
                assert long["service"] == nanoseconds(row.service_s)
    decoded = 0
    for each in trace.of("nodes"):
        row = rows[each.into[0]]
        assert each.end - each.begin == nanoseconds(row.service_s)
        request = requests.loc[each.name]
        stages = {inner.name: inner.end - inner.begin for inner in each.inside}
        assert set(stages) <= {"prefill", "decode"}
        if row.outcome == "ok" and request["tpot_s"] == request["tpot_s"]:
            decoded += 1
            assert sum(stages.values()) == each.end - each.begin
            expected = request["tpot_s"] * (request["output_tokens"] - 1)
            assert stages["decode"] == pytest.approx(expected * 1e9, abs=2)
    assert decoded > 30


def test_slots_are_as_many_as_the_node_has(run: Run, trace: Read):
    """Each request is in one of them, though the way to the node is recorded as a sum alone."""
    tracks: dict[str, set[str]] = {}
    for each in trace.of("nodes"):
        *_, node, slot = trace.place(each.track)
        tracks.setdefault(node, set()).add(slot)

    assert tracks["chat-0"] == tracks["chat-1"] == {"slot 0", "slot 1", "slot 2"}
    assert tracks["llm-0"] <= {f"slot {number}" for number in range(4)}


def test_counters_are_the_samples(run: Run, trace: Read):
    """Each value holds until the next: filled in, they are the table's; the cache's is a share."""
    samples = run.nodes
    room = {info.name: info.kv_tokens for info in run.directory.nodes}["llm-0"]
    assert room
    for name, column, scale in (
        ("queued", "queued", 1.0),
        ("running", "running", 1.0),
        ("KV cache in use", "kv_used_tokens", 100.0 / room),
    ):
        mine = samples[samples["node"] == "llm-0"]
        times = [nanoseconds(each) for each in mine["time_s"]]
        changes = trace.values["llm-0", name]
        at = np.searchsorted([when for when, _ in changes], times, side="right") - 1
        found = np.array([value for _, value in changes])[at]
        assert found == pytest.approx(mine[column].to_numpy(dtype=float) * scale)
    assert ("chat-0", "KV cache in use") not in trace.values


def test_events_are_instants(run: Run, trace: Read):
    """Faults are the world's, changes of health and circuits those of the gateway that saw them."""
    assert len(trace.instants) == len(run.events)
    for (track, when, name), event in zip(trace.instants, run.events.itertuples(), strict=True):
        assert when == nanoseconds(event.time_s)
        assert name.startswith(f"{event.kind} {event.subject}")
        noticed = isinstance(event.gateway, str)
        expected = f"{event.gateway}: health and circuits" if noticed else "faults and fleet"
        assert track == expected
    assert ("faults and fleet", 12 * 10**9, "fault chat-0: up → down") in trace.instants
    assert any("breaker" in name for _, _, name in trace.instants)


def test_the_clock_of_the_scenario(trace: Read):
    """A viewer can show what o'clock it was: time 0 is the start."""
    assert trace.clocks == [{6: 0, 1: 1_793_714_700 * 10**9}]


def test_the_same_run_gives_the_same_bytes(run: Run, tmp_path: Path):
    """Also a run that was saved, by the command, which says what it wrote."""
    data = perfetto_trace(run).data
    run.save(tmp_path / "run", charts=False)

    result = CliRunner().invoke(
        app, ["timeline", str(tmp_path / "run"), "-o", str(tmp_path / "run.pftrace")]
    )

    assert result.exit_code == 0
    assert f"all {len(run.requests):,} requests" in result.output
    assert "https://ui.perfetto.dev" in result.output
    assert (tmp_path / "run.pftrace").read_bytes() == data
    assert sorted(each.name for each in tmp_path.iterdir()) == ["run", "run.pftrace"]


def test_of_many_requests_some_are_shown_whole(run: Run):
    """They are spread over the run, each with all of its attempts, in the slots of the full run."""
    some = perfetto_trace(run, most=100)
    found, full = read(some.data), read(perfetto_trace(run).data)
    shown = {each.name for each in found.of("gateways") if not each.name.startswith("hedge")}
    in_slots = {(each.name, each.begin, full.place(each.track)[3]) for each in full.of("nodes")}

    assert (some.requests, some.of) == (100, len(run.requests))
    assert len(shown) == 100
    ids = run.requests["request_id"].tolist()
    gaps = np.diff([place for place, name in enumerate(ids) if name in shown])
    assert set(gaps.tolist()) <= {len(ids) // 100, len(ids) // 100 + 1}
    assert {(each.name, each.begin, found.place(each.track)[3]) for each in found.of("nodes")} == {
        each for each in in_slots if each[0] in shown
    }


def test_without_the_package(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The error names what to install, and nothing is written."""
    for name in [each for each in sys.modules if each.split(".")[0] == "perfetto"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "perfetto", None)
    with pytest.raises(ArgumentError, match=r"pip install \"fedsim-routing\[timeline\]\""):
        perfetto_trace(run)

    run.save(tmp_path / "run", charts=False)
    out = ["-o", str(tmp_path / "x.pftrace")]
    result = CliRunner().invoke(app, ["timeline", str(tmp_path / "run"), *out])
    assert result.exit_code == 2
    assert [each.name for each in tmp_path.iterdir()] == ["run"]


def test_what_is_no_trace_stays(run: Run, tmp_path: Path):
    """Status 2 for a file of others and a directory; a trace of ours is replaced."""
    run.save(tmp_path / "run", charts=False)
    manifest = tmp_path / "run" / "manifest.json"
    before = manifest.read_bytes()
    ours = tmp_path / "x.pftrace"
    ours.write_bytes(perfetto_trace(run).data)

    for out, status in ((manifest, 2), (Path(), 2), (tmp_path / "no" / "x", 2), (ours, 0)):
        result = CliRunner().invoke(app, ["timeline", str(tmp_path / "run"), "-o", str(out)])
        assert result.exit_code == status, result.output
    assert manifest.read_bytes() == before


def test_a_study_is_named_with_one_of_its_runs(run: Run, tmp_path: Path):
    """A comparison has several runs; the message says which can be shown."""
    (tmp_path / "study.json").write_text("{}")
    result = CliRunner().invoke(app, ["timeline", str(tmp_path), "-o", str(tmp_path / "x")])
    assert "is a study, not a run, and keeps none of its runs whole; run one" in result.output

    run.save(tmp_path / "runs" / "random", charts=False)
    result = CliRunner().invoke(app, ["timeline", str(tmp_path), "-o", str(tmp_path / "x")])
    assert result.exit_code == 2
    assert f"name one of its runs, such as {tmp_path}/runs/random" in result.output


@pytest.mark.parametrize("most", [None, 3, 8])
def test_lanes(most: int | None):
    """Intervals of a lane do not overlap; there are as many lanes as are needed at once."""
    rng = np.random.default_rng(4)
    begins = rng.integers(0, 1000, 300)
    ends = begins + rng.integers(0, 40, 300)
    slack = rng.integers(0, 10, 300)

    lanes, later = in_lanes(begins, ends, most, slack)

    placed = sorted(zip(lanes, begins + later, ends + later, strict=True))
    for (lane, _, end), (other, begin, _) in pairwise(placed):
        assert lane != other or end <= begin
    assert all(-room <= late <= room for late, room in zip(later, slack.tolist(), strict=True))
    if most is None:
        times = np.unique(begins)
        at_once = max(int(((begins <= when) & (ends > when)).sum()) for when in times)
        assert set(later) == {0}
        assert max(lanes) + 1 <= at_once + 1  # one more for an interval without any length


@pytest.mark.slow
def test_fifty_thousand_requests_take_seconds(tmp_path: Path):
    """From the files of a run to the trace, in under five seconds of CPU."""
    text = SCENARIO.replace("duration: 30s", "duration: 80min").replace("at: 12s", "at: 12min")
    run = fedsim.simulate(fedsim.load(write(tmp_path, text), CAPABLE))
    run.save(tmp_path / "run", charts=False)

    begin_s = time.process_time()
    trace = perfetto_trace(Run.load(tmp_path / "run"), most=50_000)
    taken_s = time.process_time() - begin_s

    assert trace.requests == 50_000
    assert taken_s < 5.0
