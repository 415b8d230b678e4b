"""What a health checker without live records reports of a node, in the form of such a record."""

from __future__ import annotations

import math

from fedsim.federation.contracts import HealthState, NodeHealth, NodeId
from fedsim.federation.health import NodeRecord, Pool
from fedsim.federation.latency import ENOUGH_SAMPLES, LatencyWindow


class ReportedWindow(LatencyWindow):
    """A median that the health checker has computed, and that it has to let expire."""

    __slots__ = ("_samples",)

    def __init__(self) -> None:
        super().__init__(math.inf, 0)
        self._samples = 0

    def update(self, known: NodeHealth) -> None:
        """Take the median; one without a number of samples counts as of enough."""
        self.median_s = known.latency_p50_s
        self.newest_s, self.expires_s = known.last_check_s, math.inf
        samples = ENOUGH_SAMPLES if known.samples is None else known.samples
        self._samples = samples if known.latency_p50_s > 0.0 else 0

    def count(self, now_s: float) -> int:
        """Return the number of samples that the median is of."""
        return self._samples


class ReportedRecord(NodeRecord):
    """A node's record, filled in from what its health checker reports when it is asked."""

    __slots__ = ()

    window: ReportedWindow

    def __init__(self, node_id: NodeId) -> None:
        super().__init__(node_id, Pool(), ReportedWindow(), -math.inf)

    def update(self, known: NodeHealth | None) -> None:
        """Take what the health checker knows of the node; None for an unknown node."""
        if known is None:
            known = NodeHealth(
                self.node_id, HealthState.UNKNOWN, 0.0, 0.0, 0, None, 0, self.last_check_s
            )
        self.status = known.status
        self.throughput = self.pool.best_throughput = known.throughput
        self.queue_depth = known.queue_depth
        self.gpu_utilization = known.gpu_utilization
        self.running = known.running
        self.kv_usage = known.kv_usage
        self.last_check_s = self.telemetry_s = known.last_check_s
        self.window.update(known)
