"""What ``fedsim explain`` prints on a terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fedsim.cli.figures import MISSING, plain
from fedsim.cli.output import heading, paragraph, stdout
from fedsim.cli.tables import Column, print_table

if TYPE_CHECKING:
    from pandas import DataFrame, Series
    from rich.console import Console

    from fedsim.scenario.explain import Explanation

MOST_CANDIDATES = 20
"""Candidates of a decision that are listed; of more, the chosen one and the best scored."""


def print_explanation(found: Explanation) -> None:
    """Print a request, and each decision on it with its candidates and what came of it."""
    console = stdout()
    request = found.request
    console.print(f"{request['request_id']}: {request['outcome']}", style="bold")
    paragraph(console, _request(request))
    for _, decision in found.decisions.groupby(["attempt", "time_s"], sort=False):
        _print_decision(console, decision, found.attempts)
    console.print()
    legend = "In flight: sent by this gateway and not ended. "
    if found.decisions["reported_depth"].notna().any():
        legend += "Reported: running and waiting at the last probe that was answered, age s ago. "
    paragraph(console, legend + "Actual: what was true, and no gateway can know.")
    if _is_unscored(found.decisions):
        paragraph(console, "No scores: the strategy does not choose by the policies' scores.")
    if found.repeated:
        paragraph(console, "The run was repeated, bit for bit, to learn its decisions.")


def _request(request: Series[Any]) -> str:
    tenant = f", tenant {request['tenant']}" if isinstance(request["tenant"], str) else ""
    text = (
        f"Stream {request['stream']}{tenant}, from {request['origin']}, asks for "
        f"{request['capability']} at privacy level {request['privacy']}; arrived at "
        f"{request['arrived_s']:.6f} s"
    )
    if math.isnan(request["latency_s"]):
        return f"{text} and had not ended when the run did."
    return (
        f"{text}, over after {plain(request['latency_s'], 4)} s, attempts: {request['attempts']}."
    )


def _print_decision(console: Console, decision: DataFrame, attempts: DataFrame) -> None:
    first = decision.iloc[0]
    number = first["attempt"]
    chosen = decision[decision["chosen"]]
    made = chosen["node"].iloc[0] if len(chosen) else f"nobody: {first['outcome']}"
    heading(
        console, f"Attempt {number}: at {first['time_s']:.6f} s {first['gateway']} chose {made}"
    )
    shown = decision
    if len(decision) > MOST_CANDIDATES:
        order = decision.sort_values(
            ["chosen", "eligible", "total_score"], ascending=False, kind="stable"
        )
        shown = order.head(MOST_CANDIDATES)
        eligible = int(decision["eligible"].fillna(value=False).sum())
        scored = decision["total_score"].notna().any()
        others = "with the best scores" if scored else "others, eligible ones first,"
        paragraph(
            console,
            f"{len(decision)} candidates, {eligible} of them eligible; the chosen one and "
            f"{MOST_CANDIDATES - 1} {others} are listed.",
        )
    print_table(console, _columns(shown), colours={"chosen": "green"})
    for line in _came_of_it(attempts[attempts["attempt"] == number], len(chosen) > 0):
        paragraph(console, f"  {line}")


def _is_unscored(decisions: DataFrame) -> bool:
    """Return whether a router that explains its decisions made them without scores."""
    made = decisions[decisions["outcome"] == "ok"]
    explained = bool(made["eligible"].notna().any())
    return explained and bool(made["total_score"].isna().all())


def _columns(decision: DataFrame) -> list[Column]:
    columns = [
        Column("node", [str(node) for node in decision["node"]], left=True),
        Column("verdict", _verdicts(decision), left=True),
        _counts(decision, "in_flight", "in flight", 1),
        _counts(decision, "reported_depth", "reported", 3),
        _counts(decision, "actual_depth", "actual", 4),
        _numbers(decision, "reported_age_s", "age s", 7),
        _numbers(decision, "total_score", "score", 2),
        _numbers(decision, "estimated_latency_s", "estimate s", 2),
        Column("health", [str(state or MISSING) for state in decision["health"].fillna("")], 5),
        Column("circuit", [str(state or MISSING) for state in decision["circuit"].fillna("")], 6),
        _numbers(decision, "health_score", "health score", 12),
        _numbers(decision, "latency_score", "latency score", 10),
        _numbers(decision, "throughput_score", "throughput score", 13),
        _numbers(decision, "locality_score", "locality score", 11),
        _numbers(decision, "cost_score", "cost score", 14),
    ]
    return [column for column in columns if any(cell != MISSING for cell in column.cells)]


def _verdicts(decision: DataFrame) -> list[str]:
    words = []
    for chosen, eligible, reason in zip(
        decision["chosen"],
        decision["eligible"].astype("object"),
        decision["rejection_reason"].fillna(""),
        strict=True,
    ):
        if chosen:
            words.append("chosen")
        elif eligible is True:
            words.append("eligible")
        else:
            words.append(str(reason) or MISSING)
    return words


def _numbers(decision: DataFrame, name: str, title: str, rank: int) -> Column:
    values = decision[name].astype("float64")
    return Column(title, [plain(value) for value in values], rank)


def _counts(decision: DataFrame, name: str, title: str, rank: int) -> Column:
    values = decision[name].astype("float64")
    return Column(
        title, [MISSING if math.isnan(value) else f"{value:,.0f}" for value in values], rank
    )


def _came_of_it(attempt: DataFrame, chosen: bool) -> list[str]:
    if not chosen or attempt.empty:
        return []
    row = attempt.iloc[0]
    if math.isnan(row["finished_s"]):
        return [f"{row['node']} had not answered when the run ended."]
    parts = [
        f"{row['node']}: {row['outcome']} after {plain(row['finished_s'] - row['started_s'])} s"
    ]
    if not math.isnan(row["queue_wait_s"]):
        parts.append(f"waited {plain(row['queue_wait_s'])} s")
    if not math.isnan(row["service_s"]):
        parts.append(f"held a slot for {plain(row['service_s'])} s")
    return [f"{', '.join(parts)}."]
