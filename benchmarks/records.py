"""What the programs that fedsim is compared with record: a tuple a request, then a DataFrame."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame

Record = tuple[int, int, int, float, float, int, float, float, float]

COLUMNS = (
    "request",
    "tenant",
    "origin",
    "arrived_s",
    "finished_s",
    "node",
    "network_s",
    "queue_wait_s",
    "service_s",
)


def frame(records: list[Record]) -> DataFrame:
    """Return the records as a table, in the order of arrival."""
    import pandas as pd

    table = pd.DataFrame(records, columns=pd.Index(COLUMNS))
    return table.sort_values("request", ignore_index=True)
