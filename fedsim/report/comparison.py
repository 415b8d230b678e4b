"""The report of a comparison: ranking, differences, groups, objective and outcomes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fedsim.document import (
    Block,
    Cell,
    Code,
    Column,
    Document,
    Heading,
    Sentence,
    Style,
    Table,
    figure,
    plain,
    words,
)
from fedsim.report.measures import cells, measured, percentiles, placed, successes
from fedsim.report.parts import Saved, closing, warnings_of
from fedsim.results.belief import needed, percentile_of
from fedsim.results.measures import MEASURES, Measure
from fedsim.results.rundir import SCENARIO
from fedsim.results.slo import in_words
from fedsim.studies.precision import reached_in_words
from fedsim.studies.ranking import CHIEF
from fedsim.studies.repeating import repeat_command

if TYPE_CHECKING:
    from pandas import DataFrame, Series

    from fedsim.studies.comparison import Comparison

_COMPARED = 6
"""Differences are shown of the measures up to this place among the columns of a table."""

CENTRAL = (CHIEF, "latency_p99_s", "ttft_p99_s")
"""The measures that are shown by stream, by region of origin, and of several scenarios."""

_BEST = (
    "best: in how many of 10,000 sets of whole replications, drawn again from those there are, "
    "the strategy ranks first."
)
_NARROWED = (
    "narrowed: how many times narrower the interval of the difference is than it would be without "
    "the same requests and faults for both; about 1 where pairing does not help."
)
_VERDICTS: dict[str, Style] = {"better": "good", "worse": "bad"}


def comparison_report(
    comparison: Comparison, overloads: Sequence[str] = (), saved: Saved | None = None
) -> Document:
    """Return the report of a comparison.

    Args:
        comparison: The comparison.
        overloads: Warnings about the load of its scenario.
        saved: Where it was written, or None for nowhere.
    """
    several = len(comparison.strategies) > 1
    names = f"{len(comparison.strategies)} strategies" if several else "1 strategy"
    blocks: list[Block] = [
        Heading(f"{comparison.scenario.name}: {names}", 1),
        Sentence(_extent(comparison) + _reached(comparison)),
        *_ranking(comparison),
        *(_differences(comparison) if several else []),
        *_groups(comparison, "stream", "stream"),
        *_groups(comparison, "origin", "region of origin"),
        *_objectives(comparison),
        Heading("Outcomes of all requests, warm-up included"),
        _outcomes(comparison),
        *warnings_of([*overloads, *comparison.warnings]),
    ]
    if saved is not None:
        run = comparison.planned[0]
        scenario = str(saved.directory / SCENARIO)
        blocks += closing(saved, _contents(comparison), _charts(comparison))
        blocks += [
            Heading("One run of it, the first"),
            Code(repeat_command(scenario, run), "shell"),
        ]
    return Document(tuple(blocks))


def _extent(comparison: Comparison) -> str:
    seeds = comparison.seeds
    count = "1 replication" if len(seeds) == 1 else f"{len(seeds)} replications"
    text = f"{count} per strategy, on the same requests and faults (seed {comparison.scenario.seed}"
    took = "" if math.isnan(comparison.wall_s) else f", in {plain(comparison.wall_s, 2)} s"
    return f"{text}; replication 0 has the seed {seeds[0]}){took}."


def _reached(comparison: Comparison) -> str:
    """Return how exact the estimates are that were to be so, or nothing."""
    if not comparison.reached.half_widths or not comparison.reached.enough:
        return ""
    return f" Precision reached: {reached_in_words(comparison.reached)}."


def _ranking(comparison: Comparison) -> list[Block]:
    table = comparison.summary()
    names = [
        Column("rank", tuple(figure(rank, "count") for rank in table["rank"])),
        words("strategy", [str(name) for name in table.index]),
    ]
    chances = tuple(figure(100.0 * chance, digits=2) for chance in table["probability_best"])
    several = len(table) > 1 and table["probability_best"].notna().all()
    best = [Column("best", chances, "%", 2, note=_BEST)] if several else []
    withheld = percentiles(comparison.withheld["measure"])
    text = (
        "Goodput: share of requests served within the objective, or within their stream's own "
        f"max_latency. A percentile is {_percentile(comparison)}. "
        "Percentiles cover successful requests only: a strategy whose slow requests fail looks "
        "fast, so compare success rates first."
    )
    blocks: list[Block] = [
        Heading(f"Ranking by goodput ({comparison.target})"),
        Table((*names, *best, *measured(placed(tokens=False), table, withheld)), "summary.json"),
    ]
    of_tokens = measured(placed(tokens=True), table, withheld)
    blocks += [Table((*names, *of_tokens), "summary.json")] if of_tokens else []
    return [*blocks, Sentence(ties(comparison) + text)]


def _percentile(comparison: Comparison) -> str:
    """Return what a percentile is in words."""
    if comparison.scenario.study.steady_state:
        return "that of the requests of all replications together"
    return "the mean over replications of each run's percentile"


def ties(comparison: Comparison) -> str:
    """Return a sentence on the strategies that may be as good as the first, or nothing."""
    first = comparison.ranking()[0]
    table = comparison.differences(CHIEF, first)
    equals = list(table.index[(table["verdict"] == "no difference shown").to_numpy(dtype=bool)])
    if not equals or len(comparison.seeds) == 1:
        return ""
    return f"Not shown to differ in goodput from {first}: {', '.join(equals)}. "


def _differences(comparison: Comparison) -> list[Block]:
    """Return a table of differences from the baseline for each of the chief measures."""
    summary = comparison.summary()
    chosen = [
        measure
        for measure in sorted(placed(), key=lambda each: each.place or 0)
        if (measure.place or 0) <= _COMPARED and summary[measure.name].notna().any()
    ]
    text = f"Differences from {comparison.baseline}, paired by seed ({comparison.target})"
    counts = successes(summary)
    counts = counts.clip(upper=counts[comparison.baseline])
    tables = [
        _difference(measure, comparison.differences(measure.name), counts) for measure in chosen
    ]
    note = (
        "Each interval holds for itself; a verdict allows for the number of strategies (Holm), "
        f"so that {100.0 * comparison.confidence:g} % of studies show no difference where there is "
        "none."
    )
    return [Heading(text), *tables, *([Sentence(note)] if len(summary) > 2 else [])]


def _difference(measure: Measure, table: DataFrame, counts: Series[float]) -> Table:
    shares = table[["relative", "relative_low", "relative_high"]].to_numpy(dtype=float).tolist()
    relative = tuple(
        figure(share, "percent", interval=(low, high), signed=True) for share, low, high in shares
    )
    narrowed = tuple(figure(factor, "decimals", 1) for factor in table["narrowed"])
    rests_on = counts.loc[table.index].tolist()
    ends = ("low", "high")
    differences = cells(measure, table, "difference", ends, counts=rests_on, signed=True)
    return Table(
        (
            words("strategy", [str(name) for name in table.index]),
            Column(measure.heading, differences, measure.difference_unit),
            Column("relative", relative, "%", 1),
            Column("narrowed", narrowed, "×", 2, note=_NARROWED),
            words("verdict", table["verdict"].tolist(), styles=_VERDICTS),
        )
    )


def _contents(comparison: Comparison) -> tuple[str, ...]:
    """Return what the directory holds; a large fleet has no measures by node."""
    *most, last = (
        by for by in ("stream", "origin", "region", "node") if by in comparison.groupings
    )
    by = f"{', '.join(most)} and {last}"
    return (
        "comparison.parquet: every measure of each strategy, with its difference from the baseline",
        f"replications.parquet: every measure of each run, by {by}",
        "summary.json: the same as JSON; scenario.yaml, study.json: what was run, with every seed",
        "runs/: what each run came to, and the first run of each strategy, for fedsim explain",
    )


def _groups(comparison: Comparison, by: str, title: str) -> list[Block]:
    """Return a table for each of ``CENTRAL`` with a column per group, if there are several."""
    if by not in comparison.groupings:
        return []
    table = comparison.by(by)
    groups = [group for group in table.index.unique("group") if isinstance(group, str)]
    if len(groups) < 2:
        return []
    order = comparison.ranking()
    counts = successes(table, len(comparison.seeds)).unstack("group").reindex(order)
    blocks: list[Block] = []
    for measure in (MEASURES[name] for name in CENTRAL if table[name].notna().any()):
        values = table[measure.name].unstack("group").reindex(order)
        columns = [words("strategy", order)]
        columns += [
            Column(group, cells(measure, values, group, counts=counts[group].tolist()), rank=rank)
            for rank, group in enumerate(groups, start=1)
        ]
        name = f"{measure.words[:1].upper()}{measure.words[1:]} by {title}, {measure.unit}"
        heading = f"{name} ({comparison.target})"
        blocks += [Heading(heading), Table(tuple(columns), "replications.parquet")]
    return blocks


def _objectives(comparison: Comparison) -> list[Block]:
    """Return in how many replications each strategy held each bound."""
    table = comparison.objectives
    if table.empty:
        return []
    columns = [words("strategy", comparison.ranking())]
    bounds = table.groupby(["key", "stream"], sort=False)
    for rank, (_, part) in enumerate(bounds, start=1):
        rows = part.to_dict("records")
        first = rows[0]
        held = [Cell(row["held"], text=row["missing"] or _held(row)) for row in rows]
        bound = in_words(first["key"], first["limit"], first["stream"] or None)
        columns.append(Column(bound, tuple(held), rank=rank))
    heading = Heading("Objective: replications that held it over their window")
    blocks: list[Block] = [heading, Table(tuple(columns), "summary.json")]
    if not comparison.holding:
        text = "No strategy held the whole objective in every replication."
        blocks.append(Sentence(text, "bad"))
    return blocks


def _held(row: dict[Any, Any]) -> str:
    """Return in how many replications a bound was held, or that this cannot be decided."""
    if row["decided"]:
        return f"{row['held']} of {row['replications']}"
    return f"not decided: needs {needed(percentile_of(row['objective']) or 0.0):,} requests"


def _outcomes(comparison: Comparison) -> Table:
    totals = comparison.outcomes.groupby("strategy", sort=False).sum().loc[comparison.ranking()]
    counts = {str(name): totals[name] for name in totals.columns if totals[name].any()}
    order = sorted(counts, key=lambda name: -sum(counts[name].tolist()))
    columns = [
        Column(name, tuple(figure(count, "count") for count in counts[name]), rank=rank)
        for rank, name in enumerate(order)
    ]
    names = words("strategy", [str(name) for name in totals.index])
    return Table((names, *columns), "summary.json")


def _charts(comparison: Comparison) -> list[tuple[str, str]]:
    charts = [
        (f"{time}.png", f"{words} of successful requests by strategy")
        for time, words in comparison.plot.times.items()
    ]
    for name in comparison.plot.measures:
        title = MEASURES[name].words
        charts.append((f"ranking-{name}.png", f"{title} by strategy"))
        if len(comparison.strategies) > 1:
            charts.append((f"differences-{name}.png", f"differences in {title}"))
    return charts
