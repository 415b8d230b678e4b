"""Faults, from their settings."""

from __future__ import annotations

from typing import Any

from fedsim.scenario.catalogues.failures import failure_preset
from fedsim.scenario.schema.distributions import DistributionSettings
from fedsim.scenario.schema.faults import LinkFault, MeanTime, PlaceFault, TimedFault, mean_s
from fedsim.workload.distributions import Distribution
from fedsim.world.faults.config import FaultConfig


def fault_config(fault: TimedFault) -> FaultConfig:
    """Return something that goes wrong."""
    mtbf_s, mttr_s = _times_s(fault)
    return FaultConfig(
        fault.build(),
        at_s=fault.at,
        lasts_s=fault.lasts,
        mtbf_s=mtbf_s,
        mttr_s=mttr_s,
        up=_distribution(fault.mtbf),
        down=_distribution(fault.mttr),
        **_target(fault),
    )


def _target(fault: TimedFault) -> dict[str, Any]:
    if isinstance(fault, LinkFault):
        return {"ends": fault.ends, "one_way": fault.one_way}
    assert isinstance(fault, PlaceFault)
    target: dict[str, Any] = {name: getattr(fault, name) for name in fault.fault.targets}
    if "pools" in target:
        target["pools"] = tuple(target["pools"] or ())
    return {"share": fault.share, **target}


def _times_s(fault: TimedFault) -> tuple[float | None, float | None]:
    """Return the mean times up and to repair, in seconds; None for a scripted fault."""
    mtbf_s = None if fault.mtbf is None else mean_s(fault.mtbf)
    mttr_s = None if fault.mttr is None else mean_s(fault.mttr)
    if fault.fleet is None:
        return mtbf_s, mttr_s
    preset = failure_preset(fault.fleet)
    return (
        preset.mtbf_s if mtbf_s is None else mtbf_s,
        preset.mttr_s if mttr_s is None else mttr_s,
    )


def _distribution(time: MeanTime | None) -> Distribution | None:
    return time.build() if isinstance(time, DistributionSettings) else None
