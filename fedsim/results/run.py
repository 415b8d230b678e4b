"""One run of a scenario: its tables, summary, charts and digest, and its directory."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from fedsim.errors import ResultsError
from fedsim.reported import Reported
from fedsim.results import storage
from fedsim.results.digest import digest
from fedsim.results.kinds import OUTCOMES
from fedsim.results.manifest import (
    FORMAT,
    directory_to_json,
    provenance,
    slo_to_json,
)
from fedsim.results.plots import RunPlots
from fedsim.results.recorder import Recorder
from fedsim.results.rundir import PLUGINS
from fedsim.results.sample import Window
from fedsim.results.slo import Slo, Verdict
from fedsim.results.sources import Figure
from fedsim.results.summary import Summary, require_grouping
from fedsim.results.tables import DECISIONS, Tables
from fedsim.results.verdicts import verdicts
from fedsim.world.observer import Directory

if TYPE_CHECKING:
    from pandas import DataFrame

    from fedsim.results.observed import Log


class Run(Reported):
    """What happened in one run of a scenario.

    The tables are DataFrames that are built when they are first asked for. Each access gives a
    copy that shares its memory, so that changing one changes no other.

    Args:
        tables: The recorder of the run, or tables.
        directory: The names of streams, regions, gateways and nodes.
        name: The scenario's name.
        scenario_yaml: The resolved scenario, which gives the same run again, or what makes it.
        seed: The seed of all random streams.
        strategy: What chose the nodes: a strategy's or a router's name.
        warmup_s: Requests that arrived earlier are left out of summaries, in seconds.
        duration_s: Arrivals stopped at this time, in seconds.
        end_s: The world stopped at this time, in seconds; None takes the last thing recorded.
        slo: The service objective, or None.
        wall_s: What the run took on the wall clock, in seconds.
        record_tables: ``summary`` leaves the tables out of the run's directory.
        warnings: What a user should know before trusting the numbers.
        figures: The figures about the world and its traffic, and where each comes from.
        plugin_directory: Where the scenario's plug-ins may be, or None.
        given: By path of the scenario, the texts that stand in it for objects given in Python,
            without which it cannot be run again.
        start: What the clock read at simulated time 0, with a zone, or None.
        made: Versions, platform and time of a run that was loaded, by their keys in the manifest.
    """

    def __init__(
        self,
        tables: Recorder | Tables,
        *,
        directory: Directory,
        name: str,
        scenario_yaml: str | Callable[[], str],
        seed: int,
        strategy: str,
        warmup_s: float,
        duration_s: float,
        end_s: float | None = None,
        slo: Slo | None = None,
        wall_s: float = math.nan,
        record_tables: Literal["full", "summary"] = "full",
        warnings: Iterable[str] = (),
        figures: Iterable[Figure] = (),
        plugin_directory: Path | None = None,
        given: Iterable[tuple[str, str]] = (),
        start: datetime | None = None,
        made: Mapping[str, Any] | None = None,
    ) -> None:
        self.tables = tables if isinstance(tables, Tables) else tables.tables()
        self.directory = directory
        self.name = name
        self._scenario_yaml = scenario_yaml
        self.seed = seed
        self.strategy = strategy
        self.warmup_s = warmup_s
        self.duration_s = duration_s
        self.slo = slo
        self.wall_s = wall_s
        self.record_tables = record_tables
        self.figures = tuple(figures)
        self.plugin_directory = plugin_directory
        self.given = tuple(given)
        self.start = start
        self._made = made
        self._end_s = end_s
        self._warnings = tuple(warnings)
        self._summaries: dict[str | None, DataFrame] = {}
        self._verdicts: list[Verdict] | None = None
        self._digest: str | None = None
        self._warnings_found: list[str] | None = None

    def __repr__(self) -> str:
        return f"<Run of {self.name:.30}: {self.strategy:.30}, seed {self.seed}>"

    def __getstate__(self) -> dict[str, Any]:
        """Return what travels to another process: nothing that can be made there again."""
        state = {**self.__dict__, "_scenario_yaml": self.scenario_yaml}
        state.pop("measures", None)
        return state

    @property
    def scenario_yaml(self) -> str:
        """The resolved scenario, which gives the same run again."""
        if not isinstance(self._scenario_yaml, str):
            self._scenario_yaml = self._scenario_yaml()
        return self._scenario_yaml

    @property
    def requests(self) -> DataFrame:
        """A row per request, in the order of arrival."""
        return self.tables.requests

    @property
    def attempts(self) -> DataFrame:
        """A row per attempt, in the order of their starts."""
        return self.tables.attempts

    @property
    def nodes(self) -> DataFrame:
        """A row per node and sample."""
        return self.tables.nodes

    @property
    def events(self) -> DataFrame:
        """A row per fault, health change, breaker change and warning, in the order of time."""
        return self.tables.events

    @property
    def node_totals(self) -> DataFrame:
        """A row per node: its slots and price, and its busy time over the run."""
        return self.tables.node_totals

    @property
    def decisions(self) -> DataFrame:
        """A row per candidate of each decision, in the order of decisions.

        Raises:
            ResultsError: None were recorded.
        """
        if DECISIONS not in self.tables.names:
            msg = (
                "no decisions were recorded; write record: {decisions: on} into the scenario, or "
                "ask fedsim explain about one request"
            )
            raise ResultsError(msg)
        return self.tables[DECISIONS]

    @property
    def in_window(self) -> DataFrame:
        """The requests that summaries cover: those that arrived in [warmup, duration)."""
        requests = self.requests
        window = Window(self.warmup_s, self.duration_s)
        return requests[window.holds(requests["arrived_s"].to_numpy())]

    @property
    def end_s(self) -> float:
        """When the world stopped, in seconds of simulated time."""
        if self._end_s is None:
            times = (self.requests["finished_s"], self.nodes["time_s"], self.events["time_s"])
            latest = [float(column.max()) for column in times if column.notna().any()]
            self._end_s = max([self.duration_s, *latest])
        return self._end_s

    def summary(self, by: str | None = None) -> DataFrame:
        """Return the measures of ``docs/measures.md``, a row per group.

        Args:
            by: ``origin``, ``stream``, ``region``, ``node``, ``tenant`` or ``capability``; None
                for one row over all requests.

        Raises:
            ResultsError: The run cannot be grouped so.
        """
        require_grouping(by)
        if by not in self._summaries:
            self._summaries[by] = self.measures.table(by)
        return self._summaries[by].copy(deep=False)

    @cached_property
    def measures(self) -> Summary:
        """What summaries are made from, without a DataFrame."""
        return Summary(
            self.tables,
            self.directory,
            warmup_s=self.warmup_s,
            duration_s=self.duration_s,
            slo=self.slo,
        )

    def verdicts(self) -> list[Verdict]:
        """Return whether each bound of the objective was held; empty without an objective.

        Raises:
            ResultsError: The run was saved without its tables, before verdicts were saved.
        """
        if self.slo is None:
            return []
        if self._verdicts is not None:
            return list(self._verdicts)
        window = Window(self.warmup_s, self.duration_s)
        return verdicts(self.slo, self.tables, self.directory, window)

    def _adopt(
        self,
        summaries: dict[str | None, DataFrame],
        verdicts: list[Verdict] | None,
        digest: str,
    ) -> None:
        """Use what was computed before: this run has no tables."""
        self._summaries.update(summaries)
        self._verdicts = verdicts
        self._digest = digest
        self._warnings_found = []

    def against(
        self,
        observed: Log,
        columns: Mapping[str, str] | None = None,
        *,
        every_s: float = 60.0,
    ) -> DataFrame:
        """Return what was simulated next to what was measured, a row per minute.

        Args:
            observed: A DataFrame, or a CSV, JSON lines or Parquet file: a row per request with its
                arrival, latency or end, and a status; or a row per minute with its time, requests,
                failures, latency_p50 and latency_p95. Times are dates in UTC, seconds since 1970,
                or seconds since the start of the run.
            columns: Columns by such a field, where they have other names.
            every_s: Seconds of a row, > 0.

        Returns:
            ``time_s``, with a start of the scenario ``clock``, and for requests, failures and two
            percentiles of latency what was simulated, observed, and the difference.

        Raises:
            ResultsError: The log's times need a start, or are outside of the run.
            LogError: A column is missing, or a cell is neither a number nor a time.
            ArgumentError: An argument is of the wrong kind.
        """
        from fedsim.results.observed import Span, against, observed_parts, simulated_parts

        span = Span(self.duration_s, every_s, self.start)
        measured = observed_parts(observed, span, columns)
        return against(simulated_parts(self.requests, span), measured, self.start)

    @property
    def plot(self) -> RunPlots:
        """The run's charts, such as ``latency()``; ``docs/charts.md`` shows all."""
        return RunPlots(
            self.tables,
            Window(self.warmup_s, self.duration_s),
            self.end_s,
            self.slo,
            self.directory,
            f"{self.name} · {self.strategy} · seed {self.seed}",
            self.start,
        )

    @property
    def digest(self) -> str:
        """A hash of the requests, attempts and events tables; see ``fedsim.results.digest``."""
        if self._digest is None:
            self._digest = digest(self.tables)
        return self._digest

    @property
    def warnings(self) -> list[str]:
        """What a user should know before trusting the numbers, as sentences."""
        if self._warnings_found is None:
            self._warnings_found = [
                *_plugins(self.tables),
                *_refusals(self.tables),
                *_unfinished(self.tables),
            ]
        return [*self._warnings, *self._warnings_found]

    @property
    def manifest(self) -> dict[str, Any]:
        """How the run came about: versions, seed, digest, wall time, and the names behind it."""
        plugins = self.plugin_directory
        return {
            "format": FORMAT,
            "name": self.name,
            "strategy": self.strategy,
            "seed": self.seed,
            "digest": self.digest,
            "wall_s": self.wall_s,
            "warmup_s": self.warmup_s,
            "duration_s": self.duration_s,
            "end_s": self.end_s,
            "start": None if self.start is None else self.start.isoformat(),
            "record_tables": self.record_tables,
            "slo": slo_to_json(self.slo),
            "outcomes": self._outcomes_of_plugins,
            "warnings": self.warnings if self.record_tables == "summary" else list(self._warnings),
            "figures": [asdict(figure) for figure in self.figures],
            PLUGINS: None if plugins is None else str(plugins.absolute()),
            "given": [{"path": path, "object": text} for path, text in self.given],
            **(self._made or provenance()),
            "directory": directory_to_json(self.directory),
        }

    @property
    def _outcomes_of_plugins(self) -> list[str]:
        """The outcomes that only this run has, which not every table needs to have met."""
        if self.record_tables == "summary":
            return []
        return [name for name in self.requests["outcome"].cat.categories if name not in OUTCOMES]

    def save(self, directory: str | os.PathLike[str], *, charts: bool = True) -> Path:
        """Write the run to a directory, which exists only once it is whole.

        Args:
            directory: Its name. One that fedsim wrote is replaced.
            charts: Whether to draw the charts, about a second's work.

        Returns:
            The directory.

        Raises:
            ResultsError: Something else has that name, or it cannot be written.
        """
        return storage.write(
            directory,
            scenario_yaml=self.scenario_yaml,
            manifest=self.manifest,
            summary=self.summary,
            verdicts=self.verdicts(),
            tables=self.tables if self.record_tables == "full" else None,
            charts=self.plot.all() if charts else (),
        )

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Run:
        """Return the run that ``save`` wrote; tables are read when they are first asked for.

        Raises:
            ResultsError: The directory is not a run's, or is broken.
        """
        saved = storage.read(directory)
        run = cls(saved.tables, **saved.facts)
        if saved.summaries is not None:
            run._adopt(saved.summaries, saved.verdicts, saved.digest)
        return run


def _unfinished(tables: Tables) -> list[str]:
    count = int(tables.are("requests", "unfinished").sum())
    if not count:
        return []
    if count == 1:
        were, they, them = "request was", "it counts", "it"
    else:
        were, they, them = "requests were", "they count", "them"
    return [
        f"{count:,} {were} unfinished when the drain ended; "
        f"{they} as not successful, and a longer drain would let {them} end"
    ]


def _plugins(tables: Tables) -> list[str]:
    """Return each thing that plug-ins were reported for, once, with how often and where first.

    A detail that begins with ``request chat-17:`` is about that request.
    """
    first: dict[tuple[str, str], str] = {}
    counts: Counter[tuple[str, str]] = Counter()
    for name, detail in tables.events_of("plugin", "subject", "detail"):
        request, found, problem = detail.partition(": ")
        if not found or not request.startswith("request "):
            request, problem = "", detail
        first.setdefault((name, problem), request)
        counts[name, problem] += 1
    return [
        f"plug-in {name}: {problem}{_occasions(counts[name, problem], request)}"
        for (name, problem), request in first.items()
    ]


def _refusals(tables: Tables) -> list[str]:
    """Return how many attempts nodes refused because they could never serve them."""
    details = [detail for (detail,) in tables.events_of("refusal", "detail")]
    if not details:
        return []
    times = "attempt was" if len(details) == 1 else "attempts were"
    return [f"{len(details):,} {times} refused for good; the first: {details[0]}."]


def _occasions(count: int, request: str) -> str:
    if count == 1:
        return f" ({request})" if request else ""
    return f" ({count:,} times" + (f", first with {request})" if request else ")")
