"""The report of an explanation: a request, the decisions on it, and what came of each."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from fedsim.charts.clock import clock_time
from fedsim.document import (
    Block,
    Cell,
    Column,
    Document,
    Heading,
    Sentence,
    Table,
    figure,
    plain,
    words,
)

if TYPE_CHECKING:
    from collections.abc import Hashable

    from pandas import DataFrame

    from fedsim.document import Form
    from fedsim.scenario.explain import Explanation

MOST_CANDIDATES = 20
"""Candidates of a decision that are listed; of more, the chosen one and the best scored."""

_IN_FLIGHT = "In flight: sent by this gateway and not ended."
_REPORTED = "Reported: running and waiting at the node at its last answered probe."
_AGE = "Age: time since that probe was answered."
_ACTUAL = "Actual: what was true at the node, which no gateway can know."
_ELSEWHERE = "fedsim explain --json"


def explanation_report(found: Explanation) -> Document:
    """Return the report of what is known of one request."""
    request = found.request
    blocks: list[Block] = [
        Heading(f"{request['request_id']}: {request['outcome']}", 1),
        Sentence(f"{_request(found)} Strategy: {found.strategy}."),
    ]
    for _, decision in found.decisions.groupby(["attempt", "time_s"], sort=False):
        blocks += decision_blocks(decision, found.attempts)
    blocks += [Heading("Notes")] if _notes(found) else []
    blocks += [Sentence(text) for text in _notes(found)]
    return Document(tuple(blocks))


def _notes(found: Explanation) -> list[str]:
    notes = [] if found.no_retry is None else [found.no_retry]
    if _is_unscored(found.decisions):
        notes.append(f"No scores: {found.strategy} does not choose by the policies' scores.")
    if found.repeated:
        notes.append("The run was repeated, bit for bit, to record its decisions.")
    return notes


def _request(found: Explanation) -> str:
    request, model, start = found.request, found.model, found.start
    by_model = "" if model is None else f", model {model},"
    clock = "" if start is None else f" ({clock_time(start, request['arrived_s'])})"
    tenant = f", tenant {request['tenant']}" if isinstance(request["tenant"], str) else ""
    text = (
        f"Stream {request['stream']}{tenant}, from {request['origin']}; asks for "
        f"{request['capability']}{by_model} at privacy level {request['privacy']}. Arrived at "
        f"{request['arrived_s']:.6f} s{clock}"
    )
    if math.isnan(request["latency_s"]):
        return f"{text}, still running at the end of the run."
    return (
        f"{text}, ended after {plain(request['latency_s'], 4)} s; attempts: {request['attempts']}."
    )


def decision_blocks(
    decision: DataFrame, attempts: DataFrame, expected: str | None = None
) -> list[Block]:
    """Return the report of one decision.

    Args:
        decision: Its rows of the decisions table.
        attempts: The rows of the attempts table of its request.
        expected: A node that is marked as the one that was expected.
    """
    first = decision.iloc[0]
    number = first["attempt"]
    chosen = decision[decision["chosen"]]
    made = f"chose {chosen['node'].iloc[0]}" if len(chosen) else f"found none: {first['outcome']}"
    heading = f"Attempt {number}: at {first['time_s']:.6f} s {first['gateway']} {made}"
    blocks: list[Block] = [Heading(heading)]
    if len(chosen):
        blocks += _came_of_it(attempts[attempts["attempt"] == number])
    shown = decision
    if len(decision) > MOST_CANDIDATES:
        import pandas as pd

        order = ["chosen", "eligible", "total_score"]
        shown = decision.sort_values(order, ascending=False, kind="stable").head(MOST_CANDIDATES)
        eligible = int(decision["eligible"].fillna(value=False).sum())
        scored = decision["total_score"].notna().any()
        others = "with the best scores" if scored else "others, eligible ones first,"
        text = (
            f"{len(decision)} candidates, {eligible} of them eligible; the chosen one and "
            f"{MOST_CANDIDATES - 1} {others} are listed."
        )
        blocks.append(Sentence(text))
        if expected is not None and expected not in set(shown["node"]):
            shown = pd.concat([shown, decision[decision["node"] == expected]])
    return [*blocks, Table(tuple(_columns(shown, expected)), _ELSEWHERE)]


def _is_unscored(decisions: DataFrame) -> bool:
    """Return whether a router that explains its decisions made them without scores."""
    made = decisions[decisions["outcome"] == "ok"]
    explained = bool(made["eligible"].notna().any())
    return explained and bool(made["total_score"].isna().all())


def _columns(decision: DataFrame, expected: str | None) -> list[Column]:
    columns = [
        words("node", [str(node) for node in decision["node"]]),
        words("verdict", _verdicts(decision, expected), styles={"chosen": "good"}),
        _numbers(decision, "in_flight", "in flight", 1, form="count", note=_IN_FLIGHT),
        _numbers(decision, "reported_depth", "reported", 3, form="count", note=_REPORTED),
        _numbers(decision, "actual_depth", "actual", 4, form="count", note=_ACTUAL),
        _numbers(decision, "reported_age_s", "age", 7, unit="s", note=_AGE),
        _numbers(decision, "total_score", "score", 2),
        _numbers(decision, "estimated_latency_s", "estimate", 2, unit="s"),
        _states(decision, "health", 5),
        _states(decision, "circuit", 6),
        _numbers(decision, "health_score", "health score", 12),
        _numbers(decision, "latency_score", "latency score", 10),
        _numbers(decision, "throughput_score", "throughput score", 13),
        _numbers(decision, "locality_score", "locality score", 11),
        _numbers(decision, "cost_score", "cost score", 14),
    ]
    return [column for column in columns if any(cell.value is not None for cell in column.cells)]


def _verdicts(decision: DataFrame, expected: str | None) -> list[str]:
    words = []
    for node, chosen, eligible, reason in zip(
        decision["node"],
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
            words.append(str(reason) or "–")
        if node == expected and not chosen:
            words[-1] += ", expected"
    return words


def _numbers(
    decision: DataFrame,
    name: Hashable,
    heading: str,
    rank: int,
    *,
    form: Form = "significant",
    unit: str = "",
    note: str = "",
) -> Column:
    values = decision[name].astype("float64").tolist()
    return Column(heading, tuple(figure(value, form) for value in values), unit, rank, note=note)


def _states(decision: DataFrame, name: str, rank: int) -> Column:
    states = decision[name].astype("object").tolist()
    cells = tuple(Cell(state if isinstance(state, str) else None) for state in states)
    return Column(name, cells, rank=rank)


def _came_of_it(attempt: DataFrame) -> list[Sentence]:
    if attempt.empty:
        return []
    row = attempt.iloc[0]
    if math.isnan(row["finished_s"]):
        return [Sentence(f"{row['node']} had not answered when the run ended.")]
    parts = [
        f"{row['node']}: {row['outcome']} after {plain(row['finished_s'] - row['started_s'])} s"
    ]
    if not math.isnan(row["queue_wait_s"]):
        parts.append(f"waited {plain(row['queue_wait_s'])} s")
    if not math.isnan(row["service_s"]):
        parts.append(f"held a slot for {plain(row['service_s'])} s")
    return [Sentence(f"{', '.join(parts)}.")]
