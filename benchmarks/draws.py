"""The draws of the benchmark world, for the programs that fedsim is compared with.

They get the same arrivals, service times and network luck, drawn as a fast SimPy program would do
it: in blocks, by numpy. So no difference in speed comes from how random numbers are made.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy.special import ndtri

from benchmarks.world import REGIONS, SERVICE_MEAN_S, Size, world_config
from fedsim.kernel.streams import JITTER, Streams, keyed_uniforms
from fedsim.workload.distributions import Exponential

Draw = tuple[float, int, int, float, float]
"""Arrival time, origin, tenant, service time, and what stretches both legs of its network."""


def jitter_sigma(size: Size) -> float:
    """Return the standard deviation of the logarithm of what stretches the network's legs."""
    return math.log1p(world_config(size).network.jitter) / float(ndtri(0.95))


def draws(size: Size) -> Iterator[Draw]:
    """Yield every request of the benchmark world, in the order of arrival."""
    config = world_config(size)
    sigma = jitter_sigma(size)
    service = Exponential(SERVICE_MEAN_S)
    traffic = config.streams[0].traffic
    for block in traffic.blocks(Streams(config.seed), config.duration_s):
        luck = keyed_uniforms(np.array(block.keys, dtype=np.uint64), JITTER, 1)
        yield from zip(
            block.times_s,
            block.origins,
            block.tenants,
            service.quantiles(np.array(block.service_uniforms)).tolist(),
            np.exp(sigma * ndtri(luck)).tolist(),
            strict=True,
        )


def first_turns(size: Size) -> list[int]:
    """Return the node with which each region's gateway begins its turns, which it draws."""
    streams = Streams(world_config(size).seed)
    return [
        int(streams.python_random(f"federation/{region}/0/turns").random() * size.nodes)
        for region in REGIONS
    ]


def legs_s(size: Size) -> list[list[float]]:
    """Return the median time of a message from each region to each node, in seconds."""
    config = world_config(size)
    homes = [pool.region for pool in config.pools for _ in range(pool.count)]
    network = config.network
    return [
        [
            (network.within_region_s if home == origin else network.between_s[origin, home]) / 2.0
            for home in homes
        ]
        for origin in REGIONS
    ]
