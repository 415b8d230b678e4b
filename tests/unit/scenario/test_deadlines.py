"""Deadlines are compared with what requests need of a node that does nothing else."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import fedsim
from fedsim.scenario.deadlines import deadline_notes, idle_needs
from fedsim.scenario.offered_load import OfferedLoad
from fedsim.scenario.request_samples import sample_requests
from tests.unit.scenario.writing import loaded

ENGINE = """\
duration: 10min
regions: {us: {}}
network: {within_region: 0ms}
pools:
  slow: {region: us, engine: {prefill: {p0: 1s, p1: 0ms}, decode: {d0: 100ms, d1: 0ms, d2: 0ms},
         kv_capacity: 100000, request_overhead: 500ms}}
workload:
  chat: {arrivals: {process: poisson, rate: 1/min}, tokens: {
    prompt: {distribution: constant, value: 100}, output: {distribution: constant, value: 101}}}
"""

SLOTS = """\
duration: 10min
regions: {us: {}, eu: {}}
network: {within_region: 0ms, between: {us/eu: 6s}}
pools:
  work: {region: us, capabilities: [CAPABILITY], slots: 1, service: {SERVICE}}
workload:
  jobs: {capability: CAPABILITY, origins: {us: 1}, arrivals: {process: poisson, rate: 10/s}, SIZES}
"""


def notes(folder: Path, text: str, **overrides: object) -> list[str]:
    """Return the notes on the scenario *text*, with overrides by path, dots as underscores."""
    changed = {path.replace("__", "."): value for path, value in overrides.items()}
    return deadline_notes(OfferedLoad(loaded(folder, text, changed)))


def test_an_engine_alone(tmp_path: Path):
    """1.5 s to the first token, 0.1 s between two of them, 11.5 s in all."""
    scenario = loaded(tmp_path, ENGINE)
    stream, pool = scenario.world.streams[0], scenario.world.pools[0]
    sample = sample_requests(stream.traffic, scenario.duration_s)
    needs = idle_needs(pool, sample)

    assert needs.first_s == pytest.approx(1.5)
    assert needs.gap_s == pytest.approx(0.1)
    assert needs.whole_s == pytest.approx(11.5)


@pytest.mark.parametrize(
    ("timeout", "streamed", "found"),
    [
        ({}, "on", []),
        ({}, "off", []),
        ({"attempt": "10s"}, "off", ["federation.timeout.attempt is 10s, and requests of chat"]),
        ({"attempt": "10s"}, "on", []),
        (
            {"first_token": "1s"},
            "on",
            ["federation.timeout.first_token is 1s, and requests of chat"],
        ),
        ({"first_token": "1s"}, "off", []),
        ({"idle": "50ms"}, "on", ["federation.timeout.idle is 50ms, and requests of chat"]),
        ({"request": "11s"}, "on", ["federation.timeout.request is 11s, and requests of chat"]),
        (
            {"attempt": "11s", "request": "11s"},
            "off",
            ["federation.timeout.attempt is 11s", "federation.timeout.request is 11s"],
        ),
    ],
)
def test_each_deadline_is_compared_with_what_it_bounds(
    tmp_path: Path, timeout: dict[str, str], streamed: str, found: list[str]
):
    """Streams by their tokens, other answers as a whole, and a sentence says what to do."""
    said = notes(tmp_path, ENGINE, federation__timeout=timeout, workload__chat__streamed=streamed)

    assert len(said) == len(found)
    for note, beginning in zip(said, found, strict=True):
        assert note.startswith(beginning)
        assert "on idle nodes: 100 % on slow (median" in note
        assert "Raise it" in note


def test_latencies_that_are_asked_for_and_hedges(tmp_path: Path):
    """A max_latency below what is needed is named; so is a hedge of requests in good time."""
    (asked,) = notes(tmp_path, ENGINE, workload__chat__qos={"max_latency": "5s"})
    (hedged,) = notes(tmp_path, ENGINE, federation__hedge={"after": "1s"})

    assert asked.startswith("workload.chat.qos.max_latency is 5s, and requests of chat")
    assert hedged.startswith("federation.hedge.after is 1s, and requests of chat")
    assert notes(tmp_path, ENGINE, federation__hedge={"after": "2s"}) == []
    assert notes(tmp_path, ENGINE, federation__hedge={"after": "p95"}) == []


@pytest.mark.parametrize(
    ("capability", "service", "sizes", "limit", "share"),
    [
        ("generate", "distribution: exponential, mean: 1s", "", 2.0, math.exp(-2.0)),
        ("generate", "distribution: uniform, low: 1s, high: 3s", "", 2.0, 0.5),
        ("generate", "distribution: lognormal, median: 1s, p99: 10s", "", 10.0, 0.01),
        (
            "transcribe",
            "real_time_factor: 10",
            "audio: {length: {distribution: uniform, low: 10s, high: 30s}}",
            2.0,
            0.5,
        ),
        (
            "image_gen",
            "per_step: 100ms",
            "pictures: {steps: {distribution: constant, value: 30}}",
            2.9,
            1.0,
        ),
    ],
)
def test_the_share_is_that_of_the_distribution(
    tmp_path: Path, capability: str, service: str, sizes: str, limit: float, share: float
):
    """Whatever the kind of work: the share that needs longer than the deadline."""
    text = SLOTS.replace("CAPABILITY", capability).replace("SERVICE", service)
    text = text.replace(", SIZES", f", {sizes}" if sizes else "")
    (note,) = notes(tmp_path, text, federation__timeout={"attempt": f"{limit}s"})

    said = float(note.partition("idle nodes: ")[2].partition(" %")[0])
    rows = sample_size(tmp_path, text)
    assert said == pytest.approx(100.0 * share, abs=400.0 / math.sqrt(rows))


def sample_size(folder: Path, text: str) -> int:
    """Return how many requests the sample of the scenario's only stream has."""
    scenario = loaded(folder, text)
    traffic = scenario.world.streams[0].traffic
    return len(sample_requests(traffic, scenario.duration_s).details)


def test_probes_that_never_arrive_in_time(tmp_path: Path):
    """A probe that takes its timeout on the network alone never succeeds."""
    text = SLOTS.replace("CAPABILITY", "generate").replace("SERVICE", "base: 1s")
    text = text.replace(", SIZES", "")
    far: dict[str, object] = {"workload.jobs.origins": {"us": 1, "eu": 1}}
    (note,) = deadline_notes(OfferedLoad(loaded(tmp_path, text, far)))

    assert "federation.health.timeout is 5s, and a probe from eu to work takes longer" in note
    assert notes(tmp_path, text) == []


def test_a_run_that_no_deadline_lets_succeed_says_so(tmp_path: Path):
    """What check warned of is a finding of the run, and none without the deadline."""
    from fedsim.results.diagnosis import findings
    from fedsim.results.evidence import evidence_of

    rate: dict[str, object] = {"workload.chat.arrivals.rate": "6/min"}
    short = rate | {"federation.timeout": {"attempt": "10s"}, "workload.chat.streamed": "off"}
    late = fedsim.simulate(loaded(tmp_path, ENGINE, short))
    (found,) = findings(late)
    (evidence,) = evidence_of(late, "deadline-too-short")
    run = fedsim.simulate(loaded(tmp_path, ENGINE, rate))

    assert found.startswith(f"Deadline too short: {len(evidence.attempts):,} of ")
    assert set(evidence.attempts["outcome"]) == {"timeout"}
    assert "on slow timed out after 10 s (median)" in found
    assert findings(run) == []
    assert np.all(run.requests["outcome"] == "ok")


@pytest.mark.parametrize(
    ("slo", "found"),
    [
        ({"ttft_p99": "2s", "tpot_p99": "200ms", "latency_p50": "12s"}, []),
        ({"ttft_p50": "1s"}, ["slo.ttft_p50 is 1s, and requests of chat"]),
        ({"tpot_p99": "50ms"}, ["slo.tpot_p99 is 50ms, and requests of chat"]),
        ({"latency_p99": "11s"}, ["slo.latency_p99 is 11s, and requests of chat"]),
        ({"queue_wait_p99": "1ms"}, []),
        (
            {"latency_p99": "12s", "streams": {"chat": {"latency_p99": "11s"}}},
            ["slo.streams.chat.latency_p99 is 11s"],
        ),
    ],
)
def test_objectives_that_idle_nodes_cannot_meet(
    tmp_path: Path, slo: dict[str, object], found: list[str]
):
    """A percentile below what idle nodes need cannot be held."""
    said = notes(tmp_path, ENGINE, slo=slo)

    assert len(said) == len(found)
    for note, beginning in zip(said, found, strict=True):
        assert note.startswith(beginning)
        assert "It cannot be held: raise it, or use faster nodes." in note


def test_an_objective_that_one_pool_meets_may_be_held(tmp_path: Path):
    """Requests may go to the faster pool."""
    fast = {"region": "us", "service": {"base": "100ms"}}
    assert notes(tmp_path, ENGINE, slo={"latency_p99": "11s"}, pools__fast=fast) == []
