"""Streams of requests, from their settings."""

from __future__ import annotations

from fedsim.federation.contracts import Capability, QoSRequirements
from fedsim.scenario.configure.arrivals import arrival_process
from fedsim.scenario.configure.pools import privacy_level
from fedsim.scenario.schema.workload import Qos, Stream
from fedsim.workload.sizes import Sizes
from fedsim.workload.tenants import Tenants
from fedsim.workload.tokens import Tokens
from fedsim.workload.traces import Trace
from fedsim.workload.traffic import Traffic
from fedsim.world.config import StreamConfig


def stream_config(name: str, stream: Stream, trace: Trace | None) -> StreamConfig:
    """Return the stream *name*; *trace* is what it replays, if it does."""
    tenants = stream.tenants
    prompt = stream.tokens.prompt if stream.tokens is not None else None
    output = stream.tokens.output if stream.tokens is not None else None
    traffic = Traffic(
        name=name,
        origins=tuple((region, weight) for region, weight in (stream.origins or {}).items()),
        arrivals=arrival_process(stream.arrivals, stream.origins or {}, trace),
        sizes=Sizes(
            Tokens(
                None if prompt is None else prompt.build(),
                None if output is None else output.build(),
            )
        ),
        tenants=None if tenants is None else Tenants(tenants.count, tenants.zipf),
    )
    return StreamConfig(traffic, Capability(stream.capability), _qos(stream.qos))


def _qos(qos: Qos) -> QoSRequirements:
    return QoSRequirements(
        max_latency_s=qos.max_latency,
        min_throughput=None if qos.min_throughput is None else int(qos.min_throughput),
        privacy=privacy_level(qos.privacy),
        prefer_gpu=qos.prefer_gpu,
        cost_tolerance=qos.cost_tolerance,
    )
