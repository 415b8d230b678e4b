from __future__ import annotations

import pytest

import fedsim
from fedsim.adapters import gorgo as adapter
from fedsim.errors import PlugInError
from tests.contract.adapters.runs import run, runs_alike

gorgo = pytest.importorskip("gorgo")

POLICIES = sorted(gorgo.POLICY_REGISTRY)


class Spied:
    """A policy that remembers what it was given, and chooses the first node."""

    def __init__(self) -> None:
        self.seen: list = []
        self.cached: list = []

    def __call__(self, context):
        """Return the first node."""
        self.seen.append(context)
        trie, nodes = context.radix_trie, context.replica_urls
        self.cached.append(trie.cached_prefix_lengths(context.token_ids, nodes))
        return gorgo.RouteDecision(context.replica_urls[0])


@pytest.fixture
def spied(monkeypatch):
    """Return the policy that runs in the place of every policy of gorgo's."""
    spy = Spied()
    monkeypatch.setattr(gorgo, "get_policy", lambda name: gorgo.PolicyDef(name, True, spy))
    return spy


def test_all_policies():
    """gorgo-lb brings 26 policies."""
    assert len(POLICIES) == 26


@pytest.mark.parametrize("policy", ["gorgo", "gorgo-2d", "power-of-two", "session-affinity"])
def test_repeatable(policy):
    """A policy gives equal digests twice, whatever the process draws in between."""
    done = runs_alike("gorgo", federation__router=f"gorgo/{policy}", duration="20s")
    assert (done.requests["outcome"] == "ok").mean() > 0.9
    assert done.strategy == f"gorgo/{policy}"


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
def test_each_policy(policy):
    """Each of them serves the scenario."""
    assert (run("gorgo", federation__router=f"gorgo/{policy}").requests["outcome"] == "ok").any()


def test_privacy_holds(tmp_path):
    """Nodes of regions that may not hold the data are not even shown to the policy."""
    done = run(
        "gorgo",
        federation__router="gorgo/random",
        **{"regions__us-east__privacy": "public", "regions__eu-west__privacy": "restricted"},
        workload__chat__qos={"privacy": "confidential"},
        duration="20s",
    )
    assert set(done.attempts["region"]) == {"eu-west"}


class TestWhatItIsGiven:
    def test_round_trips(self, spied):
        """Round trips are measured: 2 legs to the other region, much less to the own."""
        run("gorgo", duration="20s")
        last = spied.seen[-1].metrics
        own, other = sorted({round(snapshot.network_rtt, 6) for snapshot in last.values()})
        assert 0.0 < own < 0.005
        assert 0.05 < other < 0.2

    def test_requests_in_flight(self, spied):
        """Requests under way and their tokens are counted, and come to nothing in the end."""
        run("gorgo", duration="20s")
        busiest = max(spied.seen, key=lambda seen: max(seen.endpoints_inflight_requests.values()))
        node = spied.seen[0].replica_urls[0]
        assert busiest.endpoints_inflight_requests[node] > 1
        assert spied.seen[-1].endpoints_queued_tokens[node] == 0
        assert spied.seen[-1].endpoints_queued_uncached_tokens[node] == 0

    def test_cached_prompts(self, spied):
        """What was sent to a node is thought to be in its cache, and nowhere else."""
        run("gorgo", duration="60s")
        first, *others = spied.seen[0].replica_urls
        assert max(cached[first] for cached in spied.cached) > 100
        assert all(cached[node] == 0 for cached in spied.cached for node in others)
        for seen, cached in zip(spied.seen, spied.cached, strict=True):
            assert cached[first] <= seen.request_tokens
            assert len(seen.token_ids) == min(256, seen.request_tokens)


class TestErrors:
    def test_no_such_policy(self):
        """A policy that does not exist is named beside those that do."""
        with pytest.raises(PlugInError, match="gorgo has no policy 'fastest': use one of fallback"):
            run("gorgo", federation__router="gorgo/fastest")

    def test_a_policy_that_fails(self, monkeypatch):
        """What a policy raises stops the run, with request and simulated time."""

        def fails(context):
            return context.metrics["absent"]

        monkeypatch.setattr(gorgo, "get_policy", lambda name: gorgo.PolicyDef(name, True, fails))
        with pytest.raises(PlugInError) as caught:
            run("gorgo")

        assert caught.value.request_id is not None
        assert caught.value.time_s is not None
        assert "raised KeyError: 'absent'" in caught.value.problem
        assert caught.value.plugin == "fedsim.adapters.gorgo:GorgoRouter"


def test_a_class_can_be_given():
    """What the adapter returns is a class that `simulate` takes, too."""
    from tests.contract.adapters.runs import SCENARIOS, SHORT

    scenario = fedsim.load(SCENARIOS / "gorgo.yaml", SHORT)
    kind = adapter.router("Power_Of_Two", SCENARIOS)
    assert kind.policy == "power-of-two"
    assert len(fedsim.simulate(scenario, router=kind).requests) > 10
