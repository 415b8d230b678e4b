"""What a plan finds: the search, the evidence around its answer, and its validation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from fedsim.kernel.streams import generator
from fedsim.scenario.spec import PlanSpec, Scenario
from fedsim.studies.plan.bound import loads_by, lower_bound
from fedsim.studies.plan.box import Point
from fedsim.studies.plan.cases import NORMAL, Case, Rule, World
from fedsim.studies.plan.fleets import Fleets, fleets_of
from fedsim.studies.plan.search import Found, Outcome, Search, Stop, Stopped
from fedsim.studies.plan.verdict import LOOK, Judgment, Series
from fedsim.studies.plan.worlds import Source, Worlds, require_time
from fedsim.studies.statistics import estimates, t_quantiles

PRECISE = 0.03
"""The half-width that a proposed duration aims at, as a share of the value."""

_AMOUNTS = {"cost": "cost_usd_per_hour", "nodes": "nodes_paid_mean"}
"""The measure of what is minimized."""

DRAWS = 1_000
"""Sets of replications that are drawn again for the range of costs."""

_STREAM = "study/plan"


@dataclass(frozen=True, slots=True)
class Pilot:
    """How exact runs of this length are.

    Attributes:
        case: The case with the highest load at the bound.
        name: Its tightest bound, in words.
        half_width: The half-width of its interval over all replications, as a share of its value.
        duration_s: The duration that would bring it to ``PRECISE``, in seconds.
    """

    case: Case
    name: str
    half_width: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Step:
    """What one node more of a pool changes.

    Attributes:
        pool: The number of the pool.
        world: The world without it.
        name: The bound, in words.
        before: The mean of its values without it.
        after: The mean with it, which is shown to be worse at 99 %.
    """

    pool: int
    world: World
    name: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Growth:
    """Failures at the loss of a region that grow with its nodes, shown at 99 %.

    Attributes:
        region: The region.
        nodes: Its nodes in a small and in a large fleet.
        failures: The mean number of failures in each.
    """

    region: str
    nodes: tuple[int, int]
    failures: tuple[float, float]


@dataclass(frozen=True, slots=True)
class CostRange:
    """What the cheapest fleet that is held costs over sets of replications drawn again.

    Attributes:
        low: The 5th percentile, in the unit of what is minimized.
        high: The 95th percentile.
        none: The share of sets in which no fleet that was looked at is held.
    """

    low: float
    high: float
    none: float


@dataclass(slots=True)
class Findings:
    """What a plan found.

    Attributes:
        fleets: What it is about.
        worlds: The worlds that were run.
        outcome: The search.
        bound: The cheapest fleet whose mean capacity suffices, or None.
        pilot: How exact runs are, or None where that is not known.
        cases: What is known of the answer in each case.
        less: What one node less of each pool comes to, by the number of the pool.
        steps: Nodes that make a fleet worse, one of each pool at most.
        growth: Losses whose failures grow with what is lost.
        validation: What the answer comes to on fresh seeds, by case.
        range: The range of costs, or None.
        short: What was left out in part after the search; empty for nothing.
        stop: What left that out.
    """

    fleets: Fleets
    worlds: Worlds
    outcome: Outcome
    bound: Point | None = None
    pilot: Pilot | None = None
    cases: dict[Case, Judgment] = field(default_factory=dict)
    less: dict[int, Found] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    growth: list[Growth] = field(default_factory=list)
    validation: dict[Case, Judgment] = field(default_factory=dict)
    range: CostRange | None = None
    short: str = ""
    stop: Stop = "budget"

    @property
    def best(self) -> Point | None:
        """The answer."""
        place = self.outcome.best
        return None if place is None else self.fleets.box.point(place)

    def amount(self, place: int) -> float:
        """Return what is minimized, of a fleet: where scalers change it, what it came to.

        That is its mean over the window with all nodes up; the least that it can be if it was not
        run.
        """
        box = self.fleets.box
        measured = self.measured(place, _AMOUNTS.get(box.minimize, ""))
        return float(box.objective[place]) if math.isnan(measured) else measured

    def cost(self, place: int) -> float:
        """Return what a fleet costs in US dollars per hour; NaN where that is not known."""
        if self.is_scaled(place):
            return self.measured(place, "cost_usd_per_hour")
        return float(self.fleets.box.cost[place])

    def is_scaled(self, place: int) -> bool:
        """Return whether a scaler changes the number of nodes of a fleet."""
        box = self.fleets.box
        return box.choices[int(box.choice[place])].scaled

    def measured(self, place: int, measure: str) -> float:
        """Return the mean of a measure with all nodes up of a fleet that is scaled; else NaN."""
        if not self.is_scaled(place):
            return math.nan
        point = self.fleets.box.point(place)
        records = self.worlds.of(self.rule(NORMAL, point).world)[: self.worlds.replications]
        return float(np.mean([each.value(measure) for each in records])) if records else math.nan

    def rule(self, case: Case, point: Point) -> Rule:
        """Return what is simulated and asked of a fleet in a case."""
        return case.rule(point.choice, point.counts, self.fleets.box.regions)


def find(
    scenario: Scenario,
    spec: PlanSpec,
    source: Source,
    progress: Callable[[int], None] | None = None,
) -> Findings:
    """Return what a plan finds.

    Args:
        scenario: The scenario.
        spec: The plan.
        source: Gives the records of cells.
        progress: Is called with the number of fleets that are left to look at.

    Raises:
        ScenarioError: The box is too large, or some of its values make no scenario.
    """
    require_time(scenario, spec)
    fleets = fleets_of(scenario, spec)
    box, cases = fleets.box, fleets.cases
    worlds = Worlds(scenario, fleets, spec, source)
    bound, loads = lower_bound(box, cases, fleets.demands), loads_by(box, fleets.demands)
    found = Findings(fleets, worlds, Outcome(), bound)
    search = Search(
        box,
        cases,
        worlds,
        spec.replications,
        start=bound,
        loads=loads,
        amount=found.amount,
        progress=progress,
    )
    found.outcome = search.outcome
    try:
        start = bound or box.top(0)
        found.pilot = _pilot(scenario, spec, found, max(cases, key=lambda each: loads(start, each)))
    except Stopped as stop:
        found.outcome.status = stop.status
        return found
    search.run()
    worlds.require_some()
    worlds.phase = "evidence"
    try:
        if found.best is not None and found.outcome.status == "found":
            _of_answer(found, spec)
            _less(found, search)
            _one_more(found, spec)
        _grown(found)
        worlds.phase = "validation"
        if found.best is not None and found.outcome.status == "found":
            for case in dict.fromkeys((NORMAL, _binding(found))):
                found.validation[case] = worlds.fresh(found.rule(case, found.best))
    except Stopped as stop:
        found.short, found.stop = worlds.phase, stop.status
    if found.best is not None:
        found.range = _range(scenario, spec, found)
    return found


def _pilot(scenario: Scenario, spec: PlanSpec, found: Findings, case: Case) -> Pilot | None:
    """Return how exact runs of this length are, from the first replications at the bound."""
    point = found.bound or found.fleets.box.top(0)
    place = found.fleets.box.place(point)
    if place is None or found.fleets.box.unserved(case)[place] >= 0:
        return None
    rule = found.rule(case, point)
    judgment = found.worlds.judge(rule, min(LOOK, spec.replications))
    if judgment.state == "failed":
        return None
    series = next(
        (
            each
            for each in found.worlds.series(rule, found.worlds.of(rule.world))
            if each.name == judgment.name
        ),
        None,
    )
    if series is None or not np.isfinite(series.excess).all():
        return None
    spread = float(np.std(series.excess, ddof=1))
    quantile = float(t_quantiles(spec.replications - 1, spec.confidence))
    share = quantile * spread / math.sqrt(spec.replications) / max(1.0 + judgment.excess, 1e-9)
    window_s = scenario.duration_s - scenario.warmup_s
    wanted_s = scenario.warmup_s + window_s * max(share / PRECISE, 1.0) ** 2
    return Pilot(case, series.name, share, wanted_s)


def _of_answer(found: Findings, spec: PlanSpec) -> None:
    """Note what is known of the answer in each case; all of it was run by the search."""
    assert found.best is not None
    for case in found.fleets.cases:
        found.cases[case] = found.worlds.judge(found.rule(case, found.best), spec.replications)


def _binding(found: Findings) -> Case:
    """Return the case in which the answer is closest to its limit."""
    return max(found.cases, key=lambda case: found.cases[case].high)


def _less(found: Findings, search: Search) -> None:
    """Find out what one node less of each pool comes to."""
    box, best = found.fleets.box, found.best
    assert best is not None
    floors = box.choices[best.choice].floors
    for pool in box.varied:
        point = box.next(best, pool, -1)
        if point is None or floors[pool] >= 0:
            continue
        place = box.place(point)
        assert place is not None
        known = found.outcome.found.get(place)
        if known is None or known.verdict == "more violated":
            known = found.outcome.found[place] = search.judged(point)
        found.less[pool] = known


def _one_more(found: Findings, spec: PlanSpec) -> None:
    """Look for pools of which one more node makes a fleet worse, near the answer first."""
    box, best, worlds = found.fleets.box, found.best, found.worlds
    assert best is not None
    seen = {step.pool for step in _worse_steps(found)}
    name = found.cases[NORMAL].name
    for pool in box.varied:
        more = box.next(best, pool, 1)
        place = None if more is None else box.place(more)
        if more is None or place is None or pool in seen:
            continue
        known = found.outcome.found.get(place)
        if known is not None and known.verdict in {"over a limit", "unserved"}:
            continue
        one, other = (found.rule(NORMAL, point).world for point in (best, more))
        count = min(LOOK, spec.replications)
        worlds.records(other, range(count))
        if worlds.of(other) and worlds.difference(name, one, other, count)[0] > 0.0:
            worlds.records(other, range(spec.replications))
    found.steps = _worse_steps(found)


def _worse_steps(found: Findings) -> list[Step]:
    """Return, of each pool, the step by one node that is shown to make a good fleet worse."""
    box = found.fleets.box
    best: dict[int, tuple[float, Step]] = {}
    for world in found.worlds.known:
        records = found.worlds.of(world)
        if world.traffic != 1.0 or world.lost or len(records) < LOOK:
            continue
        series = [each for each in found.worlds.series(Rule(world), records) if each.percentile]
        for pool in box.varied:
            for step, excess in _steps_from(found, world, pool, series):
                if pool not in best or excess < best[pool][0]:
                    best[pool] = (excess, step)
    return [best[pool][1] for pool in sorted(best)]


def _steps_from(
    found: Findings, world: World, pool: int, series: Sequence[Series]
) -> Iterator[tuple[Step, float]]:
    """Yield the bounds that one more node of a pool is shown to make worse, with their excess."""
    levels = found.fleets.box.levels[pool]
    higher = [level for level in levels if level > world.counts[pool]]
    if not higher or world.counts[pool] not in levels:
        return
    counts = list(world.counts)
    counts[pool] = higher[0]
    other = replace(world, counts=tuple(counts))
    records = {which: found.worlds.of(which) for which in (world, other)}
    count = min(map(len, records.values()))
    if count < LOOK:
        return
    for each in series:
        _, low, _ = found.worlds.difference(each.name, world, other, count)
        if low > 0.0:
            before, after = (
                next(
                    one.mean
                    for one in found.worlds.series(Rule(which), records[which][:count])
                    if one.name == each.name
                )
                for which in (world, other)
            )
            step = Step(pool, world, each.name, before, after)
            yield step, float(each.excess.mean())


def _grown(found: Findings) -> None:
    """Look for losses whose failures grow with the nodes that are lost."""
    box, best, worlds = found.fleets.box, found.best, found.worlds
    for case in found.fleets.cases:
        if not case.lost:
            continue
        if best is not None:
            counts = [
                levels[-1] if box.regions[pool] == case.lost else best.counts[pool]
                for pool, levels in enumerate(box.levels)
            ]
            largest = found.rule(case, Point(best.choice, tuple(counts)))
            worlds.records(largest.world, range(LOOK))
        growth = _growth(found, case)
        if growth is not None:
            found.growth.append(growth)


def _growth(found: Findings, case: Case) -> Growth | None:
    """Return the largest growth of failures between worlds that differ in what is lost alone."""
    box, worlds = found.fleets.box, found.worlds
    lost = [pool for pool, region in enumerate(box.regions) if region == case.lost]
    groups: dict[tuple[object, ...], list[World]] = {}
    for world in worlds.known:
        if world.lost == case.lost and len(worlds.of(world)) >= LOOK:
            rest = tuple(n for pool, n in enumerate(world.counts) if pool not in lost)
            groups.setdefault((world.choice, world.traffic, world.settle_s, rest), []).append(world)
    best: Growth | None = None
    for group in groups.values():
        group.sort(key=lambda world: sum(world.counts[pool] for pool in lost))
        small, large = group[0], group[-1]
        nodes = [sum(world.counts[pool] for pool in lost) for world in (small, large)]
        count = min(len(worlds.of(world)) for world in (small, large))
        few, many = (worlds.failures(world, count).requests for world in (small, large))
        if nodes[0] == nodes[1] or not float(estimates(many - few, confidence=0.98).low) > 0.0:
            continue
        growth = Growth(case.lost, (nodes[0], nodes[1]), (float(few.mean()), float(many.mean())))
        if best is None or growth.failures[1] > best.failures[1]:
            best = growth
    return best


def _range(scenario: Scenario, spec: PlanSpec, found: Findings) -> CostRange:
    """Return the range of costs of the cheapest fleet over replications drawn again.

    Fleets that are violated stay so. One that was not decided may be held in a draw, and the answer
    may not; what costs more than the answer was not looked at.
    """
    box, count = found.fleets.box, spec.replications
    rows = generator(scenario.seed, _STREAM).integers(count, size=(count, DRAWS))
    costs = np.full(DRAWS, np.inf)
    for place in sorted(found.outcome.found):
        if found.outcome.found[place].verdict in {"held", "not decided"}:
            held = _held(found, box.point(place), rows)
            costs[held] = np.minimum(costs[held], found.amount(place))
    known = costs[np.isfinite(costs)]
    if not len(known):
        return CostRange(math.nan, math.nan, 1.0)
    low, high = np.quantile(known, (0.05, 0.95)).tolist()
    return CostRange(low, high, 1.0 - len(known) / DRAWS)


def _held(found: Findings, point: Point, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return in which draws of replications a fleet is held in every case."""
    held = np.ones(rows.shape[1], dtype=bool)
    for case in found.fleets.cases:
        rule = found.rule(case, point)
        records = found.worlds.of(rule.world)[: len(rows)]
        if len(records) < len(rows):
            return np.zeros_like(held)
        for each in found.worlds.series(rule, records):
            excess = each.excess
            if bool((excess == excess[0]).all()):
                held &= found.worlds.judged(rule, records).state == "held"
            else:
                high = estimates(excess[rows], confidence=1.0 - 2.0 * found.worlds.alpha).high
                held &= np.asarray(high <= 0.0)
    return held
