"""The order of strategies: by goodput, and by latency only among those that fail no more."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from fedsim.errors import ResultsError
from fedsim.results.measures import MEASURES, Measure
from fedsim.studies.statistics import CONFIDENCE, Difference, Verdict, verdict

CHIEF = "goodput_share"
"""What strategies are ranked by unless another measure is asked for."""

TIE_BREAKS = ("success_rate", "latency_p99_s")
"""What decides between strategies that are exactly equal in the measure, one after the other."""


def measure_of(name: str) -> Measure:
    """Return the measure of that name.

    Raises:
        ResultsError: There is none.
    """
    if name not in MEASURES:
        msg = f"there is no measure {name!r}; choose one of {', '.join(MEASURES)}"
        raise ResultsError(msg)
    return MEASURES[name]


def rankable(name: str) -> Measure:
    """Return the measure of that name, of which one direction is better.

    Raises:
        ResultsError: There is no such measure, or none of its directions is better.
    """
    facts = measure_of(name)
    if facts.better is None:
        msg = f"strategies cannot be ranked by {name}: neither more nor less of it is better"
        raise ResultsError(msg)
    return facts


def ranked(
    strategies: Sequence[str],
    means: Mapping[str, Mapping[str, float]],
    measure: str,
    fails_more: Callable[[str], bool],
) -> list[str]:
    """Return the strategies, best first; those without a value come last.

    For a measure of successful requests, the strategies that fail more than the one with the
    highest success rate come after the others, in the order of their success rates.

    Args:
        strategies: Their names, in the order in which equal ones are to stay.
        means: The mean of each measure by strategy.
        measure: What to rank by.
        fails_more: Whether a strategy's success rate is shown to be worse than the best.

    Raises:
        ResultsError: There is no such measure, or none of its directions is better.
    """
    facts = rankable(measure)

    def key(strategy: str) -> tuple[float, ...]:
        values = means[strategy]
        own = ascending(measure, values[measure])
        breaks = tuple(ascending(name, values[name]) for name in TIE_BREAKS)
        if facts.successes_only and fails_more(strategy):
            return (1.0, *breaks)
        return (0.0, own, *breaks)

    return sorted(strategies, key=key)


def judged(
    measure: str,
    found: Difference,
    p: float,
    success_rate: Difference,
    confidence: float = CONFIDENCE,
) -> Verdict:
    """Return what a paired difference of a measure shows, given that of the success rate.

    A latency that looks better because more requests failed, or worse because fewer did, is not
    comparable.

    Args:
        measure: The measure.
        found: Its difference.
        p: The p-value of that, adjusted where there are several differences.
        success_rate: The difference of the success rate between the same two.
        confidence: A difference is shown where its p-value is below 1 − *confidence*.
    """
    facts = measure_of(measure)
    shown = verdict(found.absolute, facts.better, p, confidence)
    if not facts.successes_only:
        return shown
    success = verdict(success_rate.absolute, "higher", success_rate.p, confidence)
    opposed = {shown, success} == {"better", "worse"}
    return "not comparable" if opposed else shown


def ascending(measure: str, value: float) -> float:
    """Return a number that is the lower the better the value is; infinite for none."""
    if math.isnan(value):
        return math.inf
    return -value if MEASURES[measure].better == "higher" else value
