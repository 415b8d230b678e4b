"""Whatever a scenario file holds, it loads or says what is wrong."""

from __future__ import annotations

import contextlib
import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from fedsim.errors import Problem, ScenarioError
from fedsim.scenario.capacity import capacity_problems, capacity_table
from fedsim.scenario.load import load
from fedsim.scenario.offered_load import OfferedLoad
from fedsim.scenario.oversized import oversized_problems
from fedsim.scenario.source import parse_document, read_document
from fedsim.scenario.spec import Scenario
from tests.conftest import ROOT
from tests.unit.scenario.writing import CLIENT_LENGTHS, CLIENT_RATES, INCIDENT, PROFILE, STEPS

EVERY_KEY = ROOT / "tests" / "unit" / "scenario" / "every_key.yaml"
TREE = read_document(EVERY_KEY).tree
FILES = {
    "trace.csv": "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:00:00.0000000,10,1\n",
    "rates.csv": CLIENT_RATES,
    "incident.csv": INCIDENT,
    "lengths.jsonl": json.dumps(CLIENT_LENGTHS),
    "steps.csv": STEPS,
    "my-llama.yaml": PROFILE,
}


def paths(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values in *tree*."""
    children = tree.items() if isinstance(tree, dict) else enumerate(tree)
    found = []
    for key, value in children:
        found.append((*path, key))
        if isinstance(value, dict | list):
            found += paths(value, (*path, key))
    return found


WORDS = st.sampled_from(
    [
        *sorted({str(step) for path in paths(TREE) for step in path}),
        *("off", "on", "none", "us-east", "eu-west", "us-chat-0", "us-chat-9", "generate"),
        *(
            "0s",
            "-1s",
            "1ms",
            "1e300s",
            "5/s",
            "-5/s",
            "1e-300/s",
            "0%",
            "100%",
            "120%",
            "lognormal",
        ),
        *("constant", "uniform", "gamma", "trace", "poisson", "crash", "unlimited", "mine:Class"),
    ]
)
SCALARS = st.one_of(
    WORDS,
    st.none(),
    st.booleans(),
    st.integers(-3, 10**7),
    st.floats(),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the full example with some values replaced, removed or added."""
    tree: dict[str, Any] = copy.deepcopy(TREE)
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(paths(tree)))
        here: Any = tree
        for step in path[:-1]:
            here = here[step]
        change = draw(st.sampled_from(["replace", "remove", "add"]))
        if change == "remove" and isinstance(here, dict):
            del here[path[-1]]
        elif change == "add" and isinstance(here, dict):
            here[draw(WORDS)] = draw(VALUES)
        else:
            here[path[-1]] = draw(VALUES)
        if not paths(tree):
            break
    return tree


def check(text: str) -> None:
    """Load *text* as a scenario; all that may be raised is a complete ``ScenarioError``."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scenario.yaml"
        for name, content in FILES.items():
            (Path(folder) / name).write_text(content, encoding="utf-8")
        path.write_text(text, encoding="utf-8")
        scenario, problems = outcome(path)
        if scenario is None:
            assert problems
            assert {Path(problem.file).name for problem in problems} <= {path.name, *FILES}
            assert not any("\n" in str(problem) for problem in problems)
        else:
            again = path.with_name("again.yaml")
            again.write_text(scenario.to_yaml(), encoding="utf-8")
            assert load(again).resolved == scenario.resolved


def outcome(path: Path) -> tuple[Scenario | None, tuple[Problem, ...]]:
    """Return the scenario at *path*, or why there is none."""
    try:
        scenario = load(path)
    except ScenarioError as error:
        return None, error.problems
    capacity_table(OfferedLoad(scenario))
    capacity_problems(OfferedLoad(scenario))
    oversized_problems(OfferedLoad(scenario))
    return scenario, ()


@given(mutated())
def test_mutated_scenario_loads_or_says_what_is_wrong(tree: dict[str, Any]):
    """A scenario with values changed at random loads, and again resolved, or is refused."""
    check(yaml.safe_dump(tree, sort_keys=False))


@given(st.data())
def test_mutated_text_loads_or_says_what_is_wrong(data: st.DataObject):
    """A scenario file with characters changed at random loads or is refused."""
    text = EVERY_KEY.read_text(encoding="utf-8")
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 30)))
        inserted = data.draw(st.text("{}[]:,-#&*!|>'\"%@` \n\tabc019.", max_size=4))
        text = text[:start] + inserted + text[end:]
    check(text)


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text_is_yaml_or_a_scenario_error(text: str):
    """The reader turns any text into values or into problems."""
    with contextlib.suppress(ScenarioError):
        parse_document(text, "f")
