"""The reference's health checker: it learns from traffic alone, and never asks a node."""

from __future__ import annotations

from fedsim.federation.contracts import HealthState, NodeHealth, NodeId, NodeUnreachable
from fedsim.federation.reference.config import ReferenceHealthConfig
from fedsim.federation.reference.durations import milliseconds, nanoseconds
from fedsim.federation.runtime import Clock, Observer


class _Record:
    """What is known of a node; ``p50_ms`` is what the reference calls its median."""

    __slots__ = ("failures", "last_check_s", "p50_ms", "status", "successes")

    def __init__(self, now_s: float) -> None:
        self.status = HealthState.UNKNOWN
        self.p50_ms = 0
        self.failures = 0
        self.successes = 0
        self.last_check_s = now_s


class ReferenceHealth:
    """Judges nodes by how their last requests went.

    ``recovery_threshold`` successes in a row make a node healthy, one success that took longer than
    ``degraded_latency_s`` or one failure makes it degraded, ``failure_threshold`` failures in a row
    make it unhealthy. Nothing expires, and nodes that were never registered are not judged at all.

    The "median" latency is a moving average in whole milliseconds that starts from 0 and of which
    a tenth is renewed by each success: after k successes of x it has seen x (1 - 0.9^k), and it
    never comes closer from below than 9 ms (of 45 ms it makes 36).
    """

    def __init__(
        self,
        clock: Clock,
        config: ReferenceHealthConfig | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._clock = clock
        self._config = config or ReferenceHealthConfig()
        self._observer = observer
        self._records: dict[NodeId, _Record] = {}
        self._monitoring = False

    def register_node(self, node_id: NodeId) -> None:
        """Start to judge a node, as unknown; a node that was registered before starts again."""
        before = self._records.get(node_id)
        self._records[node_id] = record = _Record(self._clock.now())
        if before is not None:
            self._tell(node_id, before.status, record.status, "it was registered again")

    def deregister_node(self, node_id: NodeId) -> None:
        """Forget a node."""
        self._records.pop(node_id, None)

    def report_success(self, node_id: NodeId, latency_s: float) -> None:
        """Learn that a node served a request in *latency_s* seconds; unknown nodes are ignored."""
        record = self._records.get(node_id)
        if record is None:
            return
        record.failures = 0
        record.successes += 1
        record.p50_ms = (9 * record.p50_ms + milliseconds(latency_s)) // 10
        record.last_check_s = self._clock.now()
        limit_s = self._config.degraded_latency_s
        if nanoseconds(latency_s) > nanoseconds(limit_s):
            self._move(node_id, record, HealthState.DEGRADED, f"a success took over {limit_s:g} s")
        elif record.successes >= self._config.recovery_threshold:
            reason = f"{record.successes} successes in a row"
            self._move(node_id, record, HealthState.HEALTHY, reason)

    def report_failure(self, node_id: NodeId) -> None:
        """Learn that a request failed on a node, for whatever reason; unknown ones are ignored."""
        record = self._records.get(node_id)
        if record is None:
            return
        record.successes = 0
        record.failures += 1
        enough = record.failures >= self._config.failure_threshold
        after = HealthState.UNHEALTHY if enough else HealthState.DEGRADED
        self._move(node_id, record, after, f"{record.failures} failures in a row")

    def get_cached_health(self, node_id: NodeId) -> NodeHealth | None:
        """Return what is known of a node, or None for one that was never registered.

        Its 99th percentile, throughput, queue and GPU are never learned and stay at nothing.
        """
        record = self._records.get(node_id)
        if record is None:
            return None
        p50_s = record.p50_ms / 1000.0
        return NodeHealth(node_id, record.status, p50_s, 0.0, 0, None, 0, record.last_check_s)

    async def check_node(self, node_id: NodeId) -> NodeHealth:
        """Return what is known of a node, without asking it; raises ``NodeUnreachable``."""
        known = self.get_cached_health(node_id)
        if known is None:
            raise NodeUnreachable(node_id)
        return known

    async def start_monitoring(self, interval_s: float | None = None) -> None:
        """Say that nodes are monitored, which is all that it does."""
        self._monitoring = True

    async def stop_monitoring(self) -> None:
        """Say that nodes are not monitored."""
        self._monitoring = False

    @property
    def is_monitoring(self) -> bool:
        """Whether somebody said that nodes are monitored."""
        return self._monitoring

    def all_statuses(self) -> dict[NodeId, HealthState]:
        """Return the status of every registered node."""
        return {node_id: record.status for node_id, record in self._records.items()}

    def healthy_count(self) -> int:
        """Return how many nodes are healthy; degraded and unknown ones are not."""
        statuses = self.all_statuses().values()
        return sum(status is HealthState.HEALTHY for status in statuses)

    def total_count(self) -> int:
        """Return how many nodes are registered."""
        return len(self._records)

    def _move(self, node_id: NodeId, record: _Record, after: HealthState, reason: str) -> None:
        before, record.status = record.status, after
        self._tell(node_id, before, after, reason)

    def _tell(self, node_id: NodeId, before: HealthState, after: HealthState, reason: str) -> None:
        if self._observer is not None and before is not after:
            self._observer.health_changed(self._clock.now(), node_id, before, after, reason)
