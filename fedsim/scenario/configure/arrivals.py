"""Arrival processes, from their settings."""

from __future__ import annotations

from collections.abc import Mapping

from fedsim.scenario.schema.arrivals import (
    Arrivals,
    ClosedLoopArrivals,
    ConstantArrivals,
    CurvedArrivals,
    DiurnalArrivals,
    MmppArrivals,
    PoissonArrivals,
    RenewalArrivals,
    SpikeArrivals,
    StepsArrivals,
)
from fedsim.scenario.schema.curves import Burst, Day, StepsCurve
from fedsim.workload import arrivals as processes
from fedsim.workload.traces.trace import Trace

_PEAK_SHARE = 14.0 / 24.0
"""Where in its period a day has its peak if the file does not say: at 14h."""


def arrival_process(
    arrivals: Arrivals, origins: Mapping[str, float], trace: Trace | None
) -> processes.ArrivalProcess:
    """Return when the requests of a stream arrive.

    Args:
        arrivals: The settings.
        origins: Weights of the stream's origins, in their order.
        trace: What the stream replays, if it does.
    """
    if isinstance(arrivals, ClosedLoopArrivals):
        return processes.ClosedLoop(arrivals.users, arrivals.think.build())
    if isinstance(arrivals, CurvedArrivals):
        return _curved(arrivals, origins)
    assert trace is not None
    return processes.TraceReplay(trace, arrivals.speed, arrivals.rate_factor)


def _curved(arrivals: CurvedArrivals, origins: Mapping[str, float]) -> processes.ArrivalProcess:
    curves = [*_own_curves(arrivals), *(_curve(each) for each in arrivals.shape)]
    steady = _steady(arrivals)
    if not curves:
        return steady
    offsets_s = arrivals.utc_offsets
    zones: tuple[processes.Zone, ...] = (processes.Zone(1.0),)
    if offsets_s:
        zones = tuple(
            processes.Zone(weight, offsets_s.get(region, 0.0)) for region, weight in origins.items()
        )
    return processes.Modulated(steady, tuple(curves), zones)


def _steady(arrivals: CurvedArrivals) -> processes.Steady:
    """Return the process whose rate curves may multiply."""
    match arrivals:
        case PoissonArrivals():
            return processes.Poisson(arrivals.rate)
        case RenewalArrivals(process="weibull"):
            return processes.WeibullRenewal(arrivals.rate, arrivals.cv)
        case RenewalArrivals() | DiurnalArrivals() | SpikeArrivals():
            return _bursty(arrivals.rate, arrivals.cv)
        case ConstantArrivals():
            return processes.Regular(arrivals.rate)
        case StepsArrivals():
            return _bursty(1.0, arrivals.cv)  # the steps are the rate
        case MmppArrivals():
            return processes.Mmpp(tuple(arrivals.rates), tuple(arrivals.sojourns))
        case _:
            raise TypeError(arrivals)


def _bursty(rate_rps: float, cv: float) -> processes.Steady:
    return processes.Poisson(rate_rps) if cv == 1.0 else processes.GammaRenewal(rate_rps, cv)


def _own_curves(arrivals: CurvedArrivals) -> list[processes.Curve]:
    """Return the curve that the process has itself, if it has one."""
    if isinstance(arrivals, StepsArrivals):
        at_s = tuple(step.at for step in arrivals.steps)
        rates = tuple(step.rate for step in arrivals.steps)
        return [processes.Steps(at_s, rates, arrivals.period)]
    return [_curve(arrivals)] if isinstance(arrivals, Day | Burst) else []


def _curve(curve: Day | Burst | StepsCurve) -> processes.Curve:
    match curve:
        case Day():
            peak_at_s = curve.period * _PEAK_SHARE if curve.peak_at is None else curve.peak_at
            return processes.Diurnal(curve.peak_to_trough, peak_at_s, curve.period)
        case Burst():
            return processes.Spike(curve.at, curve.lasts, curve.factor)
        case StepsCurve():
            at_s = tuple(step.at for step in curve.steps)
            factors = tuple(step.factor for step in curve.steps)
            return processes.Steps(at_s, factors, curve.period)
