"""The command lines that repeat a study and its runs."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from fedsim.scenario.objects import is_given
from fedsim.scenario.schema.types import is_plugin
from fedsim.studies.cells import PlannedRun, replication_seed, texts_in

_ROUTER, _STRATEGY = "federation.router", "federation.strategy"
_SOME_STRATEGY = {"strategies": ["round_robin"]}
"""``compare`` needs something besides routers of commits."""


def run_command(scenario: str, seed: int, changes: Mapping[str, Any]) -> str:
    """Return the command line that repeats one run.

    Args:
        scenario: The scenario file of its study.
        seed: The run's seed.
        changes: The changes of its cell as plain values.
    """
    words = ["fedsim", "run", scenario, "--seed", str(seed)]
    for path, value in changes.items():
        words += ["--set", f"{path}={value if isinstance(value, str) else json.dumps(value)}"]
    return shlex.join(words)


def repeat_command(scenario: str, run: PlannedRun) -> str:
    """Return the command line that repeats one run of the study of a scenario file.

    That of a commit's plug-ins repeats the replications before it too.
    """
    if not run.cell.commit:
        return run_command(scenario, run.seed, run.texts)
    words = ["fedsim", "sweep", scenario, "--set", f"sweep={json.dumps({'list': [_point(run)]})}"]
    return shlex.join([*words, "--replications", str(run.cell.replication + 1)])


def _point(run: PlannedRun) -> dict[str, Any]:
    """Return the changes of a run as a sweep has them."""
    return {path: _at_commit(value, run.cell.commit) for path, value in run.texts.items()}


def _at_commit(value: Any, commit: str) -> Any:
    """Return a value with ``git:COMMIT:module:Class`` for ``module:Class``."""
    if isinstance(value, Mapping):
        return {_at_commit(k, commit): _at_commit(v, commit) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_at_commit(each, commit) for each in value]
    return f"git:{commit}:{value}" if commit and is_plugin(value) else value


def study_command(scenario: str, manifest: Mapping[str, Any], planned: Sequence[PlannedRun]) -> str:
    """Return the command line that makes a study again; empty where none can.

    None names seeds or objects that were given in Python.

    Args:
        scenario: The scenario file of the study.
        manifest: What its ``study.json`` holds.
        planned: The runs that its last command asked for.
    """
    seed = manifest["scenario"]["seed"]
    named = texts_in([manifest["scenario"], [dict(run.texts) for run in planned]])
    if any(map(is_given, named)) or any(
        run.seed != replication_seed(seed, run.cell.replication) for run in planned
    ):
        return ""
    firsts = [run for run in planned if run.cell.replication == 0]
    options = manifest["options"]
    if manifest["kind"] == "comparison":
        words = ["compare", scenario, *_compared(firsts, options)]
    elif manifest["kind"] == "sweep":
        points: dict[str, Any] = {"list": [_point(run) for run in firsts]}
        given = ["--replications", str(options["replications"])]
        if options.get("precision"):
            points, given = points | {"replications": options["precision"]["first"]}, []
        words = ["sweep", scenario, "--set", f"sweep={json.dumps(points)}", *given]
    else:
        words = ["plan", scenario, *(["--headroom"] * (manifest["kind"] == "headroom"))]
    return shlex.join(["fedsim", *words, "--seed", str(seed)])


def _compared(firsts: Sequence[PlannedRun], options: Mapping[str, Any]) -> list[str]:
    """Return the options of ``fedsim compare`` that name what is compared.

    A strategy is called by its text, and so are routers where there is no strategy.
    """
    of = {str(run.cell.key["strategy"]): run for run in firsts}
    routers = {name: run for name, run in of.items() if run.texts.get(_ROUTER) is not None}
    names = {name: name if name in routers else str(of[name].texts[_STRATEGY]) for name in of}
    listed: dict[str, Any] = {"strategies": [names[name] for name in of if name not in routers]}
    if not listed["strategies"]:
        here = [name for name, run in routers.items() if not run.cell.commit]
        names |= {name: str(routers.pop(name).texts[_ROUTER]) for name in here}
        listed = {"routers": [names[name] for name in here]} if here else _SOME_STRATEGY
    words = [each for name, run in routers.items() for each in ("--router", _named(name, run))]
    if options.get("precision"):
        listed = listed | {"replications": options["precision"]["first"]}
    else:
        words += ["--replications", str(options["replications"])]
    words += ["--baseline", names[options["baseline"]]]
    return ["--set", f"compare={json.dumps(listed)}", *words]


def _named(name: str, run: PlannedRun) -> str:
    router = _committed(run)
    return router if name == router else f"{name}={router}"


def _committed(run: PlannedRun) -> str:
    router = str(run.texts[_ROUTER])
    return f"git:{run.cell.commit}:{router}" if run.cell.commit else router
