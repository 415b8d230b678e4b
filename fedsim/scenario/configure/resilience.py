"""What makes a gateway resilient, from its settings; each is None where the file says ``off``."""

from __future__ import annotations

from dataclasses import replace

from fedsim.federation.config import (
    ConcurrencyConfig,
    HedgeConfig,
    RetryConfig,
    SheddingConfig,
    ThrottleConfig,
    TimeoutConfig,
)
from fedsim.scenario.schema.resilience import (
    BudgetSettings,
    ConcurrencySettings,
    HedgeSettings,
    RetrySettings,
    SheddingSettings,
    ThrottleSettings,
    TimeoutSettings,
)


def timeout_config(settings: TimeoutSettings | str) -> TimeoutConfig | None:
    """Return the deadlines."""
    if isinstance(settings, str):
        return None
    assert settings.first_token is not None
    return TimeoutConfig(
        attempt_s=_or_none(settings.attempt),
        request_s=_or_none(settings.request),
        first_token_s=_or_none(settings.first_token),
        idle_s=_or_none(settings.idle),
    )


def retry_config(settings: RetrySettings | str) -> RetryConfig | None:
    """Return how to try again."""
    if isinstance(settings, str):
        return None
    config = RetryConfig(
        settings.limit, settings.backoff, settings.backoff_max, settings.jitter, None
    )
    budget = settings.budget
    if isinstance(budget, float):
        return replace(config, budget=budget)
    if isinstance(budget, BudgetSettings):
        floor, window_s = budget.floor, budget.window
        return replace(config, budget=budget.ratio, budget_floor=floor, budget_window_s=window_s)
    return config


def retry_policy(settings: RetrySettings | str) -> str | None:
    """Return the name of another project's retry policy, or None for ours."""
    return settings if isinstance(settings, str) and settings != "off" else None


def hedge_config(settings: HedgeSettings | str) -> HedgeConfig | None:
    """Return when to send a second attempt."""
    if isinstance(settings, str):
        return None
    after, budget = settings.after, _or_none(settings.budget)
    if isinstance(after, str):
        return HedgeConfig(percentile=int(after[1:]) / 100.0, budget=budget)
    return HedgeConfig(after_s=after, budget=budget)


def throttle_config(settings: ThrottleSettings | str) -> ThrottleConfig | None:
    """Return the settings of throttling."""
    if isinstance(settings, str):
        return None
    return ThrottleConfig(settings.accepts, settings.window)


def concurrency_config(settings: ConcurrencySettings | str) -> ConcurrencyConfig | None:
    """Return the settings of the limit on requests in flight."""
    if isinstance(settings, str):
        return None
    config = ConcurrencyConfig(settings.algorithm, settings.initial, settings.min, settings.max)
    return config if settings.slow is None else replace(config, slow_s=settings.slow)


def shedding_config(settings: SheddingSettings | str) -> SheddingConfig | None:
    """Return the settings of load shedding."""
    if isinstance(settings, str):
        return None
    return SheddingConfig(settings.step, settings.limit)


def _or_none(value: float | str) -> float | None:
    return None if isinstance(value, str) else value
