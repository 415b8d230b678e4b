"""Faults in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedsim.scenario.units import DURATION

if TYPE_CHECKING:
    from fedsim.world.config import FaultConfig

_NAMES = {
    "errors": "errors at",
    "rolling_deployment": "rolling deployment through",
    "partition": "partition of",
    "link": "bad link of",
    "health": "false health endpoint of",
    "spot": "spot reclamation of",
    "correlated": "correlated failure of",
}


def fault_sentence(fault: FaultConfig) -> str:
    """Return a fault in words, such as ``slowdown of node us-chat-0, 5 times slower, at …``."""
    name = _NAMES.get(fault.kind, f"{fault.kind.replace('_', ' ')} of")
    return ", ".join(part for part in (f"{name} {_target(fault)}", *_how(fault), _when(fault)))


def _target(fault: FaultConfig) -> str:
    if fault.link is not None:
        ends = " and ".join(fault.link.ends)
        return " to ".join(fault.link.ends) if fault.link.one_way else ends
    kinds = {"region": fault.region, "pool": fault.pool, "node": fault.node}
    kinds["pools"] = ", ".join(fault.pools) or None
    target = next(f"{kind} {name}" for kind, name in kinds.items() if name is not None)
    return target if fault.share == 1.0 else f"{_percent(fault.share)} % of {target}"


def _how(fault: FaultConfig) -> list[str]:
    """Return what there is to say of a fault of its kind."""
    parts: list[str] = []
    if fault.kind == "slowdown":
        parts.append(f"{fault.factor:g} times slower")
    if fault.kind == "errors":
        parts.append(f"{_percent(fault.probability)} % of requests")
    if fault.timing is not None:
        parts.append(f"each after {DURATION.format(fault.timing.after_s)}")
    if fault.rolling is not None:
        parts.append(f"{fault.rolling.batch} at a time")
    if fault.flapping is not None:
        share = _percent(fault.flapping.down_share)
        parts.append(f"down for {share} % of every {DURATION.format(fault.flapping.period_s)}")
    if fault.kind == "spot":
        parts.append(f"with {DURATION.format(fault.notice_s)} of notice")
    if fault.group is not None and fault.group.size is not None:
        parts.append(f"in groups of {fault.group.size}")
    if fault.health is not None and fault.health.says is not None:
        parts.append(f"which reports {fault.health.says}")
    if fault.health is not None and fault.health.lag_s > 0.0:
        parts.append(f"which lags by {DURATION.format(fault.health.lag_s)}")
    return parts


def _when(fault: FaultConfig) -> str:
    if fault.at_s is not None:
        lasts = "" if fault.lasts_s is None else f" for {DURATION.format(fault.lasts_s)}"
        return f"at {DURATION.format(fault.at_s)}{lasts}"
    if fault.mtbf_s is None or fault.mttr_s is None:
        return f"repeatedly, {DURATION.format(fault.mtbf_s or 0.0)} apart on average"
    if fault.group is not None:
        each = "each group "
    else:
        each = "" if fault.link is not None or fault.kind == "outage" else "each node "
    up_s, down_s = round(fault.mtbf_s, 6), round(fault.mttr_s, 6)
    return f"{each}up {DURATION.format(up_s)} and down {DURATION.format(down_s)} on average"


def _percent(share: float) -> str:
    """Return a share as the scenario has it, in percent without the sign."""
    return f"{100.0 * share:.6g}"
