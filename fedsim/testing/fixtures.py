"""What the fixtures of the pytest plugin do: runs and comparisons that are made once."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from fedsim.errors import ArgumentError, ResultsError
from fedsim.results.run import Run
from fedsim.scenario.load import load
from fedsim.scenario.simulate import simulate
from fedsim.scenario.spec import CompareSpec, Scenario
from fedsim.studies.cells import Cell, Variants
from fedsim.studies.comparison import Comparison
from fedsim.studies.precision import Precision
from fedsim.studies.records import Question
from fedsim.studies.rounds import Together, in_rounds
from fedsim.studies.runset import RunSet
from fedsim.studies.variants import variants
from fedsim.testing.assertions import SETTINGS
from fedsim.testing.cache import RunCache, source_digest
from fedsim.testing.decisions import How

_KEY: pytest.StashKey[Session] = pytest.StashKey()
_ACCEPT = "pytest --fedsim-update"


@dataclass(slots=True)
class Session:
    """What the tests of one session share.

    Attributes:
        how: How golden files are treated.
        cache: The records of runs.
        runs: Where whole runs are kept, or None.
        known: The whole runs of this session, by id.
    """

    how: How
    cache: RunCache
    runs: Path | None
    known: dict[str, Run] = field(default_factory=dict)


def session_of(config: pytest.Config) -> Session:
    """Return what the tests of a session share, made when it is first asked for."""
    found = config.stash.get(_KEY, None)
    if found is None:
        how = How(
            config.getoption("--fedsim-update"),
            config.getoption("--fedsim-tolerance"),
            _ACCEPT,
            config.rootpath / "runs" / "tests",
        )
        cache = getattr(config, "cache", None)  # pytest -p no:cacheprovider has none
        place = None if cache is None else Path(cache.mkdir("fedsim"))
        runs = None if place is None else place / source_digest() / "whole"
        found = config.stash[_KEY] = Session(how, RunCache(place), runs)
        SETTINGS.how = how
    return found


@dataclass(frozen=True, slots=True)
class Running:
    """Runs scenarios for a test, each once."""

    session: Session
    marked: Mapping[str, Any]

    def __call__(
        self,
        scenario: Scenario | str | os.PathLike[str] | None = None,
        changes: Mapping[str, Any] | None = None,
        *,
        seed: int | None = None,
    ) -> Run:
        """Return a run.

        Args:
            scenario: A scenario or its file; None for that of the mark.
            changes: Changes by dotted path, in addition to the mark's.
            seed: In place of the scenario's.

        Raises:
            ArgumentError: There is no scenario, here or in a mark.
            FedsimError: As for `fedsim.simulate`.
        """
        loaded = _scenario(scenario, changes, self.marked).changed(seed=seed)
        known = self.session.known
        run_id = Variants(loaded, [loaded.seed]).planned(Cell({})).id
        if run_id not in known:
            folder = None if self.session.runs is None else self.session.runs / run_id
            known[run_id] = _read(folder) or _made(loaded, folder)
        return known[run_id]


@dataclass(frozen=True, slots=True)
class Comparing:
    """Compares strategies and routers for a test, each run made once."""

    session: Session
    marked: Mapping[str, Any]

    def __call__(
        self,
        scenario: Scenario | str | os.PathLike[str] | None = None,
        changes: Mapping[str, Any] | None = None,
        *,
        strategies: Iterable[Any] | None = None,
        routers: Mapping[str, Any] | None = None,
        replications: int | None = None,
        baseline: str | None = None,
    ) -> Comparison:
        """Return a comparison; arguments are those of `fedsim.compare`, and of the mark.

        Args:
            scenario: A scenario or its file; None for that of the mark.
            changes: Changes by dotted path, in addition to the mark's.
            strategies: What to compare, as for `fedsim.compare`.
            routers: Routers by name, as for `fedsim.compare`.
            replications: Runs of each; None for those of the mark, then of the scenario.
            baseline: What the others are compared with; None for the scenario's, or the first.

        Raises:
            ArgumentError: There is no scenario, here or in a mark.
            FedsimError: As for `fedsim.compare`.
        """
        loaded = _scenario(scenario, changes, self.marked)
        spec = loaded.compare or CompareSpec()
        chosen = variants(loaded, strategies, routers)
        names = [variant.name for variant in chosen]
        count = replications or self.marked.get("replications") or spec.replications
        precision = Precision({}, count or loaded.study.replications, 1, loaded.study.confidence)
        cache = self.session.cache
        question = Question(observed=loaded.study.steady_state)
        with RunSet(
            loaded, question=question, store=cache, stops=lambda _: True, workers=1
        ) as runs:
            cells = [variant.cell for variant in chosen]
            planned, found = in_rounds(runs, loaded, [Together(cells, precision)])
        against = baseline or (spec.baseline if spec.baseline in names else names[0])
        if against not in names:
            msg = f"{against!r} was not compared; there are {', '.join(names)}"
            raise ResultsError(msg)
        return Comparison(loaded, planned, found, baseline=against, wall_s=0.0)


def _scenario(
    scenario: Scenario | str | os.PathLike[str] | None,
    changes: Mapping[str, Any] | None,
    marked: Mapping[str, Any],
) -> Scenario:
    given = marked.get("scenario") if scenario is None else scenario
    if given is None:
        message = "There is no scenario to run."
        remedy = 'Mark the test with @pytest.mark.fedsim("near.yaml"), or give its file.'
        raise ArgumentError(message, remedy)
    loaded = given if isinstance(given, Scenario) else load(given)
    return loaded.changed({**(marked.get("changes") or {}), **(changes or {})})


def _read(folder: Path | None) -> Run | None:
    """Return the run of an earlier session; None where there is none that can be read."""
    try:
        return None if folder is None else Run.load(folder)
    except ResultsError:
        return None


def _made(scenario: Scenario, folder: Path | None) -> Run:
    """Return a new run, kept for later sessions where that can be."""
    run = simulate(scenario)
    if folder is not None and not run.given:
        try:
            run.save(folder, charts=False)
        except ResultsError:
            shutil.rmtree(folder, ignore_errors=True)
    return run
