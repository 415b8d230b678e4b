"""Tests of many scenarios, on workers that are started once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence

from fedsim.errors import ResultsError
from fedsim.scenario.spec import Scenario
from fedsim.studies.progress import Tell
from fedsim.studies.records import Failure, Record, run_packed
from fedsim.studies.workers import Workers
from fedsim.testing.cache import RunCache
from fedsim.testing.decisions import How, folder_of
from fedsim.testing.expectations import Tested, run_expectations


def suite(
    scenarios: Sequence[Scenario],
    how: How,
    workers: int | None = None,
    progress: Tell | None = None,
) -> Iterator[Tested]:
    """Yield what came of the expectations of each scenario.

    Args:
        scenarios: Scenarios with an ``expect``.
        how: How golden files are treated; its directory keeps runs, too.
        workers: Number of processes; None for one per processor.
        progress: Is called with how far the runs of the scenario at hand are.

    Raises:
        FedsimError: As for ``run_expectations``.
    """
    cache = RunCache(how.directory / "runs")
    with Workers[Record | Failure](run_packed, b"", workers=workers) as pool:
        for scenario in scenarios:
            _clear(scenario, how)
            yield run_expectations(scenario, cache=cache, how=how, pool=pool, progress=progress)


def _clear(scenario: Scenario, how: How) -> None:
    """Remove what an earlier test of the scenario obtained."""
    folder = folder_of(scenario, how)
    try:
        if folder.exists():
            shutil.rmtree(folder)
    except OSError as error:
        msg = f"cannot remove {folder}: {error.strerror or error}; choose another --out"
        raise ResultsError(msg) from error
