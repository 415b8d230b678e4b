"""Faults in words."""

from __future__ import annotations

from datetime import datetime
from string import Formatter
from typing import Any

from fedsim.charts.clock import clock_time
from fedsim.federation.settings import Limits
from fedsim.scenario.units import DURATION
from fedsim.world.faults.config import FaultConfig
from fedsim.world.faults.kind import FaultKind, mark_of


def fault_sentence(fault: FaultConfig, start: datetime | None = None) -> str:
    """Return a fault in words, such as ``slowdown of node us-chat-0, 5 times slower, at …``.

    Args:
        fault: The fault.
        start: What the clock read at simulated time 0, or None; adds when that is.
    """
    begin = f"{fault.kind.phrase} {_target(fault)}"
    return ", ".join([begin, *_details(fault.kind), _when(fault, start)])


def _target(fault: FaultConfig) -> str:
    if fault.ends is not None:
        return (" to " if fault.one_way else " and ").join(fault.ends)
    named = {"region": fault.region, "pool": fault.pool, "node": fault.node}
    named["pools"] = ", ".join(fault.pools) or None
    target = next(f"{what} {name}" for what, name in named.items() if name is not None)
    return target if fault.share == 1.0 else f"{_percent(fault.share)} % of {target}"


def _details(kind: FaultKind) -> list[str]:
    shown = {name: _shown(name, getattr(kind, name), hint) for name, hint in kind.hints().items()}
    return [
        template.format_map(shown)
        for template in kind.details
        if all(name is None or shown[name] for _, name, _, _ in Formatter().parse(template))
    ]


def _shown(name: str, value: object, hint: Any) -> str:
    """Return the value of a setting with its unit, "" for None."""
    if not isinstance(value, float):
        return "" if value is None else str(value)
    if name.endswith("_s"):
        return DURATION.format(value)
    limits = mark_of(hint, Limits)
    return f"{_percent(value)} %" if limits and limits.unit == "share" else f"{value:g}"


def _when(fault: FaultConfig, start: datetime | None) -> str:
    if fault.at_s is not None:
        lasts = "" if fault.lasts_s is None else f" for {DURATION.format(fault.lasts_s)}"
        clock = "" if start is None else f" ({clock_time(start, fault.at_s)})"
        return f"at {DURATION.format(fault.at_s)}{clock}{lasts}"
    if fault.mtbf_s is None or fault.mttr_s is None:
        return f"repeatedly, {DURATION.format(fault.mtbf_s or 0.0)} apart on average"
    each = f"each {fault.kind.alone} " if fault.kind.alone else ""
    up_s, down_s = round(fault.mtbf_s, 6), round(fault.mttr_s, 6)
    return f"{each}up {DURATION.format(up_s)} and down {DURATION.format(down_s)} on average"


def _percent(share: float) -> str:
    """Return a share as the scenario has it, in percent without the sign."""
    return f"{100.0 * share:.6g}"
