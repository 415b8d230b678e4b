"""What one run of a study came to, as a worker finds it and as a file keeps it."""

from __future__ import annotations

import math
import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from types import UnionType
from typing import Any

import cloudpickle
import numpy as np
from numpy.typing import NDArray

from fedsim.errors import FedsimError, InternalError, PlugInError, ResultsError
from fedsim.results.conservation import require
from fedsim.results.exogenous import exogenous_digests
from fedsim.results.files import write_file
from fedsim.results.interruption import Interruption, interruption
from fedsim.results.manifest import jsonable, verdict_from_json, verdict_to_json
from fedsim.results.measures import MEASURES
from fedsim.results.run import Run
from fedsim.results.rundir import dense_json
from fedsim.results.slo import Verdict
from fedsim.results.storage import SAVED_GROUPINGS
from fedsim.scenario.simulate import simulate
from fedsim.scenario.spec import Scenario
from fedsim.studies.cautions import run_warnings
from fedsim.studies.cells import PlannedRun
from fedsim.studies.failures import note_traceback, plugin_traceback
from fedsim.studies.observed import Observed
from fedsim.studies.saturation import in_system
from fedsim.world.plugins import exits_reported

ALL = "all"
"""The grouping that has one group, of the same name: every request."""

RUNS, FAILED = "runs", "failed"
"""The folders of a study's directory in which each run has a file."""

MOST_GROUPS = 60
"""Groups in a record, of all groupings together; each takes up to 0.8 kB. Where there are more, the
largest groupings are left out, first of all that by node of a large fleet."""

MOST_EXOGENOUS = 200
"""Digests of arrivals and faults in a record; the first of a world show whether it is another's."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a study asks of each run; a worker computes nothing else.

    Attributes:
        by: The groupings of its measures besides ``all``, as far as they have few groups.
        diagnosed: Whether to look for known defects of routing.
        lost_s: When nodes are lost, in seconds, to find out what failed from then until the window
            begins; None to leave that out.
        observed: Whether to keep what each request of the window came to.
    """

    by: tuple[str, ...] = SAVED_GROUPINGS
    diagnosed: bool = True
    lost_s: float | None = None
    observed: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """The measures of the groups of one grouping.

    Attributes:
        names: The groups; None is the one of requests that belong to no other.
        values: A row per group, a column per measure of ``MEASURES``; NaN for none.
    """

    names: tuple[str | None, ...]
    values: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """What one run came to.

    Attributes:
        id: The run's id.
        key: The cell's key.
        replication: The replication, from 0.
        seed: The run's seed.
        strategy: What chose the nodes: a strategy's or a router's name.
        measures: The measures by grouping; that of ``all`` has one row. Groupings of many groups
            are left out.
        objective: Whether each part of the objective was held.
        outcomes: Number of requests by outcome, those of the warm-up included.
        warnings: What a user should know, as sentences.
        digest: The run's digest.
        exogenous: The digest of what does not depend on who serves, by name: each stream's
            arrivals, and each fault's times.
        in_system: Number of requests in the system, at equal steps of the window.
        wall_s: What the run took on the wall clock, in seconds.
        cpu_s: What it took of a processor, its figures included, in seconds.
        observed: What each request of the window came to, or None where that was not asked.
        kept: Where the whole run lies in the study's directory; empty for nowhere.
        interruption: What failed from a loss until the window began; None where not asked.
        run: The whole run, or None where it was not kept here.
    """

    id: str
    key: Mapping[str, Any]
    replication: int
    seed: int
    strategy: str
    measures: Mapping[str, Groups]
    objective: tuple[Verdict, ...]
    outcomes: Mapping[str, int]
    warnings: tuple[str, ...]
    digest: str
    exogenous: Mapping[str, str]
    in_system: tuple[int, ...]
    wall_s: float
    cpu_s: float
    observed: Observed | None = field(default=None, repr=False)
    kept: str = ""
    interruption: Interruption | None = None
    run: Run | None = field(default=None, repr=False)

    def value(self, measure: str) -> float:
        """Return a measure over all requests."""
        return float(self.measures[ALL].values[0, MEASURE_PLACES[measure]])

    def to_json(self) -> dict[str, Any]:
        """Return the record as plain values, without the whole run; None is no number."""
        facts = {name: getattr(self, name) for name in _PLAIN}
        facts["observed"] = None if self.observed is None else self.observed.to_text()
        facts["objective"] = [verdict_to_json(verdict) for verdict in self.objective]
        measures = {
            by: {"groups": list(groups.names), "values": _plain(groups.values)}
            for by, groups in self.measures.items()
        }
        plain: dict[str, Any] = jsonable(facts)
        if self.interruption is not None:
            plain["interruption"] = asdict(self.interruption)
        return plain | {"measures": measures}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Record:
        """Return the record that ``to_json`` gave; None is NaN.

        Raises:
            KeyError: Something is missing.
            ValueError: A measure is missing or added: another version of fedsim wrote it; or a
                value is of another kind.
        """
        facts = {name: data[name] for name in _PLAIN}
        for name, value in facts.items():
            if not isinstance(value, _KINDS.get(name, str)):
                msg = f"{name} is of another kind"
                raise ValueError(msg)
        facts["warnings"] = tuple(facts["warnings"])
        facts["in_system"] = tuple(facts["in_system"])
        failed = data.get("interruption")
        return cls(
            **facts,
            interruption=None if failed is None else Interruption(**failed),
            observed=Observed.from_text(data["observed"]) if data.get("observed") else None,
            objective=tuple(verdict_from_json(each) for each in data["objective"]),
            measures={by: _groups(data["measures"][by]) for by in (ALL, *data["measures"])},
        )


_PLAIN = (
    "id",
    "key",
    "replication",
    "seed",
    "strategy",
    "outcomes",
    "warnings",
    "digest",
    "exogenous",
    "in_system",
    "wall_s",
    "cpu_s",
    "kept",
)

_KINDS: Mapping[str, type | UnionType] = {
    "key": dict,
    "replication": int,
    "seed": int,
    "outcomes": dict,
    "warnings": list,
    "exogenous": dict,
    "in_system": list,
    "wall_s": int | float,
    "cpu_s": int | float,
}
"""The kinds of the facts that are no text."""

MEASURE_PLACES = {name: place for place, name in enumerate(MEASURES)}
"""The column of each measure in ``Groups.values``."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that came to nothing.

    Attributes:
        id: The run's id.
        key: The cell's key.
        replication: The replication, from 0.
        seed: The run's seed.
        message: Why, as a sentence.
        traceback: The lines that lead there; those of a plug-in's own files for its mistakes.
        error: What was raised, or None where a worker died or the failure was read from a file.
    """

    id: str
    key: Mapping[str, Any]
    replication: int
    seed: int
    message: str
    traceback: tuple[str, ...] = ()
    error: FedsimError | None = field(default=None, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return the failure as plain values."""
        return {
            "id": self.id,
            "key": dict(self.key),
            "replication": self.replication,
            "seed": self.seed,
            "error": self.message,
            "traceback": list(self.traceback),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Failure:
        """Return the failure that ``to_json`` gave.

        Raises:
            KeyError: Something is missing.
        """
        facts = (data["id"], data["key"], data["replication"], data["seed"], data["error"])
        return cls(*facts, traceback=tuple(data["traceback"]))


def failed(planned: PlannedRun, error: FedsimError | str) -> Failure:
    """Return the failure of a run."""
    cell = planned.cell
    lines: list[str] = []
    if isinstance(error, PlugInError):
        lines = plugin_traceback(error)
    elif isinstance(error, FedsimError):
        lines = "".join(traceback.format_exception(error)).splitlines()
    raised = error if isinstance(error, FedsimError) else None
    return Failure(
        planned.id, cell.key, cell.replication, planned.seed, str(error), tuple(lines), raised
    )


def run_planned(
    shared: bytes,
    changes: bytes,
    planned: PlannedRun,
    question: Question,
    keep: bool,
    to: Path | None = None,
    progress: Callable[[float], None] | None = None,
) -> Record | Failure:
    """Run a cell of the scenario that is packed in *shared*, as a worker does.

    Args:
        shared: The packed scenario.
        changes: The packed changes of the cell.
        planned: The run, whose cell is without its changes.
        question: What to find out of it.
        keep: Whether to return the whole run.
        to: The study's directory, to write the record there; None to leave that to the study.
        progress: Is called now and then with the share of the run that is done.

    Raises:
        ResultsError: The record cannot be written.
    """
    began_s, cpu_s = time.perf_counter(), time.thread_time()
    try:
        with exits_reported():  # unpacking imports the modules of plug-ins
            scenario = _variant(shared, changes)
        run = simulate(scenario, seed=planned.seed, progress=progress)
        require(run.tables)
        record = recorded(run, planned, question)
    except PlugInError as error:
        note_traceback(error)
        return failed(planned, error)
    except FedsimError as error:
        return failed(planned, error)
    except Exception as error:  # noqa: BLE001 - whatever is left is a bug in fedsim
        lines = "".join(traceback.format_exception(error))
        return failed(planned, InternalError(f"{type(error).__name__}: {error}\n{lines}"))
    record = replace(
        record,
        wall_s=time.perf_counter() - began_s,
        cpu_s=time.thread_time() - cpu_s,
        run=run if keep else None,
    )
    if to is not None:
        write_record(to, record)
    return record


def write_record(directory: Path, record: Record) -> None:
    """Write a record into the directory of its study.

    Raises:
        ResultsError: It cannot be written.
    """
    path = directory / RUNS / f"{record.id}.json"
    write_file(path, dense_json(record.to_json()) + "\n", durable=True)
    (directory / FAILED / f"{record.id}.json").unlink(missing_ok=True)


def run_packed(_: bytes, *call: Any, **options: Any) -> Record | Failure:
    """Run a cell as `run_planned` does, for workers that serve the cells of many scenarios."""
    return run_planned(*call, **options)


def by_group(records: Iterable[Record], by: str) -> dict[str | None, NDArray[np.float64]]:
    """Return the measures of each group: a row per run that has the group, in the order given.

    Raises:
        ResultsError: A record does not have the grouping.
    """
    found: dict[str | None, list[NDArray[np.float64]]] = {}
    for each in records:
        if by not in each.measures:
            msg = (
                f"the records of a study hold at most {MOST_GROUPS} groups, and by {by} there are "
                f"more; group single runs, as simulate(scenario, seed={each.seed}).summary({by!r})"
            )
            raise ResultsError(msg)
        groups = each.measures[by]
        for name, row in zip(groups.names, groups.values, strict=True):
            found.setdefault(name, []).append(row)
    return {name: np.array(rows) for name, rows in found.items()}


def state_of(found: Record | Failure | None) -> dict[str, str | None]:
    """Return what tables say of a run: its digest, state and error.

    The state is ``done``, ``failed``, or ``missing`` for None. There is no digest unless it is
    done, and the error is empty unless it failed.
    """
    if isinstance(found, Record):
        return {"digest": found.digest, "state": "done", "error": ""}
    if found is None:
        return {"digest": None, "state": "missing", "error": ""}
    return {"digest": None, "state": "failed", "error": found.message}


def recorded(run: Run, planned: PlannedRun, question: Question) -> Record:
    """Return the record of *run*."""
    cell = planned.cell
    return Record(
        id=planned.id,
        key=cell.key,
        replication=cell.replication,
        seed=planned.seed,
        strategy=run.strategy,
        measures={by or ALL: _measured(run, by) for by in (None, *_groupings(run, question))},
        objective=tuple(run.verdicts()),
        outcomes=_outcomes(run),
        warnings=(*cell.notes, *run_warnings(run, diagnosed=question.diagnosed)),
        digest=run.digest,
        exogenous=_first(exogenous_digests(run.tables, run.directory, run.duration_s)),
        in_system=in_system(run.tables, run.warmup_s, run.duration_s),
        observed=Observed.of(run) if question.observed else None,
        wall_s=math.nan,
        cpu_s=math.nan,
        interruption=_interruption(run, question),
    )


def _interruption(run: Run, question: Question) -> Interruption | None:
    if question.lost_s is None:
        return None
    return interruption(run.tables, question.lost_s, run.warmup_s)


_KEPT: dict[tuple[bytes, bytes], Scenario] = {}
_MOST_KEPT = 256


def _variant(shared: bytes, changes: bytes) -> Scenario:
    """Return the scenario that packed changes make of a packed one.

    It is made once in a process, but for one that holds an object given in Python, which every run
    gets afresh.
    """
    known = _KEPT.get((shared, changes))
    if known is not None:
        return known
    scenario: Scenario = cloudpickle.loads(shared)
    scenario = scenario.changed(cloudpickle.loads(changes))
    if all(isinstance(value, type) for value in scenario.objects.values()):
        if len(_KEPT) >= _MOST_KEPT:
            _KEPT.pop(next(iter(_KEPT)), None)
        _KEPT[shared, changes] = scenario
    return scenario


def _groupings(run: Run, question: Question) -> list[str]:
    """Return the groupings that are asked for; the largest are left out beyond ``MOST_GROUPS``."""
    sizes = {by: len(run.tables.labels("requests", by)) for by in question.by}
    total = 0
    for by in sorted(sizes, key=lambda by: sizes[by]):
        total += sizes[by]
        if total > MOST_GROUPS:
            del sizes[by]
    return list(sizes)


def _first(digests: Mapping[str, str]) -> dict[str, str]:
    return dict(islice(digests.items(), MOST_EXOGENOUS))


def _measured(run: Run, by: str | None) -> Groups:
    names, rows = run.measures.measured(by)
    return Groups(tuple(names), np.array(rows, dtype=np.float64).reshape(len(rows), -1))


def _outcomes(run: Run) -> dict[str, int]:
    names = run.tables.labels("requests", "outcome")
    codes = run.tables.values("requests", "outcome")
    counts = np.bincount(codes[codes >= 0], minlength=len(names)).tolist()
    return {name: count for name, count in zip(names, counts, strict=True) if count}


def _plain(values: NDArray[np.float64]) -> list[list[float | None]]:
    """Return the rows of *values*, None for what is no number: JSON has no NaN."""
    rows = values.astype(object)
    rows[~np.isfinite(values)] = None
    plain: list[list[float | None]] = rows.tolist()
    return plain


def _groups(data: Mapping[str, Any]) -> Groups:
    values = np.array(data["values"], dtype=np.float64).reshape(len(data["values"]), -1)
    if len(values) != len(data["groups"]) or (values.size and values.shape[1] != len(MEASURES)):
        msg = "it has other measures"
        raise ValueError(msg)
    return Groups(tuple(data["groups"]), values.reshape(-1, len(MEASURES)))
