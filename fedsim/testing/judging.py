"""Whether what was measured meets what is expected, at the confidence of the study.

The mean over replications has an interval each of whose ends is a one-sided limit. What is expected
is held where the limit on the bad side keeps to the bound, failed where not even the mean does, and
not decided in between, which is no better than failed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from fedsim.document import figure
from fedsim.results.belief import belief, failure_bound, needed, percentile_of
from fedsim.results.measures import MEASURES, Limit
from fedsim.results.slo import SHARES, WINDOWS_HELD, Bounded, Verdict, in_words
from fedsim.scenario.spec import NoWorseSpec
from fedsim.studies.comparison import Comparison
from fedsim.studies.ranking import CHIEF, TIE_BREAKS
from fedsim.studies.records import ALL, Record
from fedsim.studies.statistics import Estimate, estimate

if TYPE_CHECKING:
    from pandas import DataFrame

Result = Literal["held", "failed", "not decided", "known failure"]

_RELATIONS = {"=": "=", "<=": "≤", ">=": "≥"}
_NO_FAILURES = tuple(SHARES.values())
"""Shares of requests: where all are 1, what they show depends on the number of requests."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one expectation.

    Attributes:
        expectation: Its key in the scenario's ``expect``.
        expected: What is expected, in words.
        measured: What was measured, in words.
        result: Whether it is held.
        reason: Why not, as sentences; empty where it is.
        estimate: What was measured as a mean with one-sided limits, or None where it is no number.
    """

    expectation: str
    expected: str
    measured: str
    result: Result
    reason: str = ""
    estimate: Estimate | None = None


def finding_text(finding: Finding) -> str:
    """Return a finding as one text: what was expected, what was measured, and why not."""
    found = f"{finding.expectation}: {finding.expected}; measured {finding.measured}"
    return f"{found}: {finding.result}. {finding.reason}".rstrip()


def slo_findings(comparison: Comparison, own: str) -> list[Finding]:
    """Return a finding for each bound of the objective, and for its windows where it has some."""
    saturated = comparison.saturated.get(own)
    found = []
    for parts in comparison.verdicts(own):
        found.append(_bound(comparison, own, parts, saturated))
        if parts[0].every_s is not None and not parts[0].missing:
            found.append(_windows(parts))
    return found


def measure_finding(comparison: Comparison, own: str, name: str, limit: Limit) -> Finding:
    """Return what came of a bound of one measure."""
    measure, records = MEASURES[name], _records(comparison, own)
    values = [record.value(name) for record in records]
    bound = f"{limit.value * measure.scale:g} {measure.unit}".rstrip()
    expected = f"{measure.words} {_RELATIONS[limit.relation]} {bound}"
    if limit.relation == "=":
        off = [value for value in values if value != limit.value]
        reason = ""
        if off:
            times = f"{len(off)} of {len(values)} replications"
            reason = f"It differs in {times}, to {_shown(name, off[0])} in the first of them."
        mean = _shown(name, estimate(values, measure.bounds).mean)
        return Finding("measures", expected, mean, "failed" if off else "held", reason)
    requests = sum(record.value("requests") for record in records)
    succeeded = sum(record.value("requests") * record.value("success_rate") for record in records)
    at_most = limit.relation == "<="
    found, result, reason = judged(
        name, values, limit.value, at_most, comparison.confidence, requests, succeeded
    )
    return Finding("measures", expected, _shown(name, found), result, reason, found)


def best_finding(comparison: Comparison, best: str) -> Finding:
    """Return whether no other is shown to be better than *best*."""
    others = [name for name in comparison.strategies if name != best]
    expected = f"no other is shown to be better than {best}"
    if len(comparison.seeds) == 1:
        reason = "One replication shows no difference. Write expect: {replications: 5} or more."
        return Finding("best", expected, f"{len(others)} others", "not decided", reason)
    better = {}
    left = others
    for measure in (CHIEF, *TIE_BREAKS):
        if not left:
            break
        table = comparison.differences(measure, best)
        equal = [name for name in left if _is_equal(comparison, name, best, measure)]
        for name in left:
            if name not in equal and table.loc[name, "verdict"] == "better":
                found = _difference(table, name, comparison)
                better[name] = f"{name} is better in {MEASURES[measure].words} by " + _shown(
                    measure, found, signed=True
                )
        left = equal
    chance = comparison.summary()["probability_best"].to_dict()[best]
    text = f"first of {len(others) + 1} in {100.0 * chance:.3g} % of resampled studies"
    reason = "".join(f"{each}. " for each in better.values()).rstrip()
    return Finding("best", expected, text, "failed" if better else "held", reason)


def no_worse_finding(comparison: Comparison, own: str, spec: NoWorseSpec) -> Finding:
    """Return whether *own* is shown to be no worse than another, but for a margin."""
    measure = MEASURES[spec.measure]
    share = measure.unit == "%"
    points = "point" if spec.margin == 0.01 else "points"
    margin = f"{100.0 * spec.margin:g} {points if share else '%'}"
    expected = f"{measure.words} no worse than {spec.than} by {margin}"
    table = comparison.no_worse(spec.measure, spec.margin, spec.than)
    found = _difference(table, own, comparison)
    cell = figure(found.mean, "percent", interval=(found.low, found.high), signed=True)
    text = f"{cell} {'points' if share else '%'}"
    if table["no_worse"].to_dict()[own]:
        return Finding("no_worse", expected, text, "held", "", found)
    worse = -found.mean if measure.better == "higher" else found.mean
    result: Result = "failed" if worse > spec.margin else "not decided"
    reason = "The difference is larger than the margin."
    if result == "not decided":
        reason = "The margin is not shown to be kept to: the interval reaches beyond it."
    return Finding("no_worse", expected, text, result, reason, found)


def _difference(table: DataFrame, name: str, comparison: Comparison) -> Estimate:
    """Return the difference of *name* in a table of differences."""
    mean, low, high = (table[column].to_dict()[name] for column in ("difference", "low", "high"))
    return Estimate(mean, low, high, len(comparison.seeds))


def _bound(
    comparison: Comparison, own: str, parts: Sequence[Verdict], saturated: float | None
) -> Finding:
    first = parts[0]
    bounded, values = Bounded.of(first.key), [part.value for part in parts]
    expected = in_words(first.key, first.limit, first.stream)
    if all(part.missing for part in parts):
        return Finding("slo", expected, "–", "not decided", f"There is no value: {first.missing}.")
    requests, succeeded = _counts(comparison, own, first)
    found, result, reason = judged(
        first.objective,
        values,
        first.limit,
        bool(bounded.time),
        comparison.confidence,
        requests,
        succeeded,
    )
    if saturated is not None and bounded.time:
        result = "failed"
        reason = (
            f"Saturated at {saturated:.3g} req/s: more is offered than the fleet can serve, and "
            "latencies depend on the window's length."
        )
    return Finding("slo", expected, _shown(first.objective, found), result, reason, found)


def _windows(parts: Sequence[Verdict]) -> Finding:
    first = parts[0]
    windows, held = sum(part.windows for part in parts), sum(part.windows_held for part in parts)
    expected = (
        f"{in_words(first.key, first.limit, first.stream)} in {WINDOWS_HELD} % of windows of "
        f"{first.every_s:g} s"
    )
    enough = 100 * held >= WINDOWS_HELD * windows
    return Finding("slo", expected, f"{held} of {windows}", "held" if enough else "failed")


def judged(
    name: str,
    values: Sequence[float],
    limit: float,
    at_most: bool,
    confidence: float,
    requests: float,
    succeeded: float,
) -> tuple[Estimate, Result, str]:
    """Return the estimate of a measure, whether it keeps to its limit, and why not.

    Args:
        name: The measure or the bound of an objective.
        values: A value per replication.
        limit: The limit.
        at_most: Whether it is the largest value, rather than the smallest.
        confidence: That of each limit.
        requests: Number of requests over all replications.
        succeeded: Number of those that succeeded.
    """
    bounds = (0.0, math.inf if name.endswith("_s") else 1.0)
    bounds = MEASURES[name].bounds if name in MEASURES else bounds
    found = estimate(values, bounds, 2.0 * confidence - 1.0)
    share = percentile_of(name)
    if share is not None and belief(succeeded, share) == "none":
        reason = f"{succeeded:,.0f} requests succeeded; this percentile needs {needed(share):,}."
        return found, "not decided", reason
    if name in _NO_FAILURES and not at_most and found.mean == 1.0:
        return _without_failures(found, limit, confidence, requests)
    if found.count < 2 or found.count < len(values):
        reason = "One replication has no interval. Write expect: {replications: 5} or more."
        if found.count < len(values):
            reason = f"{len(values) - found.count} of {len(values)} replications have no value."
        return found, "not decided", reason
    worst = found.high if at_most else found.low
    if worst <= limit if at_most else worst >= limit:
        return found, "held", ""
    if found.mean <= limit if at_most else found.mean >= limit:
        reason = (
            f"The mean keeps to it, its {100.0 * confidence:g} % limit {_shown(name, worst)} does "
            "not; more replications would decide."
        )
        return found, "not decided", reason
    return found, "failed", f"The mean is {_shown(name, found.mean)}."


def _without_failures(
    found: Estimate, limit: float, confidence: float, requests: float
) -> tuple[Estimate, Result, str]:
    """Judge a share of requests of which none failed: it shows no more than their number does."""
    low = 1.0 - failure_bound(requests, confidence)
    found = Estimate(1.0, low, 1.0, found.count)
    if limit >= 1.0 or low >= limit:
        return found, "held", ""
    enough = math.ceil(math.log1p(-confidence) / math.log(limit))
    reason = (
        f"None of {requests:,.0f} requests failed, which shows {100.0 * low:.4g} % or more; it "
        f"takes {enough:,} requests without a failure."
    )
    return found, "not decided", reason


def _counts(comparison: Comparison, own: str, bound: Verdict) -> tuple[float, float]:
    """Return the requests that a bound covers over all replications, and those that succeeded."""
    by, group = (ALL, ALL) if bound.stream is None else ("stream", bound.stream)
    rows = comparison.replications
    chosen = (rows["strategy"] == own) & (rows["by"] == by) & (rows["group"] == group)
    of_it = rows[chosen.to_numpy(dtype=bool)]
    succeeded = (of_it["requests"] * of_it["success_rate"]).sum()
    return float(of_it["requests"].sum()), float(succeeded)


def _records(comparison: Comparison, own: str) -> list[Record]:
    return [record for record in comparison.records if record.key["strategy"] == own]


def _is_equal(comparison: Comparison, one: str, other: str, measure: str) -> bool:
    """Return whether two have the same value in every replication."""
    pairs = zip(comparison.values(one, measure), comparison.values(other, measure), strict=True)
    return all(first == second for first, second in pairs)


def _shown(name: str, value: float | Estimate, *, signed: bool = False) -> str:
    """Return a value of a measure, or an estimate, in words."""
    unit = MEASURES[name].unit if name in MEASURES else "s" if name.endswith("_s") else "%"
    form: Literal["percent", "significant"] = "percent" if unit == "%" else "significant"
    if isinstance(value, float):
        cell = figure(value, form, signed=signed)
    else:
        cell = figure(value.mean, form, interval=(value.low, value.high), signed=signed)
    return f"{cell} {unit}".rstrip()
