"""The report of a plan: the fleet, why no cheaper one, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fedsim.document import (
    Block,
    Cell,
    Code,
    Column,
    Document,
    Heading,
    Sentence,
    Style,
    Table,
    figure,
    percent,
    plain,
    words,
)
from fedsim.report.parts import FAILED_RUNS, Saved, closing, warnings_of
from fedsim.report.stops import UNFINISHED, missing_in_words, more_in_words, spent_in_words
from fedsim.results.rundir import SCENARIO
from fedsim.results.slo import in_words
from fedsim.scenario.units import DURATION
from fedsim.studies.plan.cases import NORMAL, Rule
from fedsim.studies.plan.findings import DRAWS, PRECISE
from fedsim.studies.plan.fleets import own_counts
from fedsim.studies.plan.verdict import OPEN, Judgment
from fedsim.studies.plan.words import (
    amount_in_words,
    fleet_in_words,
    found_in_words,
    judgment_in_words,
    nodes_in_words,
    value_in_words,
)
from fedsim.studies.repeating import run_command

if TYPE_CHECKING:
    from fedsim.scenario.spec import Scenario
    from fedsim.studies.cells import PlannedRun
    from fedsim.studies.plan.result import Plan

_CHEAPER = 3
_NEAR = 1.01
_MOST_NEAR = 5
VERDICTS: dict[str, Style] = {
    "held": "good",
    "violated": "bad",
    "failed": "bad",
    "not decided": "warning",
}
_MEANINGS = {
    "failed": "failed: a run failed, such as by a plug-in that raised; counts as not held.",
    "same world": "same world: in this case it is the same as a fleet that was not held before.",
    "more violated": "more violated: a fleet with more of the same nodes was violated.",
    "not decided": "not decided: neither shown to hold nor to violate; counts as not held.",
}
_STATES = {"undecided": "not decided"}
_CONTENTS = (
    "evaluations.parquet: every fleet of the box, with what became of it and why",
    "estimates.parquet: every measure of each fleet and case; cells.parquet: every run",
    "summary.json: the answer as JSON; scenario.yaml, study.json: what was run, with every seed",
    "runs/: what each run came to",
)


def plan_report(plan: Plan, saved: Saved | None = None, *, ledger: bool = False) -> Document:
    """Return the report of a plan.

    Args:
        plan: The plan.
        saved: Where it was written, or None for nowhere.
        ledger: Whether to list what became of every fleet that was looked at.
    """
    blocks: list[Block] = [
        Heading(f"{plan.scenario.name}: {_title(plan)}", 1),
        *_items(_answer(plan)),
        *_cases(plan),
        *_around(plan),
        *_said("What more nodes and other cases change", [*_steps(plan), *_losses(plan)]),
        *_said("How sure this is", list(_certainty(plan))),
        *(_ledger(plan) if ledger else []),
        *warnings_of(plan.warnings),
    ]
    if saved is not None:
        contents = (*_CONTENTS, *[FAILED_RUNS] * bool(plan.failures))
        blocks += closing(saved, contents, [("costs.png", "fleets by cost, held or not")])
        run = _first_run(plan)
        if run is not None:
            command = run_command(str(saved.directory / SCENARIO), run.seed, run.texts)
            blocks += [Heading("One run of the answer, with all nodes up"), Code(command, "shell")]
    return Document(tuple(blocks))


def _first_run(plan: Plan) -> PlannedRun | None:
    """Return the first run of the answer with all nodes up, or None without an answer."""
    found = plan.findings
    if found.best is None:
        return None
    key = found.worlds.key(found.rule(NORMAL, found.best).world)
    return next((run for run in plan.planned if run.cell.key == key), None)


def _title(plan: Plan) -> str:
    found = plan.findings
    count = f"{len(found.fleets.box):,} fleets"
    if plan.status == "budget":
        return _spent(plan)
    if plan.status == "unfinished":
        return UNFINISHED
    if found.best is None:
        return f"none of {count} holds the objective"
    return f"{fleet_in_words(plan, found.best)}"


def _spent(plan: Plan) -> str:
    assert plan.spec.budget is not None
    return spent_in_words(plan.spec.budget, plan.findings.worlds.first_round)


def _missing(plan: Plan) -> str:
    assert plan.store is not None
    return missing_in_words(plan.store)


def _items(texts: Sequence[str]) -> list[Block]:
    return [Sentence(text, item=True) for text in texts]


def _said(heading: str, texts: Sequence[str]) -> list[Block]:
    return [Heading(heading), *_items(texts)] if texts else []


def _answer(plan: Plan) -> list[str]:
    found, box = plan.findings, plan.findings.fleets.box
    place = found.outcome.best
    cases = len(found.fleets.cases)
    others = "in every case" if cases > 1 else "with all nodes up"
    if place is None:
        return list(_none(plan))
    texts = []
    so_far = "This is the cheapest fleet that was found so far"
    if plan.status == "unfinished":
        texts.append(f"{so_far}. {_missing(plan)}.")
    elif plan.status == "budget":
        texts.append(
            f"{so_far}; cheaper ones were left out by "
            "inference and not looked at again. Raise plan.budget and repeat the command."
        )
    else:
        texts.append(
            f"This is the cheapest of {len(box):,} fleets that holds the objective {others} with "
            f"{100.0 * plan.confidence:g} % confidence: {objective_in_words(plan.scenario)}."
            f"{_terms(plan)}"
        )
    texts += [_changed(plan), _costs(plan, place)]
    if found.bound is not None and not box.scaled:
        texts.append(_bound(plan, place))
    return texts


def _terms(plan: Plan) -> str:
    """Return what the short names of times in the objective stand for."""
    text = objective_in_words(plan.scenario)
    terms = {"ttft": "the time to the first token", "tpot": "the time per output token"}
    said = [f"{name} is {meaning}" for name, meaning in terms.items() if name in text]
    return f" ({'; '.join(said)}.)" if said else ""


def _none(plan: Plan) -> Iterator[str]:
    """Yield why there is no answer, and which fleet came nearest."""
    found, box = plan.findings, plan.findings.fleets.box
    if plan.status == "unfinished":
        yield f"{_missing(plan)}."
    if plan.status in {"budget", "unfinished"}:
        seen = len(found.outcome.found)
        known = f"What became of {seen:,} of {len(box):,} fleets is known"
        text = f"{known}, and none of them holds the objective" if seen else known
        if plan.status == "budget":
            first_round = found.worlds.first_round
            text = _spent(plan).capitalize() if first_round else text
            text += (
                f". {more_in_words(first_round)} and repeat the command with the same --out: no "
                "run is made twice"
            )
        yield f"{text}."
        return
    nearest = [
        (place, each)
        for place, each in found.outcome.found.items()
        if each.verdict in {"violated", "not decided"}
        and each.judgment is not None
        and math.isfinite(each.judgment.excess)
    ]
    if nearest:
        place, each = min(nearest, key=lambda item: item[1].judgment.excess)  # type: ignore[union-attr]
        fleet = fleet_in_words(plan, box.point(place))
        yield f"Nearest: {fleet}, {amount_in_words(plan, place)}: {found_in_words(each)}."
    yield from _alone(plan)
    by_reason: dict[str, int] = {}
    for each in found.outcome.found.values():
        if each.verdict in {"unserved", "over a limit"}:
            name = each.reason.split(":")[0]
            text = f"{name} ({each.case})" if each.case else f"over the limit of {name}"
            by_reason[text] = by_reason.get(text, 0) + 1
    for text, count in by_reason.items():
        yield f"{count:,} of {len(box):,} fleets: {text}."


def _alone(plan: Plan) -> Iterator[str]:
    """Yield that a limit cannot be held because requests take longer even without waiting."""
    found = plan.findings
    worlds = [world for world in found.worlds.known if not world.lost and world.traffic == 1.0]
    if not worlds:
        return
    largest = max(worlds, key=lambda world: sum(world.counts))
    records = found.worlds.of(largest)
    wait_s = sum(record.value("queue_wait_p99_s") for record in records) / len(records)
    nodes = nodes_in_words(found.fleets.box.pools, largest)
    for series in found.worlds.series(Rule(largest), records):
        if series.percentile and series.mean - wait_s > series.limit:
            yield (
                f"No number of such nodes holds it: with {nodes}, 99 % of requests wait at most "
                f"{plain(wait_s, 2)} s, and {series.name} is "
                f"{value_in_words(series.mean, share=False)} all the same: the service alone takes "
                f"longer than the limit of {series.limit:g} s."
            )


def objective_in_words(scenario: Scenario) -> str:
    """Return all bounds of the objective."""
    slo = scenario.slo
    assert slo is not None
    streams = [stream.traffic.name for stream in scenario.world.streams]
    return "; ".join(in_words(part.key, part.limit, part.stream) for part in slo.parts(streams))


def _changed(plan: Plan) -> str:
    """Return how the answer differs from the fleet of the file."""
    best = plan.findings.best
    assert best is not None
    box = plan.findings.fleets.box
    own = own_counts(plan.scenario)
    changes = [
        f"{count - own[pool]:+d} {pool}"
        for pool, count in zip(box.pools, best.counts, strict=True)
        if count != own[pool]
    ]
    return f"Compared with the fleet in the file: {', '.join(changes) or 'no change'}."


def _costs(plan: Plan, place: int) -> str:
    found = plan.findings
    usd, nodes = found.cost(place), int(found.fleets.box.counts[place].sum())
    if found.is_scaled(place):
        mean = found.measured(place, "nodes_paid_mean")
        text = (
            f"It starts with {nodes} node{'' if nodes == 1 else 's'}, and its scalers pay for "
            f"{plain(mean)} on average"
        )
        return f"{text}." if math.isnan(usd) else f"{text}: {plain(usd, 4)} USD/h."
    if math.isnan(usd):
        return f"It has {nodes} nodes; what it costs is not known."
    goodput_rps = plan.normal("goodput_rps")
    text = f"It has {nodes} node{'' if nodes == 1 else 's'} and costs {plain(usd, 4)} USD/h"
    if not goodput_rps > 0.0:
        return f"{text}."
    return f"{text}, {plain(1000.0 * usd / (3600.0 * goodput_rps))} USD for 1,000 good requests."


def _bound(plan: Plan, place: int) -> str:
    found, box = plan.findings, plan.findings.fleets.box
    assert found.bound is not None
    at = box.place(found.bound)
    fleet = fleet_in_words(plan, found.bound)
    if at is None:
        return f"By mean capacity alone, {fleet} would do."
    least, most = float(box.objective[at]), float(box.objective[place])
    gap = f"; the answer is {100.0 * (most / least - 1.0):.0f} % above it" if least > 0.0 else ""
    return (
        f"By mean capacity alone, without queues, {amount_in_words(plan, at)} would do ({fleet})"
        f"{gap}."
    )


def _near(plan: Plan, place: int) -> list[int]:
    """Return the places of other fleets within 1 % of the amount of the answer."""
    amounts = [plan.findings.amount(other) for other in range(len(plan.findings.fleets.box))]
    most, least = amounts[place] * _NEAR, amounts[place] / _NEAR
    return [
        other for other in range(len(amounts)) if other != place and least <= amounts[other] <= most
    ]


def _cases(plan: Plan) -> list[Block]:
    """Return what the answer comes to in each case."""
    found = plan.findings
    if not found.cases:
        return []
    judged = list(found.cases.values())
    columns = [
        words("case", [case.name for case in found.cases]),
        words("verdict", [_STATES.get(each.state, each.state) for each in judged], 0, VERDICTS),
        words("tightest", [each.name for each in judged]),
        Column("value", tuple(value_cell(each) for each in judged)),
        Column("limit", tuple(limit_cell(each) for each in judged)),
        Column("surely within", tuple(_surely(each) for each in judged), "% of the limit"),
        Column("runs", tuple(figure(each.runs, "count") for each in judged), rank=1),
    ]
    text = (
        f"{_closest(plan)} "
        "Surely within: the share of the limit that the mean does not exceed, with "
        f"{100.0 * plan.confidence:g} % confidence for all cases together."
    )
    if any(case.region for case in found.cases):
        text += " Absent: the nodes of the region are missing from the start."
    if any(case.lost for case in found.cases):
        text += " Lost: the nodes of the region go down at a third of the window, for good."
    failures = [
        f"{case.name}: {_failed(row['failures'], row['longest_s'])}."
        for case, row in zip(found.cases, plan.cases.to_dict("records"), strict=True)
        if not math.isnan(row["failures"])
    ]
    return [
        Heading(f"The fleet in each case ({plan.target})"),
        Table(tuple(columns), "summary.json"),
        Sentence(text),
        *_items(failures),
    ]


def _closest(plan: Plan) -> str:
    cases = plan.findings.cases
    binding = max(cases, key=lambda case: cases[case].high)
    return f"Closest to its limit: {judgment_in_words(cases[binding])}, with {binding.name}."


def would_change(plan: Plan) -> Iterator[str]:
    """Yield what would change the answer, in sentences."""
    if plan.findings.cases:
        yield _closest(plan)
    yield from _spread(plan)
    undecided = _undecided(plan)
    if undecided:
        yield undecided
    place = plan.findings.outcome.best
    if place is not None:
        near = len(_near(plan, place))
        if near:
            fleets = "1 other fleet is" if near == 1 else f"{near:,} other fleets are"
            yield f"Other prices: {fleets} within 1 % of {amount_in_words(plan, place)}."
    varied = ", ".join(plan.spec.vary)
    yield (
        f"Another box: only {len(plan.findings.fleets.box):,} fleets were considered, which vary "
        f"{varied}."
    )
    yield (
        "More traffic, or other traffic, than the scenario's: fedsim plan --headroom says how many "
        "times its traffic a fleet holds."
    )


def _failed(requests: float, longest_s: float) -> str:
    """Return what failed at a loss, the whole window being judged only once it has settled."""
    if not requests:
        return "no request failed at the loss"
    return (
        f"interruption: {plain(requests)} requests failed at the loss on average, the longest "
        f"after {plain(longest_s, 2)} s"
    )


def value_cell(judgment: Judgment) -> Cell:
    """Return the mean of the bound that decides."""
    return _cell(judgment, judgment.value)


def limit_cell(judgment: Judgment) -> Cell:
    """Return the limit of the bound that decides."""
    return _cell(judgment, judgment.limit)


def _cell(judgment: Judgment, value: float) -> Cell:
    if math.isnan(value):
        return Cell(None)
    if judgment.measure.endswith("_s"):
        return Cell(value, text=value_in_words(value, share=False))
    if judgment.measure in {"interruption", "privacy_violations", "model_violations"}:
        return figure(value)
    return Cell(value, text=f"{percent(value)} %")


def _surely(judgment: Judgment) -> Cell:
    return figure(100.0 * (1.0 + judgment.high), "decimals", 1)


def _around(plan: Plan) -> list[Block]:
    """Return what fewer nodes violate, and the next cheaper fleets."""
    found, box, place = plan.findings, plan.findings.fleets.box, plan.findings.outcome.best
    if place is None:
        return []
    blocks: list[Block] = []
    if found.less:
        texts = []
        for pool, each in found.less.items():
            texts.append(f"without one {box.pools[pool]}: {found_in_words(each)}")
        blocks += [Heading("One node less"), *_items(texts)]
    near = _near(plan, place)
    looked = [n for n in found.outcome.found if found.amount(n) < found.amount(place)]
    order = sorted(looked, key=lambda n: (found.amount(n), n), reverse=True)
    cheaper = [n for n in order if n not in near]
    headings = ("Other fleets within 1 % of its cost", "The next cheaper fleets")
    if plan.spec.minimize != "cost":
        headings = (f"Other fleets with as many {plan.spec.minimize}", "The next smaller fleets")
    for heading, places in zip(headings, (near[:_MOST_NEAR], cheaper[:_CHEAPER]), strict=True):
        blocks += _said(heading, [_other(plan, each) for each in places])
    return blocks


def _other(plan: Plan, place: int) -> str:
    """Return a fleet that is not the answer, and why not."""
    known = plan.findings.outcome.found.get(place)
    why = "not looked at, as the answer costs no more" if known is None else found_in_words(known)
    fleet = fleet_in_words(plan, plan.findings.fleets.box.point(place))
    return f"{amount_in_words(plan, place)}, {fleet}: {why}"


def _steps(plan: Plan) -> Iterator[str]:
    """Yield which node makes a fleet worse, and which strategy binds."""
    box = plan.findings.fleets.box
    for step in plan.findings.steps:
        before, after = (value_in_words(each, share=False) for each in (step.before, step.after))
        yield (
            f"One more {box.pools[step.pool]} next to {nodes_in_words(box.pools, step.world)} "
            f"raises {step.name} from {before} to {after}: more nodes are not always better."
        )
    for number, text in plan.findings.outcome.binding.items():
        chosen = ", ".join(str(value) for value in box.choices[number].changes.values())
        strategy = plan.scenario.federation.strategy
        yield f"{chosen or strategy}: {text}."


def _losses(plan: Plan) -> Iterator[str]:
    """Yield which losses fail more requests the more nodes are lost."""
    for growth in plan.findings.growth:
        few, many = growth.nodes
        yield (
            f"The more nodes {growth.region} has, the more its loss fails: "
            f"{plain(growth.failures[0])} requests with {few} node{'' if few == 1 else 's'}, "
            f"{plain(growth.failures[1])} with {many}. That is the federation's doing (circuit "
            "breaker, retries, health interval), not a lack of capacity; more nodes elsewhere do "
            "not cure it."
        )


def _certainty(plan: Plan) -> Iterator[str]:
    found, spec = plan.findings, plan.spec
    yield from _fresh(plan)
    yield from _spread(plan)
    pilot = found.pilot
    if pilot is not None:
        yield _length(plan)
    undecided = _undecided(plan)
    if undecided:
        yield undecided
    runs = plan.runs
    retested = found.outcome.retested
    yield (
        f"{sum(runs.values()):,} runs: {runs['search']:,} for the search, {runs['evidence']:,} for "
        f"the evidence around its answer, {runs['validation']:,} on new seeds. "
        f"{spec.replications} replications of each fleet in each case, with the same seeds for all."
        + (
            f" {retested:,} cheaper fleets had been left out by inference and were looked at "
            "before the answer stood."
            if retested
            else ""
        )
    )
    if found.short:
        what = f"a part of the {found.short}"
        if found.stop == "unfinished":
            yield f"{_missing(plan)}. They are {what}."
        else:
            yield f"The budget of {spec.budget:,} runs left out {what}."


def _fresh(plan: Plan) -> Iterator[str]:
    validation = plan.findings.validation
    for case, judgment in validation.items():
        holds = "holds" if judgment.state == "held" else "is not shown to hold"
        text = f"{holds} with {case.name}: {judgment_in_words(judgment)}"
        if judgment.state != "failed":
            text += f"; surely within {100.0 * (1.0 + judgment.high):.1f} % of the limit"
        yield f"On seeds that the search did not use it {text}."


def _spread(plan: Plan) -> Iterator[str]:
    spread = plan.findings.range
    if spread is None or math.isnan(spread.low):
        return
    unit = {"cost": "USD/h"}.get(plan.spec.minimize, plan.spec.minimize)
    verb = "cost" if plan.spec.minimize == "cost" else "have"
    text = f"With its replications resampled, the answer would {verb} {plain(spread.low, 4)}"
    if spread.high > spread.low:
        text += f" to {plain(spread.high, 4)}"
    text += f" {unit} (90 % range of {DRAWS:,} samples)"
    if spread.none > 0.0:
        text += (
            f"; in {100.0 * spread.none:.0f} % of the samples no fleet that was run holds, and a "
            "more expensive one would be needed"
        )
    yield f"{text}."


def _length(plan: Plan) -> str:
    pilot = plan.findings.pilot
    assert pilot is not None
    width = f"{100.0 * pilot.half_width:.1f} %"
    window = DURATION.format(plan.scenario.duration_s - plan.scenario.warmup_s)
    text = (
        f"Length: {plan.spec.replications} windows of {window} give {pilot.name} to ± {width} "
        f"(with {pilot.case.name}, tried on the fleet that mean capacity asks for)"
    )
    if pilot.half_width <= PRECISE:
        return f"{text}, which is enough."
    minutes = math.ceil(pilot.duration_s / 60.0)
    return (
        f"{text}; with duration: {minutes}min it would be ± {100.0 * PRECISE:g} %. Short windows "
        "also read a little low."
    )


def _undecided(plan: Plan) -> str:
    """Return how many cheaper fleets were not decided, and what would decide them."""
    found = plan.findings
    place = found.outcome.best
    open_ = [
        (number, each)
        for number, each in found.outcome.found.items()
        if each.verdict == "not decided"
        and (place is None or found.amount(number) < found.amount(place))
    ]
    if not open_:
        return ""
    number, each = min(open_, key=lambda item: (found.amount(item[0]), item[0]))
    fleet = fleet_in_words(plan, found.fleets.box.point(number))
    assert each.judgment is not None
    one = len(open_) == 1
    few = "1 cheaper fleet was" if one else f"{len(open_)} cheaper fleets were"
    where = few if place is not None else few.replace(" cheaper", "")
    return (
        f"The window is too short to decide everything: {where} neither shown to hold nor to "
        f"violate, and count{'s' if one else ''} as not held; the cheapest is {fleet}: "
        f"{found_in_words(each)}."
    )


def _ledger(plan: Plan) -> list[Block]:
    """Return what became of every fleet that was looked at."""
    found, box = plan.findings, plan.findings.fleets.box
    places = sorted(found.outcome.found)
    kept = [found.outcome.found[place] for place in places]
    judged = [each.judgment or OPEN for each in kept]
    columns = [
        Column(plan.spec.minimize, tuple(figure(found.amount(each)) for each in places)),
        words("fleet", [fleet_in_words(plan, box.point(place)) for place in places]),
        words("verdict", [each.verdict for each in kept], 0, VERDICTS),
        words("case", [each.case for each in kept], 1),
        words("measure", [each.name for each in judged], 2),
        Column("value", tuple(value_cell(each) for each in judged), rank=3),
        Column("limit", tuple(limit_cell(each) for each in judged), rank=5),
        Column("runs", tuple(figure(each.runs, "count") for each in judged), rank=4),
        words("reason", [e.reason or j.reason for e, j in zip(kept, judged, strict=True)], 6),
    ]
    said = [text for verdict, text in _MEANINGS.items() if any(e.verdict == verdict for e in kept)]
    return [
        Heading("Every fleet that was looked at"),
        Table(tuple(columns), "evaluations.parquet"),
        *_items(said),
    ]
