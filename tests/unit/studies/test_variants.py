"""What is compared, and by which name."""

from __future__ import annotations

import pytest

import fedsim
from fedsim.errors import ScenarioError
from fedsim.federation.contracts import LoadBalanceStrategy
from fedsim.federation.strategies.registry import CONTRACT_STRATEGIES
from fedsim.studies.variants import require_known, variants
from tests import small_scenario


@pytest.fixture
def scenario(tmp_path):
    """The small scenario, which names two strategies."""
    return fedsim.load(small_scenario.write(tmp_path))


class Sticky:
    """A class to be named."""


def names(*args, **kwargs):
    """Return the names of what is compared."""
    return [variant.name for variant in variants(*args, **kwargs)]


def test_the_scenario_says_what_is_compared(scenario, tmp_path):
    """Without arguments the scenario's strategies are compared, or else all of ours."""
    assert names(scenario) == ["round_robin", "least_connections"]
    text = small_scenario.TEXT.replace("compare:", "# compare:")
    assert names(fedsim.load(small_scenario.write(tmp_path, text))) == list(CONTRACT_STRATEGIES)


def test_classes_objects_and_members_have_names(scenario):
    """A class, an object and an enum member are called by what a person would call them."""
    given = [LoadBalanceStrategy.ROUND_ROBIN, Sticky, "mine:Other"]
    assert names(scenario, given) == ["round_robin", "Sticky", "mine:Other"]
    assert names(scenario, [Sticky()], {"by hand": Sticky}) == ["Sticky", "by hand"]


def test_a_router_of_the_scenario_is_compared_too(tmp_path):
    """Strategies are compared under our own router, and the scenario's router beside them."""
    text = small_scenario.TEXT + "federation: {router: 'variant_routers:FirstNode'}\n"
    small_scenario.write_routers(tmp_path, "variant_routers")
    scenario = fedsim.load(small_scenario.write(tmp_path, text))
    chosen = variants(scenario)
    assert [each.name for each in chosen][-1] == "variant_routers:FirstNode"
    runs = [fedsim.simulate(scenario.changed(each.changes, 1)) for each in chosen]
    assert [run.strategy for run in runs] == [each.name for each in chosen]
    assert [("router:" in run.scenario_yaml) for run in runs] == [False, False, True]


def test_wrong_names_get_a_remedy(scenario):
    """What cannot be compared is said with what could be."""
    with pytest.raises(
        ScenarioError, match=r"no strategy 'round_robbin'\. Did you mean round_robin"
    ):
        names(scenario, ["round_robbin"])
    with pytest.raises(ScenarioError, match="nothing to compare"):
        names(scenario, [])
    with pytest.raises(ScenarioError, match="called 'Sticky'"):
        names(scenario, [Sticky, Sticky])
    with pytest.raises(ScenarioError, match="baseline 'least' is not among"):
        require_known("least", variants(scenario))


def test_what_a_router_goes_without_is_said(scenario):
    """A comparison says which parts of the built-in router are off for a router of one's own."""
    scenario = scenario.changed({"federation.outliers": {}})
    ours, theirs = variants(scenario, ["random"], {"mine": "my_routers:Mine"})

    assert ours.lost == ()
    assert theirs.lost == (
        "federation.outliers is off for it: only the built-in router has outliers.",
    )
