"""Reads a scenario file, checks it, and returns the scenario or all that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from fedsim.errors import ArgumentError, Problem, ScenarioError
from fedsim.results.rundir import plugin_directory
from fedsim.scenario import (
    fault_checks,
    objects,
    plan_checks,
    pool_checks,
    reachability,
    references,
    unknown_sizes,
)
from fedsim.scenario.arguments import require_changes
from fedsim.scenario.configure.federation import federation_spec
from fedsim.scenario.configure.studies import (
    compare_spec,
    expect_spec,
    plan_spec,
    slo_config,
    study_spec,
    sweep_spec,
)
from fedsim.scenario.configure.world import world_config
from fedsim.scenario.defaults import complete
from fedsim.scenario.engine_files import read_engine_sources
from fedsim.scenario.facts import Facts
from fedsim.scenario.fault_files import with_fault_files
from fedsim.scenario.files import read_workload_files
from fedsim.scenario.overrides import apply_overrides, document_of
from fedsim.scenario.price_checks import small_instances
from fedsim.scenario.provenance import figures
from fedsim.scenario.schema.root import ScenarioFile
from fedsim.scenario.source import Document, read_document
from fedsim.scenario.spec import Scenario, Source
from fedsim.scenario.validate import validate

_CHECKS: tuple[Callable[[Facts], Iterable[Problem]], ...] = (
    references.unknown_names,
    references.wrong_pairs,
    objects.missing_objects,
    fault_checks.faults_of_nothing,
    references.wrong_strategies,
    references.unmet_expectations,
    pool_checks.mixed_kinds,
    pool_checks.wrong_engines,
    references.unknown_models,
    reachability.no_nodes,
    reachability.unserved_streams,
    unknown_sizes.unknown_sizes,
    reachability.origins_without_gateway,
    reachability.missing_round_trips,
    reachability.warmup_too_long,
    reachability.windows_too_long,
    plan_checks.wrong_plans,
)


def load(
    scenario: str | PathLike[str] | Mapping[str, object],
    overrides: Mapping[str, object] | None = None,
) -> Scenario:
    """Return the scenario of a YAML file, or of a mapping with what such a file holds.

    Args:
        scenario: The file; or a mapping, whose files are relative to the current directory and
            which may have Python objects where a file has ``module:Class``.
        overrides: Changes to the file by dotted path, such as ``{"pools.us-chat.count": 6}``; see
            `Scenario.changed`.

    Raises:
        ScenarioError: Something is wrong; it holds all problems, in the order of the file.
        ArgumentError: An argument is neither a path nor a mapping.
    """
    require_changes(overrides)
    if isinstance(scenario, Mapping):
        return _built(document_of(scenario), overrides or {}, Path(), Path())
    if not isinstance(scenario, str | PathLike):
        message = f"fedsim.load takes a file or a mapping, not {scenario!r:.60}."
        raise ArgumentError(message, 'Write fedsim.load("my-service.yaml").')
    file = Path(scenario)
    return _built(read_document(file), overrides or {}, file, plugin_directory(file))


def _rebuilt(scenario: Scenario, source: Source, changes: Mapping[str, object]) -> Scenario:
    """Return *scenario*, made from *source*, with *changes*."""
    document = source.document
    own = replace(
        document,
        tree=deepcopy(document.tree),
        values=dict(document.values),
        keys=dict(document.keys),
        problems=[],
        objects=dict(document.objects),
    )
    return _built(own, changes, scenario.path, scenario.plugin_directory, scenario)


def _built(
    document: Document,
    changes: Mapping[str, object],
    path: Path,
    plugins: Path,
    before: Scenario | None = None,
) -> Scenario:
    """Return the scenario of *document* with *changes*.

    Args:
        document: The file; the changes are made in it.
        changes: Values by dotted path.
        path: Where the file is.
        plugins: Where its plug-ins may be.
        before: The scenario that is changed; files that it read and that mean the same are not read
            again.
    """
    source = None if before is None else before.source

    def same(*keys: str) -> bool:
        return source is not None and _same(source.document, written, *keys)

    apply_overrides(document, changes)
    written = document
    document, unread = with_fault_files(written, path.parent)
    file, facts, problems = validate(document)
    broken: list[Problem] = []
    unusable: list[Problem] = []
    if source is not None and same("workload", "regions"):
        files = source.files
    else:
        files, broken = read_workload_files(facts, path.parent)
    if source is not None and same("pools"):
        engines = source.engines
    else:
        engines, unusable = read_engine_sources(facts, path.parent)
    facts = replace(facts, profiles=engines.profiles)
    problems = [*document.problems, *unread, *problems, *broken, *unusable]
    if isinstance(document.tree, dict):
        problems += [problem for check in _CHECKS for problem in check(facts)]
        problems += small_instances(facts, engines)
    if problems or file is None:
        raise ScenarioError(_in_order(document, problems))
    completed = complete(file, path, engines)
    scenario = _scenario(completed, Source(written, files, engines, _rebuilt), path)
    if before is not None and same("network", "regions", "pools", "workload", "faults"):
        found = before.figures
    else:
        found = figures(file, engines)
    return replace(scenario, plugin_directory=plugins, figures=found)


def _same(before: Document, after: Document, *keys: str) -> bool:
    """Return whether two trees that are mappings say the same under *keys*."""
    if not isinstance(before.tree, dict) or not isinstance(after.tree, dict):
        return False
    return all(before.tree.get(key) == after.tree.get(key) for key in keys)


def _in_order(document: Document, problems: list[Problem]) -> list[Problem]:
    """Return the problems in the order of the file, those of overrides last, each once."""

    def place(problem: Problem) -> tuple[bool, int, int]:
        return problem.file != document.file, problem.line or 0, problem.column or 0

    return sorted(dict.fromkeys(problems), key=place)


def _scenario(file: ScenarioFile, source: Source, path: Path) -> Scenario:
    resolved: dict[str, Any] = file.model_dump(mode="json", exclude_none=True)
    return Scenario(
        name=file.name or "",
        description=file.description,
        seed=file.seed,
        duration_s=file.duration,
        warmup_s=file.warmup or 0.0,
        drain_s=file.drain,
        world=world_config(file, source.files, source.engines),
        federation=federation_spec(file),
        slo=slo_config(file.slo),
        study=study_spec(file.study),
        compare=compare_spec(file.compare),
        sweep=sweep_spec(file.sweep),
        expect=expect_spec(file.expect),
        plan=plan_spec(file.plan),
        record_tables=file.record.tables,
        record_decisions=file.record.decisions == "on",
        resolved=resolved,
        path=path,
        source=source,
        start=file.start,
    )
