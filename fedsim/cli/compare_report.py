"""What ``fedsim compare`` prints on a terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fedsim.cli.figures import MISSING, percent, plain, with_interval
from fedsim.cli.output import closing, heading, paragraph, sentences, stdout
from fedsim.cli.tables import Column, print_table

if TYPE_CHECKING:
    from rich.console import Console

    from fedsim.studies.comparison import Comparison

_RANKED = (
    ("goodput_share", "goodput %", 1),
    ("success_rate", "success %", 2),
    ("latency_p99_s", "p99 s", 3),
    ("latency_p50_s", "p50 s", 4),
    ("cost_usd_per_1k_ok", "USD/1,000 ok", 5),
    ("queue_wait_mean_s", "wait s", 6),
    ("attempts_per_request", "attempts", 7),
    ("cross_region_share", "elsewhere %", 8),
    ("imbalance", "imbalance", 9),
)
"""Measure, heading with unit, and rank; see ``Column``."""

_DIFFERENCES = (
    ("goodput_share", "goodput, points"),
    ("success_rate", "success rate, points"),
    ("latency_p99_s", "latency p99, s"),
    ("latency_p50_s", "latency p50, s"),
)
_COLOURS = {"better": "green", "worse": "red"}


def print_comparison(
    comparison: Comparison, overloads: list[str], directory: Path, repeat: str
) -> None:
    """Print a comparison: ranking, differences, groups, outcomes, warnings and directory."""
    console = stdout()
    _print_title(console, comparison)
    _print_ranking(console, comparison)
    if len(comparison.strategies) > 1:
        _print_differences(console, comparison)
    for by, title in (("stream", "stream"), ("origin", "region of origin")):
        _print_groups(console, comparison, by, title)
    _print_objectives(console, comparison)
    _print_outcomes(console, comparison)
    warnings = [*overloads, *comparison.warnings]
    if warnings:
        heading(console, "Warnings")
        sentences(console, warnings, "yellow")
    closing(console, directory, "DataFrames as Parquet, summary.json, charts", repeat)


def _print_title(console: Console, comparison: Comparison) -> None:
    seeds = comparison.seeds
    names = len(comparison.strategies)
    title = f"{comparison.scenario.name}: {names} {'strategies' if names > 1 else 'strategy'}"
    console.print(title, style="bold")
    span = f"seed {seeds[0]}" if len(seeds) == 1 else f"seeds {seeds[0]} to {seeds[-1]}"
    count = "1 replication" if len(seeds) == 1 else f"{len(seeds)} replications"
    text = f"{count} each, on the same requests and faults ({span})"
    paragraph(console, f"{text}, in {plain(comparison.wall_s, 2)} s.")


def _print_ranking(console: Console, comparison: Comparison) -> None:
    heading(console, "Ranking by goodput: mean ± half-width of its 95 % confidence interval")
    table = comparison.summary()
    columns = [
        Column("", [str(rank) for rank in table["rank"]]),
        Column("strategy", list(table.index), left=True),
    ]
    for measure, title, rank in _RANKED:
        if not table[measure].notna().any():
            continue
        scale = 100.0 if title.endswith("%") else 1.0
        pairs = zip(table[measure] * scale, table[f"{measure}_ci95"] * scale, strict=True)
        columns.append(Column(title, [with_interval(*pair) for pair in pairs], rank))
    print_table(console, columns)
    console.print()
    text = (
        "Goodput: served within the objective, or within the stream's own max_latency. "
        "Percentiles: of successful requests, so read them beside the success rate."
    )
    paragraph(console, _ties(comparison) + text)


def _ties(comparison: Comparison) -> str:
    """Return a sentence on the strategies that may be as good as the first, or nothing."""
    first = comparison.ranking()[0]
    table = comparison.differences("goodput_share", first)
    equals = list(table.index[(table["verdict"] == "no difference shown").to_numpy(dtype=bool)])
    if not equals or len(comparison.seeds) == 1:
        return ""
    return f"Not shown to differ in goodput from {first}: {', '.join(equals)}. "


def _print_differences(console: Console, comparison: Comparison) -> None:
    heading(console, f"Against {comparison.baseline} on the same seeds: mean difference, 95 %")
    rows: list[tuple[str, str, str, str]] = []
    for measure, title in _DIFFERENCES:
        rows.append((title, "", "", ""))
        scale = 100.0 if title.endswith("points") else 1.0
        for name, row in comparison.differences(measure).iterrows():
            value = with_interval(row["difference"] * scale, row["ci95"] * scale, signed=True)
            rows.append((f"  {name}", value, _relative(row["relative"]), row["verdict"]))
    names, values, relatives, verdicts = zip(*rows, strict=True)
    columns = [
        Column("", names, left=True),
        Column("difference", values),
        Column("relative", relatives, 1),
        Column("", verdicts, left=True),
    ]
    print_table(console, columns, colours=_COLOURS)


def _relative(share: float) -> str:
    return MISSING if share != share else f"{100.0 * share:+.1f} %"  # noqa: PLR0124 - NaN


def _print_groups(console: Console, comparison: Comparison, by: str, title: str) -> None:
    """Print goodput and 99th percentile by group, a column each."""
    table = comparison.by(by)
    groups = [group for group in table.index.unique("group") if isinstance(group, str)]
    if len(groups) < 2:
        return
    order = comparison.ranking()
    columns = [Column("strategy", order, left=True)]
    for rank, group in enumerate(groups, start=1):
        part = table.xs(group).reindex(order)
        pairs = zip(part["goodput_share"], part["latency_p99_s"], strict=True)
        cells = [f"{percent(goodput)} %  {plain(p99_s)} s" for goodput, p99_s in pairs]
        columns.append(Column(group, cells, rank))
    heading(console, f"By {title}: goodput and 99th percentile of the latency")
    left_out = print_table(console, columns)
    if left_out:
        names = ", ".join(column.heading for column in left_out)
        console.print(f"  Not shown: {names}; see replications.parquet.", style="dim")


def _print_objectives(console: Console, comparison: Comparison) -> None:
    table = comparison.objectives
    if table.empty:
        return
    columns = [Column("strategy", comparison.ranking(), left=True)]
    for name, part in table.groupby("objective", sort=False):
        seconds = str(name).endswith("_s")
        limit = float(part["limit"].iloc[0])
        bound = f"≤ {limit:g} s" if seconds else f"≥ {100.0 * limit:g} %"
        cells = [f"held in {row.held} of {row.replications}" for row in part.itertuples()]
        columns.append(Column(f"{str(name).removesuffix('_s')} {bound}", cells))
    heading(console, "Objective")
    print_table(console, columns)


def _print_outcomes(console: Console, comparison: Comparison) -> None:
    heading(console, "Outcomes of all requests, warm-up included")
    totals = comparison.outcomes.groupby("strategy", sort=False).sum()
    lines = []
    for name in comparison.ranking():
        counts = [(int(totals[outcome][name]), outcome) for outcome in totals.columns]
        counts.sort(key=lambda pair: -pair[0])
        parts = [f"{count:,} {outcome}" for count, outcome in counts if count]
        lines.append(f"{name}: {', '.join(parts)}")
    sentences(console, lines)
