"""Engines whose KV cache is scarce: they preempt, and yet serve everybody whom they can."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fedsim

SCENARIO = """\
name: pressure
duration: 20s
warmup: 0s
regions: {here: {}}
pools:
  chat:
    region: here
    queue_limit: unlimited
    engine:
      prefill: {p0: 8ms, p1: 0.05ms}
      decode: {d0: 11ms, d1: 0.03ms}
      kv_capacity: 1024
      max_batch: 32
      token_budget: 128
workload:
  chat:
    arrivals: {process: poisson, rate: 6/s}
    tokens:
      prompt: {distribution: uniform, low: 1, high: 256}
      output: {distribution: uniform, low: 1, high: 256}
federation: {timeout: off, retries: off}
drain: 1h
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Return the file of the scenario."""
    path = tmp_path_factory.mktemp("pressure") / "pressure.yaml"
    path.write_text(SCENARIO, encoding="utf-8")
    return path


@settings(max_examples=15)
@given(seed=st.integers(0, 2**16), chunked=st.booleans(), budget=st.sampled_from([256, 8192]))
def test_a_cache_of_twice_the_longest_request_serves_everybody(path, seed, chunked, budget):
    """Where any two requests fit, each one is served, whole, however many are under way."""
    engine = {"chunked_prefill": chunked, "token_budget": 512 if not chunked else budget}
    overrides = {f"pools.chat.engine.{key}": value for key, value in engine.items()}

    requests = fedsim.simulate(fedsim.load(path, overrides), seed=seed).requests

    assert len(requests) > 50
    assert set(requests["outcome"]) == {"ok"}
    assert (requests["ttft_s"] <= requests["latency_s"]).all()


def test_a_longer_one_is_refused_by_name(path):
    """A request that no node's cache can hold ends as refused, and the events say which and why."""
    scenario = fedsim.load(path, {"pools.chat.engine.kv_capacity": 256})

    run = fedsim.simulate(scenario)

    refused = run.requests[run.requests["outcome"] != "ok"]
    sizes = run.requests["prompt_tokens"] + run.requests["output_tokens"] - 1
    assert set(refused["outcome"]) == {"no_capacity"}
    assert (sizes[refused.index] > 256).all()
    assert (sizes.drop(refused.index) <= 256).all()
    events = run.events.query("kind == 'refusal'")
    assert len(events) == len(refused)
    for request_id, detail in zip(refused["request_id"], events["detail"], strict=True):
        assert detail.startswith(f"request {request_id} can never be served by node chat-0: ")
