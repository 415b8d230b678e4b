"""Where the uniforms behind a request's sizes come from.

The n-th request of plain traffic has the n-th uniform of a random stream for each purpose, so that
another purpose more or less leaves all others as they were. A user's turn has uniforms keyed by
the turn, so that it does not matter in which order turns happen.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.arrived import Generators
from fedsim.workload.sources import StreamSource

_PURPOSES = {
    "origin": 16,
    "tenant": 17,
    "prompt": 18,
    "output": 19,
    "sample": 20,
    "audio": 21,
    "steps": 22,
    "images": 23,
    "model": 24,
    "repeat": 25,
    "adapters": 26,
    "prefix": 27,
    "turns": 28,
    "think": 29,
}
"""The number of each purpose of a keyed uniform; those of the world are below 16."""

TURN = 30
"""Purpose of the keyed words that are the keys of a user's turns."""

# The generator's uniforms begin at 0, which is not a share that a quantile can take.
_LEAST = 2.0**-54


class Draws(Protocol):
    """Gives the requests at hand their uniforms."""

    def __call__(self, purpose: str) -> NDArray[np.float64]:
        """Return a uniform in (0, 1) for each request; asked once for each *purpose*."""
        ...


class StreamDraws:
    """The draws of the arrivals of plain traffic, from a random stream per purpose.

    Args:
        generator: Gives the stream of a purpose.
    """

    def __init__(self, generator: Generators) -> None:
        self._new = generator
        self._generators: dict[str, np.random.Generator] = {}
        self._count = 0

    def following(self, count: int) -> Draws:
        """Return the draws of the next *count* arrivals."""
        self._count = count
        return self._uniforms

    def _uniforms(self, purpose: str) -> NDArray[np.float64]:
        if purpose not in self._generators:
            self._generators[purpose] = self._new(purpose)
        return np.maximum(self._generators[purpose].random(self._count), _LEAST)


class KeyedDraws:
    """The draws of requests with *keys*, a function of each key and the purpose alone."""

    def __init__(self, streams: StreamSource, keys: NDArray[np.uint64]) -> None:
        self._streams = streams
        self._keys = keys

    def __call__(self, purpose: str) -> NDArray[np.float64]:
        """Return a uniform in (0, 1) for each key."""
        return self._streams.keyed_uniforms(self._keys, _PURPOSES[purpose], 0)
