"""The pages of a plan and of a headroom: the fleet, how much it holds, and what that rests on."""

from __future__ import annotations

from collections.abc import Iterator

from fedsim.document import Document, Heading, Sentence
from fedsim.report.headroom import headroom_report, headroom_title
from fedsim.report.html.page import Drawn, Page
from fedsim.report.html.studies import made, of_warnings
from fedsim.report.plan import plan_report, would_change
from fedsim.studies.plan import headroom as headrooms
from fedsim.studies.plan import result
from fedsim.studies.plan.headroom import Headroom
from fedsim.studies.plan.result import Plan


def plan_page(plan: Plan) -> Page:
    """Return the page of a plan, whose first sentence is its answer."""
    title, answer, *blocks = plan_report(plan, ledger=True).blocks
    assert isinstance(title, Heading)
    assert isinstance(answer, Sentence)
    return Page(
        answer.text,
        Document((title, *blocks)),
        [Drawn("costs", plan.plot.costs)],
        made(plan, result.KIND),
        [*would_change(plan), *of_warnings(plan.warnings)],
    )


def headroom_page(headroom: Headroom) -> Page:
    """Return the page of a headroom."""
    text = headroom_title(headroom)
    return Page(
        f"{text[:1].upper()}{text[1:]}.",
        headroom_report(headroom),
        [],
        made(headroom, headrooms.KIND),
        [*_changes(headroom), *of_warnings(headroom.warnings)],
    )


def _changes(headroom: Headroom) -> Iterator[str]:
    yield (
        "Other traffic than more of the same: days, spikes and faults keep their clock, and the "
        "mix of streams, sizes and origins stays as it is."
    )
    yield "Another fleet, other cases or another objective: all three are those of the file."
    yield (
        f"More replications than {headroom.spec.replications}, or longer runs: they narrow the "
        "interval in which the runs do not decide."
    )
