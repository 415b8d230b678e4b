"""What differs between two runs, exactly; and between two studies, beyond chance."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fedsim.document import (
    Block,
    Column,
    Document,
    Heading,
    Sentence,
    Table,
    figure,
    words,
)
from fedsim.errors import ResultsError
from fedsim.report.measures import placed
from fedsim.results.measures import MEASURES, Measure
from fedsim.results.run import Run
from fedsim.studies.comparison import Comparison
from fedsim.studies.open import open as open_saved
from fedsim.studies.points import in_words
from fedsim.studies.records import Record
from fedsim.studies.statistics import Estimate, holm, paired_difference, unpaired_difference
from fedsim.studies.swept import Sweep
from fedsim.testing.golden import changes, golden_of, sent

_SEEN = ("goodput_share", "success_rate", "latency_p50_s", "latency_p99_s")
"""The measures of which the smallest difference is given that could have been seen."""


@dataclass(frozen=True, slots=True)
class Differing:
    """What differs between two results.

    Attributes:
        document: The report.
        differs: Whether anything does.
    """

    document: Document
    differs: bool


def diff(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> Differing:
    """Return what differs between the results in two directories.

    Args:
        first: The directory of a run or study.
        second: Another of the same kind.

    Raises:
        ResultsError: One is neither's, they are of different kinds, or have nothing in common.
    """
    one, other = open_saved(first), open_saved(second)
    if isinstance(one, Run) and isinstance(other, Run):
        return _runs(one, other)
    for kind in (Comparison, Sweep):
        if isinstance(one, kind) and isinstance(other, kind):
            return _studies(one, other)
    kinds = " and ".join(
        f"{path} is a {type(found).__name__.lower()}"
        for path, found in ((first, one), (second, other))
    )
    msg = f"{kinds}; give two runs, two comparisons or two sweeps"
    raise ResultsError(msg)


def _runs(one: Run, other: Run) -> Differing:
    blocks: list[Block] = [Heading(f"{one.name} and {other.name}", 1)]
    if one.digest == other.digest:
        text = f"The runs are equal: every request, attempt and event, digest {one.digest}."
        return Differing(Document((*blocks, Sentence(text, "good"))), differs=False)
    named = {
        "strategy": (one.strategy, other.strategy),
        "seed": (str(one.seed), str(other.seed)),
    }
    text = "".join(f" {key}: {a} and {b}." for key, (a, b) in named.items() if a != b)
    blocks += [Sentence(f"The runs differ.{text}"), *_first_decision(one, other)]
    rows = []
    values = [run.summary().iloc[0].to_dict() for run in (one, other)]
    for measure in MEASURES.values():
        before, after = (float(each[measure.name]) for each in values)
        if before != after and not (math.isnan(before) and math.isnan(after)):
            rows.append((measure, before, after))
    if rows:
        blocks += [Heading("Measures that differ, exactly"), _exact(rows)]
    return Differing(Document(tuple(blocks)), differs=True)


def _first_decision(one: Run, other: Run) -> list[Block]:
    """Return how many decisions differ, and the first of them."""
    found = changes(golden_of(one), golden_of(other))
    if not found:
        return [Sentence("Every attempt went to the same node; times differ.")]
    at_s: dict[object, float] = {}
    for run in (other, one):
        at_s |= {attempt: time_s for attempt, _, _, time_s in sent(run)}
    first = min(found, key=lambda change: (at_s.get(change.attempt, math.inf), change.attempt))
    before, after = first.before or "nowhere", first.after or "nowhere"
    count = max(len(one.attempts), len(other.attempts))
    text = (
        f"{len(found):,} of {count:,} decisions differ. The first, at "
        f"{at_s.get(first.attempt, math.nan):.6f} s: {first.attempt} went to {before} in the first "
        f"run and to {after} in the second; fedsim explain RUN {first.attempt.request} says why."
    )
    return [Sentence(text)]


def _exact(rows: Sequence[tuple[Measure, float, float]]) -> Table:
    return Table(
        (
            words("measure", [measure.words for measure, _, _ in rows]),
            Column("first", tuple(figure(m.scale * a, digits=6) for m, a, _ in rows)),
            Column("second", tuple(figure(m.scale * b, digits=6) for m, _, b in rows)),
            Column(
                "difference",
                tuple(figure(m.scale * (b - a), signed=True) for m, a, b in rows),
            ),
            words("unit", [measure.unit for measure, _, _ in rows]),
        )
    )


Variants = Mapping[tuple[tuple[str, str], ...], list[Record]]


def _studies(one: Comparison | Sweep, other: Comparison | Sweep) -> Differing:
    first, second = _by_key(one.records), _by_key(other.records)
    common = [key for key in first if key in second]
    if not common:
        msg = "the studies have no strategy or point in common"
        raise ResultsError(msg)
    paired = all(_are_paired(first[key], second[key]) for key in common)
    confidence = one.scenario.study.confidence
    rows = []
    for key in common:
        for measure in placed():
            found = _difference(measure, first[key], second[key], confidence, paired=paired)
            if found is not None:
                rows.append((key, measure, *found))
    adjusted = holm([p for *_, p in rows])
    shown = [
        (key, measure, before, estimate)
        for (key, measure, before, estimate, _), p in zip(rows, adjusted, strict=True)
        if p < 1.0 - confidence
    ]
    how = "replication by replication, on the same requests and faults" if paired else "unpaired"
    text = (
        f"{len(rows):,} differences of {len(common)} in common, {how}; {len(shown)} are shown at "
        f"{100.0 * confidence:g} % with an allowance for their number (Holm)."
    )
    blocks: list[Block] = [Heading(f"{one.scenario.name} and {other.scenario.name}", 1)]
    blocks += [Sentence(text, "" if shown else "good"), *_left_out(first, second)]
    if shown:
        blocks += [Heading("What differs: second minus first"), _shown(shown)]
    blocks += [
        Heading("The smallest difference that could have been seen"),
        Sentence("Half of the interval: a smaller difference would have to be looked for longer."),
        _seen(common, rows),
    ]
    return Differing(Document(tuple(blocks)), differs=bool(shown))


def _left_out(first: Variants, second: Variants) -> list[Block]:
    """Say what only one of the studies has."""
    found = []
    for which, here, there in (("first", first, second), ("second", second, first)):
        names = [_name(key) for key in here if key not in there]
        if names:
            found.append(Sentence(f"Only in the {which}: {'; '.join(names)}."))
    return list(found)


def _by_key(records: Sequence[Record]) -> Variants:
    found: dict[tuple[tuple[str, str], ...], list[Record]] = {}
    for record in records:
        key = tuple((str(name), str(value)) for name, value in record.key.items())
        found.setdefault(key, []).append(record)
    return found


def _are_paired(first: Sequence[Record], second: Sequence[Record]) -> bool:
    """Return whether the runs of two variants met the same requests and faults, one by one."""
    worlds = {each.replication: (each.seed, each.exogenous) for each in first}
    others = {each.replication: (each.seed, each.exogenous) for each in second}
    common = set(worlds) & set(others)
    return bool(common) and all(worlds[number] == others[number] for number in sorted(common))


def _difference(
    measure: Measure,
    first: Sequence[Record],
    second: Sequence[Record],
    confidence: float,
    *,
    paired: bool,
) -> tuple[float, Estimate, float] | None:
    """Return the mean of the first, the difference and its p-value; None where one has none."""
    one = {each.replication: each.value(measure.name) for each in first}
    other = {each.replication: each.value(measure.name) for each in second}
    if paired:
        numbers = sorted(set(one) & set(other))
        after, before = ([each[number] for number in numbers] for each in (other, one))
        found = paired_difference(after, before, measure.bounds, confidence)
        estimate, p = found.absolute, found.p
    else:
        estimate, p = unpaired_difference(list(other.values()), list(one.values()), confidence)
    if not math.isfinite(estimate.low) or not math.isfinite(p):
        return None
    return float(np.nanmean(list(one.values()))), estimate, p


def _shown(rows: Sequence[tuple[tuple[tuple[str, str], ...], Measure, float, Estimate]]) -> Table:
    before = [figure(m.scale * mean, digits=4) for _, m, mean, _ in rows]
    difference = [
        figure(m.scale * each.mean, interval=(m.scale * each.low, m.scale * each.high), signed=True)
        for _, m, _, each in rows
    ]
    return Table(
        (
            words("of", [_name(key) for key, *_ in rows]),
            words("measure", [measure.words for _, measure, _, _ in rows]),
            Column("first", tuple(before)),
            Column("difference", tuple(difference)),
            words("unit", [measure.difference_unit for _, measure, _, _ in rows]),
            words("", [_good(m, each) for _, m, _, each in rows]),
        )
    )


def _good(measure: Measure, found: Estimate) -> str:
    if measure.better is None:
        return ""
    return "better" if (found.mean > 0.0) == (measure.better == "higher") else "worse"


def _seen(
    common: Sequence[tuple[tuple[str, str], ...]],
    rows: Sequence[tuple[tuple[tuple[str, str], ...], Measure, float, Estimate, float]],
) -> Table:
    half = {(key, m.name): (e.high - e.low) / 2.0 for key, m, _, e, _ in rows}
    columns = [words("of", [_name(key) for key in common])]
    for measure in (MEASURES[name] for name in _SEEN):
        cells = [
            figure(measure.scale * half.get((key, measure.name), math.nan), digits=2)
            for key in common
        ]
        columns.append(Column(measure.words, tuple(cells), measure.difference_unit))
    return Table(tuple(columns))


def _name(key: tuple[tuple[str, str], ...]) -> str:
    named = dict(key)
    return named["strategy"] if list(named) == ["strategy"] else in_words(named)
