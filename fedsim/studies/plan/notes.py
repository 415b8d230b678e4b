"""What a user should know before trusting a plan or a headroom, as sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedsim.results.slo import SHARES
from fedsim.studies.cautions import alike
from fedsim.studies.points import in_words

if TYPE_CHECKING:
    from fedsim.studies.plan.headroom import Headroom
    from fedsim.studies.plan.result import Plan


def notes(study: Plan | Headroom, kind: str) -> list[str]:
    """Return what is to be known of the objective, then of runs that failed, and their warnings.

    Args:
        study: What judges the objective of a scenario.
        kind: What it is, such as ``plan``.
    """
    slo = study.scenario.slo
    assert slo is not None
    found = []
    bounded = [key for bounds in (slo.bounds, *slo.streams.values()) for key in bounds]
    if not any(key in SHARES for key in bounded):
        found.append(
            "The objective bounds times of successful requests alone: a fleet that refuses "
            "requests looks fast. Add success_rate or goodput to slo."
        )
    if study.scenario.study.steady_state:
        text = f"study.steady_state has no effect on a {kind}, whose verdicts are on windows."
        found.append(text)
    count = len(study.records) + len(study.failures)
    if study.failures:
        first = study.failures[0]
        found.append(
            f"{len(study.failures)} of {count} runs failed, and count as not held. The first: "
            f"{in_words(first.key)}, replication {first.replication} (seed {first.seed}): "
            f"{first.message.splitlines()[0]}"
        )
    return found + [
        f"{len(seeds)} of {count} runs (here seed {seeds[0]}): {sentence}"
        for sentence, seeds in alike((each.seed, each.warnings) for each in study.records)
    ]
