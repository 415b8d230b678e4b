"""The network: how long a message takes from one region to another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from fedsim.kernel.streams import JITTER, keyed_uniform, keyed_uniforms
from fedsim.workload.distributions import Lognormal
from fedsim.world.config import NetworkConfig
from fedsim.world.live import LiveRequest


class Network:
    """Round trips between regions, by the regions' codes.

    A message takes half a round trip. With jitter, both legs of an attempt are stretched by one
    lognormal factor of median 1 that belongs to the request and the attempt alone, so that the
    95th percentile of a round trip is 1 + jitter times its median, whichever node was chosen.
    """

    def __init__(self, config: NetworkConfig, regions: Sequence[str]) -> None:
        self._legs_s = [
            [self._round_trip_s(config, source, target) / 2.0 for target in regions]
            for source in regions
        ]
        sigma = math.log1p(config.jitter) / NormalDist().inv_cdf(0.95)
        self._stretch = Lognormal(0.0, sigma) if sigma > 0.0 else None

    @staticmethod
    def _round_trip_s(config: NetworkConfig, source: str, target: str) -> float:
        if source == target:
            return config.within_region_s
        return config.between_s[source, target]

    def stretches(self, keys: Sequence[int]) -> list[float]:
        """Return by how much the first attempts of the requests with *keys* are stretched."""
        if self._stretch is None:
            return [1.0] * len(keys)
        luck = keyed_uniforms(np.array(keys, dtype=np.uint64), JITTER, 1)
        stretches: list[float] = self._stretch.quantiles(luck).tolist()
        return stretches

    def leg_s(self, source: int, target: int, live: LiveRequest, attempt: int) -> float:
        """Return the time of one leg for an attempt of a request, in seconds."""
        leg_s = self._legs_s[source][target]
        if attempt == 1:
            return leg_s * live.stretch
        if self._stretch is None:
            return leg_s
        return leg_s * self._stretch.quantile(keyed_uniform(live.key, JITTER, attempt))

    def median_leg_s(self, source: int, target: int) -> float:
        """Return the median time of one leg, in seconds."""
        return self._legs_s[source][target]
