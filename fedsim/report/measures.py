"""Measures in reports: the columns of tables, as each measure is declared."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fedsim.document import MISSING, Cell, Column, figure
from fedsim.results.belief import belief, percentile_of
from fedsim.results.measures import MEASURES, Measure

if TYPE_CHECKING:
    from pandas import DataFrame, Series

    from fedsim.document import Form

FEW = (
    "A percentile of fewer than 10/(1 − q) requests over all replications (1,000 for p99) is not "
    "shown; * means few observations, fewer than 100/(1 − q)."
)


def placed(*, tokens: bool | None = None) -> list[Measure]:
    """Return the measures that tables show, in the order of a summary.

    Args:
        tokens: Whether those about tokens or the others; None for both.
    """
    return [
        measure
        for measure in MEASURES.values()
        if measure.place is not None
        and measure.name != "requests"
        and tokens in {None, measure.of_tokens}
    ]


def measured(
    measures: Iterable[Measure], table: DataFrame, withheld: Collection[str] = ()
) -> list[Column]:
    """Return a column for each measure that *table* has a value of, or that is withheld.

    Where the table has the ends of confidence intervals too, its cells are intervals.

    Args:
        measures: The measures.
        table: A summary.
        withheld: The measures that the table would have values of, were they worth believing.
    """
    counts = successes(table).tolist()
    return [
        Column(
            measure.heading,
            cells(measure, table, measure.name, counts=counts),
            measure.unit,
            measure.place or 0,
            note=FEW if percentile_of(measure.name) else "",
        )
        for measure in measures
        if measure.name in withheld or table[measure.name].notna().any()
    ]


def percentiles(measures: Iterable[str]) -> set[str]:
    """Return the percentiles among *measures*: a table says where it leaves one out."""
    return {name for name in measures if percentile_of(name) is not None}


def successes(table: DataFrame, replications: int = 1) -> Series[float]:
    """Return the number of successful requests of each row of a summary, over all replications.

    Args:
        table: The summary.
        replications: Over how many replications its values are means, where it does not say so.
    """
    times = table.get("replications", replications)
    return table["requests"] * table["success_rate"].fillna(0.0) * times


def cells(
    measure: Measure,
    table: DataFrame,
    column: str,
    ends: tuple[str, str] | None = None,
    *,
    counts: Sequence[float] | None = None,
    signed: bool = False,
) -> tuple[Cell, ...]:
    """Return a column of *table* that holds values of *measure*, or differences of them.

    Args:
        measure: The measure.
        table: The table.
        column: The column.
        ends: The columns of the ends of their intervals; by default those of the names which a
            comparison's summary gives them, if there are such.
        counts: The number of requests that each value rests on, over all replications: a
            percentile of too few is not shown, one of few has a star.
        signed: Whether a plus sign is written.
    """
    low, high = ends or (f"{column}_low", f"{column}_high")
    form: Form = "percent" if measure.unit == "%" else "significant"
    values = table[column].tolist()
    intervals: list[tuple[float, float] | None] = [None] * len(values)
    if low in table:
        intervals = list(zip(table[low].tolist(), table[high].tolist(), strict=True))
    found = [
        figure(value, form, interval=interval, signed=signed)
        for value, interval in zip(values, intervals, strict=True)
    ]
    share = percentile_of(measure.name)
    if share is None or counts is None:
        return tuple(found)
    return tuple(_believed(*each, share) for each in zip(found, counts, strict=True))


def _believed(cell: Cell, count: float, share: float) -> Cell:
    """Return a percentile's cell as it is shown for a number of requests."""
    rests = belief(count, share)
    if cell.value is None or rests == "enough":
        return cell
    return replace(cell, text=MISSING if rests == "none" else f"{cell}*", style="muted")
