"""When faults strike: once, as the scenario says, or again and again, at random."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from fedsim.kernel.environment import Environment
from fedsim.workload.distributions import Distribution
from fedsim.world.faults.config import FaultConfig

Life = Generator[Any, Any, None]
"""A SimPy process."""

Episode = Callable[[float], Life]
"""One time that a fault strikes, from its start to its end, for so many seconds."""


def once(env: Environment, fault: FaultConfig, episode: Episode) -> Life:
    """Let a scripted fault strike."""
    assert fault.at_s is not None
    if fault.at_s > 0.0:  # else before the first arrival, which may be at 0 as well
        yield env.timeout(fault.at_s)
    yield from episode(fault.lasts_s or 0.0)


def again_and_again(
    env: Environment, fault: FaultConfig, episode: Episode, rng: np.random.Generator
) -> Life:
    """Let a random fault strike for ever, after times up and for times down drawn from *rng*."""
    assert fault.mtbf_s is not None
    while True:
        yield env.timeout(_draw(fault.up, fault.mtbf_s, rng))
        lasts_s = 0.0 if fault.mttr_s is None else _draw(fault.down, fault.mttr_s, rng)
        yield from episode(lasts_s)


def _draw(times: Distribution | None, mean_s: float, rng: np.random.Generator) -> float:
    if times is None:
        return float(rng.exponential(mean_s))
    return times.quantile(max(rng.random(), 2.0**-54))
