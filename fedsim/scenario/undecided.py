"""Objectives that a study of the scenario cannot decide, for too few requests."""

from __future__ import annotations

import math

from fedsim.results.belief import needed, percentile_of
from fedsim.results.slo import in_words
from fedsim.scenario.offered_load import OfferedLoad


def undecided_notes(offered: OfferedLoad, replications: int | None = None) -> list[str]:
    """Return warnings on percentiles of too few requests, those of all replications counted.

    A stream without requests, or whose requests all fit nowhere, is not warned of here.

    Args:
        offered: The load of the scenario.
        replications: Number of runs; None for those of a comparison.
    """
    scenario = offered.scenario
    if scenario.slo is None:
        return []
    key = "study" if replications is None else "expect"
    if replications is None:
        compared = scenario.compare.replications if scenario.compare else None
        replications = compared or scenario.study.replications
    window_s = scenario.duration_s - scenario.warmup_s
    names = [stream.traffic.name for stream in offered.streams]
    expected = dict(zip(names, (offered.rates_rps * window_s).tolist(), strict=True))
    notes = []
    for part in scenario.slo.parts(names):
        share = percentile_of(part.key)
        requests = sum(expected[name] for name in part.covers)
        if share is None or not requests or requests * replications >= needed(share):
            continue
        notes.append(
            f"{in_words(part.key, part.limit, part.stream)} cannot be decided: "
            f"{replications} replications have about {requests * replications:,.0f} requests "
            f"after the warm-up, and this percentile needs {needed(share):,}. Write {key}: "
            f"{{replications: {math.ceil(needed(share) / requests):,}}}, or a longer duration."
        )
    return notes
