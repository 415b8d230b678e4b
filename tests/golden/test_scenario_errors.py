"""What malformed scenarios say.

Beside each ``scenario_errors/*.yaml`` stands the text that it gives. To accept new texts, run with
``FEDSIM_ACCEPT=1`` and read the diff.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fedsim.errors import Problem, ScenarioError
from fedsim.scenario.capacity import capacity_problems
from fedsim.scenario.load import load
from fedsim.scenario.offered_load import OfferedLoad
from fedsim.scenario.oversized import oversized_problems

FOLDER = Path(__file__).parent / "scenario_errors"
CASES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def objections(name: str) -> list[Problem]:
    """Return what ``fedsim check`` has to say against a scenario in the current folder."""
    try:
        scenario = load(f"{name}.yaml")
    except ScenarioError as error:
        return list(error.problems)
    return [*capacity_problems(OfferedLoad(scenario)), *oversized_problems(OfferedLoad(scenario))]


@pytest.mark.parametrize("name", CASES)
def test_malformed_scenario_says_what_to_do(name: str, monkeypatch: pytest.MonkeyPatch):
    """Each malformed scenario gives its messages, with positions and remedies."""
    monkeypatch.chdir(FOLDER)
    text = "".join(f"{problem}\n" for problem in objections(name))
    if os.environ.get("FEDSIM_ACCEPT"):
        Path(f"{name}.out").write_text(text, encoding="utf-8")

    assert text == Path(f"{name}.out").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", CASES)
def test_every_objection_has_a_position_and_a_remedy(name: str, monkeypatch: pytest.MonkeyPatch):
    """No message leaves open where to look or what to write."""
    monkeypatch.chdir(FOLDER)
    problems = objections(name)

    assert problems
    for problem in problems:
        assert problem.file == f"{name}.yaml"
        assert problem.line is not None
        assert problem.column is not None
        assert problem.remedy.endswith((".", "?"))
