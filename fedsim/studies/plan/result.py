"""A plan: the answer, what became of every other fleet, and the runs behind both."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fedsim.errors import ResultsError
from fedsim.reported import Reported
from fedsim.results.measures import MEASURES
from fedsim.results.storage import SAVED_GROUPINGS
from fedsim.scenario.spec import PlanSpec, Scenario
from fedsim.studies.believed import target
from fedsim.studies.cells import PlannedRun
from fedsim.studies.comparison import HIGH, LOW
from fedsim.studies.estimating import measured
from fedsim.studies.plan.box import Point
from fedsim.studies.plan.cases import NORMAL
from fedsim.studies.plan.findings import Findings
from fedsim.studies.plan.notes import notes
from fedsim.studies.plan.search import Found
from fedsim.studies.plan.verdict import OPEN
from fedsim.studies.records import ALL, Failure, Record, by_group, state_of

if TYPE_CHECKING:
    from pandas import DataFrame

    from fedsim.studies.plan.plots import PlanPlots
    from fedsim.studies.store import Store

KIND = "plan"
"""What ``study.json`` says that such a study is."""

_OF_CASES = (
    "case",
    "verdict",
    "measure",
    "value",
    "limit",
    "low",
    "high",
    "runs",
    "fresh_value",
    "fresh_high",
    "failures",
    "longest_s",
)


class Plan(Reported):
    """The cheapest fleet that holds an objective, and how that was found.

    Args:
        scenario: The scenario.
        spec: What was planned.
        findings: What was found.
        planned: Every run that was asked for.
        wall_s: What it took on the wall clock, in seconds.
        store: The directory in which the runs are, or None.

    Attributes:
        confidence: That the answer holds the objective in all cases.
        records: What every run came to.
        failures: The runs that came to nothing; no fleet of which one did is the answer.
        status: ``found``, ``none`` in the box, ``budget``: the runs did not suffice, or
            ``unfinished``: runs are missing in the directory.
    """

    def __init__(
        self,
        scenario: Scenario,
        spec: PlanSpec,
        findings: Findings,
        planned: Sequence[PlannedRun],
        *,
        wall_s: float,
        store: Store | None = None,
    ) -> None:
        self.scenario = scenario
        self.spec = spec
        self.findings = findings
        self.planned = tuple(planned)
        self.wall_s = wall_s
        self.store = store
        self.confidence = spec.confidence
        worlds = findings.worlds
        self.records = worlds.done
        self.failures = worlds.failed
        self.status = findings.outcome.status

    def __repr__(self) -> str:
        count = len(self.findings.fleets.box)
        answer = "none found" if self.best is None else _named(self.best)
        return f"<Plan of {self.scenario.name:.30}: {answer:.60}; {count} fleets>"

    @property
    def best(self) -> dict[str, Any] | None:
        """The answer, a value by path; None where there is none.

        Where the budget ended the search, it is the cheapest fleet that was found so far.
        """
        point = self.findings.best
        return None if point is None else self.values(point)

    def values(self, point: Point) -> dict[str, Any]:
        """Return a fleet as values by path, as the plan varies them."""
        box = self.findings.fleets.box
        counts = dict(zip(box.pools, point.counts, strict=True))
        chosen = box.choices[point.choice].changes
        return {
            path: chosen[path] if path in chosen else counts[".".join(path.split(".")[1:-1])]
            for path in self.spec.vary
        }

    @property
    def target(self) -> str:
        """What every estimate is of: the expected value of a window of this length."""
        window_s = self.scenario.duration_s - self.scenario.warmup_s
        return target([window_s], [self.spec.replications], self.scenario.study.confidence)

    @property
    def options(self) -> Mapping[str, Any]:
        """What is planned, as plain values for ``study.json``."""
        return options(self.spec)

    @property
    def runs(self) -> dict[str, int]:
        """The number of runs for the ``search``, the ``evidence`` and the ``validation``."""
        counts = self.findings.worlds.runs
        return {phase: counts[phase] for phase in ("search", "evidence", "validation")}

    @cached_property
    def evaluations(self) -> DataFrame:
        """A row per fleet of the box, in the order in which they are looked at.

        The columns of what is varied come first, then ``cost_usd_per_hour``, ``nodes`` (of fleets
        with scalers: the mean that was measured, and the nodes at the start),
        ``verdict``, ``case`` and ``measure`` that decide it, ``value`` and ``limit`` of that
        measure, ``low`` and ``high`` (the ends of what exceeds the limit, as a share of it), the
        ``runs`` behind that, and the ``reason``. A fleet that was not needed has the verdict
        ``not needed``.
        """
        box, found = self.findings.fleets.box, self.findings.outcome.found
        none = Found("open" if self.status in {"budget", "unfinished"} else "not needed")
        rows = []
        for place in range(len(box)):
            point = box.point(place)
            row = self.values(point) | {
                "cost_usd_per_hour": self.findings.cost(place),
                "nodes": int(box.counts[place].sum()),
            }
            rows.append(row | _row(found.get(place, none)))
        import pandas as pd

        return pd.DataFrame(rows)

    @property
    def cases(self) -> DataFrame:
        """A row per case with what the answer comes to there; empty without an answer.

        Columns ``case, verdict, measure, value, limit, low, high, runs``, as in ``evaluations``;
        ``fresh_value`` and ``fresh_high``, the same measure on fresh seeds, where it was measured
        again; and ``failures`` and ``longest_s``, the mean number of requests that failed at a loss
        and the longest that one took to fail.
        """
        import pandas as pd

        rows = []
        for case, judgment in self.findings.cases.items():
            fresh = self.findings.validation.get(case, OPEN)
            row = {"case": case.name, "verdict": judgment.state} | judgment.facts
            row |= {"fresh_value": fresh.value, "fresh_high": fresh.high}
            rows.append(row | self._failures(case))
        return pd.DataFrame(rows, columns=[*_OF_CASES])

    def _failures(self, case: Any) -> dict[str, float]:
        best = self.findings.best
        assert best is not None
        world = self.findings.rule(case, best).world
        if not world.lost:
            return {"failures": math.nan, "longest_s": math.nan}
        failed = self.findings.worlds.failures(world, self.spec.replications)
        return {"failures": float(failed.requests.mean()), "longest_s": failed.longest_s}

    @property
    def cells(self) -> DataFrame:
        """A row per run that was asked for.

        The columns of the key, then ``replication, seed, digest, state, error``.
        """
        import pandas as pd

        known: dict[str, Record | Failure] = {each.id: each for each in self.records}
        known |= {each.id: each for each in self.failures}
        return pd.DataFrame(
            [
                {**run.cell.key, "replication": run.cell.replication, "seed": run.seed}
                | state_of(known.get(run.id))
                for run in self.planned
            ]
        )

    def estimates(self, by: str | None = None) -> DataFrame:
        """Return a row per world that was run: the mean of each measure with its interval.

        The columns of the key come first: what is varied, and ``world``, what became of the fleet.
        Then comes ``replications``, and for each measure its mean, ``<measure>_low`` and
        ``<measure>_high``. Runs on fresh seeds are left out.

        Args:
            by: ``stream`` for a row per world and stream; None for all requests.

        Raises:
            ResultsError: A plan cannot be grouped so.
        """
        if by not in (None, "stream"):
            others = ", ".join(name for name in SAVED_GROUPINGS if name != "stream")
            msg = f"a plan keeps its measures by stream alone, not by {by!r} (nor by {others})"
            raise ResultsError(msg)
        rows, values = [], []
        worlds = self.findings.worlds
        for world in worlds.known:
            records = worlds.of(world)[: self.spec.replications]
            for group, found in by_group(records, by or ALL).items():
                row = dict(records[0].key) | ({} if by is None else {by: group})
                rows.append(row | {"replications": len(records)})
                each = measured(found, self.confidence)
                values.append(np.column_stack((each.mean, each.low, each.high)).reshape(-1))
        import pandas as pd

        columns = [name + end for name in MEASURES for end in ("", LOW, HIGH)]
        cells = np.array(values).reshape(len(rows), len(columns))
        table = pd.DataFrame(cells, columns=columns)
        return pd.concat([pd.DataFrame(rows), table], axis=1)

    def normal(self, measure: str) -> float:
        """Return the mean of a measure of the answer with all nodes up; NaN without an answer."""
        best = self.findings.best
        if best is None:
            return math.nan
        world = self.findings.rule(NORMAL, best).world
        records = self.findings.worlds.of(world)[: self.spec.replications]
        return float(np.mean([record.value(measure) for record in records]))

    @property
    def warnings(self) -> list[str]:
        """What a user should know before trusting the answer, as sentences."""
        own = []
        if self.findings.fleets.box.scaled:
            own.append(
                "What a fleet with scalers costs is the mean of its window with all nodes up, from "
                "orders to the end of drains; in plan.limits its pools count with the nodes that "
                "they start with."
            )
        return own + notes(self.scenario, self.records, self.failures, "plan")

    @property
    def plot(self) -> PlanPlots:
        """The chart: ``costs()``, of cost against the measure that binds."""
        from fedsim.studies.plan.plots import PlanPlots

        return PlanPlots(self)

    def save(self, directory: str | os.PathLike[str], *, charts: bool = True) -> Path:
        """Write the plan to a directory; that of its own store gets what is missing there.

        It holds ``scenario.yaml``, ``study.json``, ``summary.json``, ``evaluations.parquet``,
        ``estimates.parquet``, ``cells.parquet``, ``charts/``, and in ``runs/`` a file for each run.

        Args:
            directory: Its name. One that fedsim wrote is replaced.
            charts: Whether to draw the charts.

        Returns:
            The directory.

        Raises:
            ResultsError: Something else has that name, or it cannot be written.
        """
        from fedsim.studies.plan.storage import save

        return save(self, directory, charts=charts)


def options(spec: PlanSpec) -> dict[str, Any]:
    """Return what a plan asks as plain values, for its directory."""
    return {"vary": list(spec.vary), "replications": spec.replications}


def _row(found: Found) -> dict[str, Any]:
    judgment = found.judgment or OPEN
    facts = {"verdict": found.verdict, "case": found.case, **judgment.facts}
    return facts | {"reason": found.reason or judgment.reason}


def _named(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{path} {value}" for path, value in values.items())
