"""The charts of one run, behind ``run.plot``."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fedsim.charts.figure import Chart
    from fedsim.results.run import Run

CHARTS = ("latency", "timeline", "utilization", "states")
"""The methods of ``RunPlots``; each is a file in a run directory's ``charts``."""


class RunPlots:
    """Draws the charts of a run; each method returns a new matplotlib figure.

    In a notebook a figure shows itself; elsewhere ``figure.savefig("latency.png")`` writes it.
    """

    def __init__(self, run: Run) -> None:
        self._run = run

    def latency(self, by: str = "stream") -> Chart:
        """Draw the tail of the latency of successful requests, a line per value of column *by*."""
        from fedsim.charts.latency import latency_distribution

        run = self._run
        limit_s = run.slo.latency_limit_s if run.slo is not None else None
        return latency_distribution(
            run.in_window, by=by, objective_s=limit_s, subtitle=self._subtitle(len(run.in_window))
        )

    def timeline(self) -> Chart:
        """Draw load, outcomes and latency over time, with faults shaded."""
        from fedsim.charts.timeline import timeline

        run = self._run
        limit_s = run.slo.latency_limit_s if run.slo is not None else None
        return timeline(
            run.requests,
            run.events,
            end_s=run.end_s,
            arrivals_end_s=run.duration_s,
            warmup_s=run.warmup_s,
            objective_s=limit_s,
            subtitle=self._subtitle(len(run.requests)),
        )

    def utilization(self) -> Chart:
        """Draw the share of the time in which each node was in use."""
        from fedsim.charts.utilization import utilization

        run = self._run
        return utilization(run.nodes, end_s=run.end_s, subtitle=self._subtitle(len(run.requests)))

    def states(self) -> Chart:
        """Draw when each gateway took each node for unhealthy, and when its breaker was open."""
        from fedsim.charts.states import states

        run = self._run
        return states(
            run.events, run.node_totals, end_s=run.end_s, subtitle=self._subtitle(len(run.requests))
        )

    def _subtitle(self, requests: int) -> str:
        run = self._run
        return f"{run.name} · {run.strategy} · seed {run.seed} · n = {requests:,} requests"
