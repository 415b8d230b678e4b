"""Gives back what was saved: a run, or a study, whose tables come from the records of its runs."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence

from fedsim.errors import FedsimError, ResultsError
from fedsim.results.run import Run
from fedsim.results.rundir import PLUGINS, SCENARIO, STUDY, named
from fedsim.scenario.load import load
from fedsim.scenario.spec import Scenario
from fedsim.studies import comparison, swept
from fedsim.studies.cells import PlannedRun
from fedsim.studies.comparison import Comparison, values_of
from fedsim.studies.plan import headroom, result
from fedsim.studies.plan.headroom import Headroom, stored_headroom
from fedsim.studies.plan.planning import stored_plan
from fedsim.studies.plan.result import Plan
from fedsim.studies.precision import Precision
from fedsim.studies.records import Failure, Record
from fedsim.studies.store import Store, is_old_comparison, no_study
from fedsim.studies.swept import Sweep


def open(directory: str | os.PathLike[str]) -> Run | Comparison | Headroom | Plan | Sweep:
    """Return what a directory holds; nothing is run again.

    A study that was interrupted is there with the runs that were done.

    Args:
        directory: The directory of a run or study.

    Raises:
        ResultsError: It is neither's, is broken, or was written by another fedsim; a variant has
            no run that is done; or the study's plug-ins are gone, without which its scenario
            cannot be read.
    """
    path = named(directory)
    if not (path / STUDY).exists():
        if is_old_comparison(path):
            raise ResultsError(no_study(path))
        return Run.load(path)
    store = Store.open(path)
    kind = store.manifest["kind"]
    if kind not in _STUDIES:
        msg = f"{path} is a study of the kind {kind!r}, which this fedsim does not have"
        raise ResultsError(msg)
    return _STUDIES[kind](store, _scenario(store))


def _comparison(store: Store, scenario: Scenario) -> Comparison:
    planned, found = _results(store)
    opened = Comparison(
        scenario,
        planned,
        found,
        baseline=store.manifest["options"]["baseline"],
        wall_s=math.nan,
        store=store,
        precision=_precision(store, scenario, found),
    )
    for name, digests in opened.digests.items():
        if not digests:
            msg = (
                f"{store.directory} has no run of {name} that is done; go on with the study by "
                f"the same command, with --out {store.directory}"
            )
            raise ResultsError(msg)
    return opened


def _precision(
    store: Store, scenario: Scenario, found: Sequence[Record | Failure]
) -> Precision | None:
    """Return what said how many replications there are, after all of its looks at the records."""
    options = store.manifest["options"]
    asked = options.get("precision")
    if not asked:
        return None
    study = scenario.study
    precision = Precision(
        asked["targets"], asked["first"], study.max_replications, study.confidence
    )
    done = 1 + max(run.cell.replication for run in store.planned())
    more = True
    while more and precision.replications <= done:
        seen = [each for each in found if each.replication < precision.replications]
        more = precision.goes_on(values_of(seen, options["strategies"], precision.measures))
    return precision


def _sweep(store: Store, scenario: Scenario) -> Sweep:
    return Sweep(scenario, *_results(store), wall_s=math.nan, store=store)


def _results(store: Store) -> tuple[list[PlannedRun], list[Record | Failure]]:
    planned = store.planned()
    return planned, [each for each in map(store.result, planned) if each is not None]


_STUDIES: Mapping[str, Callable[[Store, Scenario], Comparison | Headroom | Plan | Sweep]] = {
    comparison.KIND: _comparison,
    swept.KIND: _sweep,
    result.KIND: stored_plan,
    headroom.KIND: stored_headroom,
}


def _scenario(store: Store) -> Scenario:
    path = store.directory / SCENARIO
    try:
        return load(path)
    except FedsimError as error:
        msg = (
            f"{path} cannot be read: {error}\nIts plug-ins were in "
            f"{store.manifest[PLUGINS]}; open it where they can be imported"
        )
        raise ResultsError(msg) from error
