"""What a router can know of engines: late telemetry, and an estimate of their prefix caches."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

import fedsim
from fedsim.federation.contracts import RouteTarget

SCENARIO = """\
name: engines
duration: 60s
warmup: 0s
regions: {here: {}}
network: {within_region: 2ms, jitter: 0%}
pools:
  chat:
    region: here
    count: 3
    gpu: h100_sxm
    engine:
      prefill: {p0: 8ms, p1: 0.05ms, p2: 3e-6ms}
      decode: {d0: 11ms, d1: 0.03ms, d2: 8e-5ms}
      kv_capacity: 200000
      max_batch: 64
workload:
  chat:
    arrivals: {process: poisson, rate: 20/s}
    tokens:
      prompt: {distribution: constant, value: 70}
      output: {distribution: exponential, mean: 50}
    prefixes:
      count: 30
      zipf: 0.5
      tokens: {distribution: constant, value: 1024}
      block_tokens: 64
federation: {health: {interval: 5s}}
record: {nodes_every: 100ms}
"""


@pytest.fixture
def scene(tmp_path):
    """Return the scenario."""
    path = tmp_path / "engines.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    return fedsim.load(path)


class Router:
    """Sends requests to the node that it likes best, of several the one with fewest so far."""

    def __init__(self, context):
        self.context = context
        self.nodes = {each.node_id: each.region_id for each in context.catalog.deployments()}
        self.sent = dict.fromkeys(self.nodes, 0)

    def liking(self, node, request):
        """Return how much it likes a node."""
        return 0

    def route(self, request):
        """Return the node."""
        node = max(self.nodes, key=lambda node: (self.liking(node, request), -self.sent[node]))
        self.sent[node] += 1
        return RouteTarget(node, self.nodes[node])


def test_a_router_can_estimate_prefix_caches(scene):
    """The estimate is what the caches turn out to hold, and going by it finds more in them."""
    guessed = []

    class ByPrefix(Router):
        def liking(self, node, request):
            return self.context.prefixes.hit_tokens(node, request)

        def route(self, request):
            target = super().route(request)
            guessed.append(self.liking(target.node_id, request))
            return target

    blind = fedsim.simulate(scene, router=Router)
    run = fedsim.simulate(scene, router=ByPrefix)

    found = run.requests["cached_tokens"].to_numpy(np.int64)
    assert set(np.unique(found)) <= {0, *range(64, 1025, 64)}
    assert (np.array(guessed) >= found).all()
    assert (np.array(guessed) == found).mean() > 0.98
    hits, blind_hits = (each.summary()["cache_hit_share"].item() for each in (run, blind))
    assert hits > blind_hits + 0.02
    assert (found == 0).sum() == pytest.approx(30, abs=3)  # each system prompt is computed once


def test_a_router_sees_engines_late(scene):
    """What the health view says of a node is what its last probe found, however busy it is now."""
    seen = []

    class Onlooker(Router):
        def route(self, request):
            health = self.context.health.get_cached_health("chat-0")
            facts = (health.running, health.queue_depth, health.kv_usage, health.gpu_utilization)
            seen.append((self.context.clock.now(), facts))
            return super().route(request)

    run = fedsim.simulate(scene, router=Onlooker)

    changes = [now for (_, before), (now, after) in pairwise(seen) if before != after]
    assert 10 <= len(changes) <= 14  # one a probe, and one more for the first
    assert (np.diff(changes)[1:] > 4.0).all()
    last = seen[-1][1]
    assert 0 < last[0] <= 64
    assert last[1] == 0
    assert 0.0 < last[2] < 0.2
    assert 0.5 < last[3] <= 1.0
    samples = run.nodes[run.nodes["node"] == "chat-0"]
    running = set(samples["running"])
    assert len(running) > len({facts[0] for _, facts in seen})
    assert {facts[0] for _, facts in seen if facts[0] is not None} <= running | {last[0]}
