"""Outlier ejection: keeps a gateway away from nodes that fail more than others, for a while."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from fedsim.federation.contracts import NodeId
from fedsim.federation.runtime import Clock, Observer, Random
from fedsim.federation.settings import CountFrom1, Positive, PositiveSeconds, Share


@dataclass(frozen=True, slots=True)
class SuccessRateConfig:
    """When a node's success rate is an outlier among those of its pool.

    Attributes:
        stdev_factor: A rate is one below the mean less this many standard deviations.
        min_nodes: Nodes with enough requests, at least, for a comparison.
        volume: Requests from this gateway in an interval that are enough.
    """

    stdev_factor: Positive = 1.9
    min_nodes: CountFrom1 = 5
    volume: CountFrom1 = 20


@dataclass(frozen=True, slots=True)
class FailureShareConfig:
    """When a node's share of failures is an outlier, whatever that of other nodes.

    Attributes:
        threshold: Share of failures from which a node is ejected.
        min_nodes: Nodes with enough requests, at least, for a verdict.
        volume: Requests from this gateway in an interval that are enough.
    """

    threshold: Share = 0.85
    min_nodes: CountFrom1 = 5
    volume: CountFrom1 = 20


@dataclass(frozen=True, slots=True)
class OutlierConfig:
    """Settings of outlier ejection, which compares the nodes of a pool.

    Shares and volumes are those of a federation of few nodes.

    Attributes:
        consecutive_failures: Failures in a row that eject a node; None for no such rule.
        interval_s: Time between two looks at rates and at ejected nodes, in seconds.
        base_ejection_s: Length of a first ejection, in seconds; the n-th takes n times as long.
        max_ejection_s: Longest ejection, in seconds; the first one's, where that is longer.
        max_ejected: Share of a pool's nodes that may be ejected at once.
        always_eject_one: Whether one node of each pool may be ejected in any case.
        success_rate: The rule about success rates; None for none.
        failure_share: The rule about shares of failures; None for none.
    """

    consecutive_failures: CountFrom1 | None = 5
    interval_s: PositiveSeconds = 10.0
    base_ejection_s: PositiveSeconds = 30.0
    max_ejection_s: PositiveSeconds = 300.0
    max_ejected: Share = 0.5
    always_eject_one: bool = True
    success_rate: SuccessRateConfig | None = SuccessRateConfig()
    failure_share: FailureShareConfig | None = None


FAILURES = frozenset({"internal", "node_unreachable", "timeout"})
"""Outcomes of an attempt that lie with the node."""

_ROUNDING = 1e-12


class NodeTally:
    """What is counted of a node.

    Attributes:
        failures_in_a_row: Failures since the last success, or since the rule last applied.
        calls: Results in the present interval.
        failed: Failures among them.
        peers: The nodes of its pool, itself included.
        ejected_at_s: Clock time of the ejection in seconds; None where it is not ejected.
        returned_at_s: Clock time of the last readmission in seconds, -inf before the first.
        multiplier: How many times the base an ejection takes.
        reason: Why it was ejected, in words.
    """

    __slots__ = (
        "calls",
        "ejected_at_s",
        "failed",
        "failures_in_a_row",
        "multiplier",
        "peers",
        "reason",
        "returned_at_s",
    )

    def __init__(self) -> None:
        self.failures_in_a_row = self.calls = self.failed = self.multiplier = 0
        self.ejected_at_s: float | None = None
        self.returned_at_s = float("-inf")
        self.peers: Peers = {}
        self.reason = ""

    @property
    def success_rate(self) -> float:
        """Share of the interval's results that are successes; only where there are some."""
        return 1.0 - self.failed / self.calls


Peers = dict[NodeId, NodeTally]
"""The nodes of one pool, which are compared with each other."""


class OutlierDetector:
    """Ejects nodes by what becomes of the attempts that one gateway sends them.

    A node is an outlier after ``consecutive_failures`` failures in a row; at the end of an
    interval, when its success rate is below the mean of its pool's less ``stdev_factor`` standard
    deviations (of the population), or its share of failures reaches the threshold; only nodes with
    enough requests in the interval are compared. An outlier is ejected where the share of ejected
    nodes of its pool then stays within ``max_ejected``, or none of it is ejected and one always may
    be. Nodes of different pools are not set against each other: a pool is to it what a cluster is
    to Envoy.

    Ejected nodes are readmitted at the end of an interval only: once ``base_ejection_s`` times the
    node's multiplier, at most ``max_ejection_s``, has passed. The multiplier grows by one with
    each ejection, and shrinks by one at the end of each interval in which the node was not
    ejected. A readmitted node begins with no failures in a row.

    Example: success rates of 50 % and four times 100 % have the mean 90 % and the deviation 20 %;
    with the factor 1.9 the threshold is 52 %, and the first node is ejected. Among n nodes one is
    at most sqrt(n - 1) deviations from the mean, so that with this factor the rule can never
    eject one of four.

    Source: Envoy's outlier detection as of late 2026, without its probabilities of enforcement and
    its jitter. Before Envoy 1.31 the share of ejected nodes was compared without the one to be
    ejected, so that one node could always be. A good probe does not readmit a node, as it does
    there: probes here say that a node answers, not that it serves.
    """

    def __init__(
        self, clock: Clock, config: OutlierConfig | None = None, observer: Observer | None = None
    ) -> None:
        self._clock = clock
        self._config = config or OutlierConfig()
        self._observer = observer
        self._nodes: dict[NodeId, NodeTally] = {}
        self._pools: dict[str, Peers] = {}
        self._subscribers: list[Callable[[NodeId], None]] = []

    def subscribe(self, on_change: Callable[[NodeId], None]) -> None:
        """Have *on_change* called with a node that was ejected or readmitted."""
        self._subscribers.append(on_change)

    def follow(self, pools: Mapping[NodeId, str]) -> None:
        """Count for exactly these nodes from now on, given with their pools.

        Those that stay keep their counts.
        """
        self._nodes = {node_id: self._nodes.get(node_id) or NodeTally() for node_id in pools}
        self._pools = {pool: {} for pool in pools.values()}
        for node_id, tally in self._nodes.items():
            tally.peers = self._pools[pools[node_id]]
            tally.peers[node_id] = tally

    def ejection(self, node_id: NodeId) -> str | None:
        """Return why a node is ejected, in words, or None where it is not."""
        tally = self._nodes.get(node_id)
        return None if tally is None or tally.ejected_at_s is None else tally.reason

    def record(self, node_id: NodeId, outcome: str) -> None:
        """Count the outcome of an attempt: ``ok``, or a failure that lies with the node."""
        tally = self._nodes.get(node_id)
        if tally is None:
            return
        if outcome == "ok":
            tally.failures_in_a_row = 0
            tally.calls += 1
        elif outcome in FAILURES:
            tally.calls += 1
            tally.failed += 1
            tally.failures_in_a_row += 1
            if tally.failures_in_a_row == self._config.consecutive_failures:
                tally.failures_in_a_row = 0
                reason = f"{self._config.consecutive_failures} failures in a row"
                self._eject(node_id, tally, reason)

    async def run_intervals(self, rng: Random) -> None:
        """Look at rates and at ejected nodes each ``interval_s`` seconds, without end.

        The first interval ends anywhere within one, so that gateways do not look at the same time.
        """
        wait_s = self._config.interval_s * rng.random()
        while True:
            await self._clock.sleep(wait_s)
            self.tick()
            wait_s = self._config.interval_s

    def tick(self) -> None:
        """End an interval: readmit whom it is time for, and look at the rates."""
        now_s = self._clock.now()
        for node_id, tally in self._nodes.items():
            if tally.ejected_at_s is None:
                if now_s - tally.returned_at_s >= self._config.interval_s:
                    tally.multiplier = max(0, tally.multiplier - 1)
            elif now_s - tally.ejected_at_s >= self._ejection_s(tally) - 1e-9:
                self._readmit(node_id, tally, now_s)
        for peers in self._pools.values():
            self._look_at_rates(peers)
        for tally in self._nodes.values():
            tally.calls = tally.failed = 0

    def _look_at_rates(self, peers: Peers) -> None:
        rule = self._config.success_rate
        if rule is not None:
            rated = _rated(peers, rule.volume)
            if rated and len(rated) >= rule.min_nodes:
                rates = [tally.success_rate for _, tally in rated]
                least = success_rate_threshold(rates, rule.stdev_factor)
                for node_id, tally in rated:
                    if tally.success_rate < least - _ROUNDING:
                        reason = f"success rate {tally.success_rate:.3g} below {least:.3g}"
                        self._eject(node_id, tally, reason)
        limit = self._config.failure_share
        if limit is not None:
            rated = _rated(peers, limit.volume)
            if len(rated) >= limit.min_nodes:
                for node_id, tally in rated:
                    share = tally.failed / tally.calls
                    if share >= limit.threshold:
                        self._eject(node_id, tally, f"{share:.3g} of its requests failed")

    def _eject(self, node_id: NodeId, tally: NodeTally, reason: str) -> None:
        """Eject an outlier, where not too many of its peers are ejected already."""
        config = self._config
        ejected = sum(peer.ejected_at_s is not None for peer in tally.peers.values())
        share = (ejected + 1) / len(tally.peers)
        allowed = share <= config.max_ejected or (config.always_eject_one and not ejected)
        if tally.ejected_at_s is not None or not allowed:
            return
        longest_s = max(config.max_ejection_s, config.base_ejection_s)
        if tally.multiplier * config.base_ejection_s < longest_s + config.base_ejection_s:
            tally.multiplier += 1
        tally.ejected_at_s = self._clock.now()
        tally.reason = reason
        self._report(node_id, ejected=True, reason=reason)

    def _ejection_s(self, tally: NodeTally) -> float:
        """Return how long a node's ejection takes, in seconds."""
        base_s = self._config.base_ejection_s
        return min(base_s * tally.multiplier, max(self._config.max_ejection_s, base_s))

    def _readmit(self, node_id: NodeId, tally: NodeTally, now_s: float) -> None:
        assert tally.ejected_at_s is not None
        reason = f"after {now_s - tally.ejected_at_s:.4g} s"
        tally.ejected_at_s = None
        tally.returned_at_s = now_s
        tally.failures_in_a_row = 0
        self._report(node_id, ejected=False, reason=reason)

    def _report(self, node_id: NodeId, *, ejected: bool, reason: str) -> None:
        if self._observer is not None:
            self._observer.outlier_changed(self._clock.now(), node_id, ejected, reason)
        for on_change in self._subscribers:
            on_change(node_id)


def _rated(peers: Peers, volume: int) -> list[tuple[NodeId, NodeTally]]:
    """Return the nodes that are not ejected and had enough requests in the interval."""
    return [
        (node_id, tally)
        for node_id, tally in peers.items()
        if tally.ejected_at_s is None and tally.calls >= volume
    ]


def success_rate_threshold(rates: Sequence[float], stdev_factor: float) -> float:
    """Return the success rate below which one of several *rates* is an outlier."""
    return fmean(rates) - stdev_factor * pstdev(rates)
