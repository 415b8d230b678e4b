"""What a sweep found: tables, knees, crossovers, charts, and the directory of it all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedsim.errors import ResultsError
from fedsim.reported import Reported
from fedsim.results.measures import MEASURES
from fedsim.results.slo import Bounded
from fedsim.results.storage import SAVED_GROUPINGS
from fedsim.scenario.spec import Scenario
from fedsim.scenario.units import measured_in
from fedsim.studies.believed import (
    SATURATED,
    Believed,
    believed,
    not_steady,
    reasons,
    require_windows,
    target,
    worth_believing,
)
from fedsim.studies.cautions import alike
from fedsim.studies.cells import PlannedRun
from fedsim.studies.comparison import HIGH, LOW
from fedsim.studies.crossings import Knee, crossovers, knee
from fedsim.studies.estimating import measured
from fedsim.studies.pairing import require_paired
from fedsim.studies.points import headings, in_words
from fedsim.studies.precision import Precision, reached_in_words
from fedsim.studies.ranking import measure_of
from fedsim.studies.records import ALL, Failure, Record, by_group, state_of
from fedsim.studies.saturation import grows, is_overloaded

if TYPE_CHECKING:
    from pandas import DataFrame

    from fedsim.studies.store import Store
    from fedsim.studies.sweep_plots import SweepPlots

KIND = "sweep"
"""What ``study.json`` says that such a study is."""

COUNT = "_count"
"""A column ``<measure>_count`` is the number of replications that have a value."""


@dataclass(frozen=True, slots=True)
class Key:
    """A column of the key: what is varied.

    Attributes:
        path: The dotted path, which is the column's name.
        heading: A short name.
        values: Its value at each point. A number in the base unit where all are quantities of one
            kind (seconds, requests per second, shares); else as the scenario has it.
        unit: That unit; empty for none.
        numeric: Whether the values are numbers.
    """

    path: str
    heading: str
    values: tuple[Any, ...]
    unit: str = ""
    numeric: bool = False

    @property
    def label(self) -> str:
        """The heading with the unit, as for an axis."""
        return f"{self.heading} ({self.unit})" if self.unit else self.heading

    @property
    def scale(self) -> float:
        """What to multiply values by for people: 100 for a share, which they read in percent."""
        return 100.0 if self.unit == "%" else 1.0

    def follows(self, other: Key) -> bool:
        """Return whether its value is the same at all points at which that of *other* is."""
        return len(set(zip(other.values, self.values, strict=True))) == len(set(other.values))


class Sweep(Reported):
    """What a scenario came to at the points of a sweep, over several seeds.

    Args:
        scenario: What was varied.
        planned: Every run that was asked for.
        found: What each of them came to, in any order.
        wall_s: What it took on the wall clock, in seconds.
        store: The directory in which the runs are, or None.
        precisions: What said how many replications each point has; empty where that was given.

    Raises:
        ResultsError: Points that differ in the federation alone did not meet the same requests
            and faults.

    Attributes:
        confidence: The coverage of every interval.
        points: The points, as the scenario has their values, in the order given.
        keys: What is varied, by path.
        seeds: The seed of each replication.
        failures: The runs that came to nothing; estimates rest on the others.
        records: The other runs: all points of the first replication, then of the next.
    """

    def __init__(
        self,
        scenario: Scenario,
        planned: Sequence[PlannedRun],
        found: Iterable[Record | Failure],
        *,
        wall_s: float,
        store: Store | None = None,
        precisions: Sequence[Precision] = (),
    ) -> None:
        self.scenario = scenario
        self.planned = tuple(planned)
        self.wall_s = wall_s
        asked = [each for each in precisions if each.asked]
        self.reached = tuple(each.reached for each in asked)
        self._precision = asked[0].asked if asked else {}
        self.store = store
        self.confidence = scenario.study.confidence
        self.seeds = tuple(dict.fromkeys(run.seed for run in planned))
        self.points = tuple(run.cell.key for run in planned if run.cell.replication == 0)
        self.keys = _keys(self.points)
        self._tables: dict[str | None, DataFrame] = {}
        self._places = {_identity(key): place for place, key in enumerate(self.points)}
        ordered = sorted(found, key=lambda each: (each.replication, self._place(each)))
        self.failures = tuple(each for each in ordered if isinstance(each, Failure))
        self.records = tuple(each for each in ordered if isinstance(each, Record))
        for records in self._alike():
            require_paired(records)

    def __repr__(self) -> str:
        varied = ", ".join(key.heading for key in self.keys.values())
        count = len(self.seeds)
        return (
            f"<Sweep of {self.scenario.name:.30} over {varied:.30}: {len(self.points)} points; "
            f"{count} replication{'' if count == 1 else 's'}>"
        )

    @property
    def target(self) -> str:
        """What every estimate is of: the expected value of a window, or of the long run."""
        windows_s = [each.duration_s - each.warmup_s for each in self._scenarios]
        deleted_s = None
        if self.scenario.study.steady_state:
            deleted_s = [each.deleted_s for each in self._believed]
        return target(windows_s, self.replications, self.confidence, deleted_s)

    @property
    def options(self) -> dict[str, Any]:
        """What is swept, as plain values for ``study.json``."""
        return options(self.keys, len(self.seeds), self._precision)

    @property
    def cells(self) -> DataFrame:
        """A row per run that was asked for.

        The columns of the key, then ``replication, seed, digest, state, error``: *state* is
        ``done``, ``failed``, or ``missing`` where the study was interrupted; *error* is empty but
        for a failure.
        """
        results = {(self._place(each), each.replication): each for each in self._results}
        rows = []
        for run in self.planned:
            place = self._places[_identity(run.cell.key)]
            row = {path: key.values[place] for path, key in self.keys.items()}
            row |= {"replication": run.cell.replication, "seed": run.seed}
            rows.append(row | state_of(results.get((place, run.cell.replication))))
        return _table(rows)

    @property
    def digests(self) -> list[list[str]]:
        """The digest of each run that is done by point, in the order of replications."""
        places = range(len(self.points))
        return [[each.digest for each in self._records(place)] for place in places]

    def estimates(self, by: str | None = None) -> DataFrame:
        """Return a row per point: the mean of each measure with its confidence interval.

        The columns of the key come first. Then comes ``replications``, the number of runs that are
        done, and for each measure its mean over them, ``<measure>_low`` and ``<measure>_high``, the
        ends of the interval, and ``<measure>_count``, the number of replications with a value. A
        point of which all runs failed has no means. What is not worth believing is NaN, and
        ``withheld`` says why.

        Args:
            by: ``origin``, ``stream``, ``region``, ``node`` or ``capability`` for a row per point
                and group, with the column *by* after those of the key; None for all requests.

        Raises:
            ResultsError: A sweep cannot be grouped so, or the long run is asked for, of which
                there are estimates of all requests alone.
        """
        if by is not None and by not in SAVED_GROUPINGS:
            choices = ", ".join(SAVED_GROUPINGS)
            msg = f"a sweep cannot be grouped by {by!r}; choose one of {choices}"
            raise ResultsError(msg)
        require_windows(self.scenario, by or ALL)
        if by not in self._tables:
            self._tables[by] = self._estimated(by)
        return self._tables[by].copy(deep=False)

    def _estimated(self, by: str | None) -> DataFrame:
        rows, values = [], []
        for place in range(len(self.points)):
            done = len(self._records(place))
            for group, found in self._grouped(place, by or ALL).items():
                row = {path: key.values[place] for path, key in self.keys.items()}
                row |= {} if by is None else {by: group}
                rows.append(row | {"replications": done})
                each = measured(found, self.confidence)
                parts = (each.mean, each.low, each.high, each.count)
                values.append(np.column_stack(parts).reshape(-1))
        import pandas as pd

        ends = ("", LOW, HIGH, COUNT)
        columns = [name + end for name in MEASURES for end in ends]
        table = pd.DataFrame(np.array(values).reshape(len(rows), -1), columns=columns)
        counts = {name + COUNT: "int64" for name in MEASURES}
        return pd.concat([_table(rows), table.astype(counts)], axis=1)

    @property
    def withheld(self) -> DataFrame:
        """A row per point and measure that runs have values of, and that has no estimate.

        The columns of the key, then ``measure, reason``: a percentile of fewer than 10 / (1 − q)
        requests over all replications, or of a saturated point; in the long run, of runs that are
        too short.
        """
        rows = [
            {path: key.values[place] for path, key in self.keys.items()}
            | {"measure": measure, "reason": reason}
            for place, found in enumerate(self._believed)
            for measure, reason in found.withheld.items()
        ]
        return _table(rows, [*self.keys, "measure", "reason"])

    def key(self, name: str | None = None) -> Key:
        """Return a column of the key by its path or heading; None for the only one of numbers.

        Raises:
            ResultsError: There is none of that name, or several of numbers.
        """
        if name is None:
            numeric = [key for key in self.keys.values() if key.numeric]
            if len(numeric) == 1:
                return numeric[0]
            choices = ", ".join(key.path for key in numeric) or "none of numbers"
            msg = f"say which key, there are: {choices}"
            raise ResultsError(msg)
        for key in self.keys.values():
            if name in {key.path, key.heading}:
                return key
        msg = f"there is no key {name!r}; choose one of {', '.join(self.keys)}"
        raise ResultsError(msg)

    def knee(self, measure: str, key: str | None = None, limit: float | None = None) -> DataFrame:
        """Return where a measure leaves its limit as one key grows.

        Args:
            measure: A measure of which one direction is better.
            key: Path or heading of a key of numbers; None for the only one.
            limit: The limit, in seconds or as a share; None for that of the scenario's objective.

        Returns:
            A row per combination of the other keys, which come first. ``held`` says on which side
            of the knee the limit is held: ``below`` or ``above``; or ``everywhere`` or
            ``nowhere``, without a knee; ``not measured`` where no point has a value. ``knee`` is
            the key's value there, interpolated between ``holds`` and ``misses``, the swept values
            next to it; ``low`` and ``high`` are the ends of its interval, infinite beyond what was
            swept. Then come the limit, and the number of points that are left out because their
            runs failed or their values are withheld. A saturated point misses a limit of a time,
            and so does one at which no request succeeds.

        Raises:
            ResultsError: There is no such measure or key, or no limit.
        """
        along, facts = self._numeric(key), measure_of(measure)
        better = _better(measure)
        limit = self.limit(measure) if limit is None else limit
        if limit is None:
            msg = f"the objective has no limit of {measure}; give one, as knee(..., limit=...)"
            raise ResultsError(msg)
        values = self.values(measure)
        rows = []
        for shared, places in self.lines(along):
            judged = [place for place in places if self._judges(place, measure)]
            found = Knee("not measured")
            if judged:
                found = knee(
                    np.array([along.values[place] for place in judged], dtype=float),
                    values[:, judged],
                    limit,
                    better,
                    seed=self.scenario.seed,
                    logarithmic=facts.unit != "%",
                    confidence=self.confidence,
                )
            row = {"held": found.held, "knee": found.at, "low": found.low, "high": found.high}
            row |= {"holds": found.holds, "misses": found.misses, "limit": limit}
            rows.append(shared | row | {"left_out": len(places) - len(judged)})
        return _table(rows)

    def _judges(self, place: int, measure: str) -> bool:
        """Return whether a point says of a measure whether it keeps to a limit."""
        if not self._records(place):
            return False
        return self._believed[place].withheld.get(measure, SATURATED) == SATURATED

    def crossover(self, measure: str, key: str | None, a: Any, b: Any) -> DataFrame:
        """Return where one of two variants is shown to overtake the other as one key grows.

        Args:
            measure: A measure of which one direction is better.
            key: Path or heading of a key of numbers; None for the only one.
            a: A value of another key, such as a strategy.
            b: Another value of it.

        Returns:
            A row per crossover; none where none is shown. The remaining keys come first, but for
            those that follow from the other one. ``below``
            is the better one below it and ``above`` the one above it, ``crossover`` is the key's
            value there, ``low`` and ``high`` are the ends of its interval, infinite beyond
            what was swept. Points whose values are withheld are left out.

        Raises:
            ResultsError: There is no such measure, key or value.
        """
        along, better = self._numeric(key), _better(measure)
        other = self._holder(along, a, b)
        rest = [
            each.path
            for each in self.keys.values()
            if each is not along and each is not other and not each.follows(other)
        ]
        values = self.values(measure)
        lines: dict[str, dict[Any, tuple[dict[str, Any], list[int]]]] = {}
        for combination, places in self.lines(along):
            variant = combination[other.path]
            if variant in {a, b}:
                shared = {path: combination[path] for path in rest}
                lines.setdefault(_identity(shared), {})[variant] = (shared, places)
        rows = []
        for both in lines.values():
            if len(both) < 2:
                continue
            shared = both[a][0]
            at = [{along.values[place]: place for place in both[each][1]} for each in (a, b)]
            x = sorted(at[0].keys() & at[1].keys())
            first, second = (values[:, [places[each] for each in x]] for places in at)
            for found in crossovers(
                np.array(x),
                first,
                second,
                better,
                seed=self.scenario.seed,
                confidence=self.confidence,
            ):
                ends = (b, a) if found.first_is_better else (a, b)
                row = {"below": ends[0], "above": ends[1], "crossover": found.at}
                rows.append(shared | row | {"low": found.low, "high": found.high})
        return _table(rows, [*rest, "below", "above", "crossover", "low", "high"])

    def limit(self, measure: str) -> float | None:
        """Return the limit of the scenario's objective for a measure; None for none."""
        slo = self.scenario.slo
        bounds = {} if slo is None else slo.bounds
        found = {Bounded.of(key).measure: limit for key, limit in bounds.items()}
        return found.get(measure)

    def lines(self, along: Key) -> list[tuple[dict[str, Any], list[int]]]:
        """Return the points of each combination of the other keys, by the values of *along*.

        The combination comes as values by path, the points as their places in ``points``.
        """
        others = [key for path, key in self.keys.items() if path != along.path]
        found: dict[str, tuple[dict[str, Any], list[int]]] = {}
        for place in range(len(self.points)):
            shared = {key.path: key.values[place] for key in others}
            found.setdefault(_identity(shared), (shared, []))[1].append(place)
        for _, places in found.values():
            if along.numeric:
                places.sort(key=lambda place: along.values[place])
        return list(found.values())

    @cached_property
    def saturated(self) -> tuple[int, ...]:
        """The places in ``points`` of those that were saturated.

        As much or more is offered than all nodes together can serve, and the requests in the system
        grow over the window. Latencies then say how long the window is, and little else.
        """
        overloaded: dict[str, bool] = {}
        found = []
        for place, run in enumerate(run for run in self.planned if run.cell.replication == 0):
            counts = [each.in_system for each in self._records(place)]
            if len(counts) < 2 or not grows(counts):
                continue
            world = {path: text for path, text in run.texts.items() if not _of_federation(path)}
            known = _identity(world)
            if known not in overloaded:
                overloaded[known] = is_overloaded(self.scenario.changed(world))
            if overloaded[known]:
                found.append(place)
        return tuple(found)

    @property
    def warnings(self) -> list[str]:
        """What a user should know before trusting the numbers, as sentences."""
        own = []
        if len(self.seeds) == 1:
            own.append("One replication gives no intervals; five or more are better.")
        wide = [place for place, each in enumerate(self.reached) if not each.enough]
        if wide:
            at = self._in_words(self.points[wide[0]])
            own.append(
                f"{len(wide)} of {len(self.points)} points do not reach the precision asked for "
                f"with the most replications allowed (study.max_replications), the first at "
                f"{at}: {reached_in_words(self.reached[wide[0]])}."
            )
        if self.saturated:
            at = self._in_words(self.points[self.saturated[0]])
            own.append(
                f"{len(self.saturated)} of {len(self.points)} points were saturated, the first at "
                f"{at}: more is offered than the fleet can "
                "serve, and the requests in the system grow over the window. Latencies there "
                "depend on the window's length; percentiles are not shown."
            )
        if self.failures:
            first = self.failures[0]
            own.append(
                f"{len(self.failures)} of {len(self.planned)} runs failed and are left out. The "
                f"first: {self._in_words(first.key)}, replication {first.replication} (seed "
                f"{first.seed}): {first.message.splitlines()[0]}"
            )
        return [*own, *not_steady(self.scenario), *self._refused(), *self._merged()]

    def _refused(self) -> list[str]:
        """Say where the long run cannot be estimated; reasons that differ in figures are one."""
        if not self.scenario.study.steady_state:
            return []
        said = [
            (point, [*reasons(each.withheld)])
            for point, each in zip(self.points, self._believed, strict=True)
        ]
        return [
            f"At {len(points)} of {len(self.points)} points (here {self._in_words(points[0])}), "
            f"in the long run there is no estimate of {text}."
            for text, points in alike(said)
        ]

    def telling(self, without: Key | None = None) -> list[Key]:
        """Return the keys that tell points apart, without those that add nothing to the first ones.

        Args:
            without: A key to leave out.
        """
        found: list[Key] = []
        known = 1
        for key in self.keys.values():
            seen = len(set(zip(*(each.values for each in (*found, key)), strict=True)))
            if key is not without and seen > known:
                found, known = [*found, key], seen
        return found

    @property
    def plot(self) -> SweepPlots:
        """The charts: ``curves()`` against one key, and ``heat_map()`` of two."""
        from fedsim.studies.sweep_plots import SweepPlots

        return SweepPlots(self)

    def save(self, directory: str | os.PathLike[str], *, charts: bool = True) -> Path:
        """Write the sweep to a directory; that of its own store gets what is missing there.

        It holds ``scenario.yaml``, ``study.json``, ``summary.json``, ``estimates.parquet``,
        ``cells.parquet``, ``charts/``, and in ``runs/`` a file for each run.

        Args:
            directory: Its name. One that fedsim wrote is replaced.
            charts: Whether to draw the charts.

        Returns:
            The directory.

        Raises:
            ResultsError: Something else has that name, or it cannot be written.
        """
        from fedsim.studies.sweep_storage import save

        return save(self, directory, charts=charts)

    @property
    def _results(self) -> tuple[Record | Failure, ...]:
        return (*self.records, *self.failures)

    def _place(self, each: Record | Failure) -> int:
        return self._places[_identity(each.key)]

    def _alike(self) -> list[list[Record]]:
        """Return the records of points that differ in the federation alone, group by group."""
        found: dict[str, list[Record]] = {}
        for each in self.records:
            world = {path: value for path, value in each.key.items() if not _of_federation(path)}
            found.setdefault(_identity(world), []).append(each)
        return list(found.values())

    def values(self, measure: str) -> NDArray[np.float64]:
        """Return a measure over all requests: a row per replication, a column per point.

        It is NaN where a run failed, or where the measure is not worth believing.
        """
        values = np.full((len(self.seeds), len(self.points)), np.nan)
        for place, found in enumerate(self._believed):
            done = [each.replication for each in self._records(place)]
            values[done, place] = found.value(measure)
        return values

    @cached_property
    def _believed(self) -> list[Believed]:
        """The values of the runs of each point that are worth believing."""
        return [
            believed(self._records(place), scenario, saturated=place in self.saturated)
            for place, scenario in enumerate(self._scenarios)
        ]

    @cached_property
    def _scenarios(self) -> list[Scenario]:
        """The scenario of each point, as far as its window goes."""
        first = [run for run in self.planned if run.cell.replication == 0]
        if not {"duration", "warmup"} & set(self.keys):
            return [self.scenario] * len(first)
        return [self.scenario.changed(run.texts) for run in first]

    @cached_property
    def _by_place(self) -> list[list[Record]]:
        found: list[list[Record]] = [[] for _ in self.points]
        for each in self.records:
            found[self._place(each)].append(each)
        return found

    def _records(self, place: int) -> list[Record]:
        """Return the runs of a point that are done, in the order of their replications."""
        return self._by_place[place]

    @cached_property
    def replications(self) -> list[int]:
        """The number of runs that were asked for at each point."""
        places = [self._places[_identity(run.cell.key)] for run in self.planned]
        return [places.count(place) for place in range(len(self.points))]

    def _in_words(self, key: Mapping[str, Any]) -> str:
        """Return a point in words, without what follows from the rest."""
        return in_words({each.path: key[each.path] for each in self.telling()} or key)

    def _grouped(self, place: int, by: str) -> dict[str | None, NDArray[np.float64]]:
        """Return the measures of each group at a point: a row per run that has the group."""
        if by == ALL:
            return {ALL: self._believed[place].values}
        saturated = place in self.saturated
        return {
            group: worth_believing(rows, saturated=saturated)[0]
            for group, rows in by_group(self._records(place), by).items()
        }

    def _numeric(self, name: str | None) -> Key:
        key = self.key(name)
        if not key.numeric:
            msg = f"{key.path} is not a number at every point, so nothing can be crossed along it"
            raise ResultsError(msg)
        return key

    def _holder(self, along: Key, a: Any, b: Any) -> Key:
        """Return the key of which *a* and *b* are values."""
        others = [key for key in self.keys.values() if key is not along]
        for key in others:
            if a in key.values and b in key.values and a != b:
                return key
        choices = "; ".join(
            f"{key.heading}: {', '.join(map(str, dict.fromkeys(key.values)))}" for key in others
        )
        msg = f"{a!r} and {b!r} are not two values of one other key ({choices or 'there is none'})"
        raise ResultsError(msg)

    def _merged(self) -> list[str]:
        """Return the warnings of runs; those that differ in nothing but figures are one."""
        return [
            f"{len(runs)} of {len(self.records)} runs (here {self._in_words(runs[0].key)}, seed "
            f"{runs[0].seed}): {sentence}"
            for sentence, runs in alike((each, each.warnings) for each in self.records)
        ]


def options(keys: Iterable[str], replications: int, precision: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a sweep asks, as plain values for ``study.json``."""
    return {"keys": list(keys), "replications": replications, "precision": dict(precision)}


def _keys(points: Sequence[Mapping[str, Any]]) -> dict[str, Key]:
    short = headings(list(points[0]))
    found = {}
    for path, heading in short.items():
        values = tuple(point[path] for point in points)
        measured = [measured_in(value) for value in values]
        units = {each[1] for each in measured if each is not None}
        if None in measured or len(units) != 1:
            found[path] = Key(path, heading, values)
            continue
        numbers = tuple(
            value if isinstance(value, int) else each[0]
            for value, each in zip(values, measured, strict=True)
            if each is not None
        )
        found[path] = Key(path, heading, numbers, units.pop(), numeric=True)
    return found


def _of_federation(path: str) -> bool:
    return path.partition(".")[0] == "federation"


def _identity(key: Mapping[str, Any]) -> str:
    """Return what tells one key from others; 1, 1.0 and True are different values."""
    return repr(list(key.items()))


def _better(measure: str) -> Any:
    better = measure_of(measure).better
    if better is None:
        msg = f"neither more nor less of {measure} is better"
        raise ResultsError(msg)
    return better


def _table(rows: list[dict[str, Any]], columns: Sequence[str] | None = None) -> DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=None if columns is None else pd.Index(columns))
