"""Runs the cells of a study, but for those that its directory has already."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from typing import Any

import cloudpickle

from fedsim.errors import FedsimError, SimulationError
from fedsim.scenario.spec import Scenario
from fedsim.studies.cells import Cell, PlannedRun, Variants
from fedsim.studies.records import Failure, Question, Record, failed, run_planned
from fedsim.studies.store import Store
from fedsim.studies.workers import Progress, WorkerDied, Workers

_ALL_OF_IT = Question()


class RunSet:
    """Runs cells of one scenario, on workers that are started once; use it in a ``with``.

    Args:
        scenario: What the cells change.
        question: What to find out of each run.
        seeds: The seed of each replication; None for those that follow from the scenario's.
        store: Where records are kept and found again, or None for nowhere.
        keep: Returns whether to keep the whole run of a cell.
        stops: Returns whether the study stops where a cell fails, rather than go on with others.
        workers: Number of processes, by default one per processor; 1 for none besides this one.
        executor: Where to run instead; it is left running.
        progress: Is called with the number of runs that are done, and of all.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        question: Question = _ALL_OF_IT,
        seeds: Iterable[int] | None = None,
        store: Store | None = None,
        keep: Callable[[Cell], bool] = lambda _: False,
        stops: Callable[[Cell], bool] = lambda _: False,
        workers: int | None = None,
        executor: Executor | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._variants = Variants(scenario, seeds)
        self._question = question
        self._store = store
        self._keep = keep
        self._stops = stops
        self._progress = progress
        self._workers: Workers[Record | Failure] = Workers(
            run_planned, cloudpickle.dumps(scenario), workers=workers, executor=executor
        )

    def __enter__(self) -> RunSet:
        self._workers.__enter__()
        return self

    def __exit__(self, kind: object, *rest: object) -> None:
        self._workers.__exit__(kind, *rest)

    def planned(self, cells: Iterable[Cell]) -> list[PlannedRun]:
        """Return the run of each cell, written into the study's directory.

        Raises:
            ScenarioError: The changes of a cell make no scenario.
            ResultsError: The directory cannot be written.
        """
        planned = [self._variants.planned(cell) for cell in cells]
        if self._store is not None:
            self._store.plan(planned)
        return planned

    def run(self, planned: Sequence[PlannedRun]) -> Iterator[Record | Failure]:
        """Yield what each run came to: those that were done before, then others as they complete.

        Raises:
            ResultsError: The directory cannot be written.
            FedsimError: A cell failed for which the study stops.
        """
        cells: dict[str, list[PlannedRun]] = {}
        for run in planned:
            cells.setdefault(run.id, []).append(run)
        todo = []
        for runs in cells.values():
            known = self._known(runs)
            if known is None:
                todo.append(runs[0])
            else:
                yield from _for_each(known, runs)
        for found in self._run(todo, done=len(cells) - len(todo)):
            yield from _for_each(found, cells[found.id])

    def _known(self, runs: Sequence[PlannedRun]) -> Record | None:
        if self._store is None:
            return None
        kept = any(self._keep(run.cell) for run in runs)
        return self._store.record(runs[0].id, kept=kept)

    def _run(self, planned: Sequence[PlannedRun], done: int) -> Iterator[Record | Failure]:
        report = self._progress
        progress: Progress | None = None
        if report is not None:
            progress = lambda now, total: report(done + now, done + total)  # noqa: E731
        stops: dict[int, Failure] = {}
        waiting = set(range(len(planned)))
        for place, found in self._workers.results(self._calls(planned), progress):
            waiting.discard(place)
            if isinstance(found, WorkerDied):
                result = self._stored(failed(planned[place], found.reason))
            else:
                result = self._stored(found)
            if isinstance(result, Failure) and self._stops(planned[place].cell):
                stops[place] = result
            # Which of several failures is raised does not depend on which came first.
            if stops and min(stops) < min(waiting, default=len(planned)):
                raise _raised(stops[min(stops)])
            yield result

    def _calls(self, planned: Sequence[PlannedRun]) -> list[tuple[Any, ...]]:
        """Return the arguments of ``run_planned`` for each run, what is changed packed once."""
        packed: dict[int, bytes] = {}
        calls = []
        for run in planned:
            cell = run.cell
            if id(cell.changes) not in packed:
                packed[id(cell.changes)] = cloudpickle.dumps(dict(cell.changes))
            bare = replace(run, cell=replace(cell, changes={}), texts={}, plugins={})
            calls.append((packed[id(cell.changes)], bare, self._question, self._keep(cell)))
        return calls

    def _stored(self, result: Record | Failure) -> Record | Failure:
        if self._store is None:
            return result
        if isinstance(result, Failure):
            self._store.fail(result)
            return result
        return self._store.add(result)


def _for_each(found: Record | Failure, runs: Sequence[PlannedRun]) -> Iterator[Record | Failure]:
    """Yield what a run came to for each cell that it is the run of."""
    for run in runs:
        yield replace(found, key=run.cell.key, replication=run.cell.replication)


def _raised(failure: Failure) -> FedsimError:
    return failure.error or SimulationError(failure.message)
