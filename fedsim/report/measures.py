"""Measures in reports: the columns of tables, as each measure is declared."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from fedsim.document import Cell, Column, figure
from fedsim.results.measures import MEASURES, Measure

if TYPE_CHECKING:
    from pandas import DataFrame

    from fedsim.document import Form


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


def measured(measures: Iterable[Measure], table: DataFrame) -> list[Column]:
    """Return a column for each measure that *table* has a value of.

    Where the table has the ends of confidence intervals too, its cells are intervals.
    """
    return [
        Column(
            measure.heading, cells(measure, table, measure.name), measure.unit, measure.place or 0
        )
        for measure in measures
        if table[measure.name].notna().any()
    ]


def cells(
    measure: Measure,
    table: DataFrame,
    column: str,
    ends: tuple[str, str] | None = None,
    *,
    signed: bool = False,
) -> tuple[Cell, ...]:
    """Return a column of *table* that holds values of *measure*, or differences of them.

    Args:
        measure: The measure.
        table: The table.
        column: The column.
        ends: The columns of the ends of their intervals; by default those of the names which a
            comparison's summary gives them, if there are such.
        signed: Whether a plus sign is written.
    """
    low, high = ends or (f"{column}_low", f"{column}_high")
    form: Form = "percent" if measure.unit == "%" else "significant"
    values = table[column].tolist()
    if low not in table:
        return tuple(figure(value, form, signed=signed) for value in values)
    intervals = zip(table[low].tolist(), table[high].tolist(), strict=True)
    return tuple(
        figure(value, form, interval=interval, signed=signed)
        for value, interval in zip(values, intervals, strict=True)
    )
