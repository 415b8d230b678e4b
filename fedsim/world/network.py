"""The network: how long a message takes from one region to another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from fedsim.kernel.streams import JITTER, keyed_uniform, keyed_uniforms
from fedsim.workload.distributions import Lognormal

if TYPE_CHECKING:
    from fedsim.world.live import LiveRequest


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Round-trip times.

    Attributes:
        within_region_s: Round trip inside a region, in seconds, >= 0.
        between_s: Round trips in seconds by ordered pair of region names, both orders present.
        jitter: 95th percentile of a round trip over its median, minus one, >= 0.
        within_s: Round trips in seconds inside the regions where they are not *within_region_s*.
        jitter_between: The jitter of round trips by ordered pair of region names, both orders
            present, where it is not *jitter*.
        connect_timeout_s: Time after which a gateway gives up a node that none of its messages
            reaches, in seconds, > 0.
    """

    within_region_s: float = 0.001
    between_s: Mapping[tuple[str, str], float] = field(default_factory=dict)
    jitter: float = 0.05
    within_s: Mapping[str, float] = field(default_factory=dict)
    jitter_between: Mapping[tuple[str, str], float] = field(default_factory=dict)
    connect_timeout_s: float = 1.0


class Network:
    """Round trips between regions, by the regions' codes.

    A message takes half a round trip. With jitter, both legs of an attempt are stretched by one
    lognormal factor of median 1 that belongs to the request and the attempt alone, so that the
    95th percentile of a round trip is 1 + jitter times its median, whichever node was chosen. Where
    two regions have a jitter of their own, the factor is taken to the power that gives it: an
    attempt that is slow is slow on any way, by more on one with more jitter.
    """

    def __init__(self, config: NetworkConfig, regions: Sequence[str]) -> None:
        self._legs_s = [
            [self._round_trip_s(config, source, target) / 2.0 for target in regions]
            for source in regions
        ]
        usual = sigma_of(config.jitter)
        sigmas = [
            [
                sigma_of(config.jitter_between.get((source, target), config.jitter))
                for target in regions
            ]
            for source in regions
        ]
        reference = usual or max(max(row) for row in sigmas)
        self._stretch = Lognormal(0.0, reference) if reference > 0.0 else None
        self._powers: list[list[float]] | None = None
        if any(sigma != reference for row in sigmas for sigma in row):
            self._powers = [[sigma / reference for sigma in row] for row in sigmas]

    @staticmethod
    def _round_trip_s(config: NetworkConfig, source: str, target: str) -> float:
        if source == target:
            return config.within_s.get(source, config.within_region_s)
        # Between regions of which neither has gateways for the other's nodes nothing ever passes.
        return config.between_s.get((source, target), math.nan)

    def stretches(self, keys: Sequence[int]) -> list[float]:
        """Return by how much the first attempts of the requests with *keys* are stretched."""
        if self._stretch is None:
            return [1.0] * len(keys)
        uniforms = keyed_uniforms(np.array(keys, dtype=np.uint64), JITTER, 1)
        stretches: list[float] = self._stretch.quantiles(uniforms).tolist()
        return stretches

    def stretch(self, key: int) -> float:
        """Return by how much the first attempt of the request with *key* is stretched."""
        if self._stretch is None:
            return 1.0
        return self._stretch.quantile(keyed_uniform(key, JITTER, 1))

    def leg_s(self, source: int, target: int, live: LiveRequest, attempt: int) -> float:
        """Return the time of one leg for an attempt of a request, in seconds."""
        leg_s = self._legs_s[source][target]
        if attempt == 1:
            stretch = live.stretch
        elif self._stretch is None:
            return leg_s
        else:
            stretch = self._stretch.quantile(keyed_uniform(live.key, JITTER, attempt))
        if self._powers is None:
            return leg_s * stretch
        stretched: float = leg_s * stretch ** self._powers[source][target]
        return stretched

    def median_leg_s(self, source: int, target: int) -> float:
        """Return the median time of one leg, in seconds."""
        return self._legs_s[source][target]


def sigma_of(jitter: float) -> float:
    """Return the sigma of the lognormal whose 95th percentile is 1 + *jitter* times its median."""
    return math.log1p(jitter) / NormalDist().inv_cdf(0.95)
