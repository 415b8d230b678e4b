"""Which gateway of its region a request goes to."""

from __future__ import annotations

from collections import Counter

import pytest

import fedsim
from fedsim.kernel.streams import Streams
from fedsim.world.gateway_choice import GatewayChoice
from tests.chance import p_of_even
from tests.small_scenario import TEXT

GATEWAYS = ["a", "b", "c", "d"]
KEYS = Streams(9).generator("keys").integers(0, 2**63, 4000).tolist()


def choice_of(name, seed=1, gateways=(GATEWAYS,)):
    """Return the choice of a name among gateways by region."""
    return GatewayChoice(name, gateways, Streams(seed))


def test_random_is_even_and_depends_on_the_request_alone():
    """Each request is drawn its gateway, whatever came before it."""
    choice = choice_of("random")
    found = {key: choice.of(0, key, None) for key in KEYS}
    assert p_of_even(list(Counter(found.values()).values())) > 0.001

    again = choice_of("random", seed=2)
    assert {key: again.of(0, key, "tenant") for key in reversed(KEYS)} == found


def test_a_tenant_has_one_gateway():
    """Requests of a tenant go to one gateway, those of many tenants to all alike."""
    choice = choice_of("tenant")
    tenants = [f"tenant-{number}" for number in range(1000)]
    places = [{choice.of(0, key, tenant) for key in KEYS[:5]} for tenant in tenants]
    assert all(len(place) == 1 for place in places)
    assert p_of_even(list(Counter(min(place) for place in places).values())) > 0.001
    assert len({choice.of(0, key, None) for key in KEYS}) == 4


def test_turns_begin_anywhere():
    """In turn it is strictly one after the other, from one that the seed draws."""
    begins: Counter[str] = Counter()
    for seed in range(200):
        choice = choice_of("turn", seed)
        found = [choice.of(0, 0, None) for _ in range(8)]
        begin = GATEWAYS.index(found[0])
        assert found == (GATEWAYS * 3)[begin : begin + 8]
        begins[found[0]] += 1
    assert p_of_even([begins[name] for name in GATEWAYS]) > 0.001


@pytest.mark.parametrize("name", ["random", "tenant", "turn"])
def test_each_region_has_its_own(name):
    """A request stays in its region, and one gateway serves all of it."""
    choice = choice_of(name, gateways=(["a"], [], ["b", "c"]))
    assert {choice.of(0, key, "x") for key in KEYS[:50]} == {"a"}
    assert {choice.of(2, key, str(key)) for key in KEYS[:50]} == {"b", "c"}


def test_a_scenario_says_which(tmp_path):
    """``federation.gateway_choice`` reaches the world; by tenant, no two gateways share one."""
    path = tmp_path / "scenario.yaml"
    path.write_text(TEXT, encoding="utf-8")
    scenario = fedsim.load(path)
    assert scenario.world.gateway_choice == "random"
    changes = {
        "federation.gateway_choice": "tenant",
        "federation.gateways": {"east": 3, "west": 2},
        "workload.chat.tenants": {"count": 40},
    }
    run = fedsim.simulate(fedsim.load(path, changes))
    attempts = run.attempts.merge(run.requests[["request_id", "tenant"]], on="request_id")
    assert attempts["gateway"].nunique() == 5
    gateways = attempts.groupby(["tenant", attempts["gateway"].str[:4]], observed=True)["gateway"]
    assert (gateways.nunique() == 1).all()  # one in each region that the tenant asks from
