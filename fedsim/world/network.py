"""The network: how long a message takes from one region to another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from fedsim.kernel.streams import JITTER, keyed_uniform
from fedsim.world.config import NetworkConfig

_inverse_normal = NormalDist().inv_cdf


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
        self._sigma = math.log1p(config.jitter) / _inverse_normal(0.95)

    @staticmethod
    def _round_trip_s(config: NetworkConfig, source: str, target: str) -> float:
        if source == target:
            return config.within_region_s
        return config.between_s[source, target]

    def leg_s(self, source: int, target: int, key: int, attempt: int) -> float:
        """Return the time of one leg for an attempt of the request with *key*, in seconds."""
        leg_s = self._legs_s[source][target]
        if self._sigma == 0.0 or leg_s == 0.0:
            return leg_s
        luck = _inverse_normal(keyed_uniform(key, JITTER, attempt))
        return leg_s * math.exp(self._sigma * luck)

    def median_leg_s(self, source: int, target: int) -> float:
        """Return the median time of one leg, in seconds."""
        return self._legs_s[source][target]
