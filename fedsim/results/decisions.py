"""The table of decisions, and what it says of one request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fedsim.results.arrays import categorical, integers, mapped, request_ids, view
from fedsim.results.categories import category_types
from fedsim.results.columns import SCORES, DecisionColumns, RequestColumns
from fedsim.world.observer import Directory

if TYPE_CHECKING:
    from pandas import DataFrame, Series


def decisions_frame(
    decisions: DecisionColumns,
    requests: RequestColumns,
    directory: Directory,
    outcomes: Sequence[str],
) -> DataFrame:
    """Return a row per candidate of each decision, in the order of decisions."""
    import pandas as pd

    rows = len(decisions.actual_depth)
    types = category_types(directory, outcomes)
    node = view(decisions.node, rows)
    stream, index = view(requests.stream, requests.rows), view(requests.index, requests.rows)
    words = _Words(decisions.words)
    eligible = view(decisions.eligible, rows)
    columns = {
        "request_id": request_ids(stream, index, directory, view(decisions.request, rows)),
        "attempt": view(decisions.attempt, rows),
        "time_s": view(decisions.time_s, rows),
        "gateway": categorical(view(decisions.gateway, rows), types["gateway"]),
        "outcome": categorical(view(decisions.outcome, rows), types["outcome"]),
        "node": categorical(node, types["node"]),
        "region": mapped(node, [item.region for item in directory.nodes], types["region"]),
        "chosen": view(decisions.chosen, rows).view(np.bool_),
        "eligible": pd.arrays.BooleanArray(eligible == 1, eligible < 0),
        "rejection_reason": words.of(view(decisions.reason, rows)),
        **{
            f"{name}_score": view(column, rows)
            for name, column in zip(SCORES, decisions.scores, strict=True)
        },
        "estimated_latency_s": view(decisions.estimated_latency_s, rows),
        "health": words.of(view(decisions.health, rows)),
        "circuit": words.of(view(decisions.circuit, rows)),
        "in_flight": integers(view(decisions.in_flight, rows)),
        "reported_depth": integers(view(decisions.reported_depth, rows)),
        "reported_age_s": view(decisions.reported_age_s, rows),
        "actual_depth": view(decisions.actual_depth, rows),
    }
    return pd.DataFrame(columns, copy=False)


class _Words:
    def __init__(self, codes: dict[str, int]) -> None:
        self._words = np.array([*codes, None], dtype=object)

    def of(self, codes: NDArray[Any]) -> Series[str]:
        import pandas as pd

        return pd.Series(self._words[codes], dtype="str")
