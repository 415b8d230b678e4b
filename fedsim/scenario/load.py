"""Reads a scenario file, checks it, and returns the scenario or all that is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from fedsim.errors import Problem, ScenarioError
from fedsim.scenario import fault_checks, pool_checks, reachability, references, unknown_sizes
from fedsim.scenario.configure.federation import federation_spec
from fedsim.scenario.configure.studies import compare_spec, slo_config
from fedsim.scenario.configure.world import world_config
from fedsim.scenario.defaults import complete
from fedsim.scenario.engine_files import EngineSources, read_engine_sources
from fedsim.scenario.facts import Facts
from fedsim.scenario.files import WorkloadFiles, read_workload_files
from fedsim.scenario.overrides import apply_overrides
from fedsim.scenario.price_checks import small_instances
from fedsim.scenario.provenance import figures
from fedsim.scenario.schema.root import ScenarioFile
from fedsim.scenario.source import Document, dotted, read_document
from fedsim.scenario.spec import Scenario
from fedsim.scenario.validate import validate

_CHECKS: tuple[Callable[[Facts], Iterable[Problem]], ...] = (
    references.unknown_names,
    references.wrong_pairs,
    fault_checks.faults_of_nothing,
    references.wrong_strategies,
    pool_checks.mixed_kinds,
    pool_checks.wrong_engines,
    reachability.unserved_streams,
    unknown_sizes.unknown_sizes,
    reachability.origins_without_gateway,
    reachability.missing_round_trips,
    reachability.warmup_too_long,
)


def load(path: str | PathLike[str], overrides: Mapping[str, object] | None = None) -> Scenario:
    """Return the scenario of a YAML file.

    Args:
        path: The file.
        overrides: Values by dotted path, such as ``{"pools.us-chat.count": 6}``, that replace the
            file's; what a path needs and the file lacks is created.

    Raises:
        ScenarioError: Something is wrong; it holds all problems, in the order of the file.
    """
    document = read_document(Path(path))
    apply_overrides(document, overrides or {})
    file, problems = validate(document)
    facts = Facts(document)
    files, broken = read_workload_files(facts, Path(path).parent)
    engines, unusable = read_engine_sources(facts, Path(path).parent)
    problems = [*document.problems, *problems, *broken, *unusable]
    if isinstance(document.tree, dict):
        problems += [problem for check in _CHECKS for problem in check(facts)]
        problems += small_instances(facts, engines)
    if problems or file is None:
        raise ScenarioError(_in_order(document, problems))
    completed = complete(file, Path(path), engines)
    scenario = _scenario(document, completed, files, engines, Path(path))
    return replace(scenario, figures=figures(file, engines))


def _in_order(document: Document, problems: list[Problem]) -> list[Problem]:
    """Return the problems in the order of the file, those of overrides last, each once."""

    def place(problem: Problem) -> tuple[bool, int, int]:
        return problem.file != document.file, problem.line or 0, problem.column or 0

    return sorted(dict.fromkeys(problems), key=place)


def _scenario(
    document: Document,
    file: ScenarioFile,
    files: WorkloadFiles,
    engines: EngineSources,
    path: Path,
) -> Scenario:
    resolved: dict[str, Any] = file.model_dump(mode="json", exclude_none=True)
    return Scenario(
        name=file.name or "",
        description=file.description,
        seed=file.seed,
        duration_s=file.duration,
        warmup_s=file.warmup or 0.0,
        drain_s=file.drain,
        world=world_config(file, files, engines),
        federation=federation_spec(file),
        slo=slo_config(file.slo),
        compare=compare_spec(file.compare),
        record_tables=file.record.tables,
        record_decisions=file.record.decisions == "on",
        resolved=resolved,
        path=path,
        places={dotted(each): place for each, place in document.values.items()},
    )
