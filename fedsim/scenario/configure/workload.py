"""Streams of requests, from their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fedsim.federation.contracts import Capability, QoSRequirements
from fedsim.scenario.configure.arrivals import arrival_process
from fedsim.scenario.configure.pools import privacy_level
from fedsim.scenario.configure.sizes import conversation, sizes, superposition, tenants
from fedsim.scenario.files import WorkloadFiles
from fedsim.scenario.schema.workload import Qos, Stream
from fedsim.workload.arrivals import ArrivalProcess
from fedsim.workload.traffic import Traffic
from fedsim.world.config import StreamConfig

if TYPE_CHECKING:
    from fedsim.scenario.client_files import Clients
    from fedsim.scenario.schema.servegen import ServeGenArrivals
    from fedsim.workload.servegen import ServeGen
    from fedsim.workload.traces.trace import Trace


def stream_config(name: str, stream: Stream, files: WorkloadFiles, until_s: float) -> StreamConfig:
    """Return the stream *name*; *files* holds what it names, *until_s* is the end of arrivals."""
    traffic = Traffic(
        name=name,
        origins=_origins(stream, files.traces.get(name)),
        arrivals=_arrivals(name, stream, files),
        sizes=sizes(stream, files.samples),
        tenants=tenants(stream, files.samples, until_s),
        conversation=conversation(stream.conversation),
    )
    return StreamConfig(
        traffic,
        Capability(stream.capability),
        _qos(stream.qos),
        stream.priority,
        streamed=stream.streamed == "on",
        model=stream.model,
    )


def _origins(stream: Stream, trace: Trace | None) -> tuple[tuple[str, float], ...]:
    """Return where requests come from; where a trace says so, by its numbers of requests."""
    origins = stream.origins or {}
    if trace is None or trace.origins is None:
        return tuple(origins.items())
    counts = dict.fromkeys(origins, 0.0)
    requests = np.bincount(trace.origins.codes, minlength=len(trace.origins.names))
    for region, number in zip(trace.origins.names, requests.tolist(), strict=True):
        counts[region] += number
    return tuple(counts.items())


def _arrivals(name: str, stream: Stream, files: WorkloadFiles) -> ArrivalProcess:
    if (together := superposition(stream)) is not None:
        return together
    assert stream.arrivals is not None
    if stream.arrivals.process == "trace" and stream.arrivals.format == "servegen":
        return _servegen(stream.arrivals, files.clients[name])
    return arrival_process(stream.arrivals, stream.origins or {}, files.traces.get(name))


def _servegen(settings: ServeGenArrivals, clients: Clients) -> ServeGen:
    from fedsim.workload.servegen import ServeGen

    return ServeGen(
        clients.rates,
        clients.lengths,
        from_s=settings.start,
        to_s=settings.end,
        speed=settings.speed,
        rate_factor=settings.rate_factor,
    )


def _qos(qos: Qos) -> QoSRequirements:
    return QoSRequirements(
        max_latency_s=qos.max_latency,
        min_throughput=None if qos.min_throughput is None else int(qos.min_throughput),
        privacy=privacy_level(qos.privacy),
        prefer_gpu=qos.prefer_gpu,
        cost_tolerance=qos.cost_tolerance,
    )
