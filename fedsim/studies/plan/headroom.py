"""The highest traffic that a fleet holds: looked for from below, then by bisection.

Rates are multiplied, never times: every factor meets the same stream of requests, closer together
or further apart, and days and faults keep their clock. A factor is held, violated or not decided
by the rule of `fedsim.studies.plan.verdict`, in all cases of the plan.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fedsim.errors import Problem, ScenarioError
from fedsim.reported import Reported
from fedsim.scenario.arguments import no_scenario, require_count, require_executor
from fedsim.scenario.offered_load import OfferedLoad
from fedsim.scenario.scaled_traffic import scaled_traffic
from fedsim.scenario.schema.plan import LEAST_REPLICATIONS
from fedsim.scenario.spec import PlanSpec, Scenario
from fedsim.studies.cells import PlannedRun
from fedsim.studies.plan.bound import loads_by
from fedsim.studies.plan.box import Point
from fedsim.studies.plan.cases import Rule, World
from fedsim.studies.plan.fleets import fleets_of
from fedsim.studies.plan.notes import notes
from fedsim.studies.plan.planning import running, stored_source
from fedsim.studies.plan.search import Found, Search, Stop, Stopped
from fedsim.studies.plan.verdict import OPEN, Judgment
from fedsim.studies.plan.worlds import Source, Worlds, require_time
from fedsim.studies.progress import Tell
from fedsim.studies.records import Record
from fedsim.studies.store import Store, save_study, write_derived

if TYPE_CHECKING:
    from pandas import DataFrame

KIND = "headroom"
"""What ``study.json`` says that such a study is."""

SCAN = 5
"""Steps from no traffic to the mean capacity. The lowest that fails is where bisection begins, so
that what holds above a range that does not, such as larger batches, is not taken for the answer."""

STEP = 0.01
"""Ends of the interval are not looked for more closely than this share of the traffic."""

_WIDER = 1.25
_MOST = 8.0
_LEAST = 1.0 / 64.0
"""Where the search ends, in units of the mean capacity."""

Status = Literal["found", "none", "more", Stop]


@dataclass(slots=True)
class Looks:
    """What became of each traffic that was looked at.

    Attributes:
        status: ``found``; ``none``: not even the least traffic was held; ``more``: the highest was;
            ``budget``: the runs did not suffice; or ``unfinished``: runs are missing.
        found: What became of each factor.
        reason: Why none can be held, where no run tells; empty else.
    """

    status: Status = "budget"
    found: dict[float, Found] = field(default_factory=dict)
    reason: str = ""

    @property
    def held(self) -> float:
        """The highest factor that is held, below all that fail; NaN for none."""
        found = self.found
        held = [factor for factor, each in found.items() if each.verdict == "held"]
        fails = min(
            (f for f in found if held and f > min(held) and f not in held), default=math.inf
        )
        return max((factor for factor in held if factor < fails), default=math.nan)

    @property
    def violated(self) -> float:
        """The lowest factor that is shown to violate the objective; NaN for none."""
        found = self.found
        wrong = [factor for factor, each in found.items() if each.verdict == "violated"]
        return min(wrong, default=math.nan)


class _Scaled:
    """The worlds of a plan at a factor of its traffic, as the oracle of a search."""

    def __init__(self, worlds: Worlds, factor: float) -> None:
        self._worlds = worlds
        self._factor = factor

    def judge(self, rule: Rule, replications: int) -> Judgment:
        """Return what is known of a world at this traffic; see `Worlds.judge`."""
        return self._worlds.judge(replace(rule, world=self._scaled(rule.world)), replications)

    def worse(self, one: World, other: World) -> bool:
        """Return whether *other* is no better than *one*; see `Worlds.worse`."""
        return self._worlds.worse(self._scaled(one), self._scaled(other))

    def _scaled(self, world: World) -> World:
        return replace(world, traffic=float(f"{world.traffic * self._factor:.6g}"))


class _Climb:
    """One search for the highest traffic of the only fleet of a box."""

    def __init__(self, judged: Callable[[float], Found], unit: float) -> None:
        self._judged = judged
        self._unit = unit
        self.looks = Looks()

    def run(self) -> Looks:
        """Look for both ends of the interval."""
        try:
            self._search()
        except Stopped as stop:
            self.looks.status = stop.status
        return self.looks

    def _search(self) -> None:
        held = self._scan()
        if held is None:
            return
        found = self.looks.found
        lowest = min(factor for factor in found if factor > held)
        held, _ = self._bisect(held, lowest, lambda each: each.verdict == "held")
        open_ = max(factor for factor, each in found.items() if each.verdict != "violated")
        above = max(open_, held)
        while not any(f > held and each.verdict == "violated" for f, each in found.items()):
            above *= 1.0 + 1.0 / SCAN
            if above > _MOST * self._unit:
                break
            self._look(above)
        violated = [f for f, each in found.items() if f > held and each.verdict == "violated"]
        if violated:
            high = min(violated)
            low = max(factor for factor in found if factor < high)
            self._bisect(low, high, lambda each: each.verdict != "violated")
        self.looks.status = "found"

    def _scan(self) -> float | None:
        """Return the highest factor below the first that fails, or None for none.

        What is not decided below all that is held had too few requests, and tells nothing.
        """
        held, factor, step = None, 0.0, 0
        while factor < _MOST * self._unit:
            step += 1
            factor = self._unit * (step / SCAN if step <= SCAN else _WIDER ** (step - SCAN))
            verdict = self._look(factor).verdict
            if verdict == "held":
                held = _rounded(factor)
            elif held is not None:
                return held
            elif verdict == "violated":
                break
        else:
            self.looks.status = "none" if held is None else "more"
            return None
        factor = self._unit / SCAN
        while factor > _LEAST * self._unit:
            factor /= 2.0
            if self._look(factor).verdict == "held":
                return _rounded(factor)
        self.looks.status = "none"
        return None

    def _look(self, factor: float) -> Found:
        factor = _rounded(factor)
        found = self.looks.found
        if factor not in found:
            found[factor] = self._judged(factor)
        return found[factor]

    def _bisect(
        self, low: float, high: float, is_low: Callable[[Found], bool]
    ) -> tuple[float, float]:
        while self._tells(low, high):
            middle = _rounded(math.sqrt(low * high))
            if is_low(self._look(middle)):
                low = middle
            else:
                high = middle
        return low, high

    def _tells(self, low: float, high: float) -> bool:
        """Return whether what lies between two factors can be told from both."""
        if high <= low * (1.0 + STEP):
            return False
        below, above = (self.looks.found[factor] for factor in (low, high))
        one, other = below.judgment, above.judgment
        assert one is not None
        assert other is not None
        if (below.case, one.name) != (above.case, other.name):
            return True
        half_width = one.high - one.excess
        return not other.excess - one.excess < half_width


def _rounded(factor: float) -> float:
    return float(f"{factor:.4g}")


class Headroom(Reported):
    """The highest traffic that a fleet holds, with an interval, and how that was found.

    Args:
        scenario: The scenario, whose fleet it is.
        spec: The cases and replications.
        looks: What became of each traffic that was looked at.
        worlds: The worlds that were run.
        planned: Every run that was asked for.
        store: The directory in which the runs are, or None.

    Attributes:
        records: What every run came to.
        failures: The runs that came to nothing; no traffic of which one did is held.
        first_round: Runs of the first round, where the budget has not even so many; else 0.
        status: ``found``; ``none``: not even the least traffic was held; ``more``: the highest that
            was looked at is held; ``budget``: the runs did not suffice; or ``unfinished``: runs are
            missing in the directory.
    """

    def __init__(
        self,
        scenario: Scenario,
        spec: PlanSpec,
        looks: Looks,
        worlds: Worlds,
        planned: Sequence[PlannedRun],
        *,
        store: Store | None = None,
    ) -> None:
        self.scenario = scenario
        self.spec = spec
        self.looks = looks
        self.planned = tuple(planned)
        self.store = store
        self.records = worlds.done
        self.failures = worlds.failed
        self.status = looks.status
        self.first_round = worlds.first_round

    def __repr__(self) -> str:
        ends = f"{self.held:g} to {self.violated:g} times its traffic"
        return f"<Headroom of {self.scenario.name:.30}: {ends}>"

    @property
    def held(self) -> float:
        """The highest factor that is held, below all that fail; NaN for none."""
        return self.looks.held

    @property
    def violated(self) -> float:
        """The lowest factor that is shown to violate the objective; NaN for none."""
        return self.looks.violated

    @property
    def months(self) -> int | None:
        """For how many whole months the fleet holds the growing traffic; None without growth.

        It is -1 where the fleet does not hold the scenario's own traffic.
        """
        if self.spec.growth is None or math.isnan(self.held):
            return None
        return max(math.floor(math.log(self.held) / math.log1p(self.spec.growth)), -1)

    @property
    def options(self) -> Mapping[str, Any]:
        """What is asked, as plain values for ``study.json``."""
        return _options(self.spec)

    @property
    def warnings(self) -> list[str]:
        """What a user should know before trusting the answer, as sentences."""
        return notes(self.scenario, self.records, self.failures, "headroom")

    @cached_property
    def evaluations(self) -> DataFrame:
        """A row per traffic that was looked at, in ascending order.

        Columns ``factor``, ``verdict``, the ``case`` and ``measure`` that decide it, ``value`` and
        ``limit`` of that measure, ``low`` and ``high`` (the ends of what exceeds the limit, as a
        share of it) and the ``runs`` behind that.
        """
        import pandas as pd

        rows = []
        for factor, found in sorted(self.looks.found.items()):
            row = {"factor": factor, "verdict": found.verdict, "case": found.case}
            rows.append(row | (found.judgment or OPEN).facts)
        return pd.DataFrame(rows)

    def save(self, directory: str | os.PathLike[str]) -> Path:
        """Write it to a directory; that of its own store gets what is missing there.

        It holds ``scenario.yaml``, ``study.json``, ``summary.json``, ``evaluations.parquet``, and
        in ``runs/`` a file for each run.

        Args:
            directory: Its name. One that fedsim wrote is replaced.

        Returns:
            The directory.

        Raises:
            ResultsError: Something else has that name, or it cannot be written.
        """

        def write(folder: Path, _records: Sequence[Record]) -> None:
            write_derived(folder, headroom_json(self), {"evaluations": self.evaluations})

        return save_study(self, KIND, directory, write)


def headroom_json(headroom: Headroom) -> dict[str, Any]:
    """Return what was found as plain values: ``summary.json``, and ``--json``."""
    ends = (headroom.held, headroom.violated)
    held, violated = (None if math.isnan(each) else each for each in ends)
    return {
        "scenario": headroom.scenario.name,
        "status": headroom.status,
        "held": held,
        "violated": violated,
        "months": headroom.months,
        "replications": headroom.spec.replications,
        "confidence": headroom.spec.confidence,
        "runs": len(headroom.records),
        "warnings": headroom.warnings,
    }


def headroom(
    scenario: Scenario,
    *,
    replications: int | None = None,
    seed: int | None = None,
    workers: int | None = None,
    executor: Executor | None = None,
    directory: str | os.PathLike[str] | None = None,
    fresh: bool = False,
    progress: Tell | None = None,
) -> Headroom:
    """Find the highest traffic that the scenario's own fleet holds, in every case of its plan.

    Cases, replications, confidence, budget and growth are those of the scenario's ``plan``; without
    one, the objective is held with all nodes up. The fleet that a plan found is that of
    ``scenario.changed(plan.best)``. The answer does not depend on the number of workers.

    Args:
        scenario: The scenario.
        replications: Runs of each traffic in each case, >= 4; None for those of the plan, or of the
            study without one.
        seed: The study's seed, from which those of its replications follow; None takes the
            scenario's.
        workers: Number of processes; None for one per processor, 1 for none besides this one.
        executor: Any executor in place of processes of this machine; it is left running.
        directory: Where to write each run as it is done, and to find those that were done before;
            None for nowhere.
        fresh: Whether to remove what the directory has of this study or another.
        progress: Is called with how far the study is, a `Progress`. None shows a bar in a notebook.

    Raises:
        ScenarioError: There is no objective, or something is wrong with the scenario.
        ArgumentError: An argument is of the wrong kind, or a number too small.
        PlugInError: A plug-in raised, or did what its contract does not allow, at every traffic
            that was looked at first. At some traffic alone it is the verdict, ``failed``.
        ResultsError: The directory is that of another study, or cannot be written.
    """
    if not isinstance(scenario, Scenario):
        raise no_scenario(scenario, "headroom")
    require_count(workers, "workers")
    require_executor(executor)
    where = "study" if scenario.plan is None else "plan"
    given = {} if replications is None else {f"{where}.replications": replications}
    scenario = scenario.changed(given, seed)
    spec = _asked(scenario)
    store = None
    if directory is not None:
        store = Store.begin(directory, KIND, scenario, _options(spec), fresh=fresh)
    how: dict[str, Any] = {"workers": workers, "executor": executor, "progress": progress}
    with running(scenario, store, **how) as (source, planned):
        looks, worlds = _looks(scenario, spec, source)
    return Headroom(scenario, spec, looks, worlds, planned, store=store)


def stored_headroom(store: Store, scenario: Scenario) -> Headroom:
    """Return the headroom of a directory, made of its runs: nothing is run again."""
    spec = _asked(scenario)
    looks, worlds = _looks(scenario, spec, stored_source(store))
    return Headroom(scenario, spec, looks, worlds, store.planned(), store=store)


def _options(spec: PlanSpec) -> dict[str, Any]:
    return {"replications": spec.replications}


def _asked(scenario: Scenario) -> PlanSpec:
    """Return the cases and replications, with nothing to choose."""
    if scenario.slo is None:
        message = "There is no objective that the fleet could hold."
        remedy = "Add one, such as slo: {latency_p95: 2s, success_rate: 99%}."
        raise ScenarioError([Problem(message, remedy, "slo")])
    if scenario.plan is None:
        count = max(scenario.study.replications, LEAST_REPLICATIONS)
        return PlanSpec({}, replications=count, confidence=scenario.study.confidence)
    return replace(scenario.plan, vary={}, limits={})


def _looks(scenario: Scenario, spec: PlanSpec, source: Source) -> tuple[Looks, Worlds]:
    """Return what became of each traffic that was looked at, and the worlds behind that."""
    require_time(scenario, spec)
    # The cost of a fleet does not matter here, and need not be known.
    fleets = fleets_of(scenario, replace(spec, minimize="nodes"))
    box, worlds = fleets.box, Worlds(scenario, fleets, spec, source)
    point = box.point(0)
    for case in fleets.cases:
        row = int(box.unserved(case)[0])
        if row >= 0:
            reason = f"no node may serve {box.streams[row]} with {case.name}"
            return Looks("none", reason=reason), worlds
    load = loads_by(box, fleets.demands)
    heaviest = max(load(point, case) for case in fleets.cases)

    def judged(factor: float) -> Found:
        search = Search(box, fleets.cases, _Scaled(worlds, factor), spec.replications, loads=load)
        return search.judged(Point(0, point.counts))

    unit = 1.0 / heaviest if math.isfinite(heaviest) and heaviest > 0.0 else 1.0
    looks = _Climb(judged, unit).run()
    worlds.require_some()
    return looks, worlds


def traffic_in_words(scenario: Scenario, factor: float) -> str:
    """Return the traffic of each stream at a factor, such as ``chat 12 req/s, users 40 users``."""
    from fedsim.document import plain
    from fedsim.workload.arrivals import ClosedLoop

    scaled = scenario.changed(scaled_traffic(scenario, factor))
    rates_rps = OfferedLoad(scaled).rates_rps.tolist()
    words = []
    for stream, rate_rps in zip(scaled.world.streams, rates_rps, strict=True):
        traffic = stream.traffic
        if isinstance(traffic.arrivals, ClosedLoop):
            words.append(f"{traffic.name} {traffic.arrivals.users:,} users")
        else:
            words.append(f"{traffic.name} {plain(rate_rps)} req/s")
    return ", ".join(words)
