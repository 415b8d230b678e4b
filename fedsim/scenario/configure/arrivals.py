"""Arrival processes, from their settings."""

from __future__ import annotations

from fedsim.scenario.schema.arrivals import Arrivals, PoissonArrivals
from fedsim.workload.arrivals import ArrivalProcess, Poisson, TraceReplay
from fedsim.workload.traces import Trace


def arrival_process(arrivals: Arrivals, trace: Trace | None) -> ArrivalProcess:
    """Return when the requests of a stream arrive; *trace* is what it replays, if it does."""
    if isinstance(arrivals, PoissonArrivals):
        return Poisson(arrivals.rate)
    assert trace is not None
    return TraceReplay(trace, arrivals.speed)
