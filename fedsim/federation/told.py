"""What a health checker that is not ours tells of a node, in the form in which ours keeps it."""

from __future__ import annotations

import math

from fedsim.federation.contracts import HealthState, NodeHealth, NodeId
from fedsim.federation.health import NodeRecord, Pool
from fedsim.federation.latency import ENOUGH_SAMPLES, LatencyWindow


class ToldWindow(LatencyWindow):
    """A median that somebody else has worked out, and who is to see to it that it expires."""

    __slots__ = ("_told",)

    def __init__(self) -> None:
        super().__init__(math.inf, 0)
        self._told = 0

    def tell(self, known: NodeHealth) -> None:
        """Take over the median; one of which nobody says how many samples it is of is believed."""
        self.median_s = known.latency_p50_s
        self.newest_s, self.expires_s = known.last_check_s, math.inf
        samples = ENOUGH_SAMPLES if known.samples is None else known.samples
        self._told = samples if known.latency_p50_s > 0.0 else 0

    def count(self, now_s: float) -> int:
        """Return the number of samples that the median is of."""
        return self._told


class ToldRecord(NodeRecord):
    """A node's record, filled in from what its health checker tells when it is asked."""

    __slots__ = ()

    window: ToldWindow

    def __init__(self, node_id: NodeId) -> None:
        super().__init__(node_id, Pool(), ToldWindow(), -math.inf)

    def tell(self, known: NodeHealth | None) -> None:
        """Take over what is known of the node; nothing where it is not watched."""
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
        self.window.tell(known)
