"""More or less traffic: the same streams, with all rates multiplied."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fedsim.scenario.spec import Scenario
from fedsim.scenario.units import RATE


def scaled_traffic(scenario: Scenario, factor: float) -> dict[str, Any]:
    """Return the changes, for `Scenario.changed`, that multiply the traffic by a factor.

    Rates are multiplied, and times are left alone: days, spikes and faults keep their clock. A
    closed loop has more users, rounded to whole ones and at least one; a trace has copies of its
    requests where they are.

    Args:
        scenario: The scenario.
        factor: What rates are multiplied by, > 0.
    """
    if factor == 1.0:
        return {}
    workload: Any = scenario.resolved["workload"]
    return {
        path: _scaled(arrivals, factor)
        for name, stream in workload.items()
        for path, arrivals in _arrivals(f"workload.{name}", stream)
    }


def _arrivals(path: str, stream: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the arrivals of a stream, or of each of its tenants, with their paths."""
    if stream.get("arrivals") is not None:
        yield f"{path}.arrivals", stream["arrivals"]
    tenants = stream.get("tenants")
    for name, tenant in tenants.items() if isinstance(tenants, Mapping) else ():
        if isinstance(tenant, Mapping) and tenant.get("arrivals") is not None:
            yield f"{path}.tenants.{name}.arrivals", tenant["arrivals"]


def _scaled(arrivals: Mapping[str, Any], factor: float) -> dict[str, Any]:
    scaled = dict(arrivals)
    process = arrivals["process"]
    if process == "closed_loop":
        scaled["users"] = max(round(arrivals["users"] * factor), 1)
    elif process == "trace":
        scaled["rate_factor"] = arrivals["rate_factor"] * factor
    elif process == "mmpp":
        scaled["rates"] = [_rate(rate, factor) for rate in arrivals["rates"]]
    elif process == "steps":
        steps = arrivals["steps"]
        scaled["steps"] = [{**step, "rate": _rate(step["rate"], factor)} for step in steps]
    else:
        scaled["rate"] = _rate(arrivals["rate"], factor)
    return scaled


def _rate(text: str, factor: float) -> str:
    return f"{RATE.parse(text) * factor!r}/s"
