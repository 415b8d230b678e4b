"""Runs the cells of a study, but for those that its directory has already."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import cloudpickle

from fedsim.errors import ArgumentError, FedsimError, SimulationError
from fedsim.scenario.spec import Scenario
from fedsim.studies.cells import Cell, PlannedRun, Variants
from fedsim.studies.git import worktree
from fedsim.studies.notebook import notebook_bar
from fedsim.studies.progress import Meter, Tell
from fedsim.studies.records import Failure, Question, Record, failed, run_planned
from fedsim.studies.store import KeepsRecords
from fedsim.studies.workers import WorkerDied, Workers

_ALL_OF_IT = Question()


class RunSet:
    """Runs cells of one scenario, on workers that are started once; use it in a ``with``.

    Args:
        scenario: What the cells change.
        question: What to find out of each run.
        seeds: The seed of each replication; None for those that follow from the scenario's.
        variants: What cells make of the scenario, where some of it is known already.
        store: Where records are kept and found again, or None for nowhere.
        keep: Returns whether to keep the whole run of a cell.
        stops: Returns whether the study stops where a cell fails, rather than go on with others.
        workers: Number of processes, by default one per processor; 1 for none besides this one.
        executor: Where to run instead; it is left running.
        pool: Workers that call ``run_packed``, which several studies share; they are left running.
        progress: Is called with how far the study is; None shows a bar in a notebook.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        question: Question = _ALL_OF_IT,
        seeds: Iterable[int] | None = None,
        variants: Variants | None = None,
        store: KeepsRecords | None = None,
        keep: Callable[[Cell], bool] = lambda _: False,
        stops: Callable[[Cell], bool] = lambda _: False,
        workers: int | None = None,
        executor: Executor | None = None,
        pool: Workers[Record | Failure] | None = None,
        progress: Tell | None = None,
    ) -> None:
        self._variants = variants or Variants(scenario, seeds)
        self._question = question
        self._store = store
        self._keep = keep
        self._stops = stops
        self._meter = Meter(progress or notebook_bar())
        self._scenario = scenario
        self._count = workers
        self._executor = executor
        self._pool = pool
        self._packed = b""
        self._open = ExitStack()
        self._workers: dict[str, Workers[Record | Failure]] = {}

    def __enter__(self) -> RunSet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.__exit__(kind, error, trace)
        if isinstance(error, Exception) and self._store is not None:
            self._store.withdraw()

    def planned(self, cells: Iterable[Cell]) -> list[PlannedRun]:
        """Return the run of each cell, written into the study's directory.

        Raises:
            ScenarioError: The changes of a cell make no scenario.
            ResultsError: The directory cannot be written.
            ArgumentError: An executor cannot run the plug-ins of another commit.
        """
        cells = tuple(cells)
        if self._executor is not None and any(cell.commit for cell in cells):
            message = "git:REF:module:Class runs in processes of this machine, not on an executor."
            raise ArgumentError(message, "Leave the executor out, or such variants.")
        planned = [self._variants.planned(cell) for cell in cells]
        if self._store is not None:
            planned = [_noted(run) for run in planned]
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
        self._meter.expect(len(cells), found=len(cells) - len(todo))
        for found in self._run(todo):
            yield from _for_each(found, cells[found.id])

    def _known(self, runs: Sequence[PlannedRun]) -> Record | None:
        if self._store is None:
            return None
        kept = any(self._keep(run.cell) for run in runs)
        known = self._store.record(runs[0].id, kept=kept)
        lacks = known is not None and self._question.observed and known.observed is None
        return None if lacks else known

    def _run(self, planned: Sequence[PlannedRun]) -> Iterator[Record | Failure]:
        stops: dict[int, Failure] = {}
        waiting = set(range(len(planned)))
        for place, found in self._results(planned):
            waiting.discard(place)
            if isinstance(found, WorkerDied):
                result = self._stored(failed(planned[place], found.reason))
            else:
                result = self._stored(found)
            if isinstance(result, Failure):
                self._meter.failed += 1
                if self._stops(planned[place].cell):
                    stops[place] = result
            else:
                self._meter.ended(result.wall_s)
            # Which of several failures is raised does not depend on which came first.
            if stops and min(stops) < min(waiting, default=len(planned)):
                raise raised(stops[min(stops)])
            yield result

    def _results(
        self, planned: Sequence[PlannedRun]
    ) -> Iterator[tuple[int, Record | Failure | WorkerDied]]:
        """Yield the place of each run with its result; those of one commit after another."""
        calls, begun = self._calls(planned), 0
        for commit in dict.fromkeys(run.cell.commit for run in planned) or {"": None}:
            places = [place for place, run in enumerate(planned) if run.cell.commit == commit]
            of_it = [calls[place] for place in places]
            report = partial(_shifted, self._meter, begun)
            workers = self._of(commit)
            if workers is self._pool:
                of_it = [(self._shared(), *call) for call in of_it]
            for number, found in workers.results(of_it, report):
                yield places[number], found
            begun += len(places)

    def _of(self, commit: str) -> Workers[Record | Failure]:
        """Return the workers of a commit; without one, those of what is there now."""
        if not commit and self._pool is not None:
            return self._pool
        if commit not in self._workers:
            scenario, begin, executor = self._scenario, None, self._executor
            if commit:
                tree = self._open.enter_context(worktree(commit))
                place = tree.inside(scenario.plugin_directory)
                path = scenario.path.absolute()
                scenario, begin = replace(scenario, plugin_directory=place, path=path), tree.enter
            self._workers[commit] = self._open.enter_context(
                Workers(
                    run_planned,
                    _packed(scenario),
                    workers=self._count,
                    executor=executor,
                    begin=begin,
                )
            )
        return self._workers[commit]

    @property
    def _reach(self) -> Path | None:
        """The directory into which who runs a cell writes its record; a cluster reaches none."""
        return None if self._store is None or self._executor is not None else self._store.reach

    def _shared(self) -> bytes:
        """Return the scenario as a worker gets it, packed once."""
        self._packed = self._packed or _packed(self._scenario)
        return self._packed

    def _calls(self, planned: Sequence[PlannedRun]) -> list[tuple[Any, ...]]:
        """Return the arguments of ``run_planned`` for each run, what is changed packed once."""
        packed: dict[int, bytes] = {}
        calls = []
        for run in planned:
            cell = run.cell
            if id(cell.changes) not in packed:
                packed[id(cell.changes)] = _packed(dict(cell.changes))
            bare = replace(run, cell=replace(cell, changes={}), texts={}, plugins={})
            keep = self._keep(cell)
            to = None if keep else self._reach
            calls.append((packed[id(cell.changes)], bare, self._question, keep, to))
        return calls

    def _stored(self, result: Record | Failure) -> Record | Failure:
        if self._store is None:
            return result
        if isinstance(result, Failure):
            self._store.fail(result)
            return result
        written = self._reach is not None and result.run is None
        return result if written else self._store.add(result)


def _noted(run: PlannedRun) -> PlannedRun:
    """Return a run whose notes name the plug-ins of which little can be known."""
    if not run.partly_known:
        return run
    notes = (
        f"{text} is defined in a notebook or at a prompt, so that its own source alone is known: "
        "runs of an earlier session count as done even if something that it uses has changed "
        "since. Put it into a file, or start over (fresh=True)."
        for text in run.partly_known
    )
    return replace(run, cell=replace(run.cell, notes=(*run.cell.notes, *notes)))


def _packed(value: Scenario | dict[str, Any]) -> bytes:
    """Return *value* as a worker gets it; each run begins with objects of its own.

    Raises:
        ArgumentError: An object given in Python cannot be copied.
    """
    try:
        packed: bytes = cloudpickle.dumps(value)
    except Exception as error:  # whatever an object of the user's raises
        objects = value.objects if isinstance(value, Scenario) else value
        names = ", ".join(f"{path} ({type(each).__name__})" for path, each in objects.items())
        message = f"An object given in Python cannot be copied for each run: {error}. Of: {names}."
        raise ArgumentError(
            message, "Give its class, from which each run builds its own."
        ) from error
    return packed


def _for_each(found: Record | Failure, runs: Sequence[PlannedRun]) -> Iterator[Record | Failure]:
    """Yield what a run came to for each cell that it is the run of."""
    for run in runs:
        yield replace(found, key=run.cell.key, replication=run.cell.replication)


def _shifted(meter: Meter, begun: float, done: float, _: int) -> None:
    meter(begun + done)


def raised(failure: Failure) -> FedsimError:
    """Return the error that a failure is, for a study that it ends."""
    return failure.error or SimulationError(failure.message)
