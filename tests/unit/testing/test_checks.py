"""Checks of routers: each names one defect, and a correct router passes them all."""

from __future__ import annotations

import random
import time
from pathlib import Path
from unittest import SkipTest

import pytest

from fedsim.errors import ArgumentError
from fedsim.federation.contracts import HealthState, NoCapacity, RouteCandidate, RouteTarget
from fedsim.federation.strategies.registry import STRATEGIES
from fedsim.testing import check_router
from fedsim.testing.checks import CHECKS

FINDINGS = ("spreads", "ties_rotate", "moves_tenants", "renews_estimates")
"""The checks that share a run of some minutes."""


class Correct:
    """The least busy of the nodes that may serve; equal ones at random."""

    def __init__(self, context):
        self.context = context
        self.in_flight = {}

    async def route(self, request):
        """Return a node."""
        return await self.route_excluding(request, ())

    async def route_excluding(self, request, excluded):
        """Return a node that was not tried, where there is one."""
        nodes = [
            (each.node_id, each.region_id)
            for each in self.context.catalog.deployments()
            if request.capability in each.capabilities
            and self.may_serve(each, request)
            and self.is_well(each.node_id)
        ]
        ready = await self.context.catalog.find_by_capability(request.capability)
        nodes = [node for node in nodes if node in ready]
        left = [node for node in nodes if node[0] not in excluded] or nodes
        if not left:
            raise NoCapacity(request.capability)
        return RouteTarget(*self.choose(left))

    def choose(self, nodes):
        """Return the least busy of some nodes."""
        least = min(self.in_flight.get(node, 0) for node, _ in nodes)
        return self.context.rng.choice([n for n in nodes if self.in_flight.get(n[0], 0) == least])

    def may_serve(self, deployment, request):
        """Return whether a node has the model, and a region that may hold the data."""
        candidate = RouteCandidate(RouteTarget(deployment.node_id, deployment.region_id))
        named = request.model in {None, deployment.model_id}
        policies = self.context.policies
        return named and all(policy.is_eligible(candidate, request) for policy in policies)

    def is_well(self, node):
        """Return whether a node is neither unhealthy nor behind an open circuit."""
        known = self.context.health.get_cached_health(node)
        well = known is None or known.status is not HealthState.UNHEALTHY
        return well and not (self.context.breaker and self.context.breaker.is_open(node))

    def on_start(self, target, request):
        """Count a request."""
        self.in_flight[target.node_id] = self.in_flight.get(target.node_id, 0) + 1

    def on_complete(self, target, request, outcome, latency_s):
        """Uncount a request."""
        self.in_flight[target.node_id] -= 1


class ReadsTheClock(Correct):
    """Breaks ties by the wall clock."""

    def choose(self, nodes):
        """Return a node."""
        return nodes[int(time.perf_counter()) % len(nodes)]


class DrawsGlobally(Correct):
    """Draws from the global random."""

    def choose(self, nodes):
        """Return a node."""
        return random.choices(nodes)[0]


class Remembers(Correct):
    """Has a count that outlives the run."""

    turns = [0]  # noqa: RUF012 - the defect: shared by all runs

    def choose(self, nodes):
        """Return a node."""
        self.turns[0] += 7
        return nodes[self.turns[0] % 5 % len(nodes)]


class IgnoresCapability(Correct):
    """Chooses among all nodes."""

    async def route_excluding(self, request, excluded):
        """Return a node."""
        nodes = self.context.catalog.deployments()
        return RouteTarget(*self.choose([(each.node_id, each.region_id) for each in nodes]))


class IgnoresExclusions(Correct):
    """Takes what was tried for a wish."""

    async def route_excluding(self, request, excluded):
        """Return a node."""
        return await super().route_excluding(request, ())


class BreaksWhenEmpty(Correct):
    """Expects that there is always a node."""

    async def route_excluding(self, request, excluded):
        """Return a node."""
        nodes = await self.context.catalog.find_by_capability(request.capability)
        return RouteTarget(*max(nodes))


class KeepsOldNodes(Correct):
    """Asks the catalog once."""

    known = None

    async def route_excluding(self, request, excluded):
        """Return a node."""
        if not self.known:
            self.known = await self.context.catalog.find_by_capability(request.capability)
        return RouteTarget(*self.choose(self.known))


class NeverGivesUp(Correct):
    """Sends everything to one node, whatever becomes of it."""

    async def route_excluding(self, request, excluded):
        """Return a node."""
        nodes = await self.context.catalog.find_by_capability(request.capability)
        if not nodes:
            raise NoCapacity(request.capability)
        return RouteTarget(*nodes[0])


class LeaksCounts(Correct):
    """Takes a count back for answers alone."""

    def on_complete(self, target, request, outcome, latency_s):
        """Uncount a request, if it was answered."""
        if outcome == "ok":
            super().on_complete(target, request, outcome, latency_s)


class HidesItsLeak(LeaksCounts):
    """The same, under names that tell nothing."""

    @property
    def in_flight(self):
        """Return the counts."""
        return self.load

    @in_flight.setter
    def in_flight(self, value):
        self.load = value


class Blind(Correct):
    """Asks neither for health nor for circuits, models and privacy."""

    def is_well(self, node):
        """Return True."""
        return True

    def may_serve(self, deployment, request):
        """Return True."""
        return True


DEFECTS = [
    (
        ReadsTheClock,
        "no_wall_clock",
        r"Reads the wall clock: time\.perf_counter\(\) in test_checks\.py:",
    ),
    (DrawsGlobally, "own_randomness", r"shared global randomness: in test_checks\.py:"),
    (Remembers, "deterministic", r"Two runs of one scenario and seed differ, first in chat-"),
    (IgnoresCapability, "honours_capability", "which cannot serve it"),
    (IgnoresExclusions, "honours_exclusions", "went to w-0, which is among the excluded nodes"),
    (IgnoresExclusions, "retries_elsewhere", "retries went to the node that had just failed"),
    (BreaksWhenEmpty, "survives_empty_catalog", "empty catalog: .* ValueError"),
    (KeepsOldNodes, "lets_nodes_leave", "to send to w-0 after it has left the catalog"),
    (NeverGivesUp, "survives_a_lost_node", "requests fail though three other nodes are well"),
    (LeaksCounts, "conserves_in_flight", r"Loses count of what is in flight: in_flight\['w-"),
    (HidesItsLeak, "returns_after_timeouts", r"w-1 gets \d of \d+ attempts long after"),
    (Blind, "avoids_unhealthy", "went to w-0 long after its health checks failed"),
    (Blind, "asks_the_breaker", "while its circuit was open, and refused"),
    (Blind, "keeps_privacy", "may not hold the request's data"),
    (Blind, "serves_the_model", "by another model than request.model asks for"),
]


def check_of(router, name):
    """Return one check of a router."""
    return next(each for each in check_router(router) if str(each) == name)


@pytest.mark.parametrize(
    ("router", "name", "sentence"), DEFECTS, ids=[f"{r.__name__}-{n}" for r, n, _ in DEFECTS]
)
def test_a_defect_is_named(router, name, sentence):
    """Each defect fails its check with a sentence that names it."""
    with pytest.raises(AssertionError, match=sentence):
        check_of(router, name)()


@pytest.mark.parametrize(
    "check", [each for each in check_router(Correct) if str(each) not in FINDINGS], ids=str
)
def test_a_correct_router_passes(check):
    """A router without these defects passes, and its calls per decision are reported."""
    said = check()
    assert bool(said) == (str(check) == "calls_per_decision")


def test_what_is_skipped_says_why():
    """A skipped check raises what test runners show as skipped, with the reason."""
    checks = check_router(Correct, skip={"deterministic": "it draws on purpose"})
    with pytest.raises(SkipTest, match="it draws on purpose"):
        checks[0]()
    assert [str(check) for check in checks] == list(CHECKS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"skip": {"determinism": "?"}}, "Did you mean deterministic"),
        ({"strategy": "random"}, "not both"),
    ],
)
def test_wrong_arguments_say_what_to_write(words, message):
    """An unknown check and a router next to a strategy are errors."""
    with pytest.raises(ArgumentError, match=message):
        check_router(Correct, **words)


STICKY = "tenants stay on their nodes by design, as its card says"
BY_DESIGN = {
    name: {"moves_tenants": STICKY} for name in ("consistent_hash", "maglev", "rendezvous_hash")
} | {"best_score": {"returns_after_timeouts": "old latencies keep a node out, as its card says"}}


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_of_ours_passes(strategy):
    """All checks, but for those that a strategy fails by design, which it does."""
    assert failed(check_router(strategy=strategy)) == set(BY_DESIGN.get(strategy, ()))


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ("consistent_hash", "a tenant stays where it is"),
        ("maglev", "Removing a node moves its own tenants and a few others"),
        ("rendezvous_hash", "no other tenant ever moves"),
        ("best_score", "one that was slow is not tried again"),
    ],
)
def test_a_card_says_why_a_check_fails(strategy, words):
    """What is known to fail stands in docs/strategies.md."""
    assert strategy in BY_DESIGN
    cards = Path("docs/strategies.md").read_text(encoding="utf-8")
    card = cards.partition(f"\n### `{strategy}`\n")[2].partition("\n### ")[0]
    assert words in " ".join(card.split())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("router", "name", "sentence"),
    [
        ("ZeroLoads", "spreads", "All on one node"),
        ("FirstOnTies", "ties_rotate", "First on ties"),
        ("NeverRebalances", "moves_tenants", "Sticky without rebalancing"),
        ("StaleRates", "renews_estimates", "Starved node"),
    ],
)
def test_the_shipped_defects_fail_by_name(router, name, sentence, monkeypatch):
    """The routers of scenarios/defects fail the check that is made for their defect."""
    monkeypatch.syspath_prepend("scenarios/defects")
    for check in check_router(f"defective_routers:{router}"):
        if str(check) == name:
            with pytest.raises(AssertionError, match=sentence):
                check()
        elif str(check) in FINDINGS:
            check()


ADAPTERS = Path("scenarios/adapters").resolve()
"""The folder of policy files for adapters."""

SLOW_FOR_GOOD = "an estimate of latency is renewed by the node's own traffic alone"
BY_DISTANCE = "without contents of prompts it sees distance alone, as docs/adapters.md says"
OWN_CALLS = "LiteLLM makes the whole call, and chooses again among all that do not cool down"
OTHERS: dict[str, dict[str, str]] = {
    "other_routers:Patient": {
        "own_randomness": "it is plain asyncio, which a real gateway would run as it is",
        "avoids_unhealthy": "it goes by queues alone",
        "asks_the_breaker": "the gateway asks, and refuses",
        "retries_elsewhere": "it has no route_excluding",
        "keeps_privacy": "its example has public data alone",
        "serves_the_model": "its example has one model",
    },
    "litellm/simple-shuffle": {},
    "litellm/least-busy": {"ties_rotate": "LiteLLM takes the first of equals"},
    "litellm/latency-based-routing": {"returns_after_timeouts": SLOW_FOR_GOOD},
    "litellm/usage-based-routing-v2": {},
    "litellm/cost-based-routing": {
        "returns_after_timeouts": "LiteLLM takes the first of what costs the same",
        "spreads": "LiteLLM takes the first of what costs the same",
    },
    "litellm-completion/simple-shuffle": {
        "no_wall_clock": "LiteLLM prices a finished call by the date, which decides nothing",
        "honours_exclusions": OWN_CALLS,
        "retries_elsewhere": OWN_CALLS,
    },
    "gorgo/gorgo": {"returns_after_timeouts": BY_DISTANCE, "spreads": BY_DISTANCE},
    "gorgo/least-request": {},
    "gorgo/power-of-two": {},
    "gorgo/pack-load": {"renews_estimates": "it fills nodes one after the other, by design"},
    "gorgo/session-affinity": {"moves_tenants": "tenants stay on their nodes by design"},
    f"production-stack/{ADAPTERS}/stack_policies.py:RoundRobin": {},
    f"production-stack/{ADAPTERS}/stack_policies.py:LeastLoad": {},
    f"production-stack/{ADAPTERS}/stack_policies.py:Session": {
        "moves_tenants": "tenants stay on their nodes by design"
    },
    f"skypilot/{ADAPTERS}/sky_policies.py:RoundRobin": {},
    f"skypilot/{ADAPTERS}/sky_policies.py:LeastLoad": {
        "ties_rotate": "of the set of replicas that SkyPilot gives it, it takes the first",
        "retries_elsewhere": "SkyPilot shows it the node again that has just failed",
    },
}
"""Routers of others, with why they fail what they fail; LiteLLM's take half a minute each."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Item 'summary' on TypedDict")  # of LiteLLM's import
@pytest.mark.parametrize("router", OTHERS, ids=lambda each: each.replace(f"{ADAPTERS}/", ""))
def test_routers_of_others_pass(router, monkeypatch):
    """The adapters' and the router in plain asyncio pass, or fail what is known, and no more."""
    if router.startswith(("litellm", "gorgo")):
        pytest.importorskip(router.partition("/")[0].partition("-")[0])
    monkeypatch.syspath_prepend("scenarios")
    assert failed(check_router(router)) == set(OTHERS[router])


def failed(checks) -> set[str]:
    """Return the names of the checks that fail, but for the one that only reports calls."""
    found = set()
    for check in checks:
        try:
            if str(check) != "calls_per_decision":
                check()
        except AssertionError:
            found.add(str(check))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "check", [each for each in check_router(Correct) if str(each) in FINDINGS], ids=str
)
def test_a_correct_router_shows_no_known_defect(check):
    """None of the defects that show in some minutes of traffic is found in a correct router."""
    check()
