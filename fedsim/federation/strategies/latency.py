"""Strategies that go by the latency of nodes."""

from __future__ import annotations

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import InferenceRequest
from fedsim.federation.fleet import Fleet
from fedsim.federation.latency import ENOUGH_SAMPLES
from fedsim.federation.strategies.base import Candidates


class LeastLatency:
    """The node that is expected to answer first, by its median latency and its load; the default.

    Rule: the lowest product of the windowed median, network included, and the requests in flight
    plus one, divided by the node's weight (``pools.<name>.weight``). The median drifts linearly
    towards that of the node's pool as its newest sample ages, and has arrived there when the window
    has passed, unless the health checker is a foreign one, whose medians are its own affair. A node
    with fewer than five samples gets one trial request at a time. Cost: O(n), about 0.4 us a node.
    Example: window 60 s, pool median 1 s; a node at 3 s whose newest sample is 30 s old counts as
    2 s; with one request in flight as 4 s. Failure: counts no failures; a node that fails fast
    keeps its old median until that expires. Source: ``least_time`` of NGINX Plus as of late 2026,
    as documented. Without the load, all gateways send everything to one node until its median
    rises, then to the next: the fault of the reference's default.
    """

    def __init__(self, context: GatewayContext) -> None:
        self._clock = context.clock

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return a node on trial, else the one with the lowest estimate."""
        now_s = self._clock.now()
        estimates = [self._estimate_s(fleet, node, now_s) for node in candidates.positions]
        best = min(estimates)
        if best == float("inf"):
            loads = candidates.gather(fleet.in_flight)
            return candidates.take_turn(loads, min(loads))
        return candidates.take_turn(estimates, best)

    def _estimate_s(self, fleet: Fleet, position: int, now_s: float) -> float:
        """Return aged median times load; -1 for a node due for a trial, infinity for one on it."""
        record = fleet.records[position]
        if record is None:
            return float("inf")
        window = record.window
        if window.count(now_s) < ENOUGH_SAMPLES:
            return -1.0 if fleet.in_flight[position] == 0 else float("inf")
        own_s, pool_s = window.median_s, fleet.pool_median_s(record)
        if pool_s > 0.0:
            age = (now_s - window.newest_s) / (window.expires_s - window.newest_s)
            own_s += (pool_s - own_s) * age
        return own_s * (fleet.in_flight[position] + 1) / fleet.deployments[position].weight
