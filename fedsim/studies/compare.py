"""Compares strategies and routers on the same requests and faults."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, Literal

from fedsim.scenario.arguments import (
    no_scenario,
    require_by_name,
    require_choice,
    require_count,
    require_names,
)
from fedsim.scenario.spec import CompareSpec, Scenario
from fedsim.studies.comparison import Comparison
from fedsim.studies.replication import pack, replicate
from fedsim.studies.variants import Variant, require_known, variants
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
    random draws and faults. What comes out does not depend on the number of workers.

    Args:
        scenario: What to run.
        strategies: Built-in names, ``module:Class`` texts, classes or objects for our router;
            None takes the scenario's. A class or object is called by its class's name.
        routers: ``module:Class`` or ``<adapter>/<choice>`` texts, classes or objects in place of
            our router, by name; next to the scenario's.
        replications: Runs of each, >= 1; None takes the scenario's, or 10.
        seed: The first seed; None takes the scenario's.
        workers: Number of processes; None for one per processor, 1 for none besides this one.
        executor: Any executor in place of processes of this machine; it is left running.
        baseline: Name of what the others are set against; None takes the scenario's, or the first.
        keep: ``first`` keeps the tables of the first replication of each, ``all`` of every run,
            which needs as much memory as they are large.
        progress: Is called with the number of runs that are done, and of all.

    Raises:
        ScenarioError: There is nothing to compare, or a name is unknown.
        ArgumentError: An argument is of the wrong kind, or a number too small.
        PlugInError: A plug-in misbehaved; a note holds its own traceback.
        SimulationError: A run could not go on, or a worker process died.
    """
    began_s = time.perf_counter()
    _require_kinds(scenario, strategies, routers, keep)
    require_count(replications, "replications")
    require_count(workers, "workers")
    scenario = scenario.changed(seed=seed)
    spec = scenario.compare or CompareSpec()
    chosen = variants(scenario, strategies, routers)
    against = _baseline(baseline, spec, chosen)
    count = int(replications or spec.replications)
    calls = list(_calls(scenario, chosen, count, keep_all=keep == "all"))
    found = call_all(replicate, calls, workers=workers, executor=executor, progress=progress)
    in_order = [each for place in range(len(chosen)) for each in found[place :: len(chosen)]]
    wall_s = time.perf_counter() - began_s
    return Comparison(scenario, in_order, baseline=against, wall_s=wall_s)


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


def _calls(
    scenario: Scenario, chosen: Sequence[Variant], count: int, *, keep_all: bool
) -> Iterator[tuple[bytes, bytes, int, int, bool]]:
    """Yield the arguments of `replicate` for each run: every variant on a seed, then the next."""
    packed, packed_variants = pack(scenario), [pack(variant) for variant in chosen]
    for number in range(count):
        for variant in packed_variants:
            yield packed, variant, number, scenario.seed + number, keep_all or number == 0


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
