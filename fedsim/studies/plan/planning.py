"""Plans capacity: runs what the search for the cheapest fleet asks for."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from fedsim.errors import Problem, ScenarioError
from fedsim.results.manifest import jsonable
from fedsim.scenario.arguments import no_scenario, require_count, require_executor
from fedsim.scenario.spec import PlanSpec, Scenario
from fedsim.studies.cells import Cell, PlannedRun
from fedsim.studies.notebook import notebook_bar
from fedsim.studies.plan.findings import find
from fedsim.studies.plan.result import KIND, Plan, options
from fedsim.studies.plan.search import RunMissing
from fedsim.studies.plan.worlds import Source, lost_s
from fedsim.studies.progress import Progress, Tell
from fedsim.studies.records import Failure, Question, Record
from fedsim.studies.runset import RunSet
from fedsim.studies.store import Store


def plan(
    scenario: Scenario,
    *,
    vary: Mapping[str, Any] | None = None,
    minimize: str | None = None,
    limits: Mapping[str, Any] | None = None,
    survive: Iterable[Any] | None = None,
    replications: int | None = None,
    confidence: float | None = None,
    budget: int | None = None,
    seed: int | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    directory: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    progress: Tell | None = None,
) -> Plan:
    """Find the cheapest fleet that holds the scenario's objective, with confidence.

    The answer does not depend on the number of workers.

    Args:
        scenario: The scenario. What its ``plan`` says holds where the next arguments are None.
        vary: What may be chosen, by dotted path: two whole numbers are a range, anything else is a
            list of values, ``{"values": [64, 256]}`` are two values.
        minimize: ``cost``, ``nodes`` or ``slots``.
        limits: The most that a fleet may have, such as ``{"cost": "200 USD/h", "nodes": 12}``.
        survive: Cases in which the objective is held as well, such as ``["any_region"]``.
        replications: Runs of each fleet in each case, >= 4.
        confidence: That the fleet holds the objective in all cases, above 0.5 and below 1.
        budget: Most runs, >= 1.
        seed: The study's seed, from which those of its replications follow; None takes the
            scenario's.
        workers: Number of processes; None for one per processor, 1 for none besides this one.
        executor: Any executor in place of processes of this machine; it is left running.
        directory: Where to write each run as it is done, and to find those that were done before;
            None for nowhere.
        fresh: Whether to remove what the directory has of this study or another.
        progress: Is called with how far the study is, a `Progress`: the numbers of runs that are
            done and of fleets that may still have to be looked at. None shows a bar in a notebook.

    Raises:
        ScenarioError: There is nothing to plan, or something is wrong with it.
        ArgumentError: An argument is of the wrong kind, or a number too small.
        PlugInError: A plug-in raised, or did what its contract does not allow, in all runs of the
            first fleets. Of some fleets alone it is their verdict, ``failed``.
        ResultsError: The directory is that of another study, or cannot be written.
    """
    began_s = time.perf_counter()
    if not isinstance(scenario, Scenario):
        raise no_scenario(scenario, "plan")
    require_count(workers, "workers")
    require_executor(executor)
    given = {
        "plan.vary": None if vary is None else {path: _plain(each) for path, each in vary.items()},
        "plan.minimize": minimize,
        "plan.limits": None if limits is None else dict(limits),
        "plan.survive": None if survive is None else list(survive),
        "plan.replications": replications,
        "plan.confidence": None if confidence is None else f"{100.0 * confidence!r}%",
        "plan.budget": None if budget is None else {"runs": budget},
    }
    scenario = scenario.changed(
        {path: each for path, each in given.items() if each is not None}, seed
    )
    spec = asked(scenario)
    store = None
    if directory is not None:
        store = Store.begin(directory, KIND, scenario, options(spec), fresh=fresh)
    left = _Left(progress or notebook_bar())
    how: dict[str, Any] = {"workers": workers, "executor": executor, "progress": left.runs}
    with running(scenario, store, **how) as (source, planned):
        findings = find(scenario, spec, source, left.fleets)
    wall_s = time.perf_counter() - began_s
    return Plan(scenario, spec, findings, planned, wall_s=wall_s, store=store)


def stored_plan(store: Store, scenario: Scenario) -> Plan:
    """Return the plan of a directory, made of its runs: nothing is run again."""
    spec = asked(scenario)
    findings = find(scenario, spec, stored_source(store))
    return Plan(scenario, spec, findings, store.planned(), wall_s=float("nan"), store=store)


@contextmanager
def running(
    scenario: Scenario, store: Store | None, **how: Any
) -> Iterator[tuple[Source, list[PlannedRun]]]:
    """Give what runs the worlds of a plan, and the list that gets every run that is asked of it.

    Args:
        scenario: The scenario.
        store: Where records are kept, or None for nowhere.
        how: The ``workers``, ``executor`` and ``progress`` of `RunSet`.
    """
    question = Question(by=("stream",), diagnosed=False, lost_s=lost_s(scenario))
    planned: list[PlannedRun] = []
    with RunSet(scenario, question=question, store=store, **how) as runs:

        def source(cells: Sequence[Cell]) -> list[Record | Failure]:
            begun = runs.planned(cells)
            planned.extend(begun)
            return list(runs.run(begun))

        yield source, planned


def stored_source(store: Store) -> Source:
    """Return what gives the records of a directory, where nothing is run again."""
    known = {(_named(run.cell.key), run.cell.replication): run for run in store.planned()}

    def source(cells: Sequence[Cell]) -> list[Record | Failure]:
        found = []
        for cell in cells:
            run = known.get((_named(cell.key), cell.replication))
            result = None if run is None else store.result(run)
            if result is None:
                raise RunMissing
            found.append(result)
        return found

    return source


def asked(scenario: Scenario) -> PlanSpec:
    """Return what to plan.

    Raises:
        ScenarioError: The scenario does not say.
    """
    if scenario.plan is None:
        message = "There is nothing to plan."
        pool = scenario.world.pools[0].name
        remedy = f"Add for instance plan: {{vary: {{pools.{pool}.count: [1, 20]}}}}."
        raise ScenarioError([Problem(message, remedy, "plan")])
    return scenario.plan


class _Left:
    """Passes on how far the runs are, with the number of fleets that are left."""

    def __init__(self, tell: Tell | None) -> None:
        self._tell = tell
        self._left = 0

    def runs(self, progress: Progress) -> None:
        """Tell how far the runs are."""
        if self._tell is not None:
            self._tell(replace(progress, fleets=self._left))

    def fleets(self, left: int) -> None:
        """Note how many fleets are left."""
        self._left = left


def _plain(value: Any) -> Any:
    """Return values as a file would have them."""
    if isinstance(value, range):
        return {"values": list(value)}
    return value


def _named(key: Mapping[str, Any]) -> str:
    return json.dumps(jsonable(dict(key)), sort_keys=True, default=str)
