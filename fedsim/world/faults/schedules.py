"""When faults strike: once, as the scenario says, or again and again, at random."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import numpy as np

from fedsim.workload.distributions import Distribution

if TYPE_CHECKING:
    from fedsim.kernel.environment import Environment

Life = Generator[Any, Any, None]
"""A SimPy process."""

Episode = Callable[[float], Life]
"""One time that a fault strikes, from its start to its end, for so many seconds."""


def once(env: Environment, at_s: float, lasts_s: float, episode: Episode) -> Life:
    """Strike at *at_s* seconds, for *lasts_s* seconds."""
    if at_s > 0.0:  # else before the first arrival, which may be at 0 as well
        yield env.timeout(at_s)
    yield from episode(lasts_s)


class RandomTimes:
    """Positive times in seconds, from a distribution or exponential with a mean."""

    def __init__(self, mean_s: float, shape: Distribution | None) -> None:
        self._mean_s = mean_s
        self._shape = shape

    def draw(self, rng: np.random.Generator) -> float:
        """Draw a time in seconds."""
        if self._shape is None:
            return float(rng.exponential(self._mean_s))
        return self._shape.quantile(max(rng.random(), 2.0**-54))


def again_and_again(
    env: Environment,
    up: RandomTimes,
    down: RandomTimes | None,
    episode: Episode,
    rng: np.random.Generator,
) -> Life:
    """Strike again and again, after times *up* and for times *down*, drawn from *rng* in turn.

    *down* is None where episodes end by themselves.
    """
    while True:
        yield env.timeout(up.draw(rng))
        yield from episode(0.0 if down is None else down.draw(rng))
