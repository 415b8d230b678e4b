"""Faults, from their settings."""

from __future__ import annotations

from fedsim.scenario.schema.faults import Crash, Errors, Fault, Slowdown
from fedsim.world.config import FaultConfig


def fault_config(fault: Fault) -> FaultConfig:
    """Return something that goes wrong."""
    return FaultConfig(
        kind=fault.kind,
        region=getattr(fault, "region", None),
        pool=getattr(fault, "pool", None),
        node=fault.node,
        at_s=fault.at,
        lasts_s=fault.lasts,
        mtbf_s=fault.mtbf if isinstance(fault, Crash) else None,
        mttr_s=fault.mttr if isinstance(fault, Crash) else None,
        factor=fault.factor if isinstance(fault, Slowdown) else 1.0,
        probability=fault.probability if isinstance(fault, Errors) else 0.0,
    )
