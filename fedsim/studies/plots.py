"""The charts of a comparison, behind ``comparison.plot``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fedsim.results.belief import percentile_of
from fedsim.results.measures import MEASURES
from fedsim.results.slo import TIMES, TOKEN_TIMES, Bounded
from fedsim.studies.comparison import HIGH, LOW
from fedsim.studies.ranking import CHIEF, measure_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, FigureBase
    from pandas import DataFrame

    from fedsim.studies.comparison import Comparison

MEASURES_DRAWN = (CHIEF, "latency_p99_s", "ttft_p99_s", "tpot_p99_s")
"""The measures whose ranking and differences are in a comparison's ``charts``, where known."""

_SAME = "no difference shown"


class ComparisonPlots:
    """Draws the charts of a comparison; each method returns a matplotlib figure.

    It is a new one, unless *ax* or *figure* is given to draw into.
    """

    def __init__(self, comparison: Comparison) -> None:
        self._of = comparison

    def latency(self, *, ax: Axes | None = None) -> Figure:
        """Draw the tail of the latency by strategy, with its percentiles over all replications.

        The lines are of the runs that were kept: the first replication of each, or all.
        """
        return self._tail("latency", ax)

    def ttft(self, *, ax: Axes | None = None) -> Figure:
        """Draw the tail of the time to first token, as ``latency`` does."""
        return self._tail("ttft", ax)

    def tpot(self, *, ax: Axes | None = None) -> Figure:
        """Draw the tail of the time per output token, as ``latency`` does."""
        return self._tail("tpot", ax)

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

    def _tail(self, time: str, ax: Axes | None) -> Figure:
        import pandas as pd

        from fedsim.charts.latency import latency_distribution

        of = self._of
        parts = [
            run.in_window[[f"{time}_s", "outcome"]].assign(strategy=name)
            for name, _, run in of.kept
        ]
        requests = pd.concat(parts, ignore_index=True)
        requests["strategy"] = pd.Categorical(requests["strategy"], categories=of.strategies)
        slo = of.scenario.slo
        streams = [stream.traffic.name for stream in of.scenario.world.streams]
        several = len(of.seeds) > 1
        lines = {number for _, number, _ in of.kept}
        of_lines = "line: replication 0" if lines == {0} else f"line: {len(lines)} replications"
        means = (
            f"dots: mean of {len(of.seeds)} replications; bars: {100 * of.confidence:g} % intervals"
        )
        return latency_distribution(
            requests,
            time=time,
            objectives_s=None if slo is None else slo.limits_s(time, streams),
            means=self._percentiles(time) if several else None,
            subtitle=f"{of.scenario.name} · seed {of.scenario.seed} · {of_lines}"
            + (f" · {means}" if several else f" · n = {len(parts[0]):,} requests each"),
            ax=ax,
        )

    def _percentiles(self, time: str) -> DataFrame:
        """Return the percentiles of a time as the tables have them, for the chart of its tail."""
        import pandas as pd

        table = self._of.summary()
        rows = [
            {
                "group": name,
                "share": percentile_of(measure),
                "mean": row[measure],
                "low": row[measure + LOW],
                "high": row[measure + HIGH],
                "success_rate": row["success_rate"],
            }
            for name, row in table.iterrows()
            for measure in MEASURES
            if measure.startswith(f"{time}_p")
        ]
        return pd.DataFrame(rows)

    def ranking(self, measure: str = CHIEF, *, ax: Axes | None = None) -> Figure:
        """Draw each strategy's mean of *measure* with its confidence interval, best on top."""
        from fedsim.charts.comparison import ranking

        comparison, facts = self._of, measure_of(measure)
        order = comparison.ranking(measure) if facts.better else list(comparison.strategies)
        columns = {measure: "mean", f"{measure}{LOW}": "low", f"{measure}{HIGH}": "high"}
        table = comparison.summary().loc[order, list(columns)].rename(columns=columns) * facts.scale
        comparable = comparison.comparable(measure)
        table = table.assign(fails_more=[name not in comparable for name in order])
        if facts.better and len(comparison.seeds) > 1 and len(order) > 1:
            against = comparison.differences(measure, order[0])["verdict"]
            table["tied"] = [against.get(name, _SAME) == _SAME for name in order]
        return ranking(
            table.reset_index(names="strategy"),
            label=facts.label,
            unit=facts.unit,
            better=facts.better,
            objective=self._objective(measure),
            confidence=comparison.confidence,
            subtitle=self._subtitle(measure),
            ax=ax,
        )

    def differences(
        self, measure: str = CHIEF, baseline: str | None = None, *, ax: Axes | None = None
    ) -> Figure:
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
            ax=ax,
        )

    def cost(self, measure: str = "cost_usd_per_1k_ok", *, ax: Axes | None = None) -> Figure:
        """Draw what each strategy costs against its goodput.

        Args:
            measure: ``cost_usd_per_1k_ok`` or ``cost_usd_per_hour``.
            ax: Axes to draw into.
        """
        from fedsim.charts.tradeoff import cost_goodput

        facts, good = measure_of(measure), measure_of(CHIEF)
        table = self._of.summary().reset_index(names="strategy")
        parts = {
            f"{name}{end}": table[each.name + end] * each.scale
            for name, each in (("cost", facts), ("goodput", good))
            for end in ("", LOW, HIGH)
        }
        return cost_goodput(
            table[["strategy"]].assign(**parts),
            cost=f"{facts.label} ({facts.unit})",
            confidence=self._of.confidence,
            subtitle=self._subtitle(CHIEF),
            ax=ax,
        )

    def timeline(self, strategy: str | None = None, *, figure: FigureBase | None = None) -> Figure:
        """Draw a strategy's first run over time, by default the best one's."""
        return self._of.run(strategy or self._of.ranking()[0]).plot.timeline(figure=figure)

    def utilization(
        self, strategy: str | None = None, *, figure: FigureBase | None = None
    ) -> Figure:
        """Draw how busy each node was in a strategy's first run, by default the best one's."""
        return self._of.run(strategy or self._of.ranking()[0]).plot.utilization(figure=figure)

    def states(self, strategy: str | None = None, *, ax: Axes | None = None) -> Figure:
        """Draw health and breakers in a strategy's first run, by default the best one's."""
        return self._of.run(strategy or self._of.ranking()[0]).plot.states(ax=ax)

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
