"""Replications in rounds, until the estimates of a study are exact enough."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from fedsim.scenario.spec import Scenario
from fedsim.studies.believed import estimated
from fedsim.studies.cells import Cell, PlannedRun
from fedsim.studies.precision import Precision
from fedsim.studies.records import Failure, Record
from fedsim.studies.runset import RunSet


@dataclass(frozen=True, slots=True)
class Together:
    """Variants that have as many replications as one another.

    Attributes:
        variants: A cell of each, of any replication.
        precision: Says how many replications they need.
    """

    variants: Sequence[Cell]
    precision: Precision


def in_rounds(
    runs: RunSet, scenario: Scenario, studied: Sequence[Together]
) -> tuple[list[PlannedRun], list[Record | Failure]]:
    """Run replications until each precision has enough, and return what came of them.

    The runs of a round are made together, those of one replication before those of the next. A
    replication on which a variant failed has no value of it.

    Args:
        runs: Runs the cells.
        scenario: Says whether estimates are of a window or of the long run.
        studied: What needs its own number of replications.
    """
    planned: list[PlannedRun] = []
    found: dict[str, list[Record | Failure]] = {}
    done = [0] * len(studied)
    left = list(range(len(studied)))
    while left:
        cells = [
            replace(cell, replication=number)
            for place in left
            for number in range(done[place], studied[place].precision.replications)
            for cell in studied[place].variants
        ]
        new = runs.planned(sorted(cells, key=lambda cell: cell.replication))
        planned += new
        for each in runs.run(new):
            found.setdefault(repr(each.key), []).append(each)
        for place in left:
            done[place] = studied[place].precision.replications
        left = [place for place in left if _goes_on(studied[place], scenario, found)]
    return planned, [each for results in found.values() for each in results]


def replay(studied: Together, scenario: Scenario, found: Iterable[Record | Failure]) -> None:
    """Let a precision look again at runs that were made in rounds, as far as there are any.

    Args:
        studied: The precision, as it was before the first look, and its variants.
        scenario: Says whether estimates are of a window or of the long run.
        found: What all runs of the study came to.
    """
    by_key: dict[str, list[Record | Failure]] = {repr(cell.key): [] for cell in studied.variants}
    for each in found:
        by_key.setdefault(repr(each.key), []).append(each)
    more = True
    while more:
        count = studied.precision.replications
        seen = {
            name: [each for each in results if each.replication < count]
            for name, results in by_key.items()
        }
        if all(len(seen[repr(cell.key)]) < count for cell in studied.variants):
            return
        more = _goes_on(studied, scenario, seen)


def _goes_on(
    studied: Together, scenario: Scenario, found: Mapping[str, Sequence[Record | Failure]]
) -> bool:
    precision = studied.precision
    if not precision.measures:
        return False
    values = []
    for cell in studied.variants:
        results = sorted(found[repr(cell.key)], key=lambda each: each.replication)
        records = [each for each in results if isinstance(each, Record)]
        values.append(estimated(records, scenario))
    return precision.goes_on(
        {
            measure: [each.value(measure).tolist() for each in values]
            for measure in precision.measures
        }
    )
