"""Mistakes in Python get a sentence that says what to write, and objects show in a line."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

import fedsim
from fedsim.errors import ArgumentError, FedsimError, ResultsError, ScenarioError

TREE: dict[str, Any] = {
    "duration": "20s",
    "regions": {"home": {}},
    "pools": {"chat": {"region": "home", "service": {"distribution": "constant", "value": "1s"}}},
    "workload": {"chat": {"arrivals": {"process": "poisson", "rate": "2/s"}}},
}


@pytest.fixture(scope="module")
def scenario():
    """Return a scenario of a mapping."""
    return fedsim.load(TREE)


@pytest.fixture(scope="module")
def run(scenario):
    """Return a run of it."""
    return fedsim.simulate(scenario)


@pytest.fixture(scope="module")
def comparison(scenario):
    """Return a comparison of two strategies on it."""
    names = ["round_robin", "least_latency"]
    return fedsim.compare(scenario, strategies=names, replications=2, workers=1)


class TestMapping:
    """A scenario may be a mapping."""

    def test_is_the_file(self, scenario, tmp_path):
        """It gives the run that a file with the same content gives, and loads again."""
        path = tmp_path / "scenario.yaml"
        path.write_text(yaml.safe_dump(TREE), encoding="utf-8")
        digest = fedsim.simulate(fedsim.load(path)).digest

        assert fedsim.simulate(scenario).digest == digest
        assert fedsim.simulate(fedsim.load(yaml.safe_load(scenario.to_yaml()))).digest == digest
        assert fedsim.load(TREE, {"seed": 7}).seed == scenario.changed(seed=7).seed == 7

    def test_errors_name_the_path(self):
        """There is no file to name."""
        broken = {**TREE, "pools": {"chat": {**TREE["pools"]["chat"], "region": "hme"}}}
        with pytest.raises(ScenarioError) as caught:
            fedsim.load(broken)

        assert str(caught.value).startswith("pools.chat.region: ")
        assert "Did you mean home?" in str(caught.value)

    def test_objects_stand_for_themselves(self):
        """A class may stand where a file has ``module:Class``, and nowhere else."""

        class Mine(dict):
            pass

        with pytest.raises(ScenarioError, match="duration: A value of type type cannot stand"):
            fedsim.load({**TREE, "duration": Mine})
        loaded = fedsim.load({**TREE, "federation": {"strategy": Mine}})
        assert Mine in loaded.objects.values()

    def test_empty(self):
        """What is missing is said of the mapping."""
        with pytest.raises(ScenarioError, match="The key 'duration' is missing"):
            fedsim.load({})


MISTAKES = [
    ("fedsim.load(3)", ArgumentError, 'Write fedsim.load("my-service.yaml")'),
    ("fedsim.load({}, ['a=3'])", ArgumentError, 'Write {"pools.us-chat.count": 6}'),
    ("scenario.changed('a=3')", ArgumentError, "Changes are a mapping"),
    ("scenario.changed({3: 4})", ArgumentError, "a dotted path, a text, not 3"),
    ("scenario.changed(seed=1.5)", ScenarioError, "1.5 is not a whole number"),
    ("fedsim.simulate('x.yaml')", ArgumentError, "fedsim.simulate(fedsim.load('x.yaml'))"),
    ("fedsim.simulate({})", ArgumentError, "with the mapping in place of the dots"),
    ("fedsim.simulate(run)", ArgumentError, "takes a scenario, not a Run"),
    ("fedsim.simulate(scenario, policies='health')", ArgumentError, "Write policies=['health']"),
    ("fedsim.simulate(scenario, seed=1.5)", ScenarioError, "seed: 1.5 is not a whole number"),
    ("fedsim.simulate(scenario, strategy='p2c')", ScenarioError, "Did you mean power_of_two?"),
    ("fedsim.compare('x.yaml')", ArgumentError, "fedsim.compare(fedsim.load('x.yaml'))"),
    ("fedsim.compare(scenario, strategies='random')", ArgumentError, "strategies=['random']"),
    ("fedsim.compare(scenario, strategies=3)", ArgumentError, "strategies is a list, not 3"),
    ("fedsim.compare(scenario, strategies=['randm'])", ScenarioError, "Did you mean random?"),
    ("fedsim.compare(scenario, routers=['a:B'])", ArgumentError, 'routers={"mine": MyRouter}'),
    ("fedsim.compare(scenario, routers={3: 'a:B'})", ArgumentError, "is a text of printable cha"),
    ("fedsim.compare(scenario, routers={'a\\nb': 'a:B'})", ArgumentError, "not 'a\\nb'"),
    ("fedsim.simulate(scenario, policies={'health', 'cost'})", ArgumentError, "list, not a set"),
    ("fedsim.compare(scenario, replications=0)", ArgumentError, "1 or more, not 0"),
    ("fedsim.compare(scenario, replications=1.5)", ArgumentError, "whole number"),
    ("fedsim.compare(scenario, workers=0)", ArgumentError, "workers is a whole number"),
    ("fedsim.compare(scenario, seed='1')", ScenarioError, "seed: '1' is not a whole number"),
    ("fedsim.compare(scenario, keep='none')", ArgumentError, "keep is 'first' or 'all'"),
    ("fedsim.compare(scenario, baseline=3)", ScenarioError, "baseline 3 is not among"),
    ("run.summary(by='colour')", ResultsError, "choose one of origin, stream"),
    ("run.summary(by=['stream'])", ResultsError, "choose one of origin, stream"),
    ("run.plot.latency(by='colour')", ResultsError, "no column 'colour'"),
    ("run.save(3)", ArgumentError, 'Write "runs/mine"'),
    ("fedsim.Run.load(3)", ArgumentError, 'Write "runs/mine"'),
    ("fedsim.explain(3, 'chat-1')", ArgumentError, 'fedsim.explain("runs/my-run", "chat-17")'),
    ("fedsim.explain(run, 3)", ArgumentError, 'fedsim.explain("runs/my-run", "chat-17")'),
    ("comparison.run('x')", ResultsError, "'x' was not compared"),
    ("comparison.run('round-robin')", ResultsError, "did you mean round_robin?"),
    ("comparison.run('round_robin', 7)", ResultsError, "the replications 0 to 1"),
    ("comparison.run('round_robin', 1)", ResultsError, 'keep="all"'),
    ("comparison.by(['stream'])", ResultsError, "choose one of origin"),
    ("comparison.ranking('speed')", ResultsError, "choose one of requests"),
    ("comparison.plot.timeline('x')", ResultsError, "'x' was not compared"),
]


@pytest.mark.parametrize(
    ("call", "kind", "message"), MISTAKES, ids=[call for call, _, _ in MISTAKES]
)
def test_mistakes(call, kind, message, scenario, run, comparison):
    """Each is an error of fedsim's, of a class that says whose mistake it is."""
    names = {"fedsim": fedsim, "scenario": scenario, "run": run, "comparison": comparison}
    with pytest.raises(kind, match=re.escape(message)) as caught:
        eval(call, names)
    assert isinstance(caught.value, FedsimError)


def test_shown_in_a_line(scenario, run, comparison):
    """Scenario, run, comparison and explanation show in a line what tells them apart."""
    recorded = fedsim.simulate(scenario.changed({"record.decisions": "on"}))
    explained = fedsim.explain(recorded, "chat-0")

    assert repr(scenario) == "<Scenario scenario: 1 nodes, 20 s, least_latency, seed 1>"
    assert repr(run) == "<Run of scenario: least_latency, seed 1>"
    assert "round_robin, least_latency" in repr(comparison)
    assert repr(explained).startswith("<Explanation of chat-0: ok, 1 attempt")
    long = fedsim.load({**TREE, "name": "x" * 100})
    for each in (scenario, run, comparison, explained, long, fedsim.simulate(long)):
        assert len(repr(each)) < 100


@pytest.mark.parametrize(
    "given", [{"progress": lambda share: 1 / (share < 0.5)}, {"decisions_of": lambda _: 1 / 0}]
)
def test_a_function_that_was_given_is_named_where_it_fails(scenario, given):
    """Its error is no bug in fedsim: the message has the argument and the error."""
    (name,) = given
    with pytest.raises(ArgumentError, match=f"given as {name} raised ZeroDivisionError") as caught:
        fedsim.simulate(scenario, **given)
    assert "report it" not in str(caught.value)


def test_a_policy_that_is_listed_twice_is_refused(scenario):
    """As a key that stands twice in a file is, rather than merged silently."""
    with pytest.raises(ScenarioError, match="The policy health is listed twice"):
        fedsim.simulate(scenario, policies=["health", "cost", "health"])


def test_no_workers_are_told_what_to_write(scenario):
    """Zero is refused, and the example is a number for most machines."""
    with pytest.raises(ArgumentError, match="Write workers=2, or leave it out"):
        fedsim.compare(scenario, workers=0)
