"""A run again as code of a commit makes it: the candidates that a golden file's decisions had.

All that lies in the repository comes from the commit, plug-ins and what they import, and fedsim
itself where it is developed there. So it runs in a process of its own, in a temporary worktree.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import fedsim
from fedsim.errors import FedsimError, ResultsError
from fedsim.results.run import Run
from fedsim.studies.cells import plugin_digests
from fedsim.studies.git import Tree, git, repository, worktree
from fedsim.testing.golden import Golden, changes, golden_of

if TYPE_CHECKING:
    from pandas import DataFrame

    from fedsim.scenario.spec import Scenario

_SCRIPT = """\
import sys

import fedsim

scenario, request, directory = sys.argv[1:]
run = fedsim.simulate(fedsim.load(scenario), decisions_of=lambda each: each == request)
run.save(directory, charts=False)
"""
_LONGEST_S = 600.0
"""How long the other version may take, in seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Then:
    """What a run that decides as the golden file says knows of one request.

    Attributes:
        commit: The commit whose code ran.
        decisions: The request's rows of the decisions table.
        attempts: Its rows of the attempts table.
    """

    commit: str
    decisions: DataFrame
    attempts: DataFrame


def as_expected(
    run: Path, scenario: Scenario, golden: Path, expected: Golden, request: str
) -> Then | str:
    """Return the candidates of a request as they were when a golden file was written.

    The commit that wrote the file is tried, and then what is committed now.

    Args:
        run: The scenario's file in the directory of the run that was obtained.
        scenario: What it says.
        golden: The golden file.
        expected: What it says.
        request: The request's id.

    Returns:
        What was known then, or a sentence that says why that cannot be shown.
    """
    house = Path(fedsim.__file__).resolve().parents[1]
    commit, head = _commits(golden)
    developed = commit is not None and _holds(house / "fedsim" / "__init__.py", commit)
    if not developed and not plugin_digests(scenario):
        return _same_world(expected)
    if commit is None:
        return "They can be shown once the golden file is committed, together with the plug-ins."
    reason = ""
    for each in dict.fromkeys((commit, head)):
        try:
            with worktree(each) as tree:
                found = _run_at(tree, run, scenario.plugin_directory, request)
                if not changes(expected, golden_of(found)):
                    tables = (found.decisions, found.attempts)
                    return Then(each, *(of[of["request_id"] == request] for of in tables))
            why = "decides differently from the file"
        except FedsimError as error:
            why = f"fails: {error}"
        reason = reason or f"They cannot be shown: the code of the file's commit {each[:12]} {why}."
    return reason


def _same_world(expected: Golden) -> str:
    """Return what is known of the candidates where no other code can be run."""
    if expected.fedsim == fedsim.__version__:
        return (
            "Until here both runs decide the same, by the same fedsim: the gateway knew the same, "
            "unless the scenario has changed."
        )
    return (
        "Until here both runs decide the same: the gateway knew the same, unless what it knows or "
        f"how it scores has changed since fedsim {expected.fedsim}, which wrote the file. To see "
        f"that, run the scenario with record.decisions=on where fedsim {expected.fedsim} is "
        "installed, and fedsim explain there."
    )


def _run_at(tree: Tree, run: Path, plugins: Path, request: str) -> Run:
    """Return the run that the code in a worktree makes.

    Raises:
        ResultsError: It fails; the error is the last line of its own.
    """
    scenario, directory = tree.folder / "expected.yaml", tree.folder / "expected"
    scenario.write_text(run.read_text(encoding="utf-8"), encoding="utf-8")
    here = tree.inside(Path.cwd())
    here.mkdir(parents=True, exist_ok=True)
    places = dict.fromkeys(
        [tree.inside(plugins.absolute()), here, *(tree.inside(Path(place)) for place in sys.path)]
    )
    command = [sys.executable, "-c", _SCRIPT, str(scenario), request, str(directory)]
    try:
        done = subprocess.run(
            command,
            cwd=here,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, places))},
            capture_output=True,
            text=True,
            check=False,
            timeout=_LONGEST_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ResultsError(str(error)) from error
    if done.returncode:
        raise ResultsError((done.stderr.strip().splitlines() or ["it ended without a word"])[-1])
    return Run.load(directory)


def _commits(golden: Path) -> tuple[str | None, str]:
    """Return the commit that wrote a file as it is, None for one that no commit did, and HEAD."""
    try:
        root = repository()
    except FedsimError:
        return None, ""
    whole = str(golden.absolute())
    changed = git(root, "status", "--porcelain", "--", whole)
    commit = git(root, "log", "-1", "--format=%H", "--", whole)
    return (None if changed else commit or None), git(root, "rev-parse", "HEAD") or ""


def _holds(file: Path, commit: str) -> bool:
    """Return whether a commit of the current directory's repository has a file."""
    root = repository()
    if not file.is_relative_to(root):
        return False
    return git(root, "cat-file", "-e", f"{commit}:{file.relative_to(root).as_posix()}") is not None
