"""The charts of a comparison, behind ``comparison.plot``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedsim.studies.ranking import CHIEF, measure_of

if TYPE_CHECKING:
    from fedsim.charts.figure import Chart
    from fedsim.studies.comparison import Comparison

MEASURES_DRAWN = (CHIEF, "latency_p99_s")
"""The measures whose ranking and differences are in a comparison's ``charts``."""


class ComparisonPlots:
    """Draws the charts of a comparison; each method returns a new matplotlib figure."""

    def __init__(self, comparison: Comparison) -> None:
        self._of = comparison

    def latency(self) -> Chart:
        """Draw the tail of the latency by strategy, over the first replication of each."""
        import pandas as pd

        from fedsim.charts.latency import latency_distribution

        parts = [
            run.in_window[["latency_s", "outcome"]].assign(strategy=name)
            for name, run in self._of.runs.items()
        ]
        requests = pd.concat(parts, ignore_index=True)
        names = list(self._of.strategies)
        requests["strategy"] = pd.Categorical(requests["strategy"], categories=names)
        slo = self._of.scenario.slo
        return latency_distribution(
            requests,
            objective_s=slo.latency_limit_s if slo else None,
            subtitle=f"{self._of.scenario.name} · seed {self._of.seeds[0]} · "
            f"n = {len(parts[0]):,} requests each",
        )

    def ranking(self, measure: str = CHIEF) -> Chart:
        """Draw each strategy's mean of *measure* with its confidence interval, best on top."""
        from fedsim.charts.comparison import ranking

        comparison, facts = self._of, measure_of(measure)
        comparable = set(comparison.comparable(measure))
        order = comparison.ranking(measure) if facts.better else list(comparison.strategies)
        table = comparison.summary().loc[order, [measure, f"{measure}_ci95"]] * facts.scale
        table.columns = table.columns.map({measure: "mean", f"{measure}_ci95": "half_width"})
        names = [name if name in comparable else f"{name} (fails more)" for name in order]
        table = table.assign(
            strategy=names,
            low=table["mean"] - table["half_width"],
            high=table["mean"] + table["half_width"],
        )
        all_comparable = len(comparable) == len(order)
        return ranking(
            table.reset_index(drop=True),
            label=facts.label,
            unit=facts.unit,
            better=facts.better if all_comparable else None,
            subtitle=self._subtitle(),
        )

    def differences(self, measure: str = CHIEF, baseline: str | None = None) -> Chart:
        """Draw each strategy's paired difference from the baseline."""
        from fedsim.charts.comparison import differences

        facts = measure_of(measure)
        table = self._of.differences(measure, baseline).reset_index()
        table[["difference", "low", "high"]] *= facts.scale
        return differences(
            table,
            baseline=baseline or self._of.baseline,
            label=facts.label,
            unit=facts.difference_unit,
            subtitle=self._subtitle(),
        )

    def timeline(self, strategy: str | None = None) -> Chart:
        """Draw a strategy's first run over time, by default the best one's."""
        return self._of.run(strategy or self._of.ranking()[0]).plot.timeline()

    def utilization(self, strategy: str | None = None) -> Chart:
        """Draw how busy each node was in a strategy's first run, by default the best one's."""
        return self._of.run(strategy or self._of.ranking()[0]).plot.utilization()

    def states(self, strategy: str | None = None) -> Chart:
        """Draw health and breakers in a strategy's first run, by default the best one's."""
        return self._of.run(strategy or self._of.ranking()[0]).plot.states()

    def _subtitle(self) -> str:
        seeds = self._of.seeds
        span = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"
        count = f"{len(seeds)} replication" + ("s" if len(seeds) > 1 else "")
        return f"{self._of.scenario.name} · {count} · {span}"
