"""Turns the completed models of a scenario file into the frozen values that a run takes."""

from __future__ import annotations

from collections.abc import Mapping

from fedsim.federation.config import BreakerConfig, HealthConfig, RetryConfig, TimeoutConfig
from fedsim.federation.contracts import Capability, PrivacyLevel, QoSRequirements
from fedsim.results.slo import Slo
from fedsim.scenario.schema.faults import Crash, Errors, Fault, Slowdown
from fedsim.scenario.schema.federation import (
    BreakerSettings,
    Federation,
    HealthSettings,
    PolicySettings,
    RetrySettings,
    TimeoutSettings,
)
from fedsim.scenario.schema.pools import Network, Pool, TokenService
from fedsim.scenario.schema.root import Compare, ScenarioFile, SloSettings
from fedsim.scenario.schema.workload import PoissonArrivals, Qos, Stream
from fedsim.scenario.spec import CompareSpec, FederationSpec
from fedsim.workload.arrivals import ArrivalProcess, Poisson, TraceReplay
from fedsim.workload.tenants import Tenants
from fedsim.workload.traces import Trace
from fedsim.workload.traffic import Traffic
from fedsim.world import service
from fedsim.world.config import (
    FaultConfig,
    NetworkConfig,
    PoolConfig,
    RegionConfig,
    StreamConfig,
    WorldConfig,
)


def world_config(file: ScenarioFile, traces: Mapping[str, Trace]) -> WorldConfig:
    """Return the world of a completed *file*.

    Args:
        file: The scenario, with nothing left to be filled in.
        traces: The trace of each stream that replays one.
    """
    every = file.record.nodes_every
    return WorldConfig(
        seed=file.seed,
        duration_s=file.duration,
        drain_s=file.drain,
        regions=tuple(
            RegionConfig(name, _level(region.privacy)) for name, region in file.regions.items()
        ),
        network=_network(file.network),
        pools=tuple(_pool(name, pool) for name, pool in file.pools.items()),
        streams=tuple(
            _stream(name, stream, traces.get(name)) for name, stream in file.workload.items()
        ),
        faults=tuple(_fault(fault) for fault in file.faults),
        nodes_every_s=None if isinstance(every, str) else every,
        abort=file.federation.abort == "on",
        warmup_s=file.warmup or 0.0,
    )


def federation_spec(federation: Federation) -> FederationSpec:
    """Return the federation of a completed file."""
    return FederationSpec(
        gateways=dict(federation.gateways or {}),
        strategy=federation.strategy,
        policies={name: _policy(settings) for name, settings in federation.policies.items()},
        router=federation.router,
        health=_health(federation.health),
        circuit_breaker=_breaker(federation.circuit_breaker),
        timeout=_timeout(federation.timeout),
        retries=_retries(federation.retries),
        middleware=tuple(federation.middleware),
    )


def slo_config(slo: SloSettings | None) -> Slo | None:
    """Return the objective, or None where the file has none."""
    if slo is None:
        return None
    latency = {
        name.removeprefix("latency_"): value
        for name, value in slo
        if name.startswith("latency_") and value is not None
    }
    return Slo(latency=latency, success_rate=slo.success_rate)


def compare_spec(compare: Compare | None) -> CompareSpec | None:
    """Return what to compare, or None where the file does not say."""
    if compare is None:
        return None
    return CompareSpec(tuple(compare.strategies), compare.replications, compare.baseline)


def _level(name: str) -> PrivacyLevel:
    return PrivacyLevel[name.upper()]


def _network(network: Network) -> NetworkConfig:
    between: dict[tuple[str, str], float] = {}
    for pair, round_trip_s in network.between.items():
        one, _, other = pair.partition("/")
        between[one, other] = between[other, one] = round_trip_s
    return NetworkConfig(network.within_region, between, network.jitter)


def _pool(name: str, pool: Pool) -> PoolConfig:
    return PoolConfig(
        name=name,
        region=pool.region,
        count=pool.count,
        model=pool.model or name,
        capabilities=tuple(Capability(key) for key in pool.capabilities),
        slots=pool.slots,
        queue_limit=None if isinstance(pool.queue_limit, str) else pool.queue_limit,
        service=_service(pool),
        gpu=pool.gpu,
        cost_usd_per_hour=pool.cost,
    )


def _service(pool: Pool) -> service.ServiceModel:
    settings = pool.service
    if not isinstance(settings, TokenService):
        return service.DistributedService(settings.build())
    return service.TokenService(
        base_s=settings.base,
        per_prompt_token_s=settings.per_prompt_token,
        per_output_token_s=settings.per_output_token,
        noise_cv=settings.noise_cv,
        needs_tokens=settings.per_prompt_token > 0 or settings.per_output_token > 0,
    )


def _stream(name: str, stream: Stream, trace: Trace | None) -> StreamConfig:
    tenants = stream.tenants
    prompt = stream.tokens.prompt if stream.tokens is not None else None
    output = stream.tokens.output if stream.tokens is not None else None
    traffic = Traffic(
        name=name,
        origins=tuple((region, weight) for region, weight in (stream.origins or {}).items()),
        arrivals=_arrivals(stream, trace),
        prompt_tokens=None if prompt is None else prompt.build(),
        output_tokens=None if output is None else output.build(),
        tenants=None if tenants is None else Tenants(tenants.count, tenants.zipf),
    )
    return StreamConfig(traffic, Capability(stream.capability), _qos(stream.qos))


def _arrivals(stream: Stream, trace: Trace | None) -> ArrivalProcess:
    if isinstance(stream.arrivals, PoissonArrivals):
        return Poisson(stream.arrivals.rate)
    assert trace is not None
    return TraceReplay(trace, stream.arrivals.speed)


def _qos(qos: Qos) -> QoSRequirements:
    return QoSRequirements(
        max_latency_s=qos.max_latency,
        min_throughput=None if qos.min_throughput is None else int(qos.min_throughput),
        privacy=_level(qos.privacy),
        prefer_gpu=qos.prefer_gpu,
        cost_tolerance=qos.cost_tolerance,
    )


def _fault(fault: Fault) -> FaultConfig:
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


def _policy(settings: PolicySettings) -> dict[str, float]:
    parameters = {"weight": settings.weight or 0.0}
    if settings.max_latency is not None:
        parameters["max_latency_s"] = settings.max_latency
    return parameters


def _health(settings: HealthSettings | str) -> HealthConfig | None:
    if isinstance(settings, str):
        return None
    return HealthConfig(
        interval_s=settings.interval,
        timeout_s=settings.timeout,
        jitter=settings.jitter,
        failure_threshold=settings.failure_threshold,
        recovery_threshold=settings.recovery_threshold,
        degraded_latency_s=settings.degraded_latency,
        degraded_factor=settings.degraded_factor,
        window_s=settings.window,
        window_samples=settings.window_samples,
    )


def _breaker(settings: BreakerSettings | str) -> BreakerConfig | None:
    if isinstance(settings, str):
        return None
    return BreakerConfig(
        failure_threshold=settings.failure_threshold,
        reset_timeout_s=settings.reset_timeout,
        half_open_successes=settings.half_open_successes,
        half_open_probes=settings.half_open_probes,
    )


def _timeout(settings: TimeoutSettings | str) -> TimeoutConfig | None:
    if isinstance(settings, str):
        return None
    return TimeoutConfig(attempt_s=_or_none(settings.attempt), request_s=_or_none(settings.request))


def _retries(settings: RetrySettings | str) -> RetryConfig | None:
    if isinstance(settings, str):
        return None
    return RetryConfig(
        limit=settings.limit,
        backoff_s=settings.backoff,
        backoff_max_s=settings.backoff_max,
        jitter=settings.jitter,
        budget=_or_none(settings.budget),
    )


def _or_none(value: float | str) -> float | None:
    return None if isinstance(value, str) else value
