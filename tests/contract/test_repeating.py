"""A saved run repeats, whatever it was given in Python, or names what it cannot do without."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

import fedsim
from fedsim.errors import ResultsError, ScenarioError
from fedsim.federation.contracts import CircuitState, HealthState, NodeHealth
from fedsim.federation.policies import HealthPolicy, LatencyPolicy
from fedsim.results.rundir import SCENARIO
from tests.conftest import ROOT
from tests.contract.plugin_world import module, scenario, target


class First:
    """A router that always takes one node."""

    def __init__(self, node="chat-0"):
        self.node = node

    def route(self, request):
        """Return the node."""
        return target(self.node)


class Last:
    """A strategy that takes the last candidate."""

    def select(self, fleet, candidates, request):
        """Return its position."""
        return candidates.positions[-1]


@dataclass
class Odd:
    """A policy that lets only some nodes serve; not hashable, as many a dataclass."""

    last: str = "chat-1"
    weight: float = 3.0

    def name(self):
        """Return its name."""
        return "odd"

    def score(self, candidate, request):
        """Return 1 for the node."""
        return float(candidate.target.node_id == self.last)

    def is_eligible(self, candidate, request):
        """Return whether the node is not after the last one."""
        return candidate.target.node_id <= self.last


class Calm:
    """A health checker for which all is well."""

    def get_cached_health(self, node_id):
        """Return that the node is healthy."""
        return NodeHealth(node_id, HealthState.HEALTHY, 0.1, 0.2, 0, None, 0, 0.0)

    async def check_node(self, node_id):
        """Return the same."""
        return self.get_cached_health(node_id)

    async def start_monitoring(self, interval_s):
        """Start nothing."""

    async def stop_monitoring(self):
        """Stop nothing."""


class Fuse:
    """A breaker that keeps one node closed to all."""

    def __init__(self, node="chat-2"):
        self.node = node

    def is_open(self, node_id):
        """Return whether it is the node."""
        return node_id == self.node

    def state(self, node_id):
        """Return the same as a state."""
        return CircuitState.OPEN if self.is_open(node_id) else CircuitState.CLOSED

    def record_success(self, node_id):
        """Learn nothing."""

    def record_failure(self, node_id):
        """Learn nothing."""


class Layer:
    """Middleware that changes nothing."""

    def before_route(self, request):
        """Leave the request."""

    def after_infer(self, request, response):
        """Leave the response."""

    def on_error(self, request, error):
        """Leave the error."""


def of_a_cell():
    """Return a class as a notebook cell would define it: nothing can import it."""

    class Local(First):
        """A router of its own."""

    return Local


IMPORTED = [
    {"router": First},
    {"strategy": Last},
    {"strategy": "weighted_random", "policies": ["health", Odd]},
    {"strategy": "weighted_random", "policies": [HealthPolicy, LatencyPolicy]},
    {"strategy": "weighted_random", "policies": []},
    {"health": Calm},
    {"circuit_breaker": Fuse},
    {"circuit_breaker": "off", "health": "off"},
    {"seed": 7},
    {"changes": {"federation.middleware": [Layer], "federation.retries": "off"}},
    {"changes": {"federation.policies": {Odd: {"weight": 2}}, "federation.strategy": Last}},
]
"""What a run may be given that its file can say."""

CELL = of_a_cell()
GIVEN = [
    ({"federation.router": CELL}, ["federation.router"]),
    ({"federation.router": First("chat-1")}, ["federation.router"]),
    ({"federation.strategy": Last()}, ["federation.strategy"]),
    ({"federation.policies": [Odd(), "health", Odd("chat-0")]}, ["federation.policies"] * 2),
    ({"federation.policies": [LatencyPolicy(max_latency_s=0.3)]}, ["federation.policies"]),
    ({"federation.health": Calm()}, ["federation.health"]),
    ({"federation.circuit_breaker": Fuse("chat-0")}, ["federation.circuit_breaker"]),
    ({"federation.middleware": [Layer, Layer()]}, ["federation.middleware.1"]),
]
"""What a run may be given that its file cannot say, and where."""


def made(folder, given):
    """Return a run of what is *given*, saved."""
    given = dict(given)
    scene = scenario(folder).changed(given.pop("changes", {}))
    run = fedsim.simulate(scene, **given)
    run.save(folder / "run", charts=False)
    return run


@pytest.mark.parametrize("given", IMPORTED, ids=str)
def test_what_can_be_imported_repeats(tmp_path, given):
    """The file in a run's directory alone gives the same run, bit for bit; an explanation too."""
    run = made(tmp_path, given)
    saved = fedsim.Run.load(tmp_path / "run")

    assert saved.given == ()
    assert fedsim.simulate(fedsim.load(tmp_path / "run" / SCENARIO)).digest == run.digest
    assert fedsim.explain(tmp_path / "run", "chat-3").repeated


@pytest.mark.parametrize(("changes", "places"), GIVEN, ids=lambda each: str(each)[:60])
def test_what_cannot_be_imported_is_named(tmp_path, changes, places):
    """The manifest, the file's error and the explanation name the object; given again it repeats.

    No class of the same name stands in for a configured object.
    """
    run = made(tmp_path, {"changes": changes})
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())

    assert [item["path"] for item in manifest["given"]] == places
    with pytest.raises(ScenarioError) as refused:
        fedsim.load(tmp_path / "run" / SCENARIO)
    problems = refused.value.problems
    assert sorted(each.path for each in problems) == sorted(places)
    assert all(each.line for each in problems)
    with pytest.raises(ResultsError, match=f'fedsim.explain.*"chat-3", {{"{places[0]}": ...}}'):
        fedsim.explain(tmp_path / "run", "chat-3")
    (path,) = changes
    wanted = {places[0]: changes[path][1]} if "middleware" in path else changes
    assert fedsim.explain(tmp_path / "run", "chat-3", wanted).repeated
    again = fedsim.simulate(fedsim.load(tmp_path / "run" / SCENARIO, wanted))
    assert again.digest == run.digest


REPEAT = """\
import sys

import fedsim

run = fedsim.simulate(fedsim.load(sys.argv[1] + "/scenario.yaml"))
print(run.digest, fedsim.explain(sys.argv[1], "chat-3").repeated)
run.save(sys.argv[2], charts=False)
"""


def test_plugins_beside_the_scenario_are_found_again(tmp_path):
    """Wherever a run's directory is, its file repeats it, and so does that of the repetition."""
    source = """\
        from fedsim.federation.contracts import RouteTarget


        class Third:
            def route(self, request):
                return RouteTarget("chat-2", "here")
        """
    home = tmp_path / "home"
    home.mkdir()
    name = module(home, source)
    run = fedsim.simulate(scenario(home, {"federation.router": f"{name}:Third"}))
    first, second, third = (tmp_path / place / "run" for place in ("a", "b", "c"))
    run.save(first, charts=False)

    for place, copy in ((first, second), (second, third)):
        told = subprocess.run(
            [sys.executable, "-c", REPEAT, str(place), str(copy)],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            cwd="/",
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert told.split() == [run.digest, "True"]


def test_a_policy_of_ones_own_keeps_its_weight(tmp_path):
    """A file that names a policy without a weight leaves it the one that its class has."""
    scene = scenario(tmp_path, {"federation.strategy": "weighted_random"})
    plain = fedsim.simulate(scene, policies=["locality", Odd])
    three = {"federation.policies": {"locality": {}, Odd: {"weight": 3}}}
    one = {"federation.policies": {"locality": {}, Odd: {"weight": 1}}}

    assert plain.digest == fedsim.simulate(scene.changed(three)).digest
    assert plain.digest != fedsim.simulate(scene.changed(one)).digest


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"federation.strategy": "fastest"}, "--set: federation.strategy: There is no strategy"),
        ({"federation.retries": Last()}, "--set: federation.retries: .* nor a retry policy"),
        ({"pools.chat.service": Last}, "--set: pools.chat.service: .*Last' is not a mapping"),
        ({"pools.caht.count": 2}, "--set: pools.caht.count: pools has no 'caht'"),
        ({"seed": -1}, "--set: seed: "),
        ({"federation.router": First, "federation.outliers": {}}, "a part of our router"),
    ],
)
def test_wrong_changes_carry_their_path(tmp_path, changes, message):
    """Changes are checked as a file is, and as ``--set`` is."""
    with pytest.raises(ScenarioError, match=message):
        scenario(tmp_path).changed(changes)


def test_a_strategy_beside_a_router_is_refused(tmp_path):
    """A strategy that a router would ignore is an error, given with the router or in its scene."""
    named = scenario(tmp_path, {"federation.router": First})
    for scene, router in ((scenario(tmp_path), First), (named, None)):
        with pytest.raises(ScenarioError, match=r"federation\.strategy: It would have no effect"):
            fedsim.simulate(scene, strategy=Last, router=router)


@pytest.mark.parametrize("seed", [-1, 2**64, "seven", True])
def test_wrong_seeds_are_refused(tmp_path, seed):
    """A seed is a whole number of 0 or more, wherever it is given."""
    with pytest.raises(ScenarioError, match="--set: seed: "):
        fedsim.simulate(scenario(tmp_path), seed=seed)


def test_changes_add_up_and_leave_the_scenario_alone(tmp_path):
    """A changed scenario is another one, equal to that of all changes at once."""
    first = scenario(tmp_path)
    second = first.changed({"pools.chat.count": 4}, seed=9)
    third = second.changed({"federation.strategy": "round_robin"})

    assert (first.seed, second.seed, third.seed) == (1, 9, 9)
    assert first.world.pools[0].count == 3
    changes = {"pools.chat.count": 4, "federation.strategy": "round_robin", "seed": 9}
    assert third == first.changed(changes)
    assert third.resolved == first.changed(changes).resolved


def test_compared_runs_repeat(tmp_path):
    """Each run that a comparison keeps repeats from its own file."""
    scene = scenario(
        tmp_path, {"federation.slow_start": {}, "federation.router": None, "duration": "5s"}
    )
    comparison = fedsim.compare(
        scene, strategies=["round_robin", Last], routers={"mine": First}, replications=1, workers=1
    )
    comparison.save(tmp_path / "compared", charts=False)

    for _, _, run in comparison.kept:
        saved = next(
            path
            for path in (tmp_path / "compared" / "runs").iterdir()
            if path.is_dir() and fedsim.Run.load(path).digest == run.digest
        )
        assert fedsim.simulate(fedsim.load(saved / SCENARIO)).digest == run.digest
