"""SimPy as tutorials write it: like `simpy_processes`, but random numbers come one at a time.

It also asks the resources how busy they are instead of keeping counts, which makes it know more
than a gateway does. Its draws are its own, so that only its distributions are those of fedsim.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

import numpy as np
import simpy

from benchmarks.draws import jitter_sigma, legs_s
from benchmarks.records import Record
from benchmarks.world import REGIONS, SERVICE_MEAN_S, SLOTS, Size

Life = Generator[simpy.Event, Any, None]


class Program:
    """The benchmark world as a tutorial would have it.

    Attributes:
        env: SimPy's environment.
        records: A tuple for every request that has ended.
    """

    def __init__(self, size: Size) -> None:
        self.env = simpy.Environment()
        self.records: list[Record] = []
        self._nodes = [simpy.Resource(self.env, capacity=SLOTS) for _ in range(size.nodes)]
        self._legs_s = legs_s(size)
        self._sigma = jitter_sigma(size)
        self._size = size
        self._rng = np.random.default_rng(1)

    def run(self) -> None:
        """Run until the last request has ended."""
        self.env.process(self._source())
        self.env.run()

    def _source(self) -> Life:
        env, rng = self.env, self._rng
        gap_mean_s = 1.0 / self._size.rate_rps
        for index in range(self._size.requests):
            yield env.timeout(rng.exponential(gap_mean_s))
            env.process(self._request(index, int(rng.integers(len(REGIONS)))))

    def _request(self, index: int, origin: int) -> Life:
        env, nodes = self.env, self._nodes
        arrived_s = env.now
        node = min(range(len(nodes)), key=lambda n: nodes[n].count + len(nodes[n].queue))
        leg_s = self._legs_s[origin][node] * math.exp(self._rng.normal(0.0, self._sigma))
        yield env.timeout(leg_s)
        queued_s = env.now
        with nodes[node].request() as slot:
            yield slot
            begun_s = env.now
            service_s = self._rng.exponential(SERVICE_MEAN_S)
            yield env.timeout(service_s)
        yield env.timeout(leg_s)
        wait_s = begun_s - queued_s
        self.records.append(
            (index, -1, origin, arrived_s, env.now, node, 2.0 * leg_s, wait_s, service_s)
        )
