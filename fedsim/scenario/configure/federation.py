"""The federation, from its settings."""

from __future__ import annotations

from fedsim.federation.config import BreakerConfig, HealthConfig, RetryConfig, TimeoutConfig
from fedsim.federation.contracts import RegionId
from fedsim.scenario.configure.pools import privacy_level
from fedsim.scenario.configure.reference import reference_spec
from fedsim.scenario.schema.federation import Federation
from fedsim.scenario.schema.health import BreakerSettings, HealthSettings
from fedsim.scenario.schema.policies import PolicySettings
from fedsim.scenario.schema.resilience import RetrySettings, TimeoutSettings
from fedsim.scenario.schema.root import ScenarioFile
from fedsim.scenario.spec import FederationSpec


def federation_spec(file: ScenarioFile) -> FederationSpec:
    """Return the federation of a completed file."""
    if isinstance(file.federation, Federation):
        return _own_spec(file.federation)
    levels = {
        RegionId(name): privacy_level(region.privacy) for name, region in file.regions.items()
    }
    return reference_spec(file.federation, levels)


def _own_spec(federation: Federation) -> FederationSpec:
    return FederationSpec(
        gateways=dict(federation.gateways or {}),
        strategy=federation.strategy,
        strategy_settings=federation.strategy_settings.given(),
        policies={name: _policy(settings) for name, settings in federation.policies.items()},
        router=federation.router,
        health=_health(federation.health),
        circuit_breaker=_breaker(federation.circuit_breaker),
        timeout=_timeout(federation.timeout),
        retries=_retries(federation.retries),
        middleware=tuple(federation.middleware),
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
