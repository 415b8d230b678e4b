from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import fedsim
from fedsim.federation.strategies.registry import CONTRACT_STRATEGIES, STRATEGIES
from tests.chosen import others_slow

TEXT = """\
name: determinism
seed: 11
duration: 50s
warmup: 5s
regions: {east: {}, west: {}}
network: {between: {east/west: 60ms}}
pools:
  east:
    region: east
    count: 3
    slots: 3
    queue_limit: 6
    capabilities: [generate, code]
    service: &same {base: 20ms, per_prompt_token: 0.1ms, per_output_token: 4ms, noise_cv: 0.3}
  west:
    region: west
    count: 2
    slots: 3
    queue_limit: 6
    capabilities: [generate, code]
    service: *same
workload:
  chat:
    origins: {east: 0.6, west: 0.4}
    arrivals: {process: poisson, rate: 9/s}
    tokens:
      prompt: {distribution: lognormal, median: 500, p99: 2000}
      output: {distribution: lognormal, median: 80, p99: 300}
    tenants: {count: 40, zipf: 1.0}
  code:
    capability: code
    arrivals: {process: poisson, rate: 3/s}
    tokens:
      prompt: {distribution: constant, value: 300}
      output: {distribution: constant, value: 50}
federation:
  gateways: {east: 2, west: 1}
  timeout: {attempt: 2s, request: 6s}
  health: {interval: 2s, timeout: 1s}
  circuit_breaker: {reset_timeout: 5s}
faults:
  - {kind: crash, pool: east, mtbf: 20s, mttr: 3s}
  - {kind: outage, region: west, at: 20s, lasts: 5s}
  - {kind: errors, node: east-1, at: 0s, lasts: 1h, probability: 0.3}
  - {kind: slowdown, pool: west, at: 40s, lasts: 10s, factor: 2}
"""

ROUTER = """\
import asyncio
import random

from fedsim.federation.contracts import NoCapacity, RouteTarget


class Fanning:
    \"\"\"Asks all nodes at once, waits for most, and takes the luckiest.\"\"\"

    def __init__(self, context):
        self.context = context

    async def ask(self, node, region):
        await asyncio.sleep(random.expovariate(200.0))
        health = self.context.health.get_cached_health(node)
        return random.random() - health.latency_p50_s, RouteTarget(node, region)

    async def route(self, request):
        nodes = await self.context.catalog.find_by_capability(request.capability)
        asked = [asyncio.create_task(self.ask(*each)) for each in nodes]
        done, late = await asyncio.wait(asked, timeout=0.01)
        for task in late:
            task.cancel()
        if not done:
            raise NoCapacity(request.capability)
        return max((task.result() for task in done), key=lambda found: found[0])[1]
"""

ARRIVALS = [
    "request_id",
    "stream",
    "tenant",
    "origin",
    "arrived_s",
    "prompt_tokens",
    "output_tokens",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a scenario and a router."""
    folder = tmp_path_factory.mktemp("determinism")
    (folder / "scenario.yaml").write_text(TEXT, encoding="utf-8")
    (folder / "fanning_of_a_test.py").write_text(ROUTER, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def load(folder):
    """Return what loads the scenario with overrides."""
    return lambda overrides=None: fedsim.load(folder / "scenario.yaml", overrides)


@pytest.fixture(scope="module")
def runs(load):
    """Return a run of each strategy, and of a user's router."""
    scenario = load()
    found = {name: fedsim.simulate(scenario, strategy=name) for name in STRATEGIES}
    found["router"] = fedsim.simulate(scenario, router="fanning_of_a_test:Fanning")
    return found


def digests(folder, hash_seed):
    """Return the digests of all runs as another process finds them."""
    script = f"""\
        import json, sys
        import fedsim
        from fedsim.federation.strategies.registry import STRATEGIES

        scenario = fedsim.load({str(folder / "scenario.yaml")!r})
        found = {{name: fedsim.simulate(scenario, strategy=name).digest for name in STRATEGIES}}
        run = fedsim.simulate(scenario, router="fanning_of_a_test:Fanning")
        print(json.dumps({{**found, "router": run.digest}}))
        """
    answer = subprocess.run(
        [sys.executable, "-c", dedent(script)],
        cwd=Path(fedsim.__file__).parent.parent,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(answer.stdout)


class TestSameRun:
    @pytest.mark.parametrize("hash_seed", others_slow(["0", "4242"], ["4242"]))
    def test_in_another_process(self, folder, runs, hash_seed):
        """The same scenario and seed give the same digests in any process, whatever it hashes."""
        found = digests(folder, hash_seed)

        assert found == {name: run.digest for name, run in runs.items()}
        assert len({found[name] for name in CONTRACT_STRATEGIES}) == len(CONTRACT_STRATEGIES)

    def test_again(self, load, runs):
        """A run does not depend on what ran before it in the process."""
        again = fedsim.simulate(load(), strategy="least_latency")

        assert again.digest == runs["least_latency"].digest

    @pytest.mark.parametrize("every", ["off", "70ms"])
    def test_however_it_is_watched(self, load, runs, every):
        """Neither sampling the nodes nor reporting progress changes anything."""
        shares: list[float] = []
        scenario = load({"record.nodes_every": every})
        run = fedsim.simulate(scenario, strategy="least_connections", progress=shares.append)

        assert run.digest == runs["least_connections"].digest
        assert shares == sorted(shares)
        assert (shares[0], shares[-1]) == (0.0, 1.0)

    def test_another_seed_is_another_run(self, load, runs):
        """Another seed changes arrivals, sizes and faults."""
        other = fedsim.simulate(load(), strategy="round_robin", seed=12)

        assert other.digest != runs["round_robin"].digest
        assert (
            other.requests["arrived_s"].iloc[0] != runs["round_robin"].requests["arrived_s"].iloc[0]
        )


def faults_of(run):
    """Return the fault events while requests arrive; how long the drain takes may differ."""
    events = run.events
    events = events[(events["kind"] == "fault") & (events["time_s"] < run.duration_s)]
    return events[["time_s", "subject", "before", "after", "detail"]].astype(str).values.tolist()


@pytest.mark.parametrize("name", [*list(STRATEGIES)[1:], "router"])
class TestSameWeather:
    """Exchanging the strategy or the router leaves all that does not depend on it as it was."""

    def test_arrivals_and_sizes(self, runs, name):
        """What arrives, when, where and how large does not depend on routing."""
        one, other = runs["round_robin"], runs[name]

        assert one.requests[ARRIVALS].equals(other.requests[ARRIVALS])

    def test_faults(self, runs, name):
        """What goes wrong, and when, does not depend on routing."""
        assert faults_of(runs["round_robin"]) == faults_of(runs[name])
        assert len(faults_of(runs[name])) > 10

    def test_service(self, runs, name):
        """An attempt takes as long on any of equal nodes, but for a slowdown; so does a retry."""
        columns = ["request_id", "attempt"]
        attempts = [
            run.attempts[run.attempts["outcome"] == "ok"].astype({"request_id": str})
            for run in (runs["round_robin"], runs[name])
        ]
        both = attempts[0].merge(attempts[1], on=columns)
        slowed = (both[["started_s_x", "started_s_y"]].max(axis=1) > 35.0) & (
            (both["region_x"] == "west") | (both["region_y"] == "west")
        )
        equal = both[~slowed]
        assert equal["service_s_x"].to_numpy() == pytest.approx(equal["service_s_y"].to_numpy())
        assert (equal["attempt"] == 1).sum() > 200
        assert (equal["attempt"] > 1).any()


POOL = {
    "region": "west",
    "count": 2,
    "slots": 9,
    "capabilities": ["code"],
    "service": {"base": "90ms"},
}


class TestIndependence:
    """What is added to a scenario leaves the rest of its luck as it was."""

    @pytest.mark.parametrize(
        "overrides",
        [
            {"pools.extra": POOL},
            {"pools.east.count": 7},
            {"federation.gateways": {"east": 1, "west": 4}},
            {"federation.retries": "off", "federation.health": "off"},
            {"network.jitter": "50%"},
            {"drain": "1s"},
        ],
    )
    def test_of_arrivals(self, load, runs, overrides):
        """Pools, gateways and settings change no arrival, and no fault that was there."""
        run = fedsim.simulate(load(overrides), strategy="round_robin")
        before = runs["round_robin"]

        assert run.requests[ARRIVALS].equals(before.requests[ARRIVALS])
        known = [fault for fault in faults_of(run) if fault in faults_of(before)]
        assert known == faults_of(before)

    def test_of_streams(self, load, runs):
        """Another stream changes nothing of those that were there."""
        one = {"distribution": "constant", "value": 1}
        extra = {
            "arrivals": {"process": "poisson", "rate": "1/s"},
            "tokens": {"prompt": one, "output": one},
        }
        run = fedsim.simulate(load({"workload.extra": extra}), strategy="round_robin")

        requests = run.requests.astype({"stream": str, "request_id": str})
        kept = requests[requests["stream"] != "extra"].reset_index(drop=True)
        before = runs["round_robin"].requests
        for column in ("arrived_s", "prompt_tokens", "output_tokens"):
            assert kept[column].tolist() == before[column].tolist()
        assert kept["request_id"].tolist() == before["request_id"].tolist()
        assert (requests["stream"] == "extra").sum() > 30
