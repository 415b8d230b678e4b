"""Gives back what was saved: a run, or a study, whose tables come from the records of its runs."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fedsim.errors import FedsimError, ResultsError
from fedsim.results.run import Run
from fedsim.results.rundir import PLUGINS, SCENARIO, STUDY, named
from fedsim.scenario.load import load
from fedsim.scenario.spec import Scenario
from fedsim.studies import comparison, swept
from fedsim.studies.cells import PlannedRun
from fedsim.studies.comparison import Comparison
from fedsim.studies.plan import headroom, result
from fedsim.studies.plan.headroom import Headroom, stored_headroom
from fedsim.studies.plan.planning import stored_plan
from fedsim.studies.plan.result import Plan
from fedsim.studies.precision import Precision
from fedsim.studies.records import Failure, Record
from fedsim.studies.rounds import Together, replay
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
    planned, found = _results(store, scenario)
    firsts = [run for run in planned if run.cell.replication == 0]
    opened = Comparison(
        scenario,
        planned,
        found,
        baseline=store.manifest["options"]["baseline"],
        wall_s=math.nan,
        store=store,
        precision=_precision(store, scenario, firsts, found),
    )
    for name, digests in opened.digests.items():
        if not digests:
            msg = (
                f"{store.directory} has no run of {name} that is done; go on with the study by "
                f"the same command, with --out {store.directory}"
            )
            raise ResultsError(msg)
    return opened


def _sweep(store: Store, scenario: Scenario) -> Sweep:
    planned, found = _results(store, scenario)
    firsts = [run for run in planned if run.cell.replication == 0]
    precisions = [_precision(store, scenario, [run], found) for run in firsts]
    return Sweep(
        scenario,
        planned,
        found,
        wall_s=math.nan,
        store=store,
        precisions=[each for each in precisions if each is not None],
    )


def _precision(
    store: Store,
    scenario: Scenario,
    firsts: Sequence[PlannedRun],
    found: Sequence[Record | Failure],
) -> Precision | None:
    """Return what said how many replications variants have, after all looks at their records.

    Args:
        store: The study's directory.
        scenario: The scenario.
        firsts: The first run of each of the variants.
        found: What all runs came to.
    """
    asked = store.manifest["options"].get("precision")
    if not asked:
        return None
    study = scenario.study
    precision = Precision(
        asked["targets"], asked["first"], study.max_replications, study.confidence
    )
    replay(Together([run.cell for run in firsts], precision), scenario, found)
    return precision


def _results(store: Store, scenario: Scenario) -> tuple[list[PlannedRun], list[Record | Failure]]:
    planned = store.planned()
    found = [each for each in map(store.result, planned) if each is not None]
    if scenario.study.steady_state:  # a run that was made before that was asked for is missing
        found = [each for each in found if isinstance(each, Failure) or each.observed is not None]
    return planned, found


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
        used = [text for text in store.manifest["plugins"] if not Path(text).is_absolute()]
        remedy = "Restore the file, or repeat the study in another directory"
        if any(text.split(":")[0] in str(error) for text in used):
            where = store.manifest[PLUGINS]
            remedy = f"Its plug-ins were in {where}; open it where they can be imported"
        msg = f"{path} cannot be read: {error}\n{remedy}"
        raise ResultsError(msg) from error
