"""Faults, from their settings."""

from __future__ import annotations

from fedsim.scenario.catalogues.failures import failure_preset
from fedsim.scenario.schema.faults import Crash, Errors, Fault, Slowdown
from fedsim.world.config import FaultConfig


def fault_config(fault: Fault) -> FaultConfig:
    """Return something that goes wrong."""
    mtbf_s, mttr_s = times_s(fault) if isinstance(fault, Crash) else (None, None)
    return FaultConfig(
        kind=fault.kind,
        region=getattr(fault, "region", None),
        pool=getattr(fault, "pool", None),
        node=fault.node,
        at_s=fault.at,
        lasts_s=fault.lasts,
        mtbf_s=mtbf_s,
        mttr_s=mttr_s,
        factor=fault.factor if isinstance(fault, Slowdown) else 1.0,
        probability=fault.probability if isinstance(fault, Errors) else 0.0,
    )


def times_s(crash: Crash) -> tuple[float | None, float | None]:
    """Return the mean times up and to repair of a crash, in seconds; None for a scripted one."""
    if crash.preset is None:
        return crash.mtbf, crash.mttr
    preset = failure_preset(crash.preset)
    return (
        preset.mtbf_s if crash.mtbf is None else crash.mtbf,
        preset.mttr_s if crash.mttr is None else crash.mttr,
    )
