"""The idiomatic SimPy program: a process for every request, a ``Resource`` for every node.

It is what a person would write who wants to know how long requests take: no federation, no
policies, no retries, no deadlines.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import simpy

from benchmarks.choice import LeastConnections
from benchmarks.draws import draws, first_turns, legs_s
from benchmarks.records import Record
from benchmarks.world import SLOTS, Size

Life = Generator[simpy.Event, Any, None]


class Program:
    """The benchmark world as SimPy processes.

    Attributes:
        env: SimPy's environment.
        records: A tuple for every request that has ended.
    """

    def __init__(self, size: Size) -> None:
        self.env = simpy.Environment()
        self.records: list[Record] = []
        self._nodes = [simpy.Resource(self.env, capacity=SLOTS) for _ in range(size.nodes)]
        self._balancers = [LeastConnections(size.nodes, turn) for turn in first_turns(size)]
        self._legs_s = legs_s(size)
        self._size = size

    def run(self) -> None:
        """Run until the last request has ended."""
        self.env.process(self._source())
        self.env.run()

    def _source(self) -> Life:
        env = self.env
        for index, (at_s, origin, tenant, service_s, stretch) in enumerate(draws(self._size)):
            yield env.timeout(at_s - env.now)
            env.process(self._request(index, origin, tenant, service_s, stretch))

    def _request(
        self, index: int, origin: int, tenant: int, service_s: float, stretch: float
    ) -> Life:
        env, balancer = self.env, self._balancers[origin]
        arrived_s = env.now
        node = balancer.select()
        leg_s = self._legs_s[origin][node] * stretch
        yield env.timeout(leg_s)
        queued_s = env.now
        with self._nodes[node].request() as slot:
            yield slot
            begun_s = env.now
            yield env.timeout(service_s)
        yield env.timeout(leg_s)
        balancer.in_flight[node] -= 1
        wait_s = begun_s - queued_s
        self.records.append(
            (index, tenant, origin, arrived_s, env.now, node, 2.0 * leg_s, wait_s, service_s)
        )
