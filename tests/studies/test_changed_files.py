"""Files that have changed or are broken, and arguments that no study can use, are errors."""

from __future__ import annotations

import importlib
import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import fedsim
from fedsim.errors import ArgumentError, ResultsError
from fedsim.studies.store import Store

SCENARIO = """\
duration: 20s
regions: {us: {}}
pools: {chat: {region: us, count: 2, service: {distribution: exponential, mean: 1s}}}
workload: {chat: {arrivals: {process: trace, file: trace.csv}}}
compare: {strategies: [round_robin], replications: 2}
"""


def _scenario(folder: Path, tokens: int) -> fedsim.Scenario:
    rows = [f"2023-11-16 18:15:{second}.000000,{tokens},{tokens}" for second in range(10, 20)]
    text = "\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows]) + "\n"
    (folder / "trace.csv").write_text(text)
    (folder / "s.yaml").write_text(SCENARIO)
    return fedsim.load(folder / "s.yaml")


def test_a_changed_trace_is_another_study(tmp_path: Path) -> None:
    """Results of the old trace are not given back for the new one."""
    study = tmp_path / "study"
    first = fedsim.compare(_scenario(tmp_path, 10), workers=1, directory=study)
    files = {file: file.stat().st_mtime_ns for file in (study / "runs").glob("*.json")}
    again = fedsim.compare(_scenario(tmp_path, 10), workers=1, directory=study)
    assert again.digests == first.digests
    assert files == {file: file.stat().st_mtime_ns for file in files}
    with pytest.raises(ResultsError, match=r"the content of .*trace\.csv is another there"):
        fedsim.compare(_scenario(tmp_path, 20), workers=1, directory=study)


def test_a_changed_function_of_an_imported_class_is_another_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class decides by what its module has, not by its own lines alone."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    body = "class Ends:\n    def select(self, fleet, candidates, request):\n        return pick("
    body += "candidates.positions)\n"
    scenario, study = _scenario(tmp_path, 10), tmp_path / "study"
    source = tmp_path / "ends_of_a_test.py"
    source.write_text("def pick(positions):\n    return positions[0]\n\n\n" + body)
    module = importlib.import_module("ends_of_a_test")
    fedsim.compare(scenario, strategies=[module.Ends], workers=1, directory=study)
    source.write_text("def pick(positions):\n    return positions[-1]\n\n\n" + body)
    module = importlib.reload(module)
    with pytest.raises(ResultsError, match="holds another study"):
        fedsim.compare(scenario, strategies=[module.Ends], workers=1, directory=study)


@pytest.mark.parametrize(
    "broken",
    [{"measures": []}, {"measures": {}}, {"exogenous": []}, {"outcomes": None}, {"kept": 5}],
)
def test_a_record_of_another_shape_is_run_again(tmp_path: Path, broken: object) -> None:
    """What a file lacks or has of another kind is no result."""
    study = tmp_path / "study"
    first = fedsim.compare(_scenario(tmp_path, 10), workers=1, directory=study)
    file = min((study / "runs").glob("*.json"))
    file.write_text(json.dumps(json.loads(file.read_text()) | broken))
    again = fedsim.compare(_scenario(tmp_path, 10), workers=1, directory=study)
    assert again.digests == first.digests


@pytest.mark.parametrize("broken", [{"format": "2"}, {"cells": None}, {"versions": None}])
def test_a_broken_study_is_refused(tmp_path: Path, broken: object) -> None:
    """A manifest without its parts is an error of the input."""
    study = tmp_path / "study"
    fedsim.compare(_scenario(tmp_path, 10), workers=1, directory=study)
    file = study / "study.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | broken))
    with pytest.raises(ResultsError):
        Store.open(study)
    with pytest.raises(ResultsError):
        fedsim.compare(_scenario(tmp_path, 10), workers=1, directory=study)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A path through a file is an error of the input."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match=r"cannot write .*; choose another directory"):
        fedsim.compare(_scenario(tmp_path, 10), workers=1, directory=tmp_path / "file" / "study")


class Locked:
    """A strategy that no worker can be given a copy of."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def select(self, fleet: object, candidates: Any, request: object) -> int:
        """Return the first node."""
        return int(candidates.positions[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategies": [Locked()]}, r"cannot be copied .*federation\.strategy \(Locked\)"),
        ({"executor": 3}, r"executor is a concurrent\.futures\.Executor, not 3"),
        ({"seeds": []}, "seeds is a list of one or more whole numbers"),
        ({"seeds": 5}, "seeds is a list of one or more whole numbers"),
        ({"seeds": [-1]}, "seeds is a list of one or more whole numbers"),
        ({"seeds": [1, 1]}, "seeds has a seed twice"),
    ],
)
def test_arguments_of_another_kind_are_named(
    tmp_path: Path, arguments: dict[str, Any], message: str
) -> None:
    """What no study can use is an error of the argument."""
    with pytest.raises(ArgumentError, match=message):
        fedsim.compare(_scenario(tmp_path, 10), workers=1, **arguments)
