"""Strategies that go by a moving average of latencies which is quick to rise."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp

from fedsim.federation.context import GatewayContext
from fedsim.federation.contracts import HealthState, InferenceRequest, NodeId, RouteTarget
from fedsim.federation.fleet import Fleet
from fedsim.federation.strategies.base import Candidates
from fedsim.federation.strategies.choices import draw

PENALTY_S = 1e9
"""Cost of a node with requests in flight whose latency is not known yet, in seconds."""


class PeakEwma:
    """A latency that rises at once and falls slowly.

    Args:
        decay_s: Time in which what was observed loses all but 1/e of its weight, in seconds.
        now_s: Clock time of its making, in seconds.

    Attributes:
        cost_s: The average in seconds; 0 where nothing was observed for long.
    """

    __slots__ = ("_decay_s", "_stamp_s", "cost_s")

    def __init__(self, decay_s: float, now_s: float) -> None:
        self._decay_s = decay_s
        self._stamp_s = now_s
        self.cost_s = 0.0

    def observe(self, now_s: float, rtt_s: float) -> None:
        """Record a latency: a higher one counts in full, a lower one by the time passed."""
        if rtt_s > self.cost_s:
            self.cost_s = rtt_s
        else:
            weight = exp(-(now_s - self._stamp_s) / self._decay_s)
            self.cost_s = rtt_s * (1.0 - weight) + self.cost_s * weight
        self._stamp_s = now_s

    def load(self, now_s: float, pending: int) -> float:
        """Return the average times the requests pending plus one, decayed until now."""
        self.observe(now_s, 0.0)
        if self.cost_s == 0.0 and pending:
            return PENALTY_S + pending
        return self.cost_s * (pending + 1)


@dataclass(frozen=True, slots=True)
class FinaglePeakEwmaSettings:
    """Finagle's setting of its peak EWMA, with its default.

    Attributes:
        decay_s: Time in which a peak loses all but 1/e of its weight, in seconds.
    """

    decay_s: float = 10.0

    def __post_init__(self) -> None:
        if self.decay_s <= 0.0:
            msg = "decay is not positive: use a duration above 0"
            raise ValueError(msg)


class FinaglePeakEwma:
    """The better of two random nodes, by a latency that rises at once and falls slowly.

    Rule: draws two different nodes; the healthier one wins, else the one with the lower load, the
    first of equals. Load is the average latency times the requests in flight plus one. A latency
    above the average replaces it; a lower one, and time itself, pull it down by ``exp(-time /
    decay)``. A node with requests in flight and no latency yet costs more than any other. Cost:
    O(1), 2 us. Example: decay 10 s; after 2 s of latency the cost is 2 s; 10 s later, with nothing
    new, 0.736 s; a latency of 0.1 s then leaves 0.736 s, since no time has passed. Failure: the
    time to a failure counts as a latency, so a node that fails fast looks good: leave breaker or
    outlier ejection on. Source: Finagle as of late 2026, PeakEwma in a power-of-two-choices
    balancer.
    """

    def __init__(
        self, context: GatewayContext, settings: FinaglePeakEwmaSettings | None = None
    ) -> None:
        self._rng = context.rng
        self._clock = context.clock
        self._decay_s = (settings or FinaglePeakEwmaSettings()).decay_s
        self._averages: dict[NodeId, PeakEwma] = {}

    def select(self, fleet: Fleet, candidates: Candidates, request: InferenceRequest) -> int:
        """Return the better of two nodes."""
        positions = candidates.positions
        drawn = [positions[index] for index in draw(self._rng, len(positions), 2)]
        if len(drawn) == 1:
            return drawn[0]
        one, other = drawn
        one_well, other_well = _is_well(fleet, one), _is_well(fleet, other)
        if one_well != other_well:
            return one if one_well else other
        now_s = self._clock.now()
        return one if self._load(fleet, one, now_s) <= self._load(fleet, other, now_s) else other

    def on_complete(
        self, target: RouteTarget, request: InferenceRequest, outcome: str, latency_s: float
    ) -> None:
        """Learn how long an attempt took, whatever came of it, unless it was called back."""
        if outcome != "cancelled":
            now_s = self._clock.now()
            average = self._averages.get(target.node_id)
            if average is None:
                average = self._averages[target.node_id] = PeakEwma(self._decay_s, now_s)
            average.observe(now_s, latency_s)

    def _load(self, fleet: Fleet, position: int, now_s: float) -> float:
        average = self._averages.get(fleet.node_ids[position])
        pending = fleet.in_flight[position]
        if average is None:
            return PENALTY_S + pending if pending else 0.0
        return average.load(now_s, pending)


def _is_well(fleet: Fleet, position: int) -> bool:
    """Return whether a node is not known to be degraded or worse."""
    record = fleet.records[position]
    return record is None or record.status in {HealthState.HEALTHY, HealthState.UNKNOWN}
