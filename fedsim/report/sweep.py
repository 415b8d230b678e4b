"""The report of a sweep: the measures at each point, knees, crossovers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

from fedsim.document import (
    Block,
    Cell,
    Code,
    Column,
    Document,
    Heading,
    Sentence,
    Table,
    figure,
    plain,
    with_interval,
)
from fedsim.report.measures import measured, percentiles, placed
from fedsim.report.parts import FAILED_RUNS, Saved, closing, warnings_of
from fedsim.results.measures import MEASURES, Measure
from fedsim.results.rundir import SCENARIO
from fedsim.studies.precision import half_width_unit
from fedsim.studies.ranking import CHIEF
from fedsim.studies.repeating import repeat_command

if TYPE_CHECKING:
    from fedsim.studies.swept import Key, Sweep

_MOST_ROWS = 40
_MOST_VARIANTS = 6
"""Crossovers are looked for between all pairs of up to so many values of a key."""

_CROSSED = (CHIEF, "latency_p50_s", "latency_p99_s", "ttft_p99_s")
"""The measures whose crossovers are reported."""

_OF_KNEES = (
    "Up to the knee, or from it on, the mean keeps to its limit; between two swept values it is "
    "interpolated, but before a saturated point, where it is the last value that is held. The "
    "interval covers the replications, not the distance between two values."
)
_CONTENTS = (
    "estimates.parquet: every measure at each point with its interval; cells.parquet: every run",
    "summary.json: the same as JSON; scenario.yaml, study.json: what was run, with every seed",
    "runs/: what each run came to",
)


def sweep_report(sweep: Sweep, saved: Saved | None = None) -> Document:
    """Return the report of a sweep.

    Args:
        sweep: The sweep.
        saved: Where it was written, or None for nowhere.
    """
    varied = ", ".join(key.heading for key in sweep.telling())
    blocks: list[Block] = [
        Heading(f"{sweep.scenario.name}: {_count(len(sweep.points), 'point')} of {varied}", 1),
        Sentence(_extent(sweep)),
        *_estimates(sweep),
        *_reached(sweep),
        *_knees(sweep),
        *_crossovers(sweep),
        *warnings_of(sweep.warnings),
    ]
    if saved is not None:
        run = sweep.planned[0]
        scenario = str(saved.directory / SCENARIO)
        contents = (*_CONTENTS, *[FAILED_RUNS] * bool(sweep.failures))
        blocks += closing(saved, contents, [(name, title) for name, title, _ in sweep.plot.all()])
        blocks += [
            Heading("One run of it, the first"),
            Code(repeat_command(scenario, run), "shell"),
        ]
    return Document(tuple(blocks))


def _extent(sweep: Sweep) -> str:
    took = "" if math.isnan(sweep.wall_s) else f", in {plain(sweep.wall_s, 2)} s"
    fewest, most = min(sweep.replications), max(sweep.replications)
    count = _count(most, "replication")
    return (
        f"{count if fewest == most else f'{fewest} to {count}'} per point, with the same seeds at "
        "all points "
        f"(seed {sweep.scenario.seed}; replication 0 has the seed {sweep.seeds[0]}){took}."
    )


def _estimates(sweep: Sweep) -> list[Block]:
    table = sweep.estimates().head(_MOST_ROWS)
    points = sweep.points[:_MOST_ROWS]
    told = sweep.telling()
    names = [_texts(key, [point[key.path] for point in points]) for key in told]
    if len(set(table["replications"])) > 1 or table["replications"].iloc[0] < len(sweep.seeds):
        counts = tuple(figure(count, "count") for count in table["replications"])
        names.append(Column("runs", counts))
    withheld = percentiles(sweep.withheld["measure"])
    blocks: list[Block] = [Heading(f"Measures at each point ({sweep.target})")]
    for tokens in (False, True):
        columns = measured(placed(tokens=tokens), table, withheld)
        blocks += [Table((*names, *columns), "estimates.parquet")] if columns else []
    if len(blocks) == 1:
        blocks.append(Sentence("No run is done."))
    rest = [key.heading for key in sweep.keys.values() if key not in told]
    if rest:
        follow = "follows" if len(rest) == 1 else "follow"
        blocks.append(
            Sentence(f"{', '.join(rest)} {follow} from these; estimates.parquet has all.")
        )
    if len(sweep.points) > _MOST_ROWS:
        text = f"The first {_MOST_ROWS} points of {len(sweep.points)}; estimates.parquet has all."
        blocks.append(Sentence(text))
    return blocks


def _reached(sweep: Sweep) -> list[Block]:
    """Return a table of how exact each point is, where the study asks for it."""
    found, targets = sweep.reached[:_MOST_ROWS], sweep.scenario.study.precision
    if not found:
        return []
    points, counts = sweep.points[: len(found)], sweep.replications[: len(found)]
    told = sweep.telling()
    columns = [_texts(key, [each[key.path] for each in points]) for key in told]
    columns.append(Column("replications", tuple(figure(count, "count") for count in counts)))
    for name, target in targets.items():
        widths = tuple(figure(100.0 * each.half_widths[name], digits=2) for each in found)
        heading = f"{MEASURES[name].words}, for ± {100.0 * target:g}: ±"
        columns.append(Column(heading, widths, half_width_unit(name)))
    return [Heading("Precision: half of the interval"), Table(tuple(columns))]


def _texts(key: Key, values: Sequence[Any]) -> Column:
    """Return the column of a key, its values as the scenario has them."""
    cells = tuple(Cell(None if value is None else str(value)) for value in values)
    return Column(key.heading, cells, align="right" if key.numeric else "left")


def _knees(sweep: Sweep) -> list[Block]:
    """Return a table of the knee of each measure with a limit, along each key of numbers."""
    blocks: list[Block] = [_knee(sweep, measure, key) for measure, key in _limited(sweep)]
    if not blocks:
        return []
    return [Heading("Knees: where the objective is no longer held"), *blocks, Sentence(_OF_KNEES)]


def knees_in_words(sweep: Sweep) -> list[str]:
    """Return for each knee how far a limit is held: ``… is held for rate up to 7 req/s``."""
    texts = []
    for measure, key in _limited(sweep):
        for row in sweep.knee(measure.name, key.path).to_dict("records"):
            others = [f"{each.heading} {row[each.path]}" for each in _others(sweep, key)]
            held = _held(row, key, key.unit)
            if row["held"] not in {"everywhere", "nowhere", "not measured"}:
                held = f"for {key.heading} {held}"
            with_others = f" with {', '.join(others)}" if others else ""
            verb = "is" if row["held"] == "not measured" else "is held"
            texts.append(f"{_limit(sweep, measure)} {verb} {held}{with_others}")
    return texts


def _limited(sweep: Sweep) -> list[tuple[Measure, Key]]:
    """Return each measure with a limit, with each key of numbers along which it has a knee."""
    limited = [measure for measure in MEASURES.values() if sweep.limit(measure.name) is not None]
    return [
        (measure, key)
        for key in varied_along(sweep)
        for measure in limited
        if _applies(sweep, measure)
    ]


def _others(sweep: Sweep, key: Key) -> list[Key]:
    return [other for other in sweep.keys.values() if other is not key]


def _limit(sweep: Sweep, measure: Measure) -> str:
    """Return a measure with its limit, such as ``latency p99 ≤ 2 s``."""
    sign = "≤" if measure.better == "lower" else "≥"
    limit = (sweep.limit(measure.name) or 0.0) * measure.scale
    return f"{measure.words} {sign} {limit:g} {measure.unit}".rstrip()


def _applies(sweep: Sweep, measure: Measure) -> bool:
    """Return whether the runs can have a value of a measure, as none has where there are no tokens.

    Where all runs failed nothing is known, and the table says so.
    """
    if not sweep.records:
        return not measure.of_tokens
    return any(not math.isnan(each.value(measure.name)) for each in sweep.records)


def _knee(sweep: Sweep, measure: Measure, key: Key) -> Table:
    table = sweep.knee(measure.name, key.path)
    columns = [_texts(other, table[other.path].tolist()) for other in _others(sweep, key)]
    held = [_held(row, key) for row in table.to_dict("records")]
    heading = f"{_limit(sweep, measure)} held for {key.heading}"
    return Table(
        (*columns, Column(heading, tuple(Cell(text) for text in held), key.unit, align="left"))
    )


def _held(row: Mapping[Any, Any], key: Key, unit: str = "") -> str:
    if row["held"] == "not measured":
        return "not measured at any point"
    out = f" ({_count(row['left_out'], 'point')} not measured)" if row["left_out"] else ""
    if row["held"] in {"everywhere", "nowhere"}:
        return f"{row['held']}{out}"
    side = "up to" if row["held"] == "below" else "from"
    position = _position(row["knee"], row["low"], row["high"], key)
    return f"{side} {position} {unit}".rstrip() + out


def _position(at: float, low: float, high: float, key: Key) -> str:
    """Return a value of a key with its interval, whose ends may be unknown or not swept."""
    at, low, high = (each * key.scale for each in (at, low, high))
    if math.isfinite(low) and math.isfinite(high):
        return with_interval(at, low, high)
    if math.isnan(low):
        return plain(at)
    ends = [
        "below all swept" if math.isinf(low) else plain(low),
        "above all swept" if math.isinf(high) else plain(high),
    ]
    return f"{plain(at)} [{', '.join(ends)}]"


def _crossovers(sweep: Sweep) -> list[Block]:
    sentences = crossovers_in_words(sweep)
    if not sentences:
        return []
    return [Heading("Crossovers"), *(Sentence(text, item=True) for text in sentences)]


def crossovers_in_words(sweep: Sweep) -> list[str]:
    """Return a sentence for each crossover that is shown, along each key of numbers."""
    sentences = []
    for key in varied_along(sweep):
        for other in _variants(sweep):
            values = list(dict.fromkeys(other.values))
            for measure in (MEASURES[name] for name in _CROSSED):
                for a, b in combinations(values, 2):
                    table = sweep.crossover(measure.name, key.path, a, b)
                    sentences += [
                        _overtakes(row, measure, key, sweep) for row in table.to_dict("records")
                    ]
    return sentences


def _variants(sweep: Sweep) -> list[Key]:
    """Return the keys of a few texts, without those that follow from another one."""
    found: list[Key] = []
    for key in sweep.keys.values():
        if not key.numeric and len(set(key.values)) <= _MOST_VARIANTS:
            found += [] if any(key.follows(other) for other in found) else [key]
    return found


def _overtakes(row: Mapping[Any, Any], measure: Measure, key: Key, sweep: Sweep) -> str:
    position = _position(row["crossover"], row["low"], row["high"], key)
    rest = [
        f"{sweep.keys[path].heading} {value}" for path, value in row.items() if path in sweep.keys
    ]
    where = f" ({', '.join(rest)})" if rest else ""
    return (
        f"{row['above']} overtakes {row['below']} in {measure.words} above {key.heading} "
        f"{position} {key.unit}".rstrip()
        + f"{where}."
    )


def varied_along(sweep: Sweep) -> list[Key]:
    """Return the keys of numbers along which there are lines, not single points."""
    return [
        key
        for key in sweep.keys.values()
        if key.numeric and any(len(places) > 1 for _, places in sweep.lines(key))
    ]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
