"""One run of a study, as a worker process does it: texts and bytes in, summaries out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cloudpickle

from fedsim.errors import PlugInError
from fedsim.results.conservation import require
from fedsim.results.run import Run
from fedsim.results.slo import Verdict
from fedsim.results.storage import SAVED_GROUPINGS
from fedsim.scenario.spec import Scenario
from fedsim.studies.cautions import run_warnings
from fedsim.studies.failures import note_traceback
from fedsim.studies.variants import Variant
from fedsim.world.plugins import exits_reported

if TYPE_CHECKING:
    from pandas import DataFrame

ALL = "all"
"""The grouping that has one group, of the same name: every request."""


@dataclass(frozen=True, slots=True)
class Replication:
    """What one run of one variant came to.

    Attributes:
        strategy: Name of the variant.
        number: The replication, counted from 0.
        seed: Its seed.
        measures: A row per group: columns ``by``, ``group``, then the measures of a summary.
            *by* is ``all``, ``origin``, ``stream``, ``region``, ``node`` or ``capability``.
        outcomes: Number of requests by outcome, those of the warm-up included.
        objective: Whether each part of the objective was held.
        warnings: What a user should know, as sentences.
        digest: The run's digest.
        wall_s: What the run took on the wall clock, in seconds.
        run: The whole run, or None where it was not to be kept.
    """

    strategy: str
    number: int
    seed: int
    measures: DataFrame
    outcomes: dict[str, int]
    objective: tuple[Verdict, ...]
    warnings: tuple[str, ...]
    digest: str
    wall_s: float
    run: Run | None


def pack(value: Scenario | Variant) -> bytes:
    """Return *value* as bytes that carry classes of ``__main__`` and of notebook cells along."""
    packed: bytes = cloudpickle.dumps(value)
    return packed


def replicate(
    scenario: bytes,
    variant: bytes,
    number: int,
    seed: int,
    keep: bool,
    progress: Callable[[float], None] | None = None,
) -> Replication:
    """Run a packed variant of a packed scenario once.

    Unpacking gives every run objects of its own, in place as in a worker.

    Args:
        scenario: The packed scenario.
        variant: The packed variant.
        number: The replication, counted from 0.
        seed: Its seed.
        keep: Whether to return the whole run.
        progress: Is called now and then with the share of the run that is done.

    Raises:
        PlugInError: A plug-in misbehaved; a note holds its own traceback.
        InternalError: The run's tables contradict themselves.
    """
    try:
        with exits_reported():  # unpacking imports the modules of plug-ins
            chosen: Variant = cloudpickle.loads(variant)
            unpacked: Scenario = cloudpickle.loads(scenario)
        run = chosen.run(unpacked, seed, progress)
    except PlugInError as error:
        note_traceback(error)
        raise
    require(run.tables)
    return Replication(
        strategy=chosen.name,
        number=number,
        seed=seed,
        measures=_measures(run),
        outcomes=_outcomes(run),
        objective=tuple(run.verdicts()),
        warnings=(*chosen.lost, *run_warnings(run)),
        digest=run.digest,
        wall_s=run.wall_s,
        run=run if keep else None,
    )


def _measures(run: Run) -> DataFrame:
    import pandas as pd

    parts = []
    for by in (None, *SAVED_GROUPINGS):
        part = run.summary(by)
        part.insert(0, "group", part.index.astype("str"))
        part.insert(0, "by", by or ALL)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def _outcomes(run: Run) -> dict[str, int]:
    counts = run.requests["outcome"].value_counts(sort=False)
    return {str(outcome): int(count) for outcome, count in counts.items() if count}
