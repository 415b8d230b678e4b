"""Compares strategies and routers on the same requests and faults."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from typing import Any, Literal

from fedsim.errors import Problem, ScenarioError
from fedsim.scenario.spec import CompareSpec, Scenario
from fedsim.studies.comparison import Comparison
from fedsim.studies.replication import pack, replicate
from fedsim.studies.variants import require_known, variants
from fedsim.studies.workers import Progress, call_all


def compare(
    scenario: Scenario,
    *,
    strategies: Iterable[Any] | None = None,
    routers: Mapping[str, Any] | None = None,
    replications: int | None = None,
    seed: int | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    baseline: str | None = None,
    keep: Literal["first", "all"] = "first",
    progress: Progress | None = None,
) -> Comparison:
    """Run every strategy and router of a comparison on the same seeds.

    Replication i has the seed *seed* + i for all of them, so that they meet the same requests,
    luck and faults. What comes out does not depend on the number of workers.

    Args:
        scenario: What to run.
        strategies: Built-in names, ``module:Class`` texts, classes or objects for our router;
            None takes the scenario's. A class or object is called by its class's name.
        routers: ``module:Class`` or ``<adapter>/<choice>`` texts, classes or objects in place of
            our router, by name; beside the scenario's.
        replications: Runs of each, >= 1; None takes the scenario's, or 10.
        seed: The first seed; None takes the scenario's.
        workers: Number of processes; None for one per processor, 1 for none besides this one.
        executor: Any executor in place of processes of this machine; it is left running.
        baseline: Name of what the others are set against; None takes the scenario's, or the first.
        keep: ``first`` keeps the tables of the first replication of each, ``all`` of every run,
            which needs as much memory as they are large.
        progress: Is told the number of runs that are done, and of all.

    Raises:
        ScenarioError: There is nothing to compare, or a name or number is wrong.
        PlugInError: A plug-in misbehaved; a note holds its own traceback.
        SimulationError: A run could not go on, or a worker process died.
    """
    began_s = time.perf_counter()
    spec = scenario.compare or CompareSpec()
    chosen = variants(scenario, strategies, routers)
    count = spec.replications if replications is None else replications
    if count < 1:
        message = f"A comparison needs at least one replication, not {count}."
        raise ScenarioError([Problem(message, "Ten are usual.")])
    first_seed = scenario.seed if seed is None else seed
    against = _baseline(baseline, spec, chosen[0].name, [variant.name for variant in chosen])
    require_known(against, chosen)
    packed, packed_variants = pack(scenario), [pack(variant) for variant in chosen]
    found = call_all(
        replicate,
        [
            (packed, variant, number, first_seed + number, keep == "all" or number == 0)
            for number in range(count)
            for variant in packed_variants
        ],
        workers=workers,
        executor=executor,
        progress=progress,
    )
    in_order = [each for place in range(len(chosen)) for each in found[place :: len(chosen)]]
    wall_s = time.perf_counter() - began_s
    return Comparison(scenario, in_order, baseline=against, wall_s=wall_s)


def _baseline(asked: str | None, spec: CompareSpec, first: str, names: list[str]) -> str:
    """Return the baseline; the scenario's counts only where it is among what is compared."""
    if asked is not None:
        return asked
    return spec.baseline if spec.baseline in names else first
