"""Health checkers, circuit breakers, outlier ejection and slow start, from their settings."""

from __future__ import annotations

from fedsim.federation.config import (
    BreakerConfig,
    FailureShareConfig,
    HealthConfig,
    OutlierConfig,
    RateBreakerConfig,
    SlowStartConfig,
    SuccessRateConfig,
)
from fedsim.scenario.schema.breakers import BreakerSettings, RateBreakerSettings
from fedsim.scenario.schema.health import HealthSettings
from fedsim.scenario.schema.outliers import OutlierSettings, PanicSettings, SlowStartSettings


def health_config(settings: HealthSettings | str) -> HealthConfig | str | None:
    """Return the settings of health checkers, the name of a class, or None for none."""
    if isinstance(settings, str):
        return _name_or_none(settings)
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
        delay_s=settings.delay,
    )


def probe_loss(settings: HealthSettings | str) -> float:
    """Return the share of probes that get no answer."""
    return 0.0 if isinstance(settings, str) else settings.loss


def breaker_config(
    settings: BreakerSettings | RateBreakerSettings | str,
) -> BreakerConfig | RateBreakerConfig | str | None:
    """Return the settings of circuit breakers, the name of a class, or None for none."""
    if isinstance(settings, str):
        return _name_or_none(settings)
    if isinstance(settings, BreakerSettings):
        return BreakerConfig(
            failure_threshold=settings.failure_threshold,
            reset_timeout_s=settings.reset_timeout,
            half_open_successes=settings.half_open_successes,
            half_open_probes=settings.half_open_probes,
        )
    window = settings.window
    counted = isinstance(window, int)
    return RateBreakerConfig(
        window_calls=int(window) if counted else RateBreakerConfig().window_calls,
        window_s=None if counted else int(window),
        failure_rate=settings.failure_rate,
        slow_call_s=settings.slow_call,
        slow_rate=settings.slow_rate,
        min_calls=settings.min_calls,
        wait_s=settings.wait,
        half_open_probes=settings.half_open_probes,
    )


def outlier_config(settings: OutlierSettings | str) -> OutlierConfig | None:
    """Return the settings of outlier ejection, or None for none."""
    if isinstance(settings, str):
        return None
    rate, share, failures = (
        settings.success_rate,
        settings.failure_share,
        settings.consecutive_failures,
    )
    return OutlierConfig(
        consecutive_failures=None if isinstance(failures, str) else failures,
        interval_s=settings.interval,
        base_ejection_s=settings.base_ejection,
        max_ejection_s=settings.max_ejection,
        max_ejected=settings.max_ejected,
        always_eject_one=settings.always_eject_one,
        success_rate=(
            None
            if isinstance(rate, str)
            else SuccessRateConfig(rate.stdev_factor, rate.min_nodes, rate.volume)
        ),
        failure_share=(
            None
            if isinstance(share, str)
            else FailureShareConfig(share.threshold, share.min_nodes, share.volume)
        ),
    )


def panic_threshold(settings: PanicSettings | str) -> float | None:
    """Return the share of usable nodes below which there is panic, or None for never."""
    return None if isinstance(settings, str) else settings.threshold


def slow_start_config(settings: SlowStartSettings | str) -> SlowStartConfig | None:
    """Return the settings of slow start, or None for none."""
    if isinstance(settings, str):
        return None
    return SlowStartConfig(settings.window, settings.aggression, settings.min)


def _name_or_none(word: str) -> str | None:
    return None if word == "off" else word
