"""Compares strategies and routers on the same requests and faults."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, Literal

from fedsim.scenario.arguments import (
    no_scenario,
    require_by_name,
    require_choice,
    require_count,
    require_executor,
    require_names,
    require_seeds,
)
from fedsim.scenario.spec import CompareSpec, Scenario
from fedsim.studies.comparison import KIND, Comparison, options
from fedsim.studies.precision import Precision
from fedsim.studies.progress import Tell
from fedsim.studies.records import Question
from fedsim.studies.rounds import Together, in_rounds
from fedsim.studies.runset import RunSet
from fedsim.studies.store import Store
from fedsim.studies.variants import Variant, require_known, variants


def compare(
    scenario: Scenario,
    *,
    strategies: Iterable[Any] | None = None,
    routers: Mapping[str, Any] | None = None,
    replications: int | None = None,
    seed: int | None = None,
    seeds: Sequence[int] | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    baseline: str | None = None,
    keep: Literal["first", "all"] = "first",
    directory: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    progress: Tell | None = None,
) -> Comparison:
    """Run every strategy and router of a comparison on the same seeds.

    A replication has the same seed for all of them, so that they meet the same requests, random
    draws and faults. What comes out does not depend on the number of workers.

    Args:
        scenario: What to run.
        strategies: Built-in names, ``module:Class`` texts, classes or objects for our router;
            None takes the scenario's. A class or object is called by its class's name.
        routers: ``module:Class`` or ``<adapter>/<choice>`` texts, classes or objects in place of
            our router, by name; next to the scenario's. ``git:REF:module:Class`` is the class as it
            is in another commit of the current directory's repository, with all that it imports
            from there.
        replications: Runs of each, >= 1, and no more; None takes the scenario's, or 10, and adds
            to them as its ``study.precision`` says.
        seed: The study's seed, from which those of its replications follow; None takes the
            scenario's.
        seeds: The seed of each replication, in place of those that follow from *seed*.
        workers: Number of processes; None for one per processor, 1 for none besides this one.
        executor: Any executor in place of processes of this machine; it is left running.
        baseline: Name of what the others are compared with; None takes the scenario's, or the
            first.
        keep: ``first`` keeps the tables of the first replication of each, ``all`` of every run,
            which needs as much memory as they are large.
        directory: Where to write each run as it is done, and to find those that were done before;
            None for nowhere.
        fresh: Whether to remove what the directory has of this study or another.
        progress: Is called with how far the study is, a `Progress`: the numbers of runs that are
            done and failed, their speed, and the time left. Without it a notebook shows a bar.

    Raises:
        ScenarioError: There is nothing to compare, or a name is unknown.
        ArgumentError: An argument is of the wrong kind, or a number too small.
        PlugInError: A plug-in misbehaved in the first replication of a variant; a note holds its
            own traceback. A run that fails later is in ``failures``.
        SimulationError: A first run could not go on.
        ResultsError: The directory is that of another study, or cannot be written.
    """
    began_s = time.perf_counter()
    _require_kinds(scenario, strategies, routers, keep)
    require_count(replications, "replications")
    require_count(workers, "workers")
    require_seeds(seeds)
    require_executor(executor)
    scenario = scenario.changed(seed=seed)
    spec = scenario.compare or CompareSpec()
    chosen = variants(scenario, strategies, routers)
    against = _baseline(baseline, spec, chosen)
    count = int(replications or spec.replications or scenario.study.replications)
    count = count if seeds is None else len(seeds)
    study = scenario.study
    asked_for = replications is None and seeds is None
    targets = study.precision if asked_for else {}
    precision = Precision(targets, count, study.max_replications, study.confidence)
    store = None
    if directory is not None:
        names = [variant.name for variant in chosen]
        asked = options(names, against, count, precision.asked)
        store = Store.begin(directory, KIND, scenario, asked, fresh=fresh)
    with RunSet(
        scenario,
        question=Question(observed=study.steady_state),
        seeds=seeds,
        store=store,
        keep=lambda cell: keep == "all" or cell.replication == 0,
        stops=lambda cell: cell.replication == 0,
        workers=workers,
        executor=executor,
        progress=progress,
    ) as runs:
        cells = [variant.cell for variant in chosen]
        planned, found = in_rounds(runs, scenario, [Together(cells, precision)])
    return Comparison(
        scenario,
        planned,
        found,
        baseline=against,
        wall_s=time.perf_counter() - began_s,
        store=store,
        precision=precision,
    )


def _require_kinds(scenario: object, strategies: object, routers: object, keep: object) -> None:
    """Check what kinds of values the arguments of `compare` are.

    Raises:
        ArgumentError: One is of another kind.
    """
    if not isinstance(scenario, Scenario):
        raise no_scenario(scenario, "compare")
    require_names(strategies, "strategies", '"round_robin", "least_latency"')
    require_by_name(routers, "routers")
    require_choice(keep, "keep", ("first", "all"))


def _baseline(asked: str | None, spec: CompareSpec, chosen: Sequence[Variant]) -> str:
    """Return the baseline; the scenario's counts only where it is among what is compared.

    Raises:
        ScenarioError: The one that is asked for is not.
    """
    if asked is not None:
        require_known(asked, chosen)
        return asked
    names = [variant.name for variant in chosen]
    return spec.baseline if spec.baseline in names else names[0]
