"""The measures of a summary: their order, units, and which way is better.

``docs/measures.md`` has the formula of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fedsim.results.slo import percentile_share


@dataclass(frozen=True, slots=True)
class Measure:
    """A column of a summary.

    Attributes:
        label: What it is, for a chart's axis, without the unit.
        unit: Its unit, or empty for a share or a ratio.
        better: Which direction is an improvement, or None where neither is.
    """

    label: str
    unit: str = ""
    better: Literal["higher", "lower"] | None = "lower"


PERCENTILES = ("p50", "p90", "p95", "p99", "p999")
"""The percentiles of latency, TTFT and time per output token in every summary."""


def _percentiles(column: str, label: str) -> dict[str, Measure]:
    return {
        f"{column}_{name}_s": Measure(
            f"{label}, {100 * percentile_share(name):g}th percentile", "s"
        )
        for name in PERCENTILES
    }


MEASURES: dict[str, Measure] = {
    "requests": Measure("requests", better=None),
    "success_rate": Measure("success rate", better="higher"),
    "throughput_rps": Measure("throughput", "1/s", "higher"),
    "goodput_rps": Measure("goodput", "1/s", "higher"),
    "goodput_share": Measure("share of requests served within the objective", better="higher"),
    "latency_mean_s": Measure("mean latency", "s"),
    **_percentiles("latency", "latency"),
    **_percentiles("ttft", "time to first token"),
    **_percentiles("tpot", "time per output token"),
    "cache_hit_share": Measure("share of prompt tokens found in a prefix cache", better="higher"),
    "preemptions_per_request": Measure("preemptions per request"),
    "queue_wait_mean_s": Measure("mean wait in queue", "s"),
    "attempts_per_request": Measure("attempts per request"),
    "hedges_per_request": Measure("hedges per request", better=None),
    "turned_away_share": Measure("share of requests turned away before any attempt"),
    "cross_region_share": Measure("share served outside the region of origin", better=None),
    "privacy_violations": Measure("privacy violations"),
    "utilization_mean": Measure("mean utilization", better=None),
    "imbalance": Measure("imbalance within pools"),
    "wasted_share": Measure("share of busy time whose result nobody took"),
    "cost_usd_per_hour": Measure("cost of the fleet", "USD/h"),
    "cost_usd_per_1k_ok": Measure("cost of 1,000 successful requests", "USD"),
}
"""Every measure, in the order of a summary's columns."""
