"""Runs a scenario at every point of a grid, a list or a Latin hypercube."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np

from fedsim.errors import ArgumentError, Problem, ScenarioError
from fedsim.scenario.arguments import no_scenario, require_count, require_executor
from fedsim.scenario.configure.studies import sweep_spec
from fedsim.scenario.schema.sweep import Sweep as SweepSettings
from fedsim.scenario.source import Document, Place
from fedsim.scenario.spec import Scenario, SweepSpec
from fedsim.scenario.validate import checked
from fedsim.studies.cells import Cell, Variants
from fedsim.studies.git import Commits
from fedsim.studies.points import Point, keys_of, points_of, require_valid
from fedsim.studies.precision import Precision
from fedsim.studies.progress import Tell
from fedsim.studies.records import Question
from fedsim.studies.rounds import Together, in_rounds
from fedsim.studies.runset import RunSet
from fedsim.studies.store import Store
from fedsim.studies.swept import KIND, Sweep, options


def sweep(
    scenario: Scenario,
    *,
    grid: Mapping[str, Iterable[Any]] | None = None,
    list: Iterable[Mapping[str, Any]] | None = None,
    latin_hypercube: Mapping[str, Iterable[Any]] | None = None,
    points: int | None = None,
    replications: int | None = None,
    seed: int | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    directory: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    progress: Tell | None = None,
) -> Sweep:
    """Run a scenario at every point of a sweep, several times each.

    A replication has the same seed at all points, so that points which differ in the federation
    alone meet the same requests and faults. What comes out does not depend on the number of
    workers. A run that fails is a row of ``cells``; the others go on.

    Args:
        scenario: What to run.
        grid: Values by dotted path; every combination is a point. Values are those that
            `Scenario.changed` takes, or ``git:REF:module:Class`` for a plug-in of another commit.
        list: The points, each a value by path.
        latin_hypercube: The two ends of a range by path, in one unit, over which points are
            spread. Without any of the three, the scenario says what to sweep.
        points: Number of points of the Latin hypercube, >= 1; None for 64.
        replications: Runs of each point, >= 1, and no more; None takes the scenario's, or 10, and
            adds to them at each point as its ``study.precision`` says.
        seed: The study's seed, from which those of its replications follow; None takes the
            scenario's.
        workers: Number of processes; None for one per processor, 1 for none besides this one.
        executor: Any executor in place of processes of this machine; it is left running.
        directory: Where to write each run as it is done, and to find those that were done before;
            None for nowhere.
        fresh: Whether to remove what the directory has of this study or another.
        progress: Is called with how far the study is, a `Progress`: the numbers of runs that are
            done and failed, their speed, and the time left. Without it a notebook shows a bar.

    Raises:
        ScenarioError: There is nothing to sweep, or points make no scenario; it holds the problems
            of all points.
        ArgumentError: An argument is of the wrong kind, or a number too small.
        ResultsError: The directory is that of another study, or cannot be written.
    """
    began_s = time.perf_counter()
    if not isinstance(scenario, Scenario):
        raise no_scenario(scenario, "sweep")
    require_count(replications, "replications")
    require_count(workers, "workers")
    require_executor(executor)
    scenario = scenario.changed(seed=seed)
    given = {"grid": grid, "list": list, "latin_hypercube": latin_hypercube, "points": points}
    spec, places = _asked(
        scenario, {name: each for name, each in given.items() if each is not None}
    )
    chosen = points_of(spec, scenario.seed)
    keys = keys_of(scenario, chosen, places)
    variants = Variants(scenario)
    firsts = _firsts(scenario, keys, chosen)
    require_valid(lambda number: variants.planned(firsts[number]), chosen, places)
    study = scenario.study
    count = int(replications or spec.replications or study.replications)
    targets = {} if replications else study.precision
    studied = [
        Together([cell], Precision(targets, count, study.max_replications, study.confidence))
        for cell in firsts
    ]
    store = None
    if directory is not None:
        asked = options(keys[0], count, studied[0].precision.asked)
        store = Store.begin(directory, KIND, scenario, asked, fresh=fresh)
    with RunSet(
        scenario,
        variants=variants,
        question=Question(diagnosed=False, observed=scenario.study.steady_state),
        store=store,
        workers=workers,
        executor=executor,
        progress=progress,
    ) as runs:
        planned, found = in_rounds(runs, scenario, studied)
    return Sweep(
        scenario,
        planned,
        found,
        wall_s=time.perf_counter() - began_s,
        store=store,
        precisions=[each.precision for each in studied],
    )


def _firsts(
    scenario: Scenario, keys: Sequence[Mapping[str, Any]], points: Sequence[Point]
) -> Sequence[Cell]:
    """Return the first replication of each point, with its plug-ins of a commit found."""
    commits = Commits(scenario.plugin_directory)
    resolved = [commits.resolved(point.changes) for point in points]
    return [
        Cell(key, changes, commit=commit)
        for key, (changes, commit) in zip(keys, resolved, strict=True)
    ]


def _asked(scenario: Scenario, given: Mapping[str, Any]) -> tuple[SweepSpec, Mapping[str, Place]]:
    """Return what to sweep, and where the file says so if it does.

    Raises:
        ScenarioError: There is nothing to sweep, or something is wrong with it.
        ArgumentError: An argument is no mapping or list.
    """
    if not given:
        if scenario.sweep is None:
            example = "{grid: {workload.chat.arrivals.rate: [20/s, 30/s]}}"
            message = "There is nothing to sweep."
            raise ScenarioError([Problem(message, f"Add for instance sweep: {example}.", "sweep")])
        return scenario.sweep, scenario.places
    tree = {name: _plain(name, value) for name, value in given.items()}
    settings, problems = checked(Document("", tree), SweepSettings, "Write grid={path: [values]}.")
    if settings is None:
        raise ScenarioError(problems)
    spec = sweep_spec(settings)
    assert spec is not None
    return spec, {}


def _plain(name: str, value: Any) -> Any:
    """Return an argument with the lists and mappings that a file would have.

    Raises:
        ArgumentError: It is no mapping or list.
    """
    example = "{'workload.chat.arrivals.rate': ['20/s', '30/s']}"
    if name == "points":
        return value
    if name == "list":
        if isinstance(value, str | Mapping) or not isinstance(value, Iterable):
            message = f"list is a list of points, not {value!r:.60}."
            remedy = "Write list=[{'workload.chat.arrivals.rate': '20/s'}]."
            raise ArgumentError(message, remedy)
        return [dict(each) if isinstance(each, Mapping) else each for each in value]
    if not isinstance(value, Mapping):
        message = f"{name} is a mapping by path, not {value!r:.60}."
        raise ArgumentError(message, f"Write {name}={example}.")
    return {path: _values(values) for path, values in value.items()}


def _values(values: Any) -> Any:
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable):
        return values
    return [each.item() if isinstance(each, np.generic) else each for each in values]
