"""Streams of requests, from their settings."""

from __future__ import annotations

from collections.abc import Mapping

from fedsim.federation.contracts import Capability, QoSRequirements
from fedsim.scenario.configure.arrivals import arrival_process
from fedsim.scenario.configure.pools import privacy_level
from fedsim.scenario.configure.sizes import conversation, sizes, superposition, tenants
from fedsim.scenario.schema.workload import Qos, Stream
from fedsim.workload.arrivals import ArrivalProcess
from fedsim.workload.traces import Trace
from fedsim.workload.traffic import Traffic
from fedsim.world.config import StreamConfig


def stream_config(
    name: str, stream: Stream, trace: Trace | None, samples: Mapping[str, Trace]
) -> StreamConfig:
    """Return the stream *name*.

    Args:
        name: Its name.
        stream: Its settings.
        trace: What it replays, if it does.
        samples: The traces that token counts are drawn from, by full file name.
    """
    traffic = Traffic(
        name=name,
        origins=tuple((stream.origins or {}).items()),
        arrivals=_arrivals(stream, trace),
        sizes=sizes(stream, samples),
        tenants=tenants(stream, samples),
        conversation=conversation(stream.conversation),
    )
    return StreamConfig(traffic, Capability(stream.capability), _qos(stream.qos), stream.priority)


def _arrivals(stream: Stream, trace: Trace | None) -> ArrivalProcess:
    if (together := superposition(stream)) is not None:
        return together
    assert stream.arrivals is not None
    return arrival_process(stream.arrivals, stream.origins or {}, trace)


def _qos(qos: Qos) -> QoSRequirements:
    return QoSRequirements(
        max_latency_s=qos.max_latency,
        min_throughput=None if qos.min_throughput is None else int(qos.min_throughput),
        privacy=privacy_level(qos.privacy),
        prefer_gpu=qos.prefer_gpu,
        cost_tolerance=qos.cost_tolerance,
    )
