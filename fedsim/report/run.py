"""The report of one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fedsim.document import (
    Block,
    Cell,
    Column,
    Document,
    Heading,
    Sentence,
    Style,
    Table,
    figure,
    percent,
    plain,
    words,
)
from fedsim.report.measures import measured, placed
from fedsim.report.parts import Saved, closing, warnings_of
from fedsim.results.finding import ADVICE
from fedsim.results.slo import Bounded, limit_in_words
from fedsim.scenario.scalers import scaled_pools
from fedsim.scenario.units import DURATION

if TYPE_CHECKING:
    from pandas import DataFrame

    from fedsim.results.measures import Measure
    from fedsim.results.run import Run
    from fedsim.results.slo import Verdict
    from fedsim.scenario.spec import Scenario

_CONTENTS = (
    "*.parquet: tables of requests, attempts, nodes and events (docs/tables.md)",
    "summary.json: every measure, by stream, origin, region, node and capability",
    "scenario.yaml: the scenario with its defaults; manifest.json: seed, digest, versions",
)
_CHARTS = {
    "latency": "latency of successful requests",
    "ttft": "time to first token of successful requests",
    "tpot": "time per output token of successful requests",
    "timeline": "load, outcomes and latency over time",
    "utilization": "utilization of each node over time",
    "scaling": "nodes ordered, ready and needed in pools with a scaler",
    "states": "what each gateway held of each node's health, and its circuit breakers",
}


def run_report(
    run: Run, scenario: Scenario | None, warnings: Sequence[str], saved: Saved | None = None
) -> Document:
    """Return the report of a run: its summary by stream and origin, objective and warnings.

    Args:
        run: The run.
        scenario: What was run; None where it cannot be read, which leaves out what its engines and
            scalers did.
        warnings: What to know before trusting the numbers.
        saved: Where it was written, or None for nowhere.
    """
    streams, whole = run.summary("stream"), run.summary()
    blocks: list[Block] = [
        Heading(f"{run.name}: {run.strategy}, seed {run.seed}", 1),
        Sentence(_coverage(run)),
        Heading("By stream (latency percentiles cover successful requests)"),
        _groups(placed(tokens=False), streams, whole),
    ]
    tokens = bool(whole["ttft_p50_s"].notna().any())
    if tokens:
        timed = streams[streams["ttft_p50_s"].notna()]
        blocks += [
            Heading("By stream: time to first token (ttft) and time per output token (tpot)"),
            _groups(placed(tokens=True), timed, whole),
        ]
    blocks += [
        Heading("By region of origin"),
        _groups(placed(tokens=False), run.summary("origin")),
        Heading("Requests and nodes"),
        *(Sentence(text, item=True) for text in (_outcomes(run), _fleet(run))),
    ]
    if scenario is not None:
        own = [*_engines(run, scenario), *_scaling(run, scenario)]
        blocks += [Sentence(text, item=True) for text in own]
    if run.verdicts():
        blocks += _objective(run.verdicts())
    blocks += warnings_of(warnings)
    named = [name for text in warnings if (name := text.partition(":")[0]) in ADVICE]
    if saved is not None and named:
        text = f"fedsim explain {saved.directory} 1 shows the evidence for: {named[0]}."
        more = f" 2 to {len(named)} show it for the findings after it." if named[1:] else ""
        blocks.append(Sentence(text + more))
    charts = [(f"{name}.png", _CHARTS[name]) for name in run.plot.names()]
    blocks += closing(saved, _CONTENTS, charts) if saved is not None else []
    return Document(tuple(blocks))


def _coverage(run: Run) -> str:
    total, counted = len(run.requests), len(run.in_window)
    text = f"{total:,} requests in {DURATION.format(run.duration_s)}"
    if run.warmup_s:
        warmup = DURATION.format(run.warmup_s)
        text += f"; measures cover the {counted:,} that arrived after {warmup} of warm-up"
    return f"{text}. Simulated in {plain(run.wall_s, 2)} s."


def _groups(
    measures: Sequence[Measure], groups: DataFrame, whole: DataFrame | None = None
) -> Table:
    """Return a table with a row per group, and one of all requests where there are several."""
    import pandas as pd

    table = groups if whole is None or len(groups) == 1 else pd.concat([groups, whole])
    names = ["(none)" if isinstance(name, float) else str(name) for name in table.index]
    requests = Column("requests", tuple(figure(count, "count") for count in table["requests"]))
    shown = [measure for measure in measures if groups[measure.name].notna().any()]
    columns = [words(str(groups.index.name), names), requests, *measured(shown, table)]
    return Table(tuple(columns), "summary.json")


def _outcomes(run: Run) -> str:
    requests = run.requests
    counts = requests["outcome"].value_counts()
    text = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    unsent = int(((requests["outcome"] == "no_capacity") & (requests["attempts"] == 0)).sum())
    return f"Outcomes: {text}" + (f"; {unsent:,} were never sent to a node." if unsent else ".")


def _fleet(run: Run) -> str:
    row = run.summary().iloc[0]
    facts = [
        f"Nodes: utilization {percent(row['utilization_mean'])} %",
        f"pool imbalance {plain(row['imbalance'])} (busiest node / mean)",
        f"{percent(row['wasted_share'])} % of busy time wasted",
    ]
    if row["cost_usd_per_hour"] == row["cost_usd_per_hour"]:
        facts.append(f"{plain(row['cost_usd_per_hour'])} USD/h")
        facts.append(f"{plain(row['cost_usd_per_1k_ok'])} USD per 1,000 successful requests")
    return f"{', '.join(facts)}."


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
    facts = [f"Engines: {percent(in_steps)} % of the time in steps"]
    window = samples["time_s"].between(run.warmup_s, run.duration_s, inclusive="left")
    samples = samples[window & samples["node"].isin(list(room))]
    if len(samples):
        held = samples["kv_used_tokens"] / samples["node"].astype("str").map(room)
        facts.append(f"mean batch {plain(samples['running'].mean())} requests")
        facts.append(f"{percent(held.mean())} % of the KV cache in use")
    counts = run.in_window["preemptions"].dropna()
    total, struck = int(counts.sum()), int((counts > 0).sum())
    struck_by = f"{total:,} preemptions, in {struck:,} of {len(counts):,} requests served"
    facts.append(struck_by if total else "no preemptions")
    return [f"{', '.join(facts)}."]


def _scaling(run: Run, scenario: Scenario) -> list[str]:
    """Return how many nodes each pool with a scaler had, and how often that changed."""
    facts, window_s = [], run.duration_s - run.warmup_s
    for each in scaled_pools(scenario):
        events = run.events[(run.events["kind"] == "scaler")]
        events = events[events["subject"] == each.pool.name]
        totals = run.node_totals[run.node_totals["pool"] == each.pool.name]
        paid, up = (totals[name].sum() / window_s for name in ("window_paid_s", "window_up_s"))
        changes = "1 change" if len(events) == 1 else f"{len(events):,} changes"
        facts.append(
            f"{each.pool.name}: scaler {each.scaler.decided_by}"
            f"{' (advisory)' if each.scaler.advisory else ''}, {changes}, on average "
            f"{plain(paid)} nodes paid for and {plain(up)} up."
        )
    return facts


def _objective(verdicts: Sequence[Verdict]) -> list[Block]:
    """Return a row per bound, and which streams have no tokens to judge."""
    bounded = [Bounded.of(each.key) for each in verdicts]
    pairs = list(zip(verdicts, bounded, strict=True))
    replaced = {each.key for each in verdicts if each.stream is not None}
    columns = [words("objective", [each.words for each in bounded])]
    if replaced:
        columns.append(words("stream", [_whom(each, replaced) for each in verdicts]))
    columns += [
        Column("limit", tuple(_limit(each, kind) for each, kind in pairs)),
        Column("measured", tuple(_measured(each, kind) for each, kind in pairs)),
    ]
    every_s = verdicts[0].every_s
    if every_s is not None:
        held = tuple(_windows(each) for each in verdicts)
        columns.append(Column(f"held in windows of {DURATION.format(every_s)}", held, rank=1))
    styles: dict[str, Style] = {"held": "good"}
    styles |= {each.word: "bad" for each in verdicts if not each.held}
    columns.append(words("verdict", [each.word for each in verdicts], styles=styles))
    without = dict.fromkeys(name for each in verdicts for name in each.without_tokens)
    blocks: list[Block] = [Heading("Objective"), Table(tuple(columns))]
    if without:
        names = f"Requests of {' and '.join(without)} have no tokens"
        blocks.append(Sentence(f"{names}: no bound on ttft or tpot covers them."))
    return blocks


def _windows(verdict: Verdict) -> Cell:
    if not verdict.windows:
        return Cell(None)
    return Cell(verdict.windows_held, text=f"{verdict.windows_held} of {verdict.windows}")


def _whom(verdict: Verdict, replaced: set[str]) -> str:
    if verdict.stream is not None:
        return verdict.stream
    return "others" if verdict.key in replaced else "all"


def _limit(verdict: Verdict, bounded: Bounded) -> Cell:
    text = limit_in_words(bounded, verdict.limit)
    return Cell(verdict.limit, "significant" if bounded.time else "percent", text=text)


def _measured(verdict: Verdict, bounded: Bounded) -> Cell:
    found = figure(verdict.value, "significant" if bounded.time else "percent", 4)
    if found.value is None:
        return Cell(None, text=verdict.missing)
    return replace(found, text=f"{found} {'s' if bounded.time else '%'}")
