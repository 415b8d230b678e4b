"""Runs what a scenario's ``expect`` rests on, and says what came of each expectation."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from fedsim.document import Block
from fedsim.errors import Problem, ScenarioError
from fedsim.scenario.expected import expected_problems
from fedsim.scenario.load import load
from fedsim.scenario.offered_load import OfferedLoad
from fedsim.scenario.spec import ExpectSpec, Scenario
from fedsim.scenario.undecided import undecided_notes
from fedsim.studies.cells import PlannedRun, replication_seed
from fedsim.studies.comparison import Comparison
from fedsim.studies.progress import Tell
from fedsim.studies.records import Failure, Record
from fedsim.studies.repeating import run_command
from fedsim.studies.runset import RunSet
from fedsim.studies.saturation import grows, is_overloaded
from fedsim.studies.variants import Variant, variants
from fedsim.studies.workers import Workers
from fedsim.testing.cache import RunCache
from fedsim.testing.decisions import How, check_decisions, decided_by
from fedsim.testing.files import ENDS, expects
from fedsim.testing.judging import (
    Finding,
    best_finding,
    measure_finding,
    no_worse_finding,
    slo_findings,
)

_REMEDY = "Add expect, such as expect: {slo: held}; docs/testing.md describes it."


@dataclass(frozen=True, slots=True)
class Tested:
    """What came of a scenario's expectations.

    Attributes:
        scenario: The scenario.
        findings: What came of each.
        blocks: A report of where its decisions differ from the golden file, or nothing.
        repeat: The command that repeats the first run.
        wall_s: What it took, in seconds.
    """

    scenario: Scenario
    findings: tuple[Finding, ...]
    blocks: tuple[Block, ...]
    repeat: str
    wall_s: float

    @property
    def passed(self) -> bool:
        """Whether everything is held, or fails as it is known to."""
        return all(each.result in {"held", "known failure"} for each in self.findings)


def scenario_files(places: Iterable[Path]) -> list[Path]:
    """Return the scenario files with an ``expect`` among *places*, which may be folders.

    Raises:
        ScenarioError: A file has none, or nothing in a folder has.
    """
    found: dict[Path, None] = {}
    for place in places:
        inside = [place]
        if place.is_dir():
            inside = [path for path in sorted(place.rglob("*")) if path.suffix in ENDS]
            inside = [path for path in inside if expects(path)]
        if not inside or not (place.is_dir() or expects(place) or not place.exists()):
            message = "Nothing is expected here." if inside else "No scenario here has an expect."
            raise ScenarioError([Problem(message, _REMEDY, file=str(place))])
        found |= dict.fromkeys(inside)
    return list(found)


def undecidable(scenario: Scenario) -> list[str]:
    """Return which expectations cannot be decided, for too few requests, before anything is run."""
    spec = scenario.expect
    if spec is None or not spec.slo:
        return []
    return undecided_notes(OfferedLoad(scenario), spec.replications or scenario.study.replications)


def run_expectations(
    scenario: Scenario,
    *,
    cache: RunCache,
    how: How,
    pool: Workers[Record | Failure] | None = None,
    workers: int | None = 1,
    progress: Tell | None = None,
) -> Tested:
    """Return what came of a scenario's expectations; what *cache* has is not run again.

    Args:
        scenario: A scenario with an ``expect``.
        cache: Where runs are kept.
        how: How golden files are treated.
        pool: Workers that serve several scenarios, which call ``run_packed``.
        workers: Number of processes where there is no pool.
        progress: Is called with how far the runs are.

    Raises:
        ScenarioError: Nothing is expected, or a variant makes no scenario.
        PlugInError: A plug-in misbehaved.
        ResultsError: A golden file is broken or cannot be written.
    """
    began_s = time.perf_counter()
    spec = require_expecting(scenario).expect
    assert spec is not None
    chosen = _variants(scenario, spec)
    count = spec.replications or scenario.study.replications
    asked = bool(spec.slo or spec.best or spec.no_worse or spec.measures)
    cells = [
        replace(variant.cell, replication=number)
        for number in range(count if asked else 0)
        for variant in chosen
    ]
    own = chosen[0]
    golden = replace(own.cell, replication=count)
    seeds = [*(replication_seed(scenario.seed, number) for number in range(count)), scenario.seed]
    with RunSet(
        scenario,
        seeds=seeds,
        store=cache,
        keep=lambda cell: cell.replication == count,
        stops=lambda _: True,
        workers=workers,
        pool=pool,
        progress=progress,
    ) as runs:
        planned = runs.planned([*cells, golden] if spec.golden else cells)
        found = list(runs.run(planned))
    comparison = None
    findings: list[Finding] = []
    if asked:
        ours = [each for each in planned if each.cell.replication < count]
        records = [each for each in found if each.replication < count]
        windows = replace(scenario, study=replace(scenario.study, steady_state=False))
        comparison = Comparison(windows, ours, records, baseline=own.name, wall_s=0.0)
        findings += _findings(comparison, own.name, spec)
    blocks: list[Block] = []
    if spec.golden:
        record = next(each for each in found if each.replication == count)
        assert isinstance(record, Record)
        refusal = _refusal(scenario, record, comparison, findings, how)
        finding, blocks = check_decisions(
            decided_by(scenario, how), cache.decisions(record.id), how, refusal
        )
        findings.append(finding)
    if spec.known_failure:
        findings = _known(findings, spec.known_failure)
    repeat = _repeat(scenario, planned[0])
    took_s = time.perf_counter() - began_s
    return Tested(scenario, tuple(findings), tuple(blocks), repeat, took_s)


def load_expecting(path: Path) -> Scenario:
    """Return the scenario of a file with an ``expect``.

    Raises:
        ScenarioError: It is wrong, or expects nothing, or something of what is not compared.
    """
    return require_expecting(load(path))


def require_expecting(scenario: Scenario) -> Scenario:
    """Return *scenario* if it has an ``expect`` that can be tested.

    Raises:
        ScenarioError: It has not.
    """
    problems = expected_problems(scenario)
    if scenario.expect is None:
        problems = [Problem("The scenario expects nothing.", _REMEDY, file=str(scenario.path))]
    if problems:
        raise ScenarioError(problems)
    return scenario


def _variants(scenario: Scenario, spec: ExpectSpec) -> list[Variant]:
    """Return what has to run: the scenario as it is, then what it is compared with."""
    federation = scenario.federation
    found = [Variant(federation.router or federation.strategy, {})]
    rivals: list[Variant] = []
    if spec.best is not None:
        rivals += variants(scenario)
    if spec.no_worse is not None:
        rivals += _rival(scenario, spec.no_worse.than)
    for rival in rivals:
        if rival.name not in [variant.name for variant in found]:
            found.append(rival)
    return found


def _rival(scenario: Scenario, name: str) -> Sequence[Variant]:
    """Return the variant of a strategy or router that is named."""
    known = scenario.compare
    if known is not None and name in known.routers:
        return variants(scenario, [], {name: name})
    if ":" in name and not (known is not None and name in known.strategies):
        return variants(scenario, [], {name: name})
    if "/" in name:
        return variants(scenario, [], {name: name})
    return variants(scenario, [name])


def _findings(comparison: Comparison, own: str, spec: ExpectSpec) -> Iterator[Finding]:
    if spec.slo:
        yield from slo_findings(comparison, own)
    if spec.best is not None:
        yield best_finding(comparison, spec.best)
    if spec.no_worse is not None:
        yield no_worse_finding(comparison, own, spec.no_worse)
    for name, limit in spec.measures.items():
        yield measure_finding(comparison, own, name, limit)


def _refusal(
    scenario: Scenario,
    record: Record,
    comparison: Comparison | None,
    findings: Sequence[Finding],
    how: How,
) -> str:
    """Return why the decisions of a run are worth no golden file, as a sentence, or nothing."""
    if is_overloaded(scenario):
        several = [] if comparison is None else [each.in_system for each in comparison.records]
        half = len(record.in_system) // 2
        early, late = sum(record.in_system[:half]), sum(record.in_system[-half:])
        if grows(several) if len(several) > 1 else late > early:
            return (
                "The fleet is saturated: more is offered than it can serve, and where requests go "
                "depends on every detail. Lower the rate or add nodes."
            )
    missed = [each for each in findings if each.expectation == "slo" and each.result != "held"]
    if how.update and missed:
        return f"Not written: the objective is not held ({missed[0].expected})."
    return ""


def _known(findings: Sequence[Finding], address: str) -> list[Finding]:
    """Return the findings where something is known to fail; it is an error that nothing does."""
    failing = [each for each in findings if each.result != "held"]
    if not failing:
        reason = "Everything is held. Remove known_failure from the scenario."
        found = Finding("known_failure", f"something fails: {address}", "–", "failed", reason)
        return [*findings, found]
    return [
        each
        if each.result == "held"
        else replace(each, result="known failure", reason=f"Known: {address}. {each.reason}")
        for each in findings
    ]


def _repeat(scenario: Scenario, first: PlannedRun) -> str:
    return run_command(str(scenario.path), first.seed, first.texts)
