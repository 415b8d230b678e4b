"""Logs of nodes whose coefficients are known, with the noise that measurements have."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from fedsim.kernel.streams import Streams
from fedsim.studies.calibrate import RequestLog, replay
from fedsim.world.engine.config import EngineConfig
from fedsim.world.engine.steps import Coefficients, StepTimes

A100 = Coefficients(
    p0_s=8.03e-3, p1_s=54.53e-6, p2_s=2.97e-9, d0_s=11.6e-3, d1_s=32.2e-6, d2_s=80e-9
)
"""llama-3.1-8b in bf16 on an A100, from the catalogue."""

H100 = Coefficients(
    p0_s=2.88e-3, p1_s=19.25e-6, p2_s=0.8e-9, d0_s=6.37e-3, d1_s=10.1e-6, d2_s=44e-9
)
"""The same model on an H100."""

SLOW_PREFILL = Coefficients(p0_s=20e-3, p1_s=50e-6, p2_s=3e-9, d0_s=11e-3, d1_s=300e-6, d2_s=80e-9)
"""A node whose prefill shows in steps that also decode, and whose batch costs much."""

RAMP = (0.2, 1.0, 2.0, 4.0)
"""Rates in requests per second that let most coefficients be told apart: from idle to busy."""


@dataclass
class NoisySteps:
    """Step times with a factor of mean 1 each, drawn anew for every step.

    A line holds for one context alone, so that the engine asks for every step.
    """

    steps: StepTimes
    cv: float
    generator: np.random.Generator

    def prefill_s(self, new: int, cached: int) -> float:
        """Return what a prompt adds, without noise: the step's is enough."""
        return self.steps.prefill_s(new, cached)

    def step_s(self, prefill_s: float, prefills: int, decoding: int, context: int) -> float:
        """Return the duration of a step, times its factor."""
        return self.steps.step_s(prefill_s, prefills, decoding, context) * self._factor()

    def decode_line(self, decoding: int, context: int) -> tuple[float, float, float]:
        """Return a line that holds for one step."""
        intercept_s, slope_s, _ = self.steps.decode_line(decoding, context)
        return (intercept_s + slope_s * context) * self._factor(), 0.0, context

    def _factor(self) -> float:
        return float(self.generator.gamma(1.0 / self.cv**2, self.cv**2))


@dataclass
class QuadraticSteps(NoisySteps):
    """Steps whose decode time grows with the square of their context, unlike fedsim's engine."""

    square_s: float = 0.0

    def decode_line(self, decoding: int, context: int) -> tuple[float, float, float]:
        """Return a line that holds for one step."""
        time_s, slope_s, until = super().decode_line(decoding, context)
        return time_s + self.square_s * context**2, slope_s, until


def arrivals(
    count: int, *, seed: int = 1, rates: tuple[float, ...] = RAMP, cached_share: float = 0.0
) -> RequestLog:
    """Return requests without times but their arrivals: Poisson, an equal number at each rate."""
    draws = Streams(seed).generator("tests/calibrate/log")
    each = count // len(rates)
    gaps_s = np.concatenate([draws.exponential(1.0 / rate, each) for rate in rates])
    count = len(gaps_s)
    prompt = np.clip(600 * np.exp(1.3 * draws.standard_normal(count)), 1, 16_000).astype(np.int64)
    output = np.clip(100 * np.exp(0.9 * draws.standard_normal(count)), 1, 2_000).astype(np.int64)
    cached = (prompt * cached_share * draws.random(count)).astype(np.int64) // 16 * 16
    empty = np.full(count, math.nan)
    return RequestLog(
        name="measured",
        arrived_s=np.cumsum(gaps_s) - gaps_s[0],
        first_token_s=empty,
        last_token_s=empty,
        prompt_tokens=prompt,
        output_tokens=output,
        cached_tokens=np.minimum(cached, prompt - 1) // 16 * 16,
        node=np.zeros(count, dtype=np.int64),
        nodes=("node",),
    )


def measured(
    steps: StepTimes,
    log: RequestLog,
    *,
    seed: int = 1,
    step_cv: float = 0.05,
    request_cv: float = 0.0,
    max_batch: int = 256,
    overhead_s: float = 5e-3,
) -> RequestLog:
    """Return *log* with the times of a node, with noise on its steps or on its requests' times."""
    draws = Streams(seed).generator("tests/calibrate/noise")
    noisy: StepTimes = steps
    if step_cv and not isinstance(steps, NoisySteps):
        noisy = NoisySteps(steps, step_cv, draws)
    config = EngineConfig(noisy, 10**8, max_batch=max_batch, request_overhead_s=overhead_s)
    served = replay(log, config)
    if not request_cv:
        return served
    shape = 1.0 / request_cv**2
    ttft, span = (draws.gamma(shape, 1.0 / shape, len(log)) for _ in range(2))
    first_s = log.arrived_s + served.ttft_s * ttft
    last_s = first_s + (served.last_token_s - served.first_token_s) * span
    return replace(served, first_token_s=first_s, last_token_s=last_s)
