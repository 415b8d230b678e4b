"""Strategies side by side: ranking, differences, groups, charts, and the directory of it all."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedsim.errors import ResultsError
from fedsim.kernel.streams import generator
from fedsim.reported import Reported
from fedsim.results.belief import belief, percentile_of
from fedsim.results.measures import MEASURES
from fedsim.results.run import Run
from fedsim.results.slo import Verdict
from fedsim.results.storage import SAVED_GROUPINGS
from fedsim.scenario.arguments import require_between
from fedsim.scenario.spec import Scenario
from fedsim.studies.believed import (
    Believed,
    believed,
    not_steady,
    reasons,
    require_windows,
    target,
    worth_believing,
)
from fedsim.studies.cautions import merged_warnings
from fedsim.studies.cells import PlannedRun
from fedsim.studies.estimating import measured
from fedsim.studies.pairing import require_paired
from fedsim.studies.precision import Precision, Reached, reached_in_words
from fedsim.studies.ranking import (
    CHIEF,
    TIE_BREAKS,
    ascending,
    judged,
    measure_of,
    rankable,
    ranked,
)
from fedsim.studies.records import ALL, Failure, Record, by_group, state_of
from fedsim.studies.saturation import grows, is_overloaded
from fedsim.studies.statistics import (
    Difference,
    Estimate,
    chances_of_best,
    equivalence,
    estimate,
    holm,
    paired_difference,
    verdict,
)

if TYPE_CHECKING:
    from pandas import DataFrame

    from fedsim.studies.plots import ComparisonPlots
    from fedsim.studies.store import Store

KIND = "comparison"
"""What ``study.json`` says that such a study is."""

LOW, HIGH = "_low", "_high"
"""Columns ``<measure>_low`` and ``<measure>_high`` are the ends of a confidence interval."""


class Comparison(Reported):
    """What several strategies made of the same requests and faults, over several seeds.

    Args:
        scenario: What was run.
        planned: Every run that was asked for.
        found: What each of them came to, in any order.
        baseline: The strategy that the others are compared with.
        wall_s: What it took on the wall clock, in seconds; NaN for one that was opened.
        store: The directory in which the runs are, or None.
        precision: What said how many replications there are; None where that was given.

    Raises:
        ResultsError: Runs of one replication did not meet the same requests and faults.

    Attributes:
        strategies: What was compared, in the order given.
        seeds: The seed of each replication.
        confidence: The coverage of every interval.
        failures: The runs that came to nothing; estimates rest on the others.
        records: The other runs: all replications of the first strategy, then of the next.
    """

    def __init__(
        self,
        scenario: Scenario,
        planned: Sequence[PlannedRun],
        found: Iterable[Record | Failure],
        *,
        baseline: str,
        wall_s: float,
        store: Store | None = None,
        precision: Precision | None = None,
    ) -> None:
        self.scenario = scenario
        self.planned = tuple(planned)
        self.baseline = baseline
        self.wall_s = wall_s
        self.store = store
        self.reached = Reached(True, {}) if precision is None else precision.reached
        self._precision = {} if precision is None else precision.asked
        self.strategies: tuple[str, ...] = tuple(
            dict.fromkeys(run.cell.key["strategy"] for run in planned)
        )
        self.confidence = scenario.study.confidence
        self.seeds = tuple(dict.fromkeys(run.seed for run in planned))
        places = {name: place for place, name in enumerate(self.strategies)}

        def place(each: Record | Failure) -> tuple[int, int]:
            return places[each.key["strategy"]], each.replication

        ordered = sorted(found, key=place)
        self.failures = tuple(each for each in ordered if isinstance(each, Failure))
        self.records = tuple(each for each in ordered if isinstance(each, Record))
        self._of = {(each.key["strategy"], each.replication): each for each in self.records}
        self._runs: dict[str, Run] = {}
        self._tables: dict[str, DataFrame] = {}
        self._saturated: dict[str, float] | None = None
        self._known_estimates: dict[tuple[str, str], Estimate] = {}
        self._known_values: dict[str, Believed] = {}
        require_paired(self.records)

    def __repr__(self) -> str:
        compared = ", ".join(self.strategies)
        if len(compared) > 30:
            compared = f"{len(self.strategies)} strategies"
        count = len(self.seeds)
        times = f"{count} replication{'' if count == 1 else 's'}"
        return f"<Comparison of {self.scenario.name:.30}: {compared}; {times}>"

    @property
    def target(self) -> str:
        """What every estimate is of: the expected value of a window, or of the long run."""
        window_s = self.scenario.duration_s - self.scenario.warmup_s
        deleted_s = None
        if self.scenario.study.steady_state:
            deleted_s = [self._believed(name).deleted_s for name in self.strategies]
        return target([window_s], [len(self.seeds)], self.confidence, deleted_s)

    @property
    def options(self) -> dict[str, Any]:
        """What is compared, as plain values for ``study.json``."""
        return options(self.strategies, self.baseline, len(self.seeds), self._precision)

    @property
    def groupings(self) -> tuple[str, ...]:
        """What `by` can group by: all but ``node`` or another of which there are too many.

        In the long run there is nothing, as that is estimated over all requests.
        """
        if self.scenario.study.steady_state:
            return ()
        return tuple(
            by for by in SAVED_GROUPINGS if all(by in each.measures for each in self.records)
        )

    @property
    def replications(self) -> DataFrame:
        """A row per strategy, replication and group: what each run measured over its window.

        Columns ``strategy, replication, seed, by, group``, then the measures of a summary; *by* is
        ``all``, ``origin``, ``stream``, ``region``, ``node`` or ``capability``, but for those of
        which there are too many groups.
        """
        import pandas as pd

        if "replications" not in self._tables:
            rows, values = [], []
            for each in self.records:
                for by, groups in each.measures.items():
                    where = (each.key["strategy"], each.replication, each.seed, by)
                    rows += [(*where, name) for name in groups.names]
                    values.append(groups.values)
            names = ["strategy", "replication", "seed", "by", "group"]
            table = pd.DataFrame(rows, columns=names)
            measures = pd.DataFrame(np.concatenate(values), columns=list(MEASURES))
            self._tables["replications"] = pd.concat([table, measures], axis=1)
        return self._tables["replications"].copy(deep=False)

    @property
    def cells(self) -> DataFrame:
        """A row per run that was asked for.

        Columns ``strategy, replication, seed, digest, state, error``; *state* is ``done``,
        ``failed``, or ``missing`` where the study was interrupted. *error* is empty but for a
        failed run.
        """
        import pandas as pd

        failures = {(each.key["strategy"], each.replication): each for each in self.failures}
        rows = []
        for run in self.planned:
            name, number = run.cell.key["strategy"], run.cell.replication
            found = self._of.get((name, number)) or failures.get((name, number))
            row = {"strategy": name, "replication": number, "seed": run.seed}
            rows.append(row | state_of(found))
        return pd.DataFrame(rows)

    def estimates(self, by: str | None = None) -> DataFrame:
        """Return a row per strategy: the mean of each measure with its confidence interval.

        Column ``strategy``, in the order given, then ``replications``, the number of runs that are
        done, and each measure's mean over them, with the ends of its interval as
        ``<measure>_low`` and ``<measure>_high``. What is not worth believing is NaN, and
        ``withheld`` says why.

        Args:
            by: ``origin``, ``stream``, ``region``, ``node`` or ``capability`` for a row per
                strategy and group, with the column *by* next to the strategy; None for all
                requests.

        Raises:
            ResultsError: A comparison cannot be grouped so, or the long run is asked for, of which
                there are estimates of all requests alone.
        """
        table = self._estimated(by or ALL).reset_index(names=["strategy", by or "group"])
        done = {name: len(digests) for name, digests in self.digests.items()}
        table.insert(2, "replications", table["strategy"].map(done))
        return table.drop(columns="group") if by is None else table

    def summary(self) -> DataFrame:
        """Return a row per strategy, best first.

        Columns ``rank``, ``replications`` and ``probability_best`` (the share of 10,000 sets of
        replications, drawn again from those there are, in which it ranks first), then each
        measure's mean over replications and, as ``<measure>_low`` and ``<measure>_high``, the ends
        of its confidence interval. The rank is by goodput share, then by success rate and
        99th percentile of the latency where that is equal.
        """
        table = self._estimated(ALL).droplevel("group").loc[self.ranking()]
        chances = self._chances_of_best()
        table.insert(0, "probability_best", [chances[str(name)] for name in table.index])
        table.insert(0, "replications", len(self.seeds))
        table.insert(0, "rank", range(1, len(table) + 1))
        return table

    def by(self, by: str) -> DataFrame:
        """Return a row per group and strategy, with the measures of ``summary``.

        Args:
            by: ``origin``, ``stream``, ``region``, ``node`` or ``capability``.

        Raises:
            ResultsError: A comparison cannot be grouped so.
        """
        table = self._estimated(by)
        groups = list(dict.fromkeys(table.index.get_level_values("group")))
        order = [(name, group) for group in groups for name in self.ranking()]
        return table.loc[[pair for pair in order if pair in table.index]].swaplevel()

    def ranking(self, measure: str = CHIEF) -> list[str]:
        """Return the strategies, best first by *measure*.

        By a measure of successful requests, those whose success rate is shown to be worse than the
        highest come last.

        Raises:
            ResultsError: There is no such measure, or none of its directions is better.
        """
        means = {
            name: {each: self._estimate(name, each).mean for each in MEASURES}
            for name in self.strategies
        }
        return ranked(self.strategies, means, measure, self._fails_more)

    def comparable(self, measure: str) -> list[str]:
        """Return the strategies that *measure* can be compared for, in the order given.

        These are all, except for a measure of successful requests: there, those whose success
        rate is no worse.
        """
        if not measure_of(measure).successes_only:
            return list(self.strategies)
        return [name for name in self.strategies if not self._fails_more(name)]

    def differences(self, measure: str, baseline: str | None = None) -> DataFrame:
        """Return how each other strategy differs from the baseline, best ranked first.

        Args:
            measure: A measure of ``summary``.
            baseline: What to set the others against; None for the comparison's own.

        Returns:
            Indexed by strategy: ``difference`` (strategy minus baseline, mean over seeds), ``low``
            and ``high`` of its confidence interval, ``relative`` (the difference as a share
            of the baseline's mean) with ``relative_low`` and ``relative_high``, ``narrowed`` (the
            factor by which pairing by seed narrowed the interval), ``replications`` (seeds on
            which both have a value), ``p`` (the difference's p-value), ``p_holm`` (the same by
            Holm's method, with an allowance for the number of strategies) and ``verdict``, which
            goes by ``p_holm``; see ``fedsim.studies.statistics``.

        Raises:
            ResultsError: There is no such measure or strategy.
        """
        import pandas as pd

        measure_of(measure)
        against = self._known(baseline or self.baseline)
        others = [name for name in self.ranking() if name != against]
        # The baseline's own row gives the columns where there is nothing else to compare.
        found = [self._paired(name, against, measure) for name in (against, *others)]
        together = [math.nan, *holm([each.p for each in found[1:]])]
        rows = []
        for name, each, p in zip((against, *others), found, together, strict=True):
            success = self._paired(name, against, "success_rate")
            row = _difference(each) | {"p_holm": float(p)}
            rows.append(row | {"verdict": judged(measure, each, p, success, self.confidence)})
        return pd.DataFrame(rows, index=pd.Index([against, *others], name="strategy")).iloc[1:]

    def no_worse(self, measure: str, margin: float, baseline: str | None = None) -> DataFrame:
        """Return whether each other strategy is no worse than the baseline, but for a margin.

        Args:
            measure: A measure of ``summary`` of which one direction is better.
            margin: The difference that does not matter, > 0: in percentage points as a share (0.01
                for one point) for a measure that is a share, else relative to the baseline.
            baseline: What to compare the others with; None for the comparison's own.

        Returns:
            Indexed by strategy: ``difference`` (relative, or in shares), ``low`` and ``high`` of
            its interval of 90 %, ``p`` of being worse by the margin or more, ``no_worse`` (*p* is
            below 5 %) and ``equal`` (and so is that of being better by as much: two one-sided
            tests). Another ``study.confidence`` than 95 % changes both accordingly.

        Raises:
            ResultsError: There is no such measure or strategy, or neither more nor less of the
                measure is better.
            ArgumentError: The margin is not above 0.
        """
        import pandas as pd

        facts = rankable(measure)
        require_between(margin, "margin", 0.0, math.inf)
        against = self._known(baseline or self.baseline)
        others = [name for name in self.ranking() if name != against]
        rows = []
        for name in (against, *others):
            values, base = self.values(name, measure), self.values(against, measure)
            found = equivalence(
                values, base, margin, relative=facts.unit != "%", confidence=self.confidence
            )
            p = found.p_high if facts.better == "lower" else found.p_low
            shown = found.difference
            row = {"difference": shown.mean, "low": shown.low, "high": shown.high, "p": p}
            row |= {"no_worse": p < 1.0 - self.confidence, "equal": found.p < 1.0 - self.confidence}
            rows.append(row)
        return pd.DataFrame(rows, index=pd.Index([against, *others], name="strategy")).iloc[1:]

    @property
    def withheld(self) -> DataFrame:
        """A row per strategy and measure that runs have values of, and that has no estimate.

        Columns ``strategy, measure, reason``: a percentile of fewer than 10 / (1 − q) requests over
        all replications, or of a saturated strategy; in the long run, of runs that are too short.
        """
        import pandas as pd

        rows = [
            (name, measure, reason)
            for name in self.strategies
            for measure, reason in self._believed(name).withheld.items()
        ]
        return pd.DataFrame(rows, columns=pd.Index(["strategy", "measure", "reason"]))

    @property
    def objectives(self) -> DataFrame:
        """A row per strategy and bound of the objective; empty without one.

        Columns ``strategy, key, objective, stream, limit, mean, mean_low, mean_high, held,
        replications, missing``: *key* is the bound's in the scenario, *objective* its measure;
        *stream* is the one whose own bound it is, empty for the common bound; *held* is the number
        of replications that held it; *missing* says why no replication has a value, such as ``no
        tokens``, and is empty where one has; *decided* is false for a percentile of fewer than
        10 / (1 − q) requests over all replications, whose mean is NaN. Each replication is judged
        over its own window.
        """
        import pandas as pd

        rows = []
        for name in self.ranking():
            for parts in self.verdicts(name):
                first = parts[0]
                bounds = (0.0, math.inf if first.objective.endswith("_s") else 1.0)
                decided = self.decided(name, first)
                values = [part.value if decided else math.nan for part in parts]
                found = estimate(values, bounds, self.confidence)
                row = {
                    "strategy": name,
                    "key": first.key,
                    "objective": first.objective,
                    "stream": first.stream or "",
                    "limit": first.limit,
                    "mean": found.mean,
                    "mean_low": found.low,
                    "mean_high": found.high,
                    "held": sum(part.held for part in parts),
                    "replications": len(parts),
                    "missing": first.missing if all(part.missing for part in parts) else "",
                    "decided": decided,
                }
                rows.append(row)
        columns = ["strategy", "key", "objective", "stream", "limit", "mean", "mean_low"]
        columns += ["mean_high", "held", "replications", "missing", "decided"]
        return pd.DataFrame(rows, columns=pd.Index(columns))

    def decided(self, strategy: str, bound: Verdict) -> bool:
        """Return whether a bound rests on enough successful requests to be decided."""
        share = percentile_of(bound.objective)
        if share is None:
            return True
        rows = self.replications
        by, group = (ALL, ALL) if bound.stream is None else ("stream", bound.stream)
        chosen = (rows["strategy"] == strategy) & (rows["by"] == by) & (rows["group"] == group)
        of_it = rows[chosen.to_numpy(dtype=bool)]
        return belief(float((of_it["requests"] * of_it["success_rate"]).sum()), share) != "none"

    @property
    def saturated(self) -> dict[str, float]:
        """The strategies that were saturated, with the rate of requests in 1/s.

        As much or more is offered than all nodes together can serve, and the requests in the system
        grow over the window. Latencies then say how long the window is, and little else.
        """
        if self._saturated is None:
            self._saturated = {}
            if is_overloaded(self.scenario):
                window_s = self.scenario.duration_s - self.scenario.warmup_s
                for name in self.strategies:
                    of_it = self._records(name)
                    if len(of_it) > 1 and grows([each.in_system for each in of_it]):
                        requests = np.mean([each.value("requests") for each in of_it])
                        self._saturated[name] = float(requests) / window_s
        return dict(self._saturated)

    @property
    def holding(self) -> list[str]:
        """The strategies that held every bound of the objective in every replication."""
        return [
            name
            for name in self.ranking()
            if all(part.held for parts in self.verdicts(name) for part in parts)
        ]

    def verdicts(self, strategy: str) -> Iterator[tuple[Verdict, ...]]:
        """Yield the verdicts of a strategy's replications on each bound of the objective."""
        runs = [each.objective for each in self._records(strategy)]
        yield from zip(*runs, strict=True)

    @property
    def outcomes(self) -> DataFrame:
        """Number of requests by outcome, the warm-up's included.

        Indexed by strategy and replication, a column per outcome that ever came.
        """
        import pandas as pd

        index = pd.MultiIndex.from_tuples(list(self._of), names=["strategy", "replication"])
        table = pd.DataFrame([each.outcomes for each in self.records], index=index)
        return table.fillna(0).astype("int64")

    @property
    def digests(self) -> dict[str, tuple[str, ...]]:
        """The digest of each run that was done by strategy, in the order of replications."""
        return {
            name: tuple(each.digest for each in self.records if each.key["strategy"] == name)
            for name in self.strategies
        }

    @property
    def runs(self) -> Mapping[str, Run]:
        """The first replication of each strategy as a whole run."""
        return {name: run for name, number, run in self.kept if number == 0}

    def run(self, strategy: str, replication: int = 0) -> Run:
        """Return a whole run.

        Raises:
            ResultsError: There is none, or it was not kept; ``compare(..., keep="all")`` keeps
                every run.
        """
        self._known(strategy)
        if replication not in range(len(self.seeds)):
            msg = f"there are the replications 0 to {len(self.seeds) - 1}, and no {replication!r}"
            raise ResultsError(msg)
        record = self._of.get((strategy, replication))
        run = None if record is None else self.whole(record)
        if run is None:
            msg = (
                f"the run of {strategy} in replication {replication} was not kept; "
                'compare(..., keep="all") keeps every run'
            )
            raise ResultsError(msg)
        return run

    @property
    def kept(self) -> list[tuple[str, int, Run]]:
        """Every whole run, with its strategy and replication."""
        whole = [(name, number, self.whole(each)) for (name, number), each in self._of.items()]
        return [(name, number, run) for name, number, run in whole if run is not None]

    def whole(self, record: Record) -> Run | None:
        """Return the whole run of a record where it was kept, read once from the directory."""
        if record.run is not None or self.store is None or not record.kept:
            return record.run
        if record.id not in self._runs:
            self._runs[record.id] = self.store.run(record)
        return self._runs[record.id]

    @property
    def warnings(self) -> list[str]:
        """What a user should know before trusting the numbers, as sentences."""
        own = []
        if len(self.seeds) == 1:
            own.append(
                "One replication gives no confidence intervals, and shows no differences; "
                "five or more are better."
            )
        runs = [(each.key["strategy"], each.seed, each.warnings) for each in self.records]
        found = merged_warnings(runs, len(self.seeds))
        own += [
            f"{name}: saturated at {rate:.3g} req/s: more is offered than the fleet can serve, and "
            "the requests in the system grow over the window. Its latencies depend on the window's "
            "length; percentiles are not shown."
            for name, rate in self.saturated.items()
        ]
        own += not_steady(self.scenario)
        own += [*self._inexact(), *self._failed(), *self._partly_measured(), *self._refused()]
        return [*own, *found]

    def _refused(self) -> list[str]:
        """Say where the long run cannot be estimated."""
        if not self.scenario.study.steady_state:
            return []
        return [
            f"{name}, in the long run there is no estimate of {text}."
            for name in self.strategies
            for text in reasons(self._believed(name).withheld)
        ]

    def _inexact(self) -> list[str]:
        """Say where there were not enough replications for the precision that was asked for."""
        if self.reached.enough:
            return []
        return [
            f"{len(self.seeds)} replications, the most allowed (study.max_replications), do not "
            f"give the precision asked for: {reached_in_words(self.reached)}."
        ]

    @property
    def plot(self) -> ComparisonPlots:
        """The charts: ``latency()``, ``ranking()``, ``differences()``, and those of single runs."""
        from fedsim.studies.plots import ComparisonPlots

        return ComparisonPlots(self)

    def save(self, directory: str | os.PathLike[str], *, charts: bool = True) -> Path:
        """Write the comparison to a directory; that of its own store gets what is missing there.

        It holds ``scenario.yaml``, ``study.json``, ``summary.json``, ``comparison.parquet`` (a
        row per strategy and measure), ``replications.parquet``, ``charts/``, and in ``runs/`` a
        file for each run, and the directory of each that was kept.

        Args:
            directory: Its name. One that fedsim wrote is replaced.
            charts: Whether to draw the charts, some seconds' work.

        Returns:
            The directory.

        Raises:
            ResultsError: Something else has that name, or it cannot be written.
        """
        from fedsim.studies.storage import save

        return save(self, directory, charts=charts)

    def _estimated(self, by: str) -> DataFrame:
        """Return means with the ends of their intervals, indexed by strategy and group.

        Raises:
            ResultsError: A comparison cannot be grouped so, or not in the long run.
        """
        import pandas as pd

        if by not in (ALL, *SAVED_GROUPINGS):  # no set: a list has no hash
            choices = ", ".join(SAVED_GROUPINGS)
            msg = f"a comparison cannot be grouped by {by!r}; choose one of {choices}"
            raise ResultsError(msg)
        require_windows(self.scenario, by)
        if by not in self._tables:
            index, values = [], []
            for strategy, group, rows in self._grouped(by):
                found = measured(rows, self.confidence)
                index.append((strategy, group))
                values.append(np.column_stack([found.mean, found.low, found.high]).reshape(-1))
            columns = [name + end for name in MEASURES for end in ("", LOW, HIGH)]
            names = pd.MultiIndex.from_tuples(index, names=["strategy", "group"])
            self._tables[by] = pd.DataFrame(np.array(values), index=names, columns=columns)
        return self._tables[by].copy(deep=False)

    def _grouped(self, by: str) -> Iterator[tuple[str, str | None, NDArray[np.float64]]]:
        """Yield each strategy and group with its measures: a row per run that has the group."""
        for strategy in self.strategies:
            if by == ALL:
                yield strategy, ALL, self._believed(strategy).values
                continue
            for group, rows in by_group(self._records(strategy), by).items():
                saturated = strategy in self.saturated
                yield strategy, group, worth_believing(rows, saturated=saturated)[0]

    def _records(self, strategy: str) -> list[Record]:
        return [each for each in self.records if each.key["strategy"] == strategy]

    def _believed(self, strategy: str) -> Believed:
        """Return the values of the runs of a strategy that are worth believing."""
        if strategy not in self._known_values:
            saturated, records = strategy in self.saturated, self._records(strategy)
            found = believed(records, self.scenario, saturated=saturated)
            self._known_values[strategy] = found
        return self._known_values[strategy]

    def values(self, strategy: str, measure: str) -> list[float]:
        """Return a measure over all requests by replication; NaN where it is not worth believing.

        Failed runs have none either.
        """
        done = [each.replication for each in self._records(strategy)]
        values = dict(zip(done, self._believed(strategy).value(measure).tolist(), strict=True))
        return [values.get(number, math.nan) for number in range(len(self.seeds))]

    def _estimate(self, strategy: str, measure: str) -> Estimate:
        key = (strategy, measure)
        if key not in self._known_estimates:
            values, bounds = self.values(strategy, measure), MEASURES[measure].bounds
            self._known_estimates[key] = estimate(values, bounds, self.confidence)
        return self._known_estimates[key]

    def _paired(self, strategy: str, baseline: str, measure: str) -> Difference:
        values, others = self.values(strategy, measure), self.values(baseline, measure)
        return paired_difference(values, others, MEASURES[measure].bounds, self.confidence)

    def _chances_of_best(self) -> dict[str, float]:
        """Return each strategy's probability of being ranked first; NaN for one replication."""
        if len(self.seeds) == 1:
            return dict.fromkeys(self.strategies, math.nan)
        scores = np.array(
            [
                [
                    [ascending(measure, value) for value in self.values(name, measure)]
                    for name in self.strategies
                ]
                for measure in (CHIEF, *TIE_BREAKS)
            ]
        ).transpose(0, 2, 1)
        scores[np.isinf(scores)] = math.nan
        rng = generator(self.scenario.seed, "studies/best")
        return dict(zip(self.strategies, chances_of_best(scores, rng).tolist(), strict=True))

    def _fails_more(self, strategy: str) -> bool:
        rates = {name: self._estimate(name, "success_rate").mean for name in self.strategies}
        best = max(self.strategies, key=lambda name: (rates[name] == rates[name], rates[name]))
        found = self._paired(strategy, best, "success_rate")
        return verdict(found.absolute, "higher", found.p, self.confidence) == "worse"

    def _known(self, strategy: str) -> str:
        if strategy not in self.strategies:
            close = get_close_matches(str(strategy), self.strategies, 1)
            known = ", ".join(self.strategies)
            hint = f"did you mean {close[0]}?" if close else f"there are {known}"
            msg = f"{strategy!r} was not compared; {hint}"
            raise ResultsError(msg)
        return strategy

    def _failed(self) -> list[str]:
        """Say which runs came to nothing."""
        missing = len(self.planned) - len(self.records) - len(self.failures)
        gap = f"{missing} of {len(self.planned)} runs are missing: the study was interrupted."
        return [gap] * bool(missing) + [
            f"{each.key['strategy']}, replication {each.replication} (seed {each.seed}) failed and "
            f"is left out: {each.message.splitlines()[0]}"
            for each in self.failures
        ]

    def _partly_measured(self) -> list[str]:
        """Say where a latency rests on fewer replications than there are."""
        sentences = []
        for name in self.strategies:
            done = self._records(name)
            known = sum(math.isfinite(each.value("latency_p99_s")) for each in done)
            if known < len(done):
                sentences.append(
                    f"{name}: no request succeeded in {len(done) - known} of "
                    f"{len(done)} replications; latencies are computed from the remaining "
                    "replications."
                )
        return sentences


def options(
    strategies: Sequence[str], baseline: str, replications: int, precision: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what a comparison asks, as plain values for ``study.json``."""
    asked = {"strategies": list(strategies), "baseline": baseline, "replications": replications}
    return asked | {"precision": dict(precision)}


def _difference(found: Difference) -> dict[str, float]:
    return {
        "difference": found.absolute.mean,
        "low": found.absolute.low,
        "high": found.absolute.high,
        "relative": found.relative.mean,
        "relative_low": found.relative.low,
        "relative_high": found.relative.high,
        "narrowed": found.narrowed,
        "replications": found.absolute.count,
        "p": found.p,
    }
