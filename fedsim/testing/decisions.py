"""Whether a run decides as its golden file says, and where it first does not."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedsim.document import Block, Code, Column, Heading, Sentence, Table, figure, plain, words
from fedsim.errors import FedsimError
from fedsim.report.explanation import decision_blocks
from fedsim.results.files import write_file
from fedsim.results.run import Run
from fedsim.results.rundir import SCENARIO
from fedsim.scenario.explain import explain
from fedsim.scenario.load import load
from fedsim.scenario.simulate import simulate
from fedsim.scenario.spec import Scenario
from fedsim.scenario.units import DURATION
from fedsim.testing.earlier import as_expected
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
    write_file(path, text)
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
    path = saved / SCENARIO
    scenario = load(path, decided.given)
    known = as_expected(path, scenario, decided.golden, expected, attempt.request)
    if isinstance(known, str):
        return [*blocks, Sentence(known)]
    text = f"By the code of commit {known.commit[:12]}, which decides as the file says."
    decision = _of(known.decisions, attempt, at_s)
    return [*blocks, Sentence(text), *decision_blocks(decision, known.attempts, first.after)]


def _of(decisions: DataFrame, attempt: Attempt, at_s: float) -> DataFrame:
    """Return the rows of one decision: the one for an attempt that was made last, until *at_s*."""
    rows = decisions[decisions["attempt"] == attempt.number]
    times = rows["time_s"]
    known = times[times <= at_s + 1e-9]
    found: DataFrame = rows[times == (known.max() if len(known) else times.max())]
    return found


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
