"""The report of a headroom: how much traffic the fleet holds, and what ends it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fedsim.document import Block, Column, Document, Heading, Sentence, Table, figure, words
from fedsim.report.parts import Saved, closing, warnings_of
from fedsim.report.plan import VERDICTS, limit_cell, objective_in_words, value_cell
from fedsim.report.stops import UNFINISHED, missing_in_words, more_in_words, spent_in_words
from fedsim.studies.plan.headroom import traffic_in_words
from fedsim.studies.plan.verdict import OPEN
from fedsim.studies.plan.words import found_in_words

if TYPE_CHECKING:
    from fedsim.studies.plan.headroom import Headroom

_CONTENTS = (
    "evaluations.parquet: every traffic that was looked at; runs/: what each run came to",
    "summary.json: the answer as JSON; scenario.yaml, study.json: what was run, with every seed",
)


def headroom_report(headroom: Headroom, saved: Saved | None = None) -> Document:
    """Return the report of a headroom.

    Args:
        headroom: The headroom.
        saved: Where it was written, or None for nowhere.
    """
    blocks: list[Block] = [
        Heading(f"{headroom.scenario.name}: {headroom_title(headroom)}", 1),
        *(Sentence(text, item=True) for text in _answer(headroom)),
    ]
    if headroom.looks.found:
        blocks += [Heading("Every traffic that was looked at"), _table(headroom)]
    blocks += warnings_of(headroom.warnings)
    if saved is not None:
        blocks += closing(saved, _CONTENTS, ())
    return Document(tuple(blocks))


def headroom_title(headroom: Headroom) -> str:
    """Return how much the fleet holds, in a sentence without its end."""
    held = headroom.held
    if headroom.status == "unfinished":
        return UNFINISHED
    if headroom.first_round:
        return _spent(headroom)
    if math.isnan(held):
        return "the fleet holds its objective at no traffic that was looked at"
    more = "at least " if headroom.status in {"more", "budget"} else ""
    return f"the fleet holds {more}{held:.3g} times its traffic"


def _spent(headroom: Headroom) -> str:
    assert headroom.spec.budget is not None
    return spent_in_words(headroom.spec.budget, headroom.first_round)


def _answer(headroom: Headroom) -> Iterator[str]:
    scenario, spec, found = headroom.scenario, headroom.spec, headroom.looks.found
    held, violated = headroom.held, headroom.violated
    fleet = ", ".join(f"{pool.count} {pool.name}" for pool in scenario.world.pools if pool.count)
    cases = "in every case of the plan" if spec.survive else "with all nodes up"
    yield f"The fleet is that of the file: {fleet}. The objective: {objective_in_words(scenario)}."
    if headroom.status == "unfinished":
        assert headroom.store is not None
        yield f"{missing_in_words(headroom.store)}. This is what is known so far."
    if headroom.looks.reason:
        yield f"There is no traffic that it can hold: {headroom.looks.reason}."
    elif math.isnan(held) and found:
        lowest = min(found)
        yield (
            f"Nothing that was looked at is held. At {lowest:.4g} times the traffic of the file: "
            f"{found_in_words(found[lowest])}."
        )
    elif found:
        yield (
            f"It holds the objective {cases} with {100.0 * spec.confidence:g} % confidence up to "
            f"{held:.4g} times the traffic of the file: {traffic_in_words(scenario, held)}."
        )
    if not math.isnan(violated):
        text = f"From {violated:.4g} times on it is shown to violate it: "
        yield text + f"{found_in_words(found[violated])}."
        if not math.isnan(held):
            yield (
                f"So the highest traffic lies between {held:.4g} and {violated:.4g} times that of "
                "the file; in between, the runs do not decide."
            )
    failed = min((at for at, each in found.items() if each.verdict == "failed"), default=None)
    if failed is not None:
        yield f"At {failed:.4g} times the traffic of the file {found_in_words(found[failed])}."
    if headroom.status != "unfinished":
        yield from _lasts(headroom)
    if headroom.status == "budget":
        ends = "" if headroom.first_round else ": the ends may be closer together"
        yield (
            f"{_spent(headroom).capitalize()}{ends}. {more_in_words(headroom.first_round)} and "
            "repeat the command with the same --out."
        )
    yield (
        "Rates are multiplied, users of closed loops and requests of traces too; days, spikes and "
        f"faults keep their clock. {len(headroom.records):,} runs, {spec.replications} "
        "replications of each traffic in each case, with the same seeds for all."
    )


def _lasts(headroom: Headroom) -> Iterator[str]:
    months, growth = headroom.months, headroom.spec.growth
    if months is None or growth is None:
        return
    grows = f"At {100.0 * growth:g} % more traffic each month"
    if months < 0:
        yield f"{grows}: the fleet does not hold the traffic of the file itself."
    elif months == 0:
        yield f"{grows} the fleet lasts less than a month."
    else:
        yield f"{grows} the fleet lasts {months} month{'' if months == 1 else 's'}."


def _table(headroom: Headroom) -> Table:
    kept = [found for _, found in sorted(headroom.looks.found.items())]
    judged = [each.judgment or OPEN for each in kept]
    columns = [
        Column(
            "times", tuple(figure(each, "decimals", 3) for each in sorted(headroom.looks.found))
        ),
        words("verdict", [each.verdict for each in kept], 0, VERDICTS),
        words("case", [each.case for each in kept]),
        words("measure", [each.name for each in judged]),
        Column("value", tuple(value_cell(each) for each in judged)),
        Column("limit", tuple(limit_cell(each) for each in judged)),
        Column("runs", tuple(figure(each.runs, "count") for each in judged), rank=1),
    ]
    return Table(tuple(columns), "evaluations.parquet")
