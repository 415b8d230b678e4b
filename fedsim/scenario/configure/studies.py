"""What to measure and to compare, from its settings."""

from __future__ import annotations

from fedsim.results.slo import Slo
from fedsim.scenario.schema.root import Compare, SloSettings
from fedsim.scenario.spec import CompareSpec


def slo_config(slo: SloSettings | None) -> Slo | None:
    """Return the objective, or None where the file has none."""
    if slo is None:
        return None
    latency = {
        name.removeprefix("latency_"): value
        for name, value in slo
        if name.startswith("latency_") and value is not None
    }
    return Slo(latency=latency, success_rate=slo.success_rate)


def compare_spec(compare: Compare | None) -> CompareSpec | None:
    """Return what to compare, or None where the file does not say."""
    if compare is None:
        return None
    return CompareSpec(
        tuple(compare.strategies), compare.replications, compare.baseline, tuple(compare.routers)
    )
