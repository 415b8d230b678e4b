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

    Where the table has half-widths of confidence intervals too, its cells are intervals.
    """
    return [
        Column(
            measure.heading, cells(measure, table, measure.name), measure.unit, measure.place or 0
        )
        for measure in measures
        if table[measure.name].notna().any()
    ]


def cells(
    measure: Measure, table: DataFrame, column: str, half_width: str = "", *, signed: bool = False
) -> tuple[Cell, ...]:
    """Return a column of *table* that holds values of *measure*, or differences of them.

    Args:
        measure: The measure.
        table: The table.
        column: The column.
        half_width: The column of half-widths of their intervals; by default that of the name
            which a comparison's summary gives it, if there is one.
        signed: Whether a plus sign is written.
    """
    interval = half_width or f"{column}_ci95"
    widths = table[interval].tolist() if interval in table else [None] * len(table)
    form: Form = "percent" if measure.unit == "%" else "significant"
    return tuple(
        figure(value, form, half_width=width, signed=signed)
        for value, width in zip(table[column].tolist(), widths, strict=True)
    )
