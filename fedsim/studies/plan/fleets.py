"""The box of fleets that a scenario's plan describes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from fedsim.errors import Problem, ScenarioError
from fedsim.federation.strategies.registry import STRATEGIES
from fedsim.scenario.offered_load import OfferedLoad
from fedsim.scenario.schema.types import is_count_path
from fedsim.scenario.source import Place
from fedsim.scenario.spec import PlanSpec, Scenario
from fedsim.studies.plan.bound import Demand
from fedsim.studies.plan.box import MOST_POINTS, Box, Choice
from fedsim.studies.plan.cases import Case, cases_of
from fedsim.studies.points import Point, require_valid
from fedsim.world.scalers.config import ScalerConfig


@dataclass(frozen=True, slots=True)
class Fleets:
    """What a plan is about.

    Attributes:
        box: The fleets.
        cases: The cases in which they have to hold the objective, the normal one first.
        scenarios: The scenario of each choice, with as many nodes as the box has.
        demands: What streams ask of pools under each choice.
    """

    box: Box
    cases: tuple[Case, ...]
    scenarios: tuple[Scenario, ...]
    demands: tuple[Demand, ...]


def fleets_of(scenario: Scenario, spec: PlanSpec) -> Fleets:
    """Return the fleets that a plan is about.

    Raises:
        ScenarioError: The box is too large, or some of its values make no scenario; it holds the
            problems of all.
    """
    counts = {path: values for path, values in spec.vary.items() if is_count_path(path)}
    others = {path: values for path, values in spec.vary.items() if path not in counts}
    points = math.prod(len(values) for values in spec.vary.values())
    if points > MOST_POINTS:
        message = f"The box has {points:,} fleets, more than {MOST_POINTS:,}."
        remedy, path = "Narrow the ranges, or give lists of counts.", "plan.vary"
        place = scenario.places.get(path, Place(""))
        raise ScenarioError([Problem(message, remedy, path, place.file, place.line, place.column)])
    # Facts of a pool are those of its nodes, so that each pool has some here.
    most = {path: max(*values, 1) for path, values in counts.items()}
    chosen = [dict(zip(others, values, strict=True)) for values in product(*others.values())]
    _require_valid(scenario, spec, chosen, most)
    scenarios = tuple(scenario.changed({**changes, **most}) for changes in chosen)
    _require_measured(scenario, spec, scenarios)
    first = scenarios[0].world
    pools = [pool.name for pool in first.pools]
    levels: list[Sequence[int]] = [
        sorted(counts.get(f"pools.{pool.name}.count", (pool.count,))) for pool in first.pools
    ]
    regions = [pool.region for pool in first.pools]
    offered = [OfferedLoad(each) for each in scenarios]
    box = Box(
        pools,
        regions,
        [stream.traffic.name for stream in first.streams],
        levels,
        [
            _choice(changes, each, load)
            for changes, each, load in zip(chosen, scenarios, offered, strict=True)
        ],
        spec.minimize,
        spec.limits,
    )
    inhabited = [region if each[-1] else "" for region, each in zip(regions, levels, strict=True)]
    demands = tuple(Demand(load.open_rps, load.node_s) for load in offered)
    return Fleets(box, cases_of(spec.survive, pools, inhabited), scenarios, demands)


def _require_measured(scenario: Scenario, spec: PlanSpec, chosen: Sequence[Scenario]) -> None:
    """Check that what is minimized can be measured where scalers change it."""
    pools = [pool for each in chosen for pool in each.world.pools]
    scaled = next((pool.name for pool in pools if _floor(pool.scaler) >= 0), None)
    if spec.minimize == "slots" and scaled is not None:
        message = f"Slots of {scaled} come and go with its scaler, and are not measured."
        path = "plan.minimize"
        place = scenario.places.get(path, Place(""))
        where = (path, place.file, place.line, place.column)
        raise ScenarioError([Problem(message, "Minimize cost or nodes.", *where)])


def _floor(scaler: ScalerConfig | None) -> int:
    """Return the fewest nodes that a scaler leaves; -1 where the nodes stay."""
    return -1 if scaler is None or scaler.advisory else scaler.min


def own_counts(scenario: Scenario) -> dict[str, int]:
    """Return the nodes of each pool that the file has, of those without nodes too."""
    pools: Any = scenario.resolved["pools"]
    return {name: int(pool["count"]) for name, pool in pools.items()}


def _require_valid(
    scenario: Scenario,
    spec: PlanSpec,
    chosen: Sequence[Mapping[str, Any]],
    most: Mapping[str, int],
) -> None:
    """Check that every choice makes a scenario, in which each problem stands at its value."""
    points = []
    for changes in chosen:
        places = {path: f"plan.vary.{path}" for path in most}
        for path, value in changes.items():
            listed = f"plan.vary.{path}.{spec.vary[path].index(value)}"
            places[path] = listed if listed in scenario.places else f"plan.vary.{path}"
        points.append(Point({**changes, **most}, places))
    require_valid(lambda n: scenario.changed(points[n].changes), points, scenario.places)


def _choice(changes: Mapping[str, Any], scenario: Scenario, offered: OfferedLoad) -> Choice:
    pools = scenario.world.pools
    prices = [pool.cost_usd_per_hour for pool in pools]
    profiles = {} if scenario.source is None else scenario.source.engines.profiles
    gpus: dict[str, Any] = {}
    tied, floors = _is_tied(scenario), tuple(_floor(pool.scaler) for pool in pools)
    for number, pool in enumerate(pools):
        if pool.gpu is not None:
            each = gpus.setdefault(pool.gpu, np.zeros(len(pools), dtype=np.int64))
            each[number] = profiles[pool.name].gpus if pool.name in profiles else 1
    return Choice(
        changes=changes,
        cost=np.array([math.nan if price is None else price for price in prices]),
        slots=np.array([pool.slots for pool in pools]),
        gpus=gpus,
        kinds=tuple(_kind(scenario, pool.name, changes) for pool in pools),
        may_serve=offered.may_serve,
        # A scaler makes of more nodes at the start what it likes.
        ordered=tied is False and max(floors) < 0,
        tied=tied is True and max(floors) < 0,
        floors=floors,
        sizes=tuple(pool.slots if f"pools.{pool.name}.slots" in changes else 0 for pool in pools),
        group=json.dumps(
            {path: value for path, value in changes.items() if not _is_slots(path)}, default=str
        ),
    )


def _is_slots(path: str) -> bool:
    words = path.split(".")
    return len(words) == 3 and words[0] == "pools" and words[2] == "slots"


def _kind(scenario: Scenario, pool: str, chosen: Mapping[str, Any]) -> str:
    """Return what tells the nodes of a pool from others, its region last."""
    settings: Any = scenario.resolved["pools"]
    left_out = {"count", "cost", "region", "slots"}
    of_pool = {key: value for key, value in settings[pool].items() if key not in left_out}
    of_pool["slots"] = None if f"pools.{pool}.slots" in chosen else settings[pool].get("slots")
    if of_pool.get("model") == pool:  # a pool that names no model has one of its own name
        del of_pool["model"]
    return f"{json.dumps(of_pool, sort_keys=True)}@{settings[pool]['region']}"


def _is_tied(scenario: Scenario) -> bool | None:
    """Return whether the strategy goes by tenant or prompt; None for one that is not ours."""
    federation = scenario.federation
    entry = STRATEGIES.get(federation.strategy)
    if federation.router is not None or federation.preset != "default" or entry is None:
        return None
    # Slow start holds back every strategy but those, and one that goes by scores alone.
    return not (entry.slow_start or entry.scores)
