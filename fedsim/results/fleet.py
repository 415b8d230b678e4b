"""The measures of a summary that are about nodes, not about requests."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame

FLEET_MEASURES = ("utilization_mean", "imbalance", "wasted_share", "cost_usd_per_hour")
"""What ``fleet_measures`` gives of each group."""


def fleet_measures(
    node_totals: DataFrame, window_s: float, by: str | None
) -> dict[str, dict[str, float]]:
    """Return the fleet's measures by group: of all nodes, each region or each node.

    Other groupings have no nodes of their own and get an empty answer.

    Args:
        node_totals: The table of that name.
        window_s: Length of the summary's window in seconds.
        by: What the summary is grouped by.
    """
    if by is None:
        return {"all": _measures(node_totals, window_s)}
    if by not in {"region", "node"}:
        return {}
    groups = node_totals.groupby(by, observed=True)
    return {str(name): _measures(part, window_s) for name, part in groups}


def _measures(nodes: DataFrame, window_s: float) -> dict[str, float]:
    offered_s = _sum(nodes, "slots") * window_s
    busy_s = _sum(nodes, "busy_slot_s")
    return {
        "utilization_mean": _ratio(
            float((nodes["slots"] * nodes["window_busy_s"]).sum()), offered_s
        ),
        "imbalance": _imbalance(nodes),
        "wasted_share": _ratio(_sum(nodes, "wasted_slot_s"), busy_s),
        "cost_usd_per_hour": _sum(nodes, "cost_usd_per_hour"),
    }


def _imbalance(nodes: DataFrame) -> float:
    """Return the busiest node's busy time over its pool's mean, averaged by busy time."""
    pools = nodes.groupby("pool", observed=True)["window_busy_slot_s"]
    return _ratio(float((pools.max() * pools.size()).sum()), _sum(nodes, "window_busy_slot_s"))


def _sum(nodes: DataFrame, column: str) -> float:
    """Return the sum of a column, NaN where any value of it is missing."""
    return float(nodes[column].to_numpy().sum())


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
