"""The charts of a comparison, behind ``comparison.plot``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fedsim.results.slo import TIMES, TOKEN_TIMES, Bounded
from fedsim.studies.ranking import CHIEF, measure_of

if TYPE_CHECKING:
    from fedsim.charts.figure import Chart
    from fedsim.studies.comparison import Comparison

MEASURES_DRAWN = (CHIEF, "latency_p99_s", "ttft_p99_s", "tpot_p99_s")
"""The measures whose ranking and differences are in a comparison's ``charts``, where known."""


class ComparisonPlots:
    """Draws the charts of a comparison; each method returns a new matplotlib figure."""

    def __init__(self, comparison: Comparison) -> None:
        self._of = comparison

    def latency(self) -> Chart:
        """Draw the tail of the latency by strategy, over the first replication of each."""
        return self._tail("latency")

    def ttft(self) -> Chart:
        """Draw the tail of the time to first token, as ``latency`` does."""
        return self._tail("ttft")

    def tpot(self) -> Chart:
        """Draw the tail of the time per output token, as ``latency`` does."""
        return self._tail("tpot")

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures whose ranking and differences are drawn: those that have a value."""
        table = self._of.summary()
        return tuple(name for name in MEASURES_DRAWN if table[name].notna().any())

    @property
    def times(self) -> dict[str, str]:
        """The times whose tail is drawn, and what each is in words: token times where known."""

        def is_known(time: str) -> bool:
            values = [each.value(f"{time}_p50_s") for each in self._of.records]
            return not all(map(math.isnan, values))

        return {
            time: words
            for time, words in TIMES.items()
            if time == "latency" or (time in TOKEN_TIMES and is_known(time))
        }

    def _tail(self, time: str) -> Chart:
        import pandas as pd

        from fedsim.charts.latency import latency_distribution

        parts = [
            run.in_window[[f"{time}_s", "outcome"]].assign(strategy=name)
            for name, run in self._of.runs.items()
        ]
        requests = pd.concat(parts, ignore_index=True)
        names = list(self._of.strategies)
        requests["strategy"] = pd.Categorical(requests["strategy"], categories=names)
        slo = self._of.scenario.slo
        streams = [stream.traffic.name for stream in self._of.scenario.world.streams]
        return latency_distribution(
            requests,
            time=time,
            objectives_s=None if slo is None else slo.limits_s(time, streams),
            subtitle=f"{self._of.scenario.name} · replication 0 (seed {self._of.seeds[0]}) · "
            f"n = {len(parts[0]):,} requests each",
        )

    def ranking(self, measure: str = CHIEF) -> Chart:
        """Draw each strategy's mean of *measure* with its confidence interval, best on top."""
        from fedsim.charts.comparison import ranking

        comparison, facts = self._of, measure_of(measure)
        comparable = set(comparison.comparable(measure))
        order = comparison.ranking(measure) if facts.better else list(comparison.strategies)
        columns = {measure: "mean", f"{measure}_low": "low", f"{measure}_high": "high"}
        table = comparison.summary().loc[order, list(columns)].rename(columns=columns) * facts.scale
        names = [name if name in comparable else f"{name} (fails more)" for name in order]
        table = table.assign(strategy=names)
        all_comparable = len(comparable) == len(order)
        return ranking(
            table.reset_index(drop=True),
            label=facts.label,
            unit=facts.unit,
            better=facts.better if all_comparable else None,
            objective=self._objective(measure),
            confidence=comparison.confidence,
            subtitle=self._subtitle(measure),
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
            subtitle=self._subtitle(measure),
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

    def _objective(self, measure: str) -> float | None:
        """Return the limit of *measure* over all streams, as the chart shows it, or None."""
        slo = self._of.scenario.slo
        if slo is None:
            return None
        for key, limit in slo.bounds.items():
            covers_all = not any(key in own for own in slo.streams.values())
            if covers_all and Bounded.of(key).measure == measure:
                return limit * measure_of(measure).scale
        return None

    def _subtitle(self, measure: str) -> str:
        scenario, withheld = self._of.scenario, self._of.withheld
        text = f"{scenario.name} · seed {scenario.seed} · {self._of.target}"
        names = withheld["strategy"][withheld["measure"] == measure].tolist()
        return text + (f" · withheld: {', '.join(names)}" if names else "")
