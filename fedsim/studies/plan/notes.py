"""What a user should know before trusting a plan or a headroom, as sentences."""

from __future__ import annotations

from collections.abc import Sequence

from fedsim.results.slo import SHARES
from fedsim.scenario.spec import Scenario
from fedsim.studies.cautions import alike
from fedsim.studies.records import Record


def notes(scenario: Scenario, records: Sequence[Record], kind: str) -> list[str]:
    """Return what is to be known of the objective, then the warnings of the runs.

    Args:
        scenario: The scenario, which has an objective.
        records: What the runs came to.
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
        found.append(
            f"study.steady_state has no effect on a {kind}, whose verdicts are on windows."
        )
    count = len(records)
    return found + [
        f"{len(seeds)} of {count} runs (here seed {seeds[0]}): {sentence}"
        for sentence, seeds in alike((record.seed, record.warnings) for record in records)
    ]
