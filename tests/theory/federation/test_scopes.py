"""Streams and pools that share a gateway and nothing else do not disturb each other."""

from __future__ import annotations

import math

import fedsim

TWO_POOLS = """
name: two-pools
seed: {seed}
duration: 90s
warmup: 0s
regions: {{lab: {{}}}}
network: {{within_region: 1ms}}
pools:
  a: {{region: lab, count: {nodes_a}, capabilities: [{kind_a}], slots: 16, service: {{distribution: constant, value: 100ms}}}}
  b: {{region: lab, count: 8, slots: 16, service: {{distribution: constant, value: 100ms}}}}
workload:
  A: {{capability: {kind_a}, arrivals: {{process: poisson, rate: 20/s}}}}
  B: {{arrivals: {{process: poisson, rate: 40/s}}}}
faults: {faults}
federation: {{strategy: round_robin, policies: {{}}, {federation}}}
"""  # noqa: E501


def run(tmp_path, faults, federation, nodes_a, kind_a="code", seed=3):
    """Return the run of a scenario with the streams A and B."""
    path = tmp_path / "two-pools.yaml"
    text = TWO_POOLS.format(
        faults=faults, federation=federation, nodes_a=nodes_a, kind_a=kind_a, seed=seed
    )
    path.write_text(text, encoding="utf-8")
    return fedsim.simulate(fedsim.load(path))


def test_a_pool_with_a_tenth_of_errors_beside_one_without(tmp_path):
    """Two nodes that fail alike are compared with each other, and serve nine of ten requests."""
    found = run(
        tmp_path,
        "[{kind: errors, pool: a, at: 0s, lasts: 90s, probability: 0.1}]",
        "circuit_breaker: off, health: off, retries: off, outliers: {consecutive_failures: off}",
        nodes_a=2,
    )
    served = found.summary(by="stream")

    requests = served.loc["A", "requests"]
    z = (served.loc["A", "success_rate"] - 0.9) / math.sqrt(0.9 * 0.1 / requests)
    assert abs(z) < 3.5
    assert served.loc["B", "success_rate"] == 1.0
    assert (found.events["kind"] != "outlier").all()


def test_routes_that_find_no_node_beside_retries(tmp_path):
    """A's only node is dead; B, which needs its retries, is served as if A were not there."""
    found = run(
        tmp_path,
        "[{kind: outage, pool: a, at: 10s, lasts: 1min},"
        " {kind: errors, pool: b, at: 0s, lasts: 90s, probability: 0.1}]",
        "retries: {budget: 20%}",
        nodes_a=1,
    )
    served = found.summary(by="stream")

    assert served.loc["A", "success_rate"] < 0.5
    assert served.loc["B", "success_rate"] > 0.999


def test_backoffs_beyond_the_deadline(tmp_path):
    """A request whose backoff would outlast its deadline ends with its last attempt, as that."""
    found = run(
        tmp_path,
        "[{kind: errors, region: lab, at: 0s, lasts: 90s, probability: 0.5}]",
        "circuit_breaker: off, health: off, timeout: {attempt: 2s, request: 3s},"
        " retries: {limit: 5, backoff: 2s, jitter: none, budget: off}",
        nodes_a=2,
    )
    failed = found.requests[found.requests["outcome"] != "ok"]
    last = found.attempts.drop_duplicates("request_id", keep="last").set_index("request_id")

    assert set(failed["outcome"]) == {"internal"}
    assert len(failed) > 1000
    ended_s = last.loc[failed["request_id"], "finished_s"].to_numpy()
    assert (failed["finished_s"].to_numpy() == ended_s).all()
