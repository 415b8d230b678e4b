"""The matrix of comparisons: scenarios by strategies, as text that can be committed and diffed.

Nothing in it depends on when, where or how fast it was made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fedsim.document import (
    MISSING,
    Block,
    Cell,
    Code,
    Column,
    Document,
    Heading,
    Sentence,
    Style,
    Table,
    words,
)
from fedsim.report.comparison import CENTRAL, ties
from fedsim.report.measures import FEW, cells, successes
from fedsim.report.parts import warnings_of
from fedsim.results.belief import percentile_of
from fedsim.results.measures import MEASURES, Measure
from fedsim.version import __version__

if TYPE_CHECKING:
    from fedsim.studies.comparison import Comparison

_LEGEND = (
    "▲ is better and ▼ is worse than the baseline (b) of the scenario, on the same requests and "
    "faults: {percent} % of studies show no difference in a scenario where there is none (Holm). "
    "Bars: a share of 100 %, or of the largest value in the row."
)
_SIGNS = {"better": " ▲", "worse": " ▼"}
_EIGHTHS = "▏▎▍▌▋▊▉█"
_LONGEST = 6
"""Characters of the longest bar."""


def matrix_report(
    comparisons: Sequence[Comparison], overloads: Sequence[str], repeat: str
) -> Document:
    """Return the matrix of comparisons, one of each scenario.

    Args:
        comparisons: Comparisons of scenarios whose names differ.
        overloads: Warnings about the load of scenarios, with their names.
        repeat: The command that gives it again.
    """
    strategies = list(dict.fromkeys(name for each in comparisons for name in each.strategies))
    count = len(comparisons)
    title = f"{count} scenarios" if count > 1 else comparisons[0].scenario.name
    blocks: list[Block] = [
        Heading(f"{title}: {len(strategies)} strategies", 1),
        *(Sentence(_answer(each), item=True) for each in comparisons),
    ]
    for measure in (MEASURES[name] for name in CENTRAL):
        if any(each.summary()[measure.name].notna().any() for each in comparisons):
            heading = f"{measure.words[:1].upper()}{measure.words[1:]}, {measure.unit}"
            blocks += [Heading(heading), _values(comparisons, strategies, measure)]
    blocks.append(Sentence(_LEGEND.format(percent=f"{100.0 * comparisons[0].confidence:g}")))
    if any(each.scenario.slo for each in comparisons):
        title = "Objective: replications that held all of it"
        blocks += [Heading(title), _objectives(comparisons, strategies)]
    warnings = [
        f"{each.scenario.name}: {warning}" for each in comparisons for warning in each.warnings
    ]
    made = f"fedsim {__version__}. The same scenarios, seeds and versions give the same numbers."
    return Document(
        (
            *blocks,
            *warnings_of([*overloads, *warnings]),
            Heading("Repeat with"),
            Code(repeat, "shell"),
            Sentence(made),
        )
    )


def bar(share: float) -> str:
    """Return a bar as long as a share of 1, in eighths of a character; one eighth at least."""
    eighths = max(1, round(8 * _LONGEST * min(share, 1.0))) if share > 0.0 else 0
    whole, rest = divmod(eighths, 8)
    return _EIGHTHS[-1] * whole + (_EIGHTHS[rest - 1] if rest else "")


def _answer(comparison: Comparison) -> str:
    """Return what came of one comparison, as a sentence."""
    seeds = len(comparison.seeds)
    times = "1 replication" if seeds == 1 else f"{seeds} replications"
    held = comparison.holding
    objective = ""
    if comparison.scenario.slo is not None:
        objective = f" The objective is held by {', '.join(held) or 'none'}."
    name, seed = comparison.scenario.name, comparison.scenario.seed
    first = f"{comparison.ranking()[0]} ranks first by goodput. {ties(comparison)}".rstrip()
    return f"{name} ({times}, seed {seed}): {first}{objective}"


def _values(
    comparisons: Sequence[Comparison], strategies: Sequence[str], measure: Measure
) -> Table:
    """Return the table of a measure, a row for each comparison."""
    rows = [dict(_row(each, measure)) for each in comparisons]
    note = FEW if percentile_of(measure.name) else ""
    return _matrix(comparisons, strategies, rows, note)


def _row(comparison: Comparison, measure: Measure) -> Iterator[tuple[str, Cell]]:
    """Yield each strategy of a comparison with the cell of its value, its bar and its sign."""
    table = comparison.summary()
    found = cells(measure, table, measure.name, counts=successes(table).tolist())
    verdicts = comparison.differences(measure.name)["verdict"].to_dict()
    largest = 1.0 if measure.unit == "%" else max(_numbers(found), default=0.0)
    for strategy, cell in zip(map(str, table.index), found, strict=True):
        text = str(cell)
        if text != MISSING and isinstance(cell.value, float | int):
            text += f" {bar(cell.value / largest if largest else 0.0)}"
        sign = " (b)" if strategy == comparison.baseline else _SIGNS.get(verdicts[strategy], "")
        yield strategy, replace(cell, text=f"{text}{sign}")


def _numbers(found: Sequence[Cell]) -> Iterator[float]:
    """Yield the values of cells that are shown."""
    for cell in found:
        if isinstance(cell.value, float | int) and str(cell) != MISSING:
            yield cell.value


def _objectives(comparisons: Sequence[Comparison], strategies: Sequence[str]) -> Table:
    """Return the table of how many replications held the whole objective."""
    rows: list[dict[str, Cell]] = []
    for each in comparisons:
        row = {}
        for name in each.strategies if each.scenario.slo is not None else ():
            runs = list(zip(*each.verdicts(name), strict=True))
            held = sum(all(verdict.held for verdict in bounds) for bounds in runs)
            style: Style = "good" if held == len(runs) else "bad"
            row[name] = Cell(held, text=f"{held} of {len(runs)}", style=style)
        rows.append(row)
    return _matrix(comparisons, strategies, rows)


def _matrix(
    comparisons: Sequence[Comparison],
    strategies: Sequence[str],
    rows: Sequence[dict[str, Cell]],
    note: str = "",
) -> Table:
    """Return a table with a row for each comparison, and a column for each strategy."""
    columns = [words("scenario", [each.scenario.name for each in comparisons])]
    for rank, name in enumerate(strategies):
        found = tuple(row.get(name, Cell(None)) for row in rows)
        columns.append(Column(name, found, rank=rank, align="left", note=note))
    return Table(tuple(columns), "the file of --markdown")
