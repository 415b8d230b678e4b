"""What a user should know before trusting a plan or a headroom, as sentences."""

from __future__ import annotations

from collections.abc import Sequence

from fedsim.results.slo import SHARES
from fedsim.scenario.spec import Scenario
from fedsim.studies.cautions import alike
from fedsim.studies.points import in_words
from fedsim.studies.records import Failure, Record


def notes(
    scenario: Scenario, records: Sequence[Record], failures: Sequence[Failure], kind: str
) -> list[str]:
    """Return what is to be known of the objective, then of runs that failed, and their warnings.

    Args:
        scenario: The scenario, which has an objective.
        records: What the runs came to.
        failures: The runs that came to nothing.
        kind: What judges the objective, such as ``plan``.
    """
    slo = scenario.slo
    assert slo is not None
    found = []
    bounded = [key for bounds in (slo.bounds, *slo.streams.values()) for key in bounds]
    if not any(key in SHARES for key in bounded):
        found.append(
            "The objective bounds times of successful requests alone: a fleet that refuses "
            "requests looks fast. Add success_rate or goodput to slo."
        )
    if scenario.study.steady_state:
        text = f"study.steady_state has no effect on a {kind}, whose verdicts are on windows."
        found.append(text)
    count = len(records) + len(failures)
    if failures:
        first = failures[0]
        found.append(
            f"{len(failures)} of {count} runs failed, and count as not held. The first: "
            f"{in_words(first.key)}, replication {first.replication} (seed {first.seed}): "
            f"{first.message.splitlines()[0]}"
        )
    return found + [
        f"{len(seeds)} of {count} runs (here seed {seeds[0]}): {sentence}"
        for sentence, seeds in alike((each.seed, each.warnings) for each in records)
    ]
