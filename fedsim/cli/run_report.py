"""What ``fedsim run`` prints on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fedsim.cli.figures import duration, percent, plain
from fedsim.cli.output import closing, heading, paragraph, sentences, stdout
from fedsim.cli.tables import Column, print_table

if TYPE_CHECKING:
    from pandas import DataFrame
    from rich.console import Console

    from fedsim.results.run import Run
    from fedsim.scenario.spec import Scenario

_COLUMNS = (
    ("goodput_share", "goodput %", 1),
    ("success_rate", "success %", 2),
    ("latency_p50_s", "p50 s", 4),
    ("latency_p90_s", "p90 s", 8),
    ("latency_p95_s", "p95 s", 10),
    ("latency_p99_s", "p99 s", 3),
    ("latency_p999_s", "p99.9 s", 7),
    ("queue_wait_mean_s", "wait s", 5),
    ("attempts_per_request", "attempts", 6),
    ("cross_region_share", "elsewhere %", 9),
)
"""Measure, heading with unit, and rank; see ``Column``."""

_TOKEN_COLUMNS = (
    ("ttft_p50_s", "ttft p50 s", 2),
    ("ttft_p90_s", "ttft p90 s", 6),
    ("ttft_p99_s", "ttft p99 s", 1),
    ("tpot_p50_s", "tpot p50 s", 4),
    ("tpot_p99_s", "tpot p99 s", 5),
    ("cache_hit_share", "cached %", 3),
)
"""The same for requests whose tokens have times."""


def print_run(
    run: Run, scenario: Scenario, warnings: list[str], directory: Path, repeat: str
) -> None:
    """Print a run: its summary by stream and origin, objective, warnings and directory."""
    console = stdout()
    console.print(f"{run.name}: {run.strategy}, seed {run.seed}", style="bold")
    paragraph(console, _coverage(run, scenario))
    heading(console, "By stream, with latency percentiles of the successful requests")
    streams, whole = run.summary("stream"), run.summary()
    _print_groups(console, _COLUMNS, streams, whole)
    if whole["ttft_p50_s"].notna().any():
        heading(console, "By stream, time to the first token and time per output token")
        _print_groups(console, _TOKEN_COLUMNS, streams[streams["ttft_p50_s"].notna()], whole)
    heading(console, "By region of origin")
    _print_groups(console, _COLUMNS, run.summary("origin"))
    heading(console, "Requests and nodes")
    sentences(console, [_outcomes(run), _fleet(run), *_engines(run, scenario)])
    if run.verdicts():
        heading(console, "Objective")
        for verdict in run.verdicts():
            sentences(console, [str(verdict)], "green" if verdict.held else "red")
    if warnings:
        heading(console, "Warnings")
        sentences(console, warnings, "yellow")
    closing(console, directory, "tables as Parquet, summary.json, charts", repeat)


def _coverage(run: Run, scenario: Scenario) -> str:
    total, counted = len(run.requests), len(run.in_window)
    text = f"{total:,} requests in {duration(run.duration_s)}"
    if scenario.warmup_s:
        text += f"; the figures cover the {counted:,} after {duration(run.warmup_s)} of warm-up"
    return f"{text}. Simulated in {plain(run.wall_s, 2)} s."


def _print_groups(
    console: Console,
    measures: Sequence[tuple[str, str, int]],
    groups: DataFrame,
    whole: DataFrame | None = None,
) -> None:
    import pandas as pd

    by = groups.index.name
    table = groups if whole is None or len(groups) == 1 else pd.concat([groups, whole])
    columns = [
        Column(str(by), [str(name) for name in table.index], left=True),
        Column("requests", [f"{count:,}" for count in table["requests"]]),
    ]
    for measure, title, rank in measures:
        if table[measure].notna().any():
            form = percent if title.endswith("%") else plain
            columns.append(Column(title, [form(value) for value in table[measure]], rank))
    print_table(console, columns)


def _outcomes(run: Run) -> str:
    requests = run.requests
    counts = requests["outcome"].value_counts()
    text = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    unsent = int(((requests["outcome"] == "no_capacity") & (requests["attempts"] == 0)).sum())
    return f"Outcomes: {text}" + (f"; {unsent:,} were never sent to a node" if unsent else "")


def _fleet(run: Run) -> str:
    row = run.summary().iloc[0]
    facts = [
        f"Nodes: {percent(row['utilization_mean'])} % of their time in use",
        f"the busiest of a pool {plain(row['imbalance'])} times as busy as its mean",
        f"{percent(row['wasted_share'])} % of busy time wasted",
    ]
    if row["cost_usd_per_hour"] == row["cost_usd_per_hour"]:
        facts.append(f"{plain(row['cost_usd_per_hour'])} USD/h")
        facts.append(f"{plain(row['cost_usd_per_1k_ok'])} USD per 1,000 successful requests")
    return ", ".join(facts)


def _engines(run: Run, scenario: Scenario) -> list[str]:
    """Return how engines were used: time in steps, batch, cache, preemptions; nothing without."""
    pools = {pool.name: pool.engine for pool in scenario.world.pools if pool.engine is not None}
    room = {
        node.name: pools[node.pool].kv_blocks * pools[node.pool].block_tokens
        for node in run.directory.nodes
        if node.pool in pools
    }
    if not room:
        return []
    totals, samples = run.node_totals.set_index("node"), run.nodes
    in_steps = totals.loc[list(room), "window_busy_s"].mean() / (run.duration_s - run.warmup_s)
    facts = [f"Engines: {percent(in_steps)} % of their time in steps"]
    window = samples["time_s"].between(run.warmup_s, run.duration_s, inclusive="left")
    samples = samples[window & samples["node"].isin(list(room))]
    if len(samples):
        held = samples["kv_used_tokens"] / samples["node"].astype("str").map(room)
        facts.append(f"{plain(samples['running'].mean())} requests running at a time")
        facts.append(f"{percent(held.mean())} % of the KV cache held")
    counts = run.in_window["preemptions"].dropna()
    total, struck = int(counts.sum()), int((counts > 0).sum())
    struck_by = f"{total:,} preemptions, of {struck:,} of {len(counts):,} requests served"
    facts.append(struck_by if total else "no preemptions")
    return [", ".join(facts)]
