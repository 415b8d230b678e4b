"""Arrivals of which every time, size and detail is written down."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.arrived import Arrived, Generators
from fedsim.workload.details import Details
from fedsim.workload.mean_sizes import MeanSizes


@dataclass(frozen=True)
class Given:
    """A request: when it arrives, and how large it is."""

    arrived_s: float
    prompt_tokens: int = -1
    output_tokens: int = -1
    details: Details | None = None


@dataclass(frozen=True)
class GivenArrivals:
    """An arrival process whose requests are given, in the order of their times."""

    given: Sequence[Given]
    trace: None = None
    brings_tokens: bool = True
    tenant_names: None = None
    rate_rps: float = math.nan
    mean_sizes: MeanSizes = field(default_factory=MeanSizes)

    def mean_rps(self, until_s: float) -> float:
        """Return the rate at which they arrive before *until_s*, in requests per second."""
        return sum(each.arrived_s < until_s for each in self.given) / until_s

    def peak_rps(self, until_s: float) -> float:
        """Return the same: nobody asks."""
        return self.mean_rps(until_s)

    def times(
        self, rng: np.random.Generator, until_s: float, block_size: int = 4096
    ) -> Iterator[NDArray[np.float64]]:
        """Yield the times before *until_s*."""
        for arrived in self.marked(lambda _: rng, until_s, block_size):
            yield arrived.times_s

    def marked(self, generator: Generators, until_s: float, block_size: int) -> Iterator[Arrived]:
        """Yield what arrives before *until_s*."""
        rows = [each for each in self.given if each.arrived_s < until_s]
        for first in range(0, len(rows), block_size):
            block = rows[first : first + block_size]
            yield Arrived(
                np.array([each.arrived_s for each in block]),
                prompt_tokens=np.array([each.prompt_tokens for each in block]),
                output_tokens=np.array([each.output_tokens for each in block]),
                details=[each.details for each in block],
            )
