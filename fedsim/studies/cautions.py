"""What a user should know before trusting the numbers of a run, as sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TypeVar

from fedsim.results.diagnosis import findings
from fedsim.results.run import Run
from fedsim.scenario.capacity import capacity_problems
from fedsim.scenario.load_notes import load_notes
from fedsim.scenario.offered_load import OfferedLoad
from fedsim.scenario.spec import Scenario

_WHERE = {
    "privacy_violations": "in a region that may not hold the request's data",
    "model_violations": "by another model than the request asks for",
}
R = TypeVar("R")

_FIGURES = re.compile(r"\d[\d,.]*")


def load_warnings(scenario: Scenario) -> list[str]:
    """Return what to know of a scenario's load before trusting the numbers of a run."""
    offered = OfferedLoad(scenario)
    return [*(problem.message for problem in capacity_problems(offered)), *load_notes(offered)]


def run_warnings(run: Run, *, diagnosed: bool = True) -> list[str]:
    """Return the warnings of a run: its own, violations, and known defects of routing.

    Args:
        run: The run.
        diagnosed: Whether to look for those defects, which takes some passes over the tables.
    """
    return [*run.warnings, *_violations(run), *(findings(run) if diagnosed else ())]


def merged_warnings(
    warnings: Iterable[tuple[str, int, Sequence[str]]], replications: int
) -> list[str]:
    """Return the warnings of many runs, each once for all replications of a strategy.

    Warnings that differ in nothing but figures are one; the figures are the first one's. Those of
    several strategies are one where they are equal, figures included.

    Args:
        warnings: Strategy, seed and warnings of each run.
        replications: Number of runs of each strategy.
    """
    compared: dict[str, list[tuple[int, Sequence[str]]]] = {}
    for strategy, seed, sentences in warnings:
        compared.setdefault(strategy, []).append((seed, sentences))
    names: dict[tuple[str, str], list[str]] = {}
    for strategy, runs in compared.items():
        for sentence, seeds in alike(runs):
            names.setdefault((_where(seeds, replications), sentence), []).append(strategy)
    return [
        f"{'all strategies' if len(each) == len(compared) > 1 else ', '.join(each)}, "
        f"{where}: {sentence}"
        for (where, sentence), each in names.items()
    ]


def alike(warnings: Iterable[tuple[R, Sequence[str]]]) -> list[tuple[str, list[R]]]:
    """Return each warning once, as the first run words it, with the runs that give it.

    Warnings that differ in nothing but figures are one. A run that gives one twice, in other
    figures, is there once.

    Args:
        warnings: The runs with the warnings of each.
    """
    found: dict[str, tuple[str, list[R]]] = {}
    for run, sentences in warnings:
        for sentence in sentences:
            _, runs = found.setdefault(_FIGURES.sub("#", sentence), (sentence, []))
            if run not in runs[-1:]:
                runs.append(run)
    return list(found.values())


def _where(seeds: list[int], replications: int) -> str:
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    return f"{len(seeds)} of {replications} replications (here seed {seeds[0]})"


def _violations(run: Run) -> list[str]:
    counts = run.measures.violations
    return [
        f"{count:,} {'attempt was' if count == 1 else 'attempts were'} served {where}."
        for name, where in _WHERE.items()
        if (count := counts[name])
    ]
