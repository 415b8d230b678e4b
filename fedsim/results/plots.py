"""The charts of one run, behind ``run.plot``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from fedsim.errors import ResultsError
from fedsim.results.sample import Sample, Window
from fedsim.results.slo import TOKEN_TIMES, Slo
from fedsim.results.tables import Tables
from fedsim.world.observer import Directory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase
    from pandas import DataFrame

    from fedsim.results.observed import Log


CHARTS = ("latency", "ttft", "tpot", "timeline", "utilization", "states", "scaling")
"""The methods of ``RunPlots`` whose charts are files in a run directory's ``charts``."""


@dataclass(frozen=True, slots=True)
class RunPlots:
    """Draws the charts of a run; each method returns a matplotlib figure.

    It is a new one, unless *ax* or *figure* is given to draw into: axes for a chart of one panel,
    a figure or subfigure for others. In a notebook a figure shows itself; elsewhere
    ``figure.savefig("latency.png")`` writes it, and a name that ends in ``.pdf`` or ``.svg`` at
    the width of a column of text.

    Attributes:
        tables: The run's tables.
        window: What summaries cover.
        end_s: When the world stopped, in seconds.
        slo: The service objective, or None.
        directory: The names of streams, regions, gateways and nodes.
        run: The run in words, for the charts' subtitles.
        start: What the clock read at simulated time 0, with a zone, or None.
    """

    tables: Tables
    window: Window
    end_s: float
    slo: Slo | None
    directory: Directory
    run: str
    start: datetime | None = None

    def all(self) -> Iterator[tuple[str, Figure]]:
        """Draw each of `names`, and yield it with its name."""
        for name in self.names():
            yield name, getattr(self, name)()

    def names(self) -> list[str]:
        """Return the charts that have something to show.

        Those of tokens need requests that have some, that of scaling a scaler that changed a pool.
        """
        without: set[str] = set()
        if not self.tables.requests["ttft_s"].notna().any():
            without |= set(TOKEN_TIMES)
        if not self.tables.events["kind"].isin(["scaler", "presence"]).any():
            without.add("scaling")
        return [name for name in CHARTS if name not in without]

    def latency(self, by: str = "stream", *, ax: Axes | None = None) -> Figure:
        """Draw the tail of the latency of successful requests, a line per value of column *by*.

        Raises:
            ResultsError: The table of requests has no such column.
        """
        return self._tail("latency", by, ax)

    def ttft(self, by: str = "stream", *, ax: Axes | None = None) -> Figure:
        """Draw the tail of the time to first token, as ``latency`` does."""
        return self._tail("ttft", by, ax)

    def tpot(self, by: str = "stream", *, ax: Axes | None = None) -> Figure:
        """Draw the tail of the time per output token, as ``latency`` does."""
        return self._tail("tpot", by, ax)

    def _tail(self, time: str, by: str, ax: Axes | None) -> Figure:
        from fedsim.charts.latency import latency_distribution

        requests = self.tables.requests
        if by not in list(requests.columns):
            known = ", ".join(str(name) for name in requests.select_dtypes("category").columns)
            msg = f"there is no column {by!r} to draw latencies by; choose one of {known}"
            raise ResultsError(msg)
        requests = requests[self.window.holds(requests["arrived_s"].to_numpy())]
        streams = [stream.name for stream in self.directory.streams]
        return latency_distribution(
            requests,
            by=by,
            time=time,
            objectives_s=None if self.slo is None else self.slo.limits_s(time, streams),
            subtitle=self._subtitle(len(requests)),
            ax=ax,
        )

    def timeline(
        self,
        observed: Log | None = None,
        columns: Mapping[str, str] | None = None,
        *,
        every_s: float = 60.0,
        figure: FigureBase | None = None,
    ) -> Figure:
        """Draw load, outcomes and latency over time, with faults shaded.

        Args:
            observed: What was measured, drawn next to it; see ``Run.against``.
            columns: Its columns by field, where they do not have one of the known names.
            every_s: Seconds of a bin, where something was observed.
            figure: A figure or subfigure to draw into.

        Raises:
            ResultsError, LogError, ArgumentError: As ``Run.against``.
        """
        from fedsim.charts.timeline import timeline

        measured = None
        if observed is not None:
            from fedsim.results.observed import Span, observed_parts

            measured = observed_parts(
                observed, Span(self.window.end_s, every_s, self.start), columns
            )
        return self._over_time(
            timeline,
            self.tables.requests,
            figure,
            arrivals_end_s=self.window.end_s,
            objective_s=None if self.slo is None else self.slo.limit_s("latency"),
            observed=measured,
        )

    def _over_time(
        self, draw: Callable[..., Figure], table: DataFrame, figure: FigureBase | None, **more: Any
    ) -> Figure:
        """Draw a chart of *table* and of the faults over time, on the clock if there is one."""
        chart = draw(
            table,
            self.tables.events,
            end_s=self.end_s,
            warmup_s=self.window.start_s,
            subtitle=self._subtitle(len(self.tables.requests)),
            figure=figure,
            **more,
        )
        return self._on_clock(chart)

    def outcomes(self, *, figure: FigureBase | None = None) -> Figure:
        """Draw how many requests succeeded over time, and how the others failed, by kind."""
        from fedsim.charts.outcomes import outcomes

        requests, arrivals_end_s = self.tables.requests, self.window.end_s
        return self._over_time(outcomes, requests, figure, arrivals_end_s=arrivals_end_s)

    def attempts(self, *, figure: FigureBase | None = None) -> Figure:
        """Draw first attempts, retries and hedges over time, and the work that was in vain."""
        from fedsim.charts.outcomes import attempts

        return self._over_time(attempts, self.tables.attempts, figure)

    def regions(self, *, figure: FigureBase | None = None) -> Figure:
        """Draw the goodput of each region of origin over time, with faults shaded."""
        from fedsim.charts.regions import regions

        good = Sample.of(self.tables, self.directory, self.slo).good
        requests, arrivals_end_s = self.tables.requests.assign(good=good), self.window.end_s
        return self._over_time(regions, requests, figure, arrivals_end_s=arrivals_end_s)

    def flows(self, *, ax: Axes | None = None) -> Figure:
        """Draw a matrix of which region answered the requests of which, without the warm-up."""
        from fedsim.charts.regions import flows

        requests = self.tables.requests
        requests = requests[self.window.holds(requests["arrived_s"].to_numpy())]
        return flows(requests, subtitle=self._subtitle(len(requests)), ax=ax)

    def utilization(self, *, figure: FigureBase | None = None) -> Figure:
        """Draw the share of each node in use over time; of engines their batch and their cache."""
        from fedsim.charts.utilization import utilization

        totals = self.tables.node_totals
        slots = totals.set_index(totals["node"].astype(str))["slots"]
        nodes = self.tables.nodes
        chart = utilization(
            nodes.assign(slots=nodes["node"].astype(str).map(slots)),
            end_s=self.end_s,
            warmup_s=self.window.start_s,
            subtitle=self._subtitle(len(self.tables.requests)),
            figure=figure,
        )
        return self._on_clock(chart)

    def scaling(self, *, figure: FigureBase | None = None) -> Figure:
        """Draw the nodes that scalers ordered, those ready, and those that the load needed."""
        from fedsim.charts.scaling import scaling

        tables = self.tables
        chart = scaling(
            tables.events,
            tables.attempts,
            tables.node_totals,
            end_s=self.end_s,
            subtitle=self._subtitle(len(tables.requests)),
            figure=figure,
        )
        return self._on_clock(chart)

    def states(self, *, ax: Axes | None = None) -> Figure:
        """Draw when each gateway took each node for unhealthy, and when its breaker was open."""
        from fedsim.charts.states import states

        tables = self.tables
        chart = states(
            tables.events,
            tables.node_totals,
            end_s=self.end_s,
            subtitle=self._subtitle(len(tables.requests)),
            ax=ax,
        )
        return self._on_clock(chart)

    def _on_clock(self, chart: Figure) -> Figure:
        """Return a chart over time with the clock of the scenario on its axes, where it has one."""
        if self.start is not None:
            from fedsim.charts.clock import put_on_clock

            put_on_clock(chart.axes, self.start)
        return chart

    def _subtitle(self, requests: int) -> str:
        return f"{self.run} · n = {requests:,} requests"
