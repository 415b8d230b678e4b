"""What to know of a load before it is run: what is asked for and never comes, or looks mistaken."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fedsim.scenario.offered_load import OfferedLoad
from fedsim.scenario.oversized import oversized
from fedsim.scenario.units import DURATION
from fedsim.workload.arrivals import ArrivalProcess, ClosedLoop, TraceReplay
from fedsim.workload.arrivals.curves import Curve, Diurnal, Spike, Steps
from fedsim.workload.arrivals.modulated import Modulated
from fedsim.workload.arrivals.process import before
from fedsim.workload.superposition import Superposition
from fedsim.workload.tenants import NamedTenants
from fedsim.workload.traces.trace import Trace
from fedsim.workload.traffic import Traffic

_LONG_GAP_S = 300.0
_LONG_SPAN_S = 366.0 * 86400.0
_FAST_RPS = 1e5
_FEW_ROWS = 100
"""A trace is doubted beyond these: its mean gap, its span, and the rate of so many rows."""

_QUIET_SHARE = 0.1
"""A trace that leaves a smaller share of the run without arrivals is as long as the run."""


def load_notes(offered: OfferedLoad) -> list[str]:
    """Return warnings on the load of a scenario, as sentences."""
    until_s = offered.scenario.duration_s
    notes: list[str] = []
    for stream in offered.streams:
        notes += _of_traffic(stream.traffic, until_s)
    for each in oversized(offered):
        notes += [each.problem.message] if each.is_few else []
    return notes


def load_facts(traffic: Traffic, until_s: float) -> list[str]:
    """Return what becomes of a stream's trace in a run that ends at *until_s*, as sentences."""
    arrivals, name = traffic.arrivals, traffic.name
    if not isinstance(arrivals, TraceReplay):
        return []
    facts = []
    if arrivals.trace.spread_s:
        facts.append(
            f"{name}: requests of one recorded time are spread over {arrivals.trace.spread_s:g} s."
        )
    if arrivals.rate_factor > 1.0:
        facts.append(
            f"{name}: each request is replayed {arrivals.rate_factor:g} times; what all clients "
            "share, such as a spike or a time of day, stays where it is, and the bursts of single "
            "clients come at other times, drawn from the seed."
        )
    elif arrivals.rate_factor < 1.0:
        facts.append(f"{name}: which requests are left out is drawn from the seed.")
    trace = arrivals.trace
    late = len(trace) - len(before(trace.times_s / arrivals.speed, until_s))
    if late:
        end = _about(float(trace.times_s[-1]) / arrivals.speed)
        facts.append(
            f"{name}: {late:,} of the trace's {len(trace):,} requests come after the end of the "
            f"run and are not sent; the last would arrive at {end}."
        )
    return facts


def _of_traffic(traffic: Traffic, until_s: float) -> Iterator[str]:
    name = traffic.name
    for region, weight in traffic.origins:
        if weight == 0.0:
            yield f"No request of {name} comes from {region}: its weight is 0."
    if isinstance(traffic.tenants, NamedTenants):
        for member in traffic.tenants.members:
            if member.share == 0.0:
                yield f"No request of {name} is of {member.name}: its share is 0."
    yield from _of_arrivals(name, traffic.arrivals, until_s)


def _of_arrivals(name: str, arrivals: ArrivalProcess, until_s: float) -> Iterator[str]:
    if isinstance(arrivals, Superposition):
        for tenant, process in arrivals.processes:
            yield from _of_arrivals(f"{tenant} in {name}", process, until_s)
        return
    if isinstance(arrivals, TraceReplay):
        yield from _of_trace(name, arrivals, until_s)
    if isinstance(arrivals, Modulated):
        for curve in arrivals.curves:
            yield from _of_curve(name, curve, arrivals, until_s)
    if not isinstance(arrivals, ClosedLoop):
        expected = arrivals.mean_rps(until_s) * until_s
        if expected < 1.0:
            yield f"{name} hardly sends anything: {expected:.2g} arrivals are expected in the run."


def _of_trace(name: str, replay: TraceReplay, until_s: float) -> Iterator[str]:
    trace = replay.trace
    yield from doubts(name, trace)
    end_s = float(trace.times_s[-1]) / replay.speed
    if end_s < (1.0 - _QUIET_SHARE) * until_s:
        end, rest = _about(end_s), _about(until_s - end_s)
        yield f"The trace of {name} ends at {end}: nothing of it arrives in the last {rest}."


def _about(measured_s: float) -> str:
    """Return the text of a computed time, to four digits."""
    return DURATION.format(float(f"{measured_s:.4g}"))


def doubts(name: str, trace: Trace) -> Iterator[str]:
    """Yield whether the unit of a trace's times seems to be another than the one it is read in."""
    span_s, gaps = trace.span_s, max(len(trace) - 1, 1)
    whole = bool(np.all(trace.times_s == np.rint(trace.times_s)))
    if span_s > _LONG_SPAN_S or (whole and span_s / gaps >= _LONG_GAP_S):
        yield (
            f"The trace of {name} spans {_about(span_s)}, with a request every "
            f"{span_s / gaps:.3g} s: if its times are no seconds, let the name of their column end "
            "in the unit, such as time_ms."
        )
    elif span_s > 0.0 and len(trace) >= _FEW_ROWS and gaps / span_s > _FAST_RPS:
        yield f"The trace of {name} has {gaps / span_s:,.0f} requests a second: see to its times."


def _of_curve(name: str, curve: Curve, arrivals: Modulated, until_s: float) -> Iterator[str]:
    """Yield which event of a curve does not happen in the run."""
    offsets_s = [zone.offset_s if curve.local else 0.0 for zone in arrivals.zones]

    def happens(at_s: float, period_s: float | None = None) -> bool:
        """Return whether it is local time *at_s* anywhere in the run."""
        since_s = [at_s - offset_s for offset_s in offsets_s]
        if period_s is not None:
            since_s = [each % period_s for each in since_s]
        return any(0.0 <= each < until_s for each in since_s)

    if isinstance(curve, Spike) and not happens(curve.at_s):
        yield f"The spike of {name} at {DURATION.format(curve.at_s)} comes after the end."
    if isinstance(curve, Steps):
        late = [at_s for at_s in curve.at_s[1:] if not happens(at_s, curve.period_s)]
        if late:
            times = ", ".join(DURATION.format(at_s) for at_s in late)
            yield f"Steps of {name} do not happen in the run: those at {times}."
    if isinstance(curve, Diurnal) and not happens(curve.peak_at_s, curve.period_s):
        at = DURATION.format(curve.peak_at_s)
        yield f"The peak of {name}, at {at} of its day, lies outside of the run."
