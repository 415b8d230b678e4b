"""Three tests of a router: its contract, its objective, and that it is worth having."""

import pytest
from my_router import TwoChoices

from fedsim.testing import assert_no_worse, assert_slo, check_router, scene

SKIP = {"keeps_privacy": "all data is public", "serves_the_model": "there is one model"}


@pytest.mark.parametrize("check", check_router(TwoChoices, skip=SKIP), ids=str)
def test_contract(check):
    """The router does what its contract asks for."""
    check()


def test_the_busier_of_two_nodes_is_left_alone():
    """With two nodes both are drawn, so that requests that overlap go to different ones."""
    found = scene([0.0, 0.1, 5.0, 5.1], nodes=2, router=TwoChoices)
    assert set(found.nodes[:2]) == set(found.nodes[2:]) == {"node-0", "node-1"}


@pytest.mark.fedsim("near.yaml", replications=3)
def test_random_choice_would_be_worse(fedsim_compare):
    """The objective is held, and nothing is lost against a random choice."""
    comparison = fedsim_compare(strategies=["random"], routers={"ours": "my_router:TwoChoices"})
    assert_slo(comparison, "ours")
    assert_no_worse(comparison, "ours", than="random", measure="latency_p95_s", margin=0.05)
