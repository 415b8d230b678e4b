"""Overrides of values in a scenario."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fedsim.errors import ScenarioError
from fedsim.scenario.overrides import apply_overrides, parse_assignment
from fedsim.scenario.source import parse_document
from tests.unit.scenario.writing import SMALLEST, TWO_REGIONS, loaded, problems

TREE = """\
pools: {us-chat: {count: 3}}
steps: [1, {x: 2}]
federation: {policies: {'a.b:C': {weight: 1}}}
"""


def overridden(**paths: object) -> tuple[Any, list[str]]:
    """Return the tree with values set by path, where ``__`` stands for a dot, and the problems."""
    document = parse_document(TREE, "f")
    apply_overrides(document, {path.replace("__", "."): each for path, each in paths.items()})
    return document.tree, [str(problem) for problem in document.problems]


class TestAssignments:
    """The text behind ``--set``."""

    @pytest.mark.parametrize(
        ("text", "path", "value"),
        [
            ("pools.us-chat.count=6", "pools.us-chat.count", 6),
            ("federation.health=off", "federation.health", "off"),
            ("slo={latency_p99: 8s}", "slo", {"latency_p99": "8s"}),
            ("description=a=b", "description", "a=b"),
        ],
    )
    def test_value_is_yaml(self, text: str, path: str, value: object):
        """What stands behind the first equals sign is read as in the file."""
        assert parse_assignment(text) == (path, value)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("count", "--set: 'count' is not of the form PATH=VALUE."),
            ("=3", "--set: '=3' is not of the form PATH=VALUE."),
            ("a=[1", "--set: a: The value is not YAML"),
            ("a={b: 1, b: 2}", "--set: a: The key 'b' stands twice"),
        ],
    )
    def test_bad_assignment_is_a_scenario_error(self, text: str, message: str):
        """What is not an assignment is refused with an example."""
        with pytest.raises(ScenarioError) as caught:
            parse_assignment(text)

        assert str(caught.value).startswith(message)


class TestPaths:
    """Where an override lands."""

    def test_existing_values_are_replaced(self):
        """A path into mappings and lists names a value."""
        tree, wrong = overridden(pools={"a": {}}, steps__1__x=5)

        assert tree["pools"] == {"a": {}}
        assert tree["steps"] == [1, {"x": 5}]
        assert wrong == []

    def test_missing_mappings_are_created(self):
        """A path into missing keys creates them."""
        tree, wrong = overridden(slo__latency_p99="8s")

        assert tree["slo"] == {"latency_p99": "8s"}
        assert wrong == []

    def test_key_with_dots_is_found(self):
        """A key that has dots in it can be part of a path."""
        tree, wrong = overridden(**{"federation__policies__a.b:C__weight": 2})

        assert tree["federation"]["policies"] == {"a.b:C": {"weight": 2}}
        assert wrong == []

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            ("pools.us-caht.count", "pools has no 'us-caht'. Did you mean us-chat?"),
            ("pools.us-chat.count.x", "pools.us-chat.count is 3, which has nothing inside."),
            ("steps.2", "steps is a list of 2, which has no '2'. Count from 0 to 1."),
            ("steps.x", "steps is a list of 2, which has no 'x'. Count from 0 to 1."),
        ],
    )
    def test_wrong_path_is_a_problem(self, path: str, message: str):
        """A path that leads nowhere is a problem of ``--set``, with a remedy."""
        tree, wrong = overridden(**{path: 1})

        assert tree == parse_document(TREE, "f").tree
        assert wrong[0].startswith(f"--set: {path}: {message}")

    def test_numpy_values_are_welcome(self):
        """Numbers from numpy, as loops in notebooks have them, count as plain numbers."""
        tree, _ = overridden(steps=(np.int64(3), np.float64(0.5)))

        assert tree["steps"] == [3, 0.5]
        assert type(tree["steps"][0]) is int

    def test_object_that_cannot_stand_in_yaml_is_a_problem(self):
        """A plug-in object is no value of a scenario."""
        _, wrong = overridden(steps=object())

        assert wrong[0].startswith("--set: steps: A value of type object cannot stand in a")


class TestEffects:
    """What an override does to the scenario."""

    def test_override_changes_the_scenario(self, tmp_path: Path):
        """A value set by path is the scenario's."""
        scenario = loaded(tmp_path, TWO_REGIONS, {"pools.us-chat.count": 6, "seed": 9})

        assert scenario.world.pools[0].count == 6
        assert scenario.world.seed == 9

    def test_problem_with_an_override_stands_in_the_override(self, tmp_path: Path):
        """The message names ``--set`` in place of the file, also for an unknown key."""
        found = problems(tmp_path, SMALLEST, {"duration": 20, "slo.latency_q98": "8s"})

        assert found == [
            "--set: duration: 20 has no unit. Write 20ms or 20s.",
            "--set: slo.latency_q98: There is no key 'latency_q98' here. Did you mean latency_p99?",
        ]
