"""The page of a comparison: which strategy is best, and what that rests on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from fedsim.document import Cell, percent
from fedsim.report.comparison import comparison_report
from fedsim.report.html.page import Drawn, Page
from fedsim.report.html.studies import made, of_warnings
from fedsim.report.measures import cells
from fedsim.results.measures import MEASURES
from fedsim.studies.comparison import KIND, Comparison
from fedsim.studies.ranking import CHIEF

_RIVALS = ("success_rate", "latency_p99_s", "ttft_p99_s", "tpot_p99_s", "cost_usd_per_1k_ok")
"""The measures by which another strategy than the best may come first."""


def comparison_page(comparison: Comparison, overloads: Sequence[str]) -> Page:
    """Return the page of a comparison.

    Args:
        comparison: The comparison.
        overloads: Warnings about the load of its scenario.
    """
    warnings = [*overloads, *comparison.warnings]
    return Page(
        _answer(comparison),
        comparison_report(comparison, overloads),
        list(_charts(comparison)),
        made(comparison, KIND),
        [*_changes(comparison), *of_warnings(warnings)],
    )


def _charts(comparison: Comparison) -> Iterator[Drawn]:
    plot = comparison.plot
    for measure in plot.measures:
        yield Drawn(f"ranking-{measure}", partial(plot.ranking, measure))
        if len(comparison.strategies) > 1:
            yield Drawn(f"differences-{measure}", partial(plot.differences, measure))
    for time in plot.times:
        yield Drawn(time, getattr(plot, time))


def _answer(comparison: Comparison) -> str:
    """Return which strategy is best by goodput, how sure that is, and whether it suffices."""
    first, *others = comparison.ranking()
    goodput = f"a goodput of {_value(comparison, first, CHIEF)} %"
    count = len(comparison.seeds)
    if not others:
        text = f"{first} has {goodput}."
    elif count == 1:
        text = (
            f"{first} came first with {goodput}, in one replication, which shows no difference "
            "from the others."
        )
    else:
        equals = _equals(comparison)
        text = f"{first} is best: it has {goodput}, more than "
        if not equals:
            text += f"{others[0]}." if len(others) == 1 else f"each of the {len(others)} others."
        elif len(equals) < len(others):
            text += f"the others but {' and '.join(equals)}, from which no difference is shown."
        else:
            text = f"No strategy is shown to be best. {first} comes first with {goodput}."
    return f"{text}{_held(comparison, first)}"


def _held(comparison: Comparison, first: str) -> str:
    if comparison.scenario.slo is None:
        return ""
    holding = comparison.holding
    if not holding:
        return " No strategy held the whole objective in every replication."
    if first not in holding:
        return f" The objective was held in every replication by {', '.join(holding)} alone."
    return " It held the objective in every replication."


def _equals(comparison: Comparison) -> list[str]:
    """Return the strategies that are not shown to differ from the first in goodput."""
    table = comparison.differences(CHIEF, comparison.ranking()[0])
    return [str(name) for name in table.index[(table["verdict"] == "no difference shown").tolist()]]


def _value(comparison: Comparison, strategy: str, measure: str) -> Cell:
    """Return a measure of a strategy with its interval."""
    return cells(MEASURES[measure], comparison.summary().loc[[strategy]], measure)[0]


def _changes(comparison: Comparison) -> Iterator[str]:
    first, *others = comparison.ranking()
    if others and len(comparison.seeds) > 1:
        yield from _lead(comparison, first, others[0])
    yield from _rivals(comparison, first)
    if others:
        yield (
            "Another load, fleet or fault: the ranking is for this scenario, in which nodes are "
            f"in use {_utilization(comparison, first)} % of the time. fedsim sweep finds where "
            "another strategy overtakes."
        )
    withheld = comparison.withheld
    if len(withheld):
        yield (
            f"Longer runs or more replications: {len(withheld)} percentiles rest on too few "
            "requests, or on a saturated fleet, and are not shown."
        )


def _lead(comparison: Comparison, first: str, second: str) -> Iterator[str]:
    table = comparison.differences(CHIEF, first).loc[[second]]
    ends = ("low", "high")
    lead = cells(MEASURES[CHIEF], table, "difference", ends, signed=True)[0]
    chance = float(comparison.summary()["probability_best"].iloc[0])
    yield (
        f"More replications: {second}, the second, differs from {first} by {lead} percentage "
        f"points of goodput. {first} ranks first in {percent(chance)} % of sets of replications "
        "drawn again from those there are."
    )


def _rivals(comparison: Comparison, first: str) -> Iterator[str]:
    """Yield by which other measures another strategy comes first, and is shown to be better."""
    summary = comparison.summary()
    for name in _RIVALS:
        measure = MEASURES[name]
        if measure.better is None or not summary[name].notna().any():
            continue
        best = comparison.ranking(name)[0]
        table = comparison.differences(name, first)
        if best != first and table.loc[best, "verdict"] == "better":
            values = [f"{_value(comparison, each, name)} {measure.unit}" for each in (best, first)]
            yield (
                f"Another aim: by {measure.words}, {best} is better, {values[0]} against "
                f"{values[1]}."
            )


def _utilization(comparison: Comparison, strategy: str) -> str:
    return percent(float(comparison.summary()["utilization_mean"][strategy]))
