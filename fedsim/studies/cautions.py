"""What a user should know before trusting the numbers of a run, as sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from fedsim.results.diagnosis import findings
from fedsim.results.run import Run

_WHERE = {
    "privacy_violations": "in a region that may not hold the request's data",
    "model_violations": "by another model than the request asks for",
}
_FIGURES = re.compile(r"\d[\d,.]*")


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
    seeds: dict[tuple[str, str], list[int]] = {}
    first: dict[tuple[str, str], str] = {}
    compared: set[str] = set()
    for strategy, seed, sentences in warnings:
        compared.add(strategy)
        for sentence in sentences:
            key = (strategy, _FIGURES.sub("#", sentence))
            first.setdefault(key, sentence)
            of_key = seeds.setdefault(key, [])
            if seed not in of_key:  # a run may warn of the same thing twice, in other figures
                of_key.append(seed)
    alike: dict[tuple[str, str], list[str]] = {}
    for key, sentence in first.items():
        alike.setdefault((_where(seeds[key], replications), sentence), []).append(key[0])
    found = []
    for (where, sentence), names in alike.items():
        every = len(names) == len(compared) > 1
        found.append(f"{'all strategies' if every else ', '.join(names)}, {where}: {sentence}")
    return found


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
