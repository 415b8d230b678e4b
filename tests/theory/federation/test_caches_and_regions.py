"""What shipped scenarios say of strategies that go by caches and regions, on shorter runs."""

from __future__ import annotations

import pytest

import fedsim
from tests.conftest import ROOT

SPILL_OVER = {"duration": "5min", "warmup": "2min", "record.nodes_every": "off"}
CONVERSATIONS = {"duration": "5min", "warmup": "1min", "record.nodes_every": "off"}


@pytest.fixture(scope="module")
def regions():
    """Return the summary of each strategy of the scenario about regions."""
    scenario = fedsim.load(ROOT / "scenarios" / "spill-over.yaml", SPILL_OVER)
    names = ("envoy_zone_aware", "envoy_load_aware_locality", "least_connections")
    return {name: fedsim.simulate(scenario, strategy=name).summary() for name in names}


@pytest.fixture(scope="module")
def caches():
    """Return the share of prompts that each strategy finds in a cache."""
    scenario = fedsim.load(ROOT / "scenarios" / "conversations.yaml", CONVERSATIONS)
    names = ("least_connections", "sglang_cache_aware", "llm_d", "aibrix_prefix_cache", "dynamo_kv")
    runs = {name: fedsim.simulate(scenario, strategy=name) for name in names}
    return {name: run.summary()["cache_hit_share"].item() for name, run in runs.items()}


def test_even_shares_of_gateways_and_nodes_keep_all_at_home(regions):
    """Zone-aware routing sends nothing away, whatever the load, as its rule says."""
    assert regions["envoy_zone_aware"]["cross_region_share"].item() == 0.0


def test_load_moves_what_does_not_fit(regions):
    """At least what exceeds the mean by more than 10 % leaves, and less than by load alone.

    With a share x of us-east's requests that leaves, its nodes are 0.97 (1 - x) busy, and the
    others 0.323 + 0.485 x on average: these differ by 0.1 at x = 0.376, which is 23 % of all. Those
    that leave in the time of a tick come on top, and the 3 % of the others.
    """
    share = regions["envoy_load_aware_locality"]["cross_region_share"].item()

    assert 0.21 < share < 0.6 * regions["least_connections"]["cross_region_share"].item()


def test_a_region_that_is_full_makes_its_users_wait(regions):
    """Staying at home costs the tail several times what a journey does."""
    waits_s = {name: summary["ttft_p99_s"].item() for name, summary in regions.items()}

    assert waits_s["envoy_zone_aware"] > 2.0 * waits_s["envoy_load_aware_locality"]
    assert waits_s["least_connections"] < waits_s["envoy_zone_aware"]


@pytest.mark.parametrize("strategy", ["sglang_cache_aware", "llm_d", "aibrix_prefix_cache"])
def test_who_remembers_finds_prompts_in_caches(caches, strategy):
    """Strategies that remember what they sent find a tenth of all prompt tokens more, at least."""
    assert caches[strategy] > caches["least_connections"] + 0.1


def test_weighing_blocks_in_use_costs_hits(caches):
    """Dynamo's even weights lie between going by load and going by caches."""
    assert caches["least_connections"] < caches["dynamo_kv"] < caches["sglang_cache_aware"]
