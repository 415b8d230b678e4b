"""The evidence for a finding: the rows that show it, and how the nodes of its pool compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fedsim.errors import ResultsError
from fedsim.results.diagnosis import found_in
from fedsim.results.finding import ADVICE, Advice, Finding
from fedsim.results.sample import Window

if TYPE_CHECKING:
    from pandas import DataFrame

    from fedsim.results.run import Run


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """A finding with its evidence.

    Attributes:
        number: The place of the finding among those of its run, from 1.
        finding: The finding.
        advice: What is known of such findings.
        nodes: A row per node of its pool: attempts within the window, how many of them were ok, the
            mean number of them under way, mean wait, and when the last one was sent.
        attempts: The rows of the attempts table that show it.
        events: The rows of the events table that show it.
    """

    number: int
    finding: Finding
    advice: Advice
    nodes: DataFrame
    attempts: DataFrame
    events: DataFrame


def names_finding(text: str) -> bool:
    """Return whether a text is the number of a finding, or its name or the begin of that."""
    return text.isdecimal() or any(_is_called(name, text) for name in ADVICE)


def evidence_of(run: Run, wanted: str) -> list[Evidence]:
    """Return the findings of a run that a text names, with their evidence; at least one.

    Args:
        run: A run with its tables.
        wanted: A number from 1, in the order in which the findings are printed; or a name, such
            as ``starved-node`` or ``Starved node``, or the begin of it.

    Raises:
        ResultsError: The run has no such finding.
    """
    found = list(enumerate(found_in(run), start=1))
    chosen = [
        (number, each)
        for number, each in found
        if (number == int(wanted) if wanted.isdecimal() else _is_called(each.name, wanted))
    ]
    if not chosen:
        known = ", ".join(f"{number} ({each.name})" for number, each in found)
        what = f"{'number' if wanted.isdecimal() else 'called'} {wanted}"
        msg = f"the run has no finding {what}; it has {known or 'none at all'}"
        raise ResultsError(msg)
    return [_evidence(run, number, each) for number, each in chosen]


def _is_called(name: str, text: str) -> bool:
    words = text.casefold().replace("-", " ").strip()
    return len(words) > 3 and name.casefold().replace("-", " ").startswith(words)


def _evidence(run: Run, number: int, finding: Finding) -> Evidence:
    attempts, events = run.attempts.iloc[finding.attempts], run.events.iloc[finding.events]
    return Evidence(
        number,
        finding,
        ADVICE[finding.name],
        _nodes(run, finding.pool),
        attempts.reset_index(drop=True),
        events.reset_index(drop=True),
    )


def _nodes(run: Run, pool: str) -> DataFrame:
    import pandas as pd

    attempts = run.attempts
    attempts = attempts[
        Window(run.warmup_s, run.duration_s).holds(attempts["started_s"].to_numpy())
    ]
    names = [info.name for info in run.directory.nodes if info.pool == pool]
    attempts = attempts[attempts["node"].isin(names)]
    node = attempts["node"].astype(str)
    taken_s = attempts["finished_s"].fillna(run.end_s) - attempts["started_s"]
    table = pd.DataFrame(
        {
            "attempts": node.groupby(node).size(),
            "ok": (attempts["outcome"] == "ok").groupby(node).sum(),
            "under_way": taken_s.groupby(node).sum() / (run.duration_s - run.warmup_s),
            "queue_wait_mean_s": attempts["queue_wait_s"].groupby(node).mean(),
            "last_started_s": attempts["started_s"].groupby(node).max(),
        }
    ).reindex(pd.Index(names, name="node"))
    return table.fillna({"attempts": 0, "ok": 0, "under_way": 0.0})
