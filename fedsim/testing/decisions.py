"""Whether a run decides as its golden file says, and where it first does not."""

from __future__ import annotations

import math
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedsim.document import Block, Code, Column, Heading, Sentence, Table, figure, plain, words
from fedsim.errors import FedsimError, ResultsError
from fedsim.report.explanation import decision_blocks
from fedsim.results.run import Run
from fedsim.results.rundir import SCENARIO
from fedsim.scenario.explain import explain
from fedsim.scenario.load import load
from fedsim.scenario.simulate import simulate
from fedsim.scenario.spec import Scenario
from fedsim.scenario.units import DURATION
from fedsim.studies.cells import Cell, plugin_digests
from fedsim.studies.git import repository
from fedsim.studies.records import Record
from fedsim.studies.runset import RunSet
from fedsim.testing.golden import (
    Attempt,
    Change,
    Golden,
    changes,
    golden_of,
    numeric_platform,
    parsed,
    read,
    sent,
    text_of,
)
from fedsim.testing.judging import Finding, Result

if TYPE_CHECKING:
    from pandas import DataFrame

PER = 10_000
"""A tolerance is a number of decisions in so many."""

MOST_ROWS = 20
"""Differences by window that are listed."""


@dataclass(frozen=True, slots=True)
class How:
    """How golden files are treated.

    Attributes:
        update: Whether to write them where decisions differ.
        tolerance: Decisions in 10,000 that may differ, >= 0.
        accept: The command that accepts what was obtained, without the scenario's file.
        directory: Where what was obtained is written, in a folder for each scenario.
    """

    update: bool = False
    tolerance: float = 0.0
    accept: str = "fedsim test --update"
    directory: Path = Path("runs/tests")


@dataclass(frozen=True, slots=True)
class Decided:
    """Decisions that are held against a golden file.

    Attributes:
        golden: The file.
        accept: The command that accepts what was obtained.
        folder: Where what was obtained is written if it differs.
        again: Gives the run.
        given: Objects given in Python without which it cannot be repeated, by path.
    """

    golden: Path
    accept: str
    folder: Path
    again: Callable[[], Run]
    given: Mapping[str, Any] = field(default_factory=dict)


def on_ci() -> bool:
    """Return whether this is continuous integration: CI is set, and neither empty, 0 nor false."""
    return os.environ.get("CI", "").strip().lower() not in {"", "0", "false"}


def golden_path(scenario: Scenario) -> Path:
    """Return where the golden file of a scenario is: next to it, under the same name."""
    return scenario.path.with_suffix(".golden")


def folder_of(scenario: Scenario, how: How) -> Path:
    """Return the folder of what a scenario's test obtained, named after its file."""
    short = _below_here(scenario.path)
    short = Path(short.name) if short.is_absolute() else short
    return how.directory / "-".join(short.with_suffix("").parts)


def _below_here(path: Path) -> Path:
    """Return a path as it is from the current directory, where it is below that."""
    whole, here = path.absolute(), Path.cwd()
    return whole.relative_to(here) if whole.is_relative_to(here) else path


def decided_by(scenario: Scenario, how: How) -> Decided:
    """Return what a scenario's decisions are held against."""
    return Decided(
        golden_path(scenario),
        f"{how.accept} {_below_here(scenario.path)}",
        folder_of(scenario, how),
        lambda: simulate(scenario),
        {path: scenario.objects[name] for path, name in scenario.given},
    )


def check_decisions(
    decided: Decided, text: str, how: How, refusal: str = ""
) -> tuple[Finding, list[Block]]:
    """Return whether decisions are as expected, and a report of where they first are not.

    Args:
        decided: What they are held against.
        text: The golden text of its run.
        how: How golden files are treated.
        refusal: Why its decisions are worth no golden file, as a sentence; empty where they are.

    Raises:
        ResultsError: The golden file is broken, or cannot be written.
    """
    path = decided.golden
    obtained = parsed(text, Path("what was obtained"))
    count = f"{obtained.count:,} attempts"
    expected = read(path) if path.exists() else None
    different = [] if expected is None else changes(expected, obtained)
    allowed = how.tolerance * obtained.count / PER
    blocks: list[Block] = []
    result: Result = "failed"
    if refusal:
        reason = refusal
    elif how.update and (expected is None or different):
        reason = _written(path, text)
    elif expected is None:
        reason = f"{path} does not exist. Write it with: {decided.accept}"
    elif len(different) <= allowed:
        result, reason = "held", ""
    else:
        reason = _difference(expected, obtained, different, how)
        blocks = _report(decided, expected, obtained, different)
    if expected is not None:
        count = f"{len(different):,} of {count} differ"
    return Finding("decisions", f"as in {path.name}", count, result, reason), blocks


def _written(path: Path, text: str) -> str:
    """Write a golden file, but never in continuous integration, and say so."""
    if on_ci():
        return f"{path} is not written: CI is set, and golden files are never written there."
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror or error}"
        raise ResultsError(msg) from error
    return f"{path} is written; review the diff. The next run passes."


def _difference(expected: Golden, obtained: Golden, different: list[Change], how: How) -> str:
    """Return what differs on the whole, as sentences."""
    share = PER * len(different) / max(obtained.count, 1)
    text = (
        f"{len(different):,} decisions differ, {plain(share)} in {PER:,}; allowed are "
        f"{how.tolerance:g}."
    )
    if expected.seed != obtained.seed:
        text += f" The file is of seed {expected.seed}, the scenario has {obtained.seed}."
    if expected.nodes != obtained.nodes:
        gone = [node for node in expected.nodes if node not in obtained.nodes]
        new = [node for node in obtained.nodes if node not in expected.nodes]
        text += (
            f" The fleet differs: without {', '.join(gone) or '–'}, new {', '.join(new) or '–'}."
        )
    if expected.fedsim != obtained.fedsim:
        text += f" The file was written by fedsim {expected.fedsim}; this is {obtained.fedsim}."
    if expected.platform != numeric_platform():
        text += (
            f" The file was written on another platform ({expected.platform}; here "
            f"{numeric_platform()}), where floating-point results may differ in the last digits: "
            "a tolerance allows for some decisions."
        )
    return text


def _report(
    decided: Decided, expected: Golden, obtained: Golden, different: list[Change]
) -> list[Block]:
    """Return the first decision that differs, the counts that do, and what to do."""
    folder, run = decided.folder, decided.again()
    if changes(obtained, golden_of(run)):
        text = (
            "The run does not repeat itself: the same scenario and seed gave other decisions. Look "
            "for randomness that is not context.rng, the wall clock, or an iteration over a set."
        )
        return [Sentence(text, "bad")]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / decided.golden.name).write_text(text_of(golden_of(run)), encoding="utf-8")
    run.save(folder / "run", charts=False)
    first, at_s = _first(run, different)
    return [
        *_tables(decided, expected, first, at_s),
        *_counts(expected, obtained),
        Heading("To see more", 3),
        Code(f"fedsim explain {folder / 'run'} {first.attempt.request}", "shell"),
        Heading("To accept", 3),
        Code(decided.accept, "shell"),
    ]


def _first(run: Run, different: list[Change]) -> tuple[Change, float]:
    """Return the first change in time with that time, in seconds.

    An attempt that is not made any more has the time of its request's first attempt.
    """
    known: dict[Attempt, float] = {}
    begun: dict[tuple[str, int], float] = {}
    for attempt, _, _, at_s in sent(run):
        known[attempt] = at_s
        begun.setdefault((attempt.stream, attempt.index), at_s)

    def when(change: Change) -> float:
        attempt = change.attempt
        return known.get(attempt, begun.get((attempt.stream, attempt.index), math.inf))

    first = min(different, key=lambda change: (when(change), change.attempt))
    return first, when(first)


def _tables(decided: Decided, expected: Golden, first: Change, at_s: float) -> list[Block]:
    """Return the candidates of the first decision that differs, now and as they were expected."""
    attempt = first.attempt
    when = f" at {at_s:.6f} s" if math.isfinite(at_s) else ""
    now = "is not made" if first.after is None else f"goes to {first.after}"
    then = "was not expected" if first.before is None else f"was expected at {first.before}"
    if first.before == first.after:
        now, then = "or one of the 64 requests from it on has another gateway", "node and all"
    text = f"First difference{when}: {attempt} {now}; it {then}."
    blocks: list[Block] = [Heading(text, 3)]
    saved = decided.folder / "run"
    try:
        found = explain(saved, attempt.request, decided.given)
    except FedsimError as error:
        return [*blocks, Sentence(f"Its candidates cannot be shown: {error}", "warning")]
    decision = _of(found.decisions, attempt, at_s)
    blocks += [Heading("Candidates as obtained", 3)]
    blocks += decision_blocks(decision, found.attempts, first.before) if len(decision) else []
    blocks += [Heading("Candidates as expected", 3)]
    before = _as_expected(load(saved / SCENARIO, decided.given), decided.golden, expected, attempt)
    if isinstance(before, str):
        return [*blocks, Sentence(before)]
    decisions, attempts = before
    return [*blocks, *decision_blocks(_of(decisions, attempt, at_s), attempts, first.after)]


def _of(decisions: DataFrame, attempt: Attempt, at_s: float) -> DataFrame:
    """Return the rows of one decision: the one for an attempt that was made last, until *at_s*."""
    rows = decisions[decisions["attempt"] == attempt.number]
    times = rows["time_s"]
    known = times[times <= at_s + 1e-9]
    found: DataFrame = rows[times == (known.max() if len(known) else times.max())]
    return found


def _as_expected(
    scenario: Scenario, golden: Path, expected: Golden, attempt: Attempt
) -> tuple[DataFrame, DataFrame] | str:
    """Return decisions and attempts of a request by the plug-ins of the golden file's commit.

    Returns:
        Both tables, or a sentence that says why there are none.
    """
    plugins = plugin_digests(scenario)
    if not plugins:
        return (
            "Until here both runs are the same: the gateway knew the same, unless what it knows or "
            f"how it scores has changed since fedsim {expected.fedsim}, which wrote the file."
        )
    commit = _commit_of(golden)
    if commit is None:
        return "They can be shown once the golden file is committed together with the plug-ins."
    cell = Cell({"strategy": "expected"}, {"record.decisions": "on"}, commit=commit)
    try:
        with RunSet(scenario, seeds=[scenario.seed], keep=lambda _: True, workers=1) as runs:
            (found,) = runs.run(runs.planned([cell]))
    except FedsimError as error:
        return f"They cannot be shown: {error}"
    if not isinstance(found, Record) or found.run is None:
        return f"They cannot be shown: at the commit {commit[:12]} of the file, the run fails."
    if changes(expected, golden_of(found.run)):
        return (
            f"They cannot be shown: the plug-ins of the commit {commit[:12]}, which is the file's, "
            "decide differently from it."
        )
    tables: list[Any] = [
        table[table["request_id"] == attempt.request]
        for table in (found.run.decisions, found.run.attempts)
    ]
    return tables[0], tables[1]


def _commit_of(path: Path) -> str | None:
    """Return the commit that wrote the file as it is; None for one that no commit did."""
    try:
        root = repository()
        for words_ in (["status", "--porcelain", "--"], ["log", "-1", "--format=%H", "--"]):
            command = ["git", "-C", str(root), *words_, str(path.absolute())]
            done = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            if words_[0] == "status" and done.strip():
                return None
    except (FedsimError, OSError, subprocess.CalledProcessError):
        return None
    return done.strip() or None


def _counts(expected: Golden, obtained: Golden) -> list[Block]:
    """Return the attempts by window, gateway and node whose numbers differ."""
    rows = []
    for window, gateway in sorted({**expected.counts, **obtained.counts}):
        one, other = (each.counts.get((window, gateway), _NOTHING) for each in (expected, obtained))
        for node in dict.fromkeys((*expected.nodes, *obtained.nodes)):
            before, after = one.get(node, 0), other.get(node, 0)
            if before != after:
                rows.append((window * obtained.window_s, gateway, node, before, after))
    if not rows:
        return []
    at_s, gateways, nodes, befores, afters = zip(*rows[:MOST_ROWS], strict=True)
    heading = "Attempts by window that differ"
    if len(rows) > MOST_ROWS:
        heading += f", the first {MOST_ROWS} of {len(rows)}"
    pairs = zip(befores, afters, strict=True)
    table = Table(
        (
            words("from", [DURATION.format(each) for each in at_s]),
            words("gateway", gateways),
            words("node", nodes),
            Column("expected", tuple(figure(each, "count") for each in befores)),
            Column("obtained", tuple(figure(each, "count") for each in afters)),
            Column(
                "difference",
                tuple(figure(new - old, "count", signed=True) for old, new in pairs),
            ),
        )
    )
    return [Heading(heading, 3), table]


_NOTHING: Mapping[str, int] = {}
