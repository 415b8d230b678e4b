"""Gives back what was saved: a run, or a study, whose tables come from the records of its runs."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping

from fedsim.errors import FedsimError, ResultsError
from fedsim.results.run import Run
from fedsim.results.rundir import MANIFEST, PLUGINS, SCENARIO, STUDY, named, read_json
from fedsim.scenario.load import load
from fedsim.scenario.spec import Scenario
from fedsim.studies import comparison, swept
from fedsim.studies.cells import PlannedRun
from fedsim.studies.comparison import Comparison
from fedsim.studies.plan import headroom, result
from fedsim.studies.plan.headroom import Headroom, stored_headroom
from fedsim.studies.plan.planning import stored_plan
from fedsim.studies.plan.result import Plan
from fedsim.studies.records import Failure, Record
from fedsim.studies.store import Store
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
        if "baseline" in (read_json(path / MANIFEST) if (path / MANIFEST).exists() else {}):
            msg = (
                f"{path} is a comparison of an earlier fedsim, which kept no records of its runs; "
                "compare again with --out, or read its summary.json and tables"
            )
            raise ResultsError(msg)
        return Run.load(path)
    store = Store.open(path)
    kind = store.manifest["kind"]
    if kind not in _STUDIES:
        msg = f"{path} is a study of the kind {kind!r}, which this fedsim does not have"
        raise ResultsError(msg)
    return _STUDIES[kind](store, _scenario(store))


def _comparison(store: Store, scenario: Scenario) -> Comparison:
    opened = Comparison(
        scenario,
        *_results(store),
        baseline=store.manifest["options"]["baseline"],
        wall_s=math.nan,
        store=store,
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
