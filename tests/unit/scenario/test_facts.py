"""Checks that span values run on those that are valid, whatever is wrong with others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fedsim.errors import ScenarioError
from fedsim.scenario.load import load

BASE: dict[str, Any] = {
    "duration": "10min",
    "regions": {"us": {}, "eu": {}},
    "network": {"between": {"us/eu": "83ms"}},
    "pools": {
        "chat": {"region": "us", "count": 2, "service": {"distribution": "constant", "value": "1s"}}
    },
    "workload": {"talk": {"arrivals": {"process": "poisson", "rate": "1/s"}}},
    "faults": [{"kind": "crash", "node": "chat-1", "at": "1min", "lasts": "1min"}],
}


def objections(folder: Path, changes: dict[str, Any]) -> list[str]:
    """Return what is said against the base with *changes*, as ``path: message``."""
    tree = yaml.safe_load(yaml.safe_dump(BASE))
    for path, value in changes.items():
        here = tree
        *around, last = (int(step) if step.isdecimal() else step for step in path.split("."))
        for step in around:
            here = here[step]
        here[last] = value
    (folder / "scene.yaml").write_text(yaml.safe_dump(tree), encoding="utf-8")
    try:
        load(folder / "scene.yaml")
    except ScenarioError as failure:
        return [f"{problem.path}: {problem.message}" for problem in failure.problems]
    return []


def test_base_is_valid(tmp_path: Path):
    """The other tests begin with a scenario that has nothing wrong."""
    assert objections(tmp_path, {}) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("pools.chat.count", -1),  # the nodes of the pool are not known then
        ("pools.chat.count", None),
        ("pools.chat.capabilities", "generate"),  # nor is whether it can serve the stream
        ("workload.talk.capability", "jump"),
        ("regions.us.privacy", "secret"),
        ("regions.us.location", "moon/Tranquility"),
        ("workload.talk.origins", {"us": "many"}),
        ("faults.0.kind", [["crash"]]),
        ("faults.0", {"kind": "correlated", "pools": [["chat"]], "at": "1s", "lasts": "1s"}),
        ("federation", {"gateways": {"us": "one", "eu": 1}}),
        ("federation", {"policies": ["privacy"]}),
        ("network.between", {"us/eu": [83]}),
    ],
)
def test_wrong_value_is_the_only_problem(tmp_path: Path, path: str, value: object):
    """Nothing is said of what a wrong value would mean: only that it is wrong."""
    found = objections(tmp_path, {path: value})
    assert found
    assert all(problem.startswith(path) for problem in found)


def test_problems_of_different_parts_come_together(tmp_path: Path):
    """A wrong value hides no problem of what is valid, in the same mapping neither."""
    changes = {
        "pools.chat.count": "2 nodes",
        "pools.chat.region": "uss",
        "workload.talk.priority": "high",
        "workload.talk.capability": "embed",
        "faults.0.lasts": 60,
        "faults.0.node": "chit-0",
        "federation": {"gateways": {"eu": 1}, "timeout": {"attempt": 3}},
        "warmup": "1h",
    }
    found = objections(tmp_path, changes)
    for start in (
        "pools.chat.count: '2 nodes' is not a whole number",
        "pools.chat.region: There is no region 'uss'",
        "workload.talk.priority: 'high' is not a whole number",
        "workload.talk.capability: No pool has the capability embed",
        "faults.0.lasts: 60 has no unit",
        "faults.0.node: There is no node 'chit-0'",
        "federation.timeout.attempt: 3 has no unit",
        "workload.talk: Requests of talk come from us, which has no gateway",
        "warmup: 1h is not less than the duration",
    ):
        assert any(problem.startswith(start) for problem in found), start


JUNK: tuple[object, ...] = (None, "x", [[1]], {"a": {}}, -1, True, float("inf"), "3s", "off")


def paths(tree: Any, around: tuple[str | int, ...] = ()) -> Iterator[str]:
    """Yield the dotted paths of all values inside *tree*."""
    steps = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for step, inner in steps:
        yield ".".join(map(str, (*around, step)))
        if isinstance(inner, dict | list):
            yield from paths(inner, (*around, step))


def test_no_value_stops_the_checks():
    """Whatever stands in place of a value, there are problems, and never a crash."""
    every = Path(__file__).with_name("every_key.yaml")  # the files that it names are not there
    tree = yaml.safe_load(every.read_text(encoding="utf-8"))
    for number, path in enumerate(list(paths(tree))[::43]):
        for junk in JUNK[number % 3 :: 3]:
            with pytest.raises(ScenarioError):
                load(every, {path: junk})


@pytest.mark.parametrize("path", ["federation.policies", "workload", "network.between"])
def test_no_defaults_are_offered_where_a_mapping_has_entries(path: str):
    """In place of on, {} gives all defaults of settings, and no entries of a mapping of names."""
    for changed, defaults in (("network", True), (path, False)):
        with pytest.raises(ScenarioError) as caught:
            load(BASE, {changed: True})
        assert ("all defaults" in caught.value.problems[0].remedy) == defaults
