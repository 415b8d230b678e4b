"""Requests for a model: no strategy sends one elsewhere, and other models do not matter to it."""

from __future__ import annotations

import numpy as np
import pytest

import fedsim
from fedsim.federation.contracts import RouteTarget
from fedsim.federation.strategies.registry import STRATEGIES
from fedsim.scenario.effects import without_effect
from fedsim.scenario.offered_load import OfferedLoad
from fedsim.studies.cautions import run_warnings
from tests.chosen import others_slow
from tests.small_scenario import write

TEXT = """\
seed: 5
duration: 30s
warmup: 0s
regions: {{east: {{}}, west: {{}}}}
network: {{between: {{east/west: 60ms}}}}
pools:
  large-east: {{region: east, count: 2, slots: 2, gpu: h100, cost: 9 USD/h, {large_pool},
               service: {{distribution: lognormal, median: 400ms, p99: 2s}}}}
  small-east: {{region: east, count: 2, slots: 3, cost: 1 USD/h, weight: 3, {small_pool},
               service: {{distribution: lognormal, median: 200ms, p99: 1s}}}}
  large-west: {{region: west, count: 2, slots: 2, priority: 1, {large_pool},
               service: {{distribution: lognormal, median: 400ms, p99: 2s}}}}
  small-west: {{region: west, count: 3, slots: 3, gpu: a100, cost: 2 USD/h, {small_pool},
               service: {{distribution: lognormal, median: 300ms, p99: 1s}}}}
workload:
  large: {{{large}, arrivals: {{process: poisson, rate: 12/s}}, streamed: off,
          tenants: {{ann: {{share: 2}}, bob: {{}}, cid: {{}}}}, qos: {{max_latency: 2s}}}}
  small: {{{small}, arrivals: {{process: poisson, rate: 20/s}}, streamed: off,
          tenants: {{ann: {{share: 2}}, bob: {{}}, cid: {{}}}}}}
federation:
  panic: {{threshold: 90%}}
  hedge: {{}}
  throttle: {{}}
  concurrency: {{}}
  health: {{interval: 2s}}
  outliers: {{}}
  slow_start: {{}}
faults:
  - {{kind: crash, pool: large-east, mtbf: 10s, mttr: 4s}}
  - {{kind: errors, pool: small-west, at: 8s, lasts: 6s, probability: 60%}}
"""
"""Two models in two regions, with all that a gateway keeps apart by capability and model."""

BY_MODEL = TEXT.format(
    large_pool="model: large", small_pool="model: small", large="model: large", small="model: small"
)
PLAIN = BY_MODEL.partition("federation:")[0]
"""The same with a federation that a router of one's own fits into."""

BY_CAPABILITY = TEXT.format(
    large_pool="capabilities: [custom:large]",
    small_pool="capabilities: [custom:small]",
    large="capability: custom:large",
    small="capability: custom:small",
)


class Anywhere:
    """A router that looks at neither model nor health."""

    def __init__(self, context):
        self.nodes, self.rng = context.catalog.deployments(), context.rng

    def route(self, request):
        """Return any node."""
        node = self.nodes[int(self.rng.random() * len(self.nodes))]
        return RouteTarget(node.node_id, node.region_id)


class Obedient(Anywhere):
    """A router that goes by the request's model, and by nothing else."""

    def route(self, request):
        """Return any node with the model."""
        nodes = [node for node in self.nodes if node.model_id == request.model]
        node = nodes[int(self.rng.random() * len(nodes))]
        return RouteTarget(node.node_id, node.region_id)


def of_other_models(run) -> np.ndarray:
    """Return which attempts went to a node with another model than their request asks for."""
    attempts = run.attempts
    asked = attempts["request_id"].astype(str).str.partition("-")[0]
    served = attempts["node"].astype(str).str.partition("-")[0]
    return np.asarray(asked != served)


@pytest.mark.parametrize(
    "strategy",
    others_slow(
        STRATEGIES, ["least_latency", "consistent_hash", "prequal", "envoy_zone_aware", "llm_d"]
    ),
)
def test_models_are_kept_apart_like_capabilities(tmp_path, strategy):
    """A run by models is the run in which each model is a capability of its own."""
    by_model = fedsim.simulate(fedsim.load(write(tmp_path, BY_MODEL)), strategy=strategy)
    apart = fedsim.simulate(fedsim.load(write(tmp_path, BY_CAPABILITY)), strategy=strategy)

    assert len(by_model.attempts) > 500
    assert not of_other_models(by_model).any()
    for table in ("requests", "attempts"):
        one, other = getattr(by_model, table), getattr(apart, table)
        columns = [name for name in one.columns if name != "capability"]
        assert one[columns].equals(other[columns]), table
    subjects = by_model.events["subject"].astype(str)
    subjects = subjects.str.replace(r"generate \((\w+)\)", r"custom:\1", regex=True)
    ours = by_model.events.assign(subject=subjects)
    theirs = apart.events.assign(subject=apart.events["subject"].astype(str))
    ours = ours[ours["subject"] != "generate"]  # panic over all nodes, which no request asks of
    assert ours.astype(str).reset_index(drop=True).equals(theirs.astype(str).reset_index(drop=True))


def test_what_a_router_sends_to_other_models_is_served_and_counted(tmp_path):
    """The count is that of the attempts that a node of another model held, in whatever group."""
    scenario = fedsim.load(write(tmp_path, PLAIN))
    run = fedsim.simulate(scenario, router=Anywhere)
    held = (run.attempts["service_s"] > 0.0) | (run.attempts["outcome"] == "ok")
    arrived_s = run.requests["arrived_s"].to_numpy()[run.tables.request_rows]
    wrong = of_other_models(run) & held & (arrived_s < 30.0)

    assert 100 < wrong.sum() < len(run.attempts)
    assert run.summary()["model_violations"].iloc[0] == wrong.sum()
    assert (run.attempts["outcome"][wrong] == "ok").any()
    by_node = run.summary(by="node")["model_violations"]
    counts = run.attempts["node"][wrong].value_counts()
    for node, count in counts.items():
        assert by_node[node] == count
    by_stream = run.summary(by="stream")["model_violations"]
    assert by_stream["large"] + by_stream["small"] == wrong.sum()
    assert run_warnings(run)[0] == (
        f"{wrong.sum():,} attempts were served by another model than the request asks for."
    )


def test_a_router_that_goes_by_the_model_violates_nothing(tmp_path):
    """A router of one's own finds the model in the request, and a stored run says the same."""
    run = fedsim.simulate(fedsim.load(write(tmp_path, PLAIN)), router=Obedient)
    assert run.summary()["model_violations"].iloc[0] == 0

    run = fedsim.simulate(fedsim.load(write(tmp_path, PLAIN)), router=Anywhere)
    run.save(tmp_path / "run")
    again = fedsim.Run.load(tmp_path / "run")
    assert again.directory == run.directory
    assert again.summary().equals(run.summary())


def test_requests_without_a_model_are_never_violations(tmp_path):
    """What may go to any model violates nothing wherever it goes."""
    text = PLAIN.replace("model: large, arrivals", "arrivals")
    run = fedsim.simulate(fedsim.load(write(tmp_path, text)), router=Anywhere)
    by_stream = run.summary(by="stream")["model_violations"]

    assert by_stream["large"] == 0
    assert by_stream["small"] > 0


def test_the_reference_goes_by_capability_alone(tmp_path):
    """Under preset apr a stream's model has no effect: check says so, and a run counts it."""
    text = PLAIN + "federation: {preset: apr}\n"
    scenario = fedsim.load(write(tmp_path, text))

    assert [note for note in without_effect(scenario) if "workload.large.model" in note]
    assert OfferedLoad(scenario).may_serve.all()
    assert fedsim.simulate(scenario).summary()["model_violations"].iloc[0] > 0
