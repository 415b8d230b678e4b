"""Faults, from their settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fedsim.scenario.catalogues.failures import failure_preset
from fedsim.scenario.schema.distributions import DistributionSettings
from fedsim.scenario.schema.fault_parts import MeanTime, NodeFault, PlaceFault, mean_s
from fedsim.scenario.schema.faults import (
    Correlated,
    Crash,
    Errors,
    Fault,
    Flapping,
    Health,
    RollingDeployment,
    Slowdown,
    Spot,
)
from fedsim.scenario.schema.link_faults import LinkTrouble, Partition
from fedsim.workload.distributions import Distribution
from fedsim.world.faults.config import (
    EndpointConfig,
    ErrorTiming,
    FaultConfig,
    FlappingConfig,
    GroupConfig,
    LinkConfig,
    RollingConfig,
)


def fault_config(fault: Fault) -> FaultConfig:
    """Return something that goes wrong."""
    mtbf_s, mttr_s = times_s(fault)
    where: dict[str, Any] = {}
    if isinstance(fault, PlaceFault):
        where = {"region": fault.region, "pool": fault.pool, "share": fault.share}
    if isinstance(fault, NodeFault):
        where["node"] = fault.node
    return FaultConfig(
        kind=fault.kind,
        at_s=fault.at,
        lasts_s=fault.lasts,
        mtbf_s=mtbf_s,
        mttr_s=mttr_s,
        up=_distribution(fault.mtbf),
        down=_distribution(fault.mttr),
        **where,
        **_particulars(fault),
    )


def times_s(fault: Fault) -> tuple[float | None, float | None]:
    """Return the mean times up and to repair, in seconds; None for a scripted fault."""
    mtbf_s = None if fault.mtbf is None else mean_s(fault.mtbf)
    mttr_s = None if fault.mttr is None else mean_s(fault.mttr)
    if not isinstance(fault, Crash) or fault.preset is None:
        return mtbf_s, mttr_s
    preset = failure_preset(fault.preset)
    return (
        preset.mtbf_s if mtbf_s is None else mtbf_s,
        preset.mttr_s if mttr_s is None else mttr_s,
    )


def _distribution(time: MeanTime | None) -> Distribution | None:
    return time.build() if isinstance(time, DistributionSettings) else None


def _particulars(fault: Any) -> dict[str, Any]:
    """Return what a fault of its kind has beside its times and its target."""
    particulars: dict[type, Callable[[Any], dict[str, Any]]] = {
        Slowdown: lambda each: {"factor": each.factor},
        Errors: _errors,
        RollingDeployment: _rolling,
        Partition: lambda each: {"link": LinkConfig(each.ends, each.one_way, cut=True)},
        LinkTrouble: _link,
        Flapping: lambda each: {"flapping": FlappingConfig(each.period, each.down_share)},
        Health: lambda each: {"health": EndpointConfig(each.says, each.lag or 0.0)},
        Spot: lambda each: {"notice_s": each.notice},
        Correlated: _correlated,
    }
    describe = particulars.get(type(fault))
    return {} if describe is None else describe(fault)


def _errors(fault: Errors) -> dict[str, Any]:
    timing = None if fault.after is None else ErrorTiming(fault.after)
    return {"probability": fault.probability, "timing": timing}


def _rolling(fault: RollingDeployment) -> dict[str, Any]:
    return {"rolling": RollingConfig(fault.batch, fault.pause, fault.drain, fault.restart)}


def _link(fault: LinkTrouble) -> dict[str, Any]:
    latency_s, jitter, loss = fault.latency, fault.jitter, fault.loss
    return {"link": LinkConfig(fault.ends, fault.one_way, False, latency_s, jitter, loss)}


def _correlated(fault: Correlated) -> dict[str, Any]:
    group = GroupConfig(fault.group_size, fault.spread)
    return {"pools": tuple(fault.pools or ()), "group": group}
