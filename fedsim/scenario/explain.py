"""Why a request went where it went: what its gateway knew whenever it decided."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedsim.errors import ArgumentError, ResultsError
from fedsim.federation.contracts import NoCapacity
from fedsim.federation.gateway import RETRYABLE_ATTEMPTS, RETRYABLE_ROUTES
from fedsim.results.kinds import OUTCOMES
from fedsim.results.run import Run
from fedsim.results.rundir import SCENARIO
from fedsim.results.tables import DECISIONS
from fedsim.scenario.arguments import require_changes
from fedsim.scenario.load import load
from fedsim.scenario.simulate import simulate
from fedsim.scenario.source import parse_value
from fedsim.scenario.units import DURATION

OFF = "off"
_ROUNDING_S = 1e-6

if TYPE_CHECKING:
    from pandas import DataFrame, Series


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """All that is known of one request.

    Attributes:
        request: Its row of the requests table.
        attempts: Its rows of the attempts table.
        decisions: Its rows of the decisions table: every candidate of every decision.
        repeated: Whether the run was repeated to learn the decisions.
        strategy: The name of the strategy or router that chose.
        no_retry: Why the last attempt of a request that failed was not followed by another, as a
            sentence; None where it succeeded, and where something of another project decided.
        model: The model that it asks for; None where any with the capability may serve it.
        start: What the clock read at simulated time 0, with a zone, or None.
    """

    request: Series
    attempts: DataFrame
    decisions: DataFrame
    repeated: bool
    strategy: str = ""
    no_retry: str | None = None
    model: str | None = None
    start: datetime | None = None

    def __repr__(self) -> str:
        request = self.request
        return (
            f"<Explanation of {request['request_id']:.40}: {request['outcome']}, "
            f"{len(self.attempts)} attempts, {self.strategy:.30}>"
        )


def explain(
    run: Run | str | PathLike[str],
    request_id: str,
    changes: Mapping[str, object] | None = None,
) -> Explanation:
    """Return why *request_id* went where it went.

    Where the run recorded no decisions it is repeated from its resolved scenario, which gives the
    same run bit for bit, and the decisions on this one request are recorded.

    Args:
        run: A run, or the directory of one; a run without decisions has to be a directory.
        request_id: The request, such as ``chat-17``.
        changes: Where the run was made with objects given in Python that no file can name, those
            objects again, by path as for `Scenario.changed`.

    Raises:
        ResultsError: There is no such run or request, or the run cannot be repeated; where an
            object is missing, it is named with its path.
        ScenarioError: The changes do not make a scenario.
        ArgumentError: An argument is of the wrong kind.
        PlugInError: A plug-in of the run cannot be found any more.
    """
    if not isinstance(run, Run | str | PathLike) or not isinstance(request_id, str):
        message = f"fedsim.explain takes a run and the id of a request, not {request_id!r:.40}."
        raise ArgumentError(message, 'Write fedsim.explain("runs/my-run", "chat-17").')
    require_changes(changes)
    directory = None if isinstance(run, Run) else Path(run)
    found = run if isinstance(run, Run) else Run.load(run)
    request = _request(found, request_id)
    repeated = DECISIONS not in found.tables.names
    if repeated:
        found = _repeated(found, directory, request_id, changes or {})
    decisions = _of(found.decisions, request_id) if DECISIONS in found.tables.names else None
    if decisions is None or decisions.empty:
        msg = f"{request_id} was never routed; it ended with {request['outcome']} first"
        raise ResultsError(msg)
    attempts = _of(found.attempts, request_id)
    scenario = parse_value(found.scenario_yaml, SCENARIO)
    no_retry = _no_retry(request, attempts, decisions, scenario)
    model = scenario["workload"][request["stream"]].get("model")
    return Explanation(
        request, attempts, decisions, repeated, found.strategy, no_retry, model, found.start
    )


def _no_retry(
    request: Series, attempts: DataFrame, decisions: DataFrame, scenario: Mapping[str, Any]
) -> str | None:
    """Return why the last attempt of a request was not followed by another; see `Explanation`."""
    outcome, settings = str(request["outcome"]), scenario["federation"]
    retries, timeout = settings["retries"], settings["timeout"]
    ours = settings["preset"] == "default" and (retries == OFF or isinstance(retries, dict))
    if not ours or outcome in {"ok", "unfinished", "cancelled"} or outcome not in OUTCOMES:
        return None
    limit = OFF if timeout == OFF else timeout["request"]
    limit_s = math.inf if limit == OFF else DURATION.parse(limit)
    routed = str(decisions["outcome"].iloc[-1]) == "ok"
    retryable = {error.kind for error in (RETRYABLE_ATTEMPTS if routed else RETRYABLE_ROUTES)}
    if request["latency_s"] >= limit_s - _ROUNDING_S:
        reason = f"the deadline of the request, {limit}, had passed"
    elif retries == OFF:
        reason = "retries are off"
    elif outcome not in retryable:
        reason = f"{outcome} is not retried"
    elif _tries(attempts, decisions, hedged=settings["hedge"] != OFF) > retries["limit"]:
        reason = f"the limit of retries, {retries['limit']}, was reached"
    else:
        possible = {
            "the retry budget was used up": retries["budget"] != OFF,
            "the backoff would have outlasted the deadline": limit != OFF,
            "every node had been tried": outcome == NoCapacity.kind,
            "the first token had come": scenario["workload"][request["stream"]]["streamed"] == "on",
        }
        reason = ", or ".join(text for text, holds in possible.items() if holds)
    return f"No retry followed: {reason}." if reason else None


def _tries(attempts: DataFrame, decisions: DataFrame, *, hedged: bool) -> int:
    """Return how often a gateway tried, at least; hedges are decided on as well."""
    if hedged:
        return int((~attempts["hedge"]).sum())
    return len(decisions[["attempt", "time_s"]].drop_duplicates())


def _request(run: Run, request_id: str) -> Series:
    requests = run.requests
    row = requests[requests["request_id"] == request_id]
    if row.empty:
        stream = request_id.rpartition("-")[0]
        known = requests["request_id"]
        alike = known[known.str.startswith(f"{stream}-")] if stream else known.iloc[:0]
        if alike.empty:
            close = get_close_matches(request_id, known.iloc[:: max(1, len(known) // 1000)], 1)
            hint = f"they are called such as {(close or known.tolist() or ['chat-0'])[0]}"
        else:
            hint = f"those of {stream} are {alike.iloc[0]} to {alike.iloc[-1]}"
        msg = f"there is no request {request_id} in the run; {hint}"
        raise ResultsError(msg)
    return row.iloc[0]


def _repeated(
    run: Run, directory: Path | None, request_id: str, changes: Mapping[str, object]
) -> Run:
    """Run the same scenario again, and record the decisions on one request."""
    if directory is None:
        msg = (
            "the run recorded no decisions; write record: {decisions: on} into its scenario, or "
            "save it and give its directory"
        )
        raise ResultsError(msg)
    _require_objects(run, directory, request_id, changes)
    scenario = load(directory / SCENARIO, changes)
    again = simulate(scenario, decisions_of=lambda each: each == request_id)
    if again.digest != run.digest:
        msg = (
            f"{directory} cannot be repeated: the same scenario gave another run, so that its "
            "decisions would explain nothing. A plug-in or fedsim has changed since; record the "
            "decisions with record: {decisions: on}"
        )
        raise ResultsError(msg)
    return again


def _require_objects(
    run: Run, directory: Path, request_id: str, changes: Mapping[str, object]
) -> None:
    """Check that the objects are given again without which *run* cannot be repeated."""
    missing = [
        (path, text)
        for path, text in run.given
        if not any(f"{path}.".startswith(f"{given}.") for given in changes)
    ]
    if missing:
        named = ", ".join(f"{path} was {text}" for path, text in missing)
        again = ", ".join(f'"{path}": ...' for path in dict(missing))
        msg = (
            f"{directory} cannot be repeated from its file alone: {named}, given in Python. Give "
            f'that again: fedsim.explain("{directory}", "{request_id}", {{{again}}})'
        )
        raise ResultsError(msg)


def _of(table: DataFrame, request_id: str) -> DataFrame:
    return table[table["request_id"] == request_id].reset_index(drop=True)
