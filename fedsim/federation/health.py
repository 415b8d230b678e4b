"""The health checker: probes nodes, and learns from the traffic that a gateway sends them."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median_low
from typing import Annotated, ClassVar

from fedsim.federation.contracts import (
    FederationError,
    HealthState,
    NodeHealth,
    NodeId,
    NodeUnreachable,
    Timeout,
)
from fedsim.federation.latency import ENOUGH_SAMPLES, LatencyWindow
from fedsim.federation.runtime import Clock, Observer, Prober, Random, TaskHandle, Tasks
from fedsim.federation.settings import CountFrom1, Limits, PositiveSeconds, Seconds, Share


@dataclass(frozen=True, slots=True)
class HealthConfig:
    """Settings of the health checker of each gateway.

    Attributes:
        interval_s: Time between two probes of a node, in seconds.
        timeout_s: A probe that takes longer has failed, in seconds.
        jitter: Share of the interval by which waits are lengthened at random.
        failure_threshold: Consecutive failures that make a node unhealthy.
        recovery_threshold: Consecutive successful probes that end unhealthy.
        degraded_latency_s: A node whose median latency is above it is degraded, in seconds; where
            None, a node is compared with its pool instead.
        degraded_factor: A median above this multiple of the pool's is degraded.
        window_s: Age after which a latency is forgotten, in seconds.
        window_samples: Most latencies kept for a node.
        delay_s: Age that what a probe says of a node's load has when it is known, in seconds, as
            behind a metrics pipeline; that the node answers is known at once.
    """

    interval_s: PositiveSeconds = 10.0
    timeout_s: PositiveSeconds = 5.0
    jitter: Share = 0.1
    failure_threshold: CountFrom1 = 3
    recovery_threshold: CountFrom1 = 2
    degraded_latency_s: PositiveSeconds | None = None
    degraded_factor: Annotated[float, Limits(above=1.0)] = 3.0
    window_s: PositiveSeconds = 60.0
    window_samples: CountFrom1 = 100
    delay_s: Seconds = 0.0


POOL_REFRESH_S = 10.0
"""Age at which a pool's median is computed again in any case, in seconds."""

TOLERANCE_S = 1e-9
"""What times may be off by rounding, in seconds."""

POOL_REFRESH_REPORTS = 4
"""Latencies for each of a pool's nodes, on average, after which its median is computed again."""


class Pool:
    """Nodes whose latencies are compared.

    Attributes:
        best_throughput: The highest throughput that the last probe of one of them brought, in
            tokens per second; 0 where unknown.
    """

    __slots__ = (
        "best_throughput",
        "members",
        "median_s",
        "refresh_at_s",
        "reports_left",
        "slow_above_s",
    )

    def __init__(self) -> None:
        self.members: list[NodeRecord] = []
        self.median_s = 0.0
        self.slow_above_s = math.inf
        self.refresh_at_s = -math.inf
        self.reports_left = 0
        self.best_throughput = 0


class NodeRecord:
    """All that a health checker knows of a node; a live view, only the checker writes to it.

    Attributes:
        node_id: The node.
        pool: Its pool.
        status: The verdict.
        failures: Failed requests in a row.
        failed_s: Clock time of the last of them, in seconds.
        window: Latencies of its traffic.
        throughput: Tokens per second at the last probe; 0 where unknown.
        queue_depth: Waiting requests at the last probe.
        gpu_utilization: 0 to 1 at the last probe, or None.
        running: Requests in service at the last probe, or None.
        kv_usage: Share of the key-value cache in use at the last probe, 0 to 1, or None.
        last_check_s: Clock time of the newest sign of life or death, in seconds.
        telemetry_s: Clock time of the probe that brought these, in seconds; -inf before the first.
    """

    __slots__ = (
        "failed_s",
        "failures",
        "gpu_utilization",
        "kv_usage",
        "last_check_s",
        "node_id",
        "pool",
        "probe_failures",
        "probe_successes",
        "queue_depth",
        "running",
        "status",
        "telemetry_s",
        "throughput",
        "window",
    )

    def __init__(self, node_id: NodeId, pool: Pool, window: LatencyWindow, now_s: float) -> None:
        self.node_id = node_id
        self.pool = pool
        self.window = window
        self.status = HealthState.UNKNOWN
        self.failures = 0
        self.failed_s = -math.inf
        self.probe_failures = 0
        self.probe_successes = 0
        self.throughput = 0
        self.queue_depth = 0
        self.gpu_utilization: float | None = None
        self.running: int | None = None
        self.kv_usage: float | None = None
        self.last_check_s = now_s
        self.telemetry_s = -math.inf


class HealthChecker:
    """Judges the health of nodes for one gateway, by probes and by its traffic.

    Probes decide on unhealthy: ``failure_threshold`` failed probes in a row make a node unhealthy,
    ``recovery_threshold`` successful ones in a row bring it back. Traffic decides the rest: the
    first success makes an unknown node healthy, ``failure_threshold`` failures in a row make a
    healthy one degraded until the next success, and so does a median latency above
    ``degraded_factor`` times that of the node's pool (or above ``degraded_latency_s``, where that
    is set).

    Traffic alone need not end what it began, as a degraded node may be sent none: failures are
    forgiven after ``recovery_threshold`` successful probes in a row since the last one, and both
    failures and latencies are forgotten when none has come for ``window_s``.

    With the defaults a node that dies is unhealthy 30 to 33 s later at the most (5 s more for each
    probe that gets no answer at all) and back after its second good probe; meanwhile the circuit
    breaker, which counts traffic, keeps requests away.
    """

    announces: ClassVar[bool] = True

    def __init__(
        self,
        transport: Prober,
        clock: Clock,
        tasks: Tasks,
        rng: Random,
        config: HealthConfig | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._tasks = tasks
        self._rng = rng
        self._config = config or HealthConfig()
        self._observer = observer
        self._records: dict[NodeId, NodeRecord] = {}
        self._pools: dict[str, Pool] = {}
        self._monitors: dict[NodeId, TaskHandle] = {}
        self._expiries: dict[NodeId, TaskHandle] = {}
        self._interval_s: float | None = None
        self._subscribers: list[Callable[[NodeId], None]] = []
        self._thresholds_s: list[float] = []
        self._least_throughputs: list[int] = []

    # Which nodes are registered

    def register_node(self, node_id: NodeId, pool: str = "") -> None:
        """Begin the record of a node, as unknown; a node that has one keeps it."""
        if node_id in self._records:
            return
        config = self._config
        members = self._pools.setdefault(pool, Pool())
        window = LatencyWindow(config.window_s, config.window_samples)
        record = NodeRecord(node_id, members, window, self._clock.now())
        members.members.append(record)
        members.refresh_at_s = -math.inf
        self._records[node_id] = record
        if self._interval_s is not None:
            self._monitor(node_id, self._interval_s)
        self._changed(node_id)

    def deregister_node(self, node_id: NodeId) -> None:
        """Drop the record of a node; it is probed no more."""
        record = self._records.pop(node_id, None)
        if record is not None:
            record.pool.members.remove(record)
            record.pool.refresh_at_s = -math.inf
            if record.status is not HealthState.UNKNOWN and self._observer is not None:
                now_s, before, after = self._clock.now(), record.status, HealthState.UNKNOWN
                reason = "the catalog does not have it any more"
                self._observer.health_changed(now_s, node_id, before, after, reason)
            for tasks in (self._monitors, self._expiries):
                task = tasks.pop(node_id, None)
                if task is not None:
                    task.cancel()
            self._note_best(record.pool, record.throughput, 0)
            self._changed(node_id)

    def subscribe(self, on_change: Callable[[NodeId], None]) -> None:
        """Have *on_change* called with a node when its eligibility may have changed.

        That is when its status changes, or its estimate crosses a limit given to
        `add_latency_limit` or gets enough samples, or its throughput crosses one given to
        `add_throughput_limit`; not when the estimate expires, which ``window.expires_s`` foretells.
        """
        self._subscribers.append(on_change)

    def add_latency_limit(self, limit_s: float | None) -> None:
        """Announce a node also when its estimate crosses *limit_s*; None adds nothing."""
        if limit_s is not None and limit_s not in self._thresholds_s:
            insort(self._thresholds_s, limit_s)

    def add_throughput_limit(self, least: int | None) -> None:
        """Announce a node also when its throughput crosses *least* tokens/s; None adds nothing."""
        if least is not None and least not in self._least_throughputs:
            self._least_throughputs.extend((1, least))  # 0 is unknown, which is eligible

    # What is known

    def record(self, node_id: NodeId) -> NodeRecord | None:
        """Return the live record of a node, or None for one that is not registered."""
        return self._records.get(node_id)

    def estimate_s(self, record: NodeRecord) -> float:
        """Return the median of the node's latencies in seconds; 0 where unknown or expired."""
        window = record.window
        return window.median_s if self._clock.now() < window.expires_s else 0.0

    def pool_median_s(self, record: NodeRecord) -> float:
        """Return the median of the medians of the node's pool in seconds; 0 where unknown.

        Of an even number it is the lower one: set against the mean of both, neither node of a pool
        of two could ever exceed three times the pool's median.
        """
        pool, now_s = record.pool, self._clock.now()
        if now_s >= pool.refresh_at_s:
            self._refresh(pool, now_s)
        return pool.median_s

    def _refresh(self, pool: Pool, now_s: float) -> None:
        """Work out a pool's median, and above which median a node of it is degraded."""
        pool.refresh_at_s = now_s + POOL_REFRESH_S
        pool.reports_left = POOL_REFRESH_REPORTS * len(pool.members)
        medians = [
            member.window.median_s
            for member in pool.members
            if member.window.count(now_s) >= ENOUGH_SAMPLES
        ]
        pool.median_s = median_low(medians) if medians else 0.0
        limit_s = self._config.degraded_latency_s
        if limit_s is None:
            limit_s = self._config.degraded_factor * pool.median_s if medians else math.inf
        pool.slow_above_s = limit_s

    def get_cached_health(self, node_id: NodeId) -> NodeHealth | None:
        """Return what is known of a node, or None for one that is not registered."""
        record = self._records.get(node_id)
        if record is None:
            return None
        known = self._clock.now() < record.window.expires_s
        return NodeHealth(
            node_id,
            record.status,
            record.window.median_s if known else 0.0,
            record.window.quantile(0.99) if known else 0.0,
            record.throughput,
            record.gpu_utilization,
            record.queue_depth,
            record.last_check_s,
            record.running,
            record.kv_usage,
            record.window.count(self._clock.now()),
        )

    # Probes

    async def start_monitoring(self, interval_s: float | None = None) -> None:
        """Probe every node each *interval_s* seconds from now on; None takes the configured one."""
        interval_s = self._config.interval_s if interval_s is None else interval_s
        if interval_s != self._interval_s:
            await self.stop_monitoring()
        self._interval_s = interval_s
        for node_id in self._records:
            if node_id not in self._monitors:
                self._monitor(node_id, interval_s)

    async def stop_monitoring(self) -> None:
        """Stop the probes."""
        self._interval_s = None
        for monitor in self._monitors.values():
            monitor.cancel()
        self._monitors.clear()

    @property
    def is_monitoring(self) -> bool:
        """Whether nodes are probed."""
        return self._interval_s is not None

    async def check_node(self, node_id: NodeId) -> NodeHealth:
        """Probe a node now, record the result and return what is known.

        Raises:
            NodeUnreachable: The node is not registered, or did not answer.
            Timeout: The probe took longer than ``timeout_s``.
        """
        await self._probe(node_id)
        known = self.get_cached_health(node_id)
        if known is None:
            raise NodeUnreachable(node_id)
        return known

    async def _probe(self, node_id: NodeId) -> None:
        record = self._records.get(node_id)
        if record is None:
            raise NodeUnreachable(node_id)
        timeout_s = self._config.timeout_s
        try:
            telemetry = await self._tasks.within(self._transport.probe(node_id), timeout_s)
        except TimeoutError:
            self._probe_failed(record, f"a probe took longer than {timeout_s:g} s")
            raise Timeout(timeout_s) from None
        except FederationError as error:
            self._probe_failed(record, f"a probe failed: {error}")
            raise
        self._probe_succeeded(record, telemetry)

    def _monitor(self, node_id: NodeId, interval_s: float) -> None:
        self._monitors[node_id] = self._tasks.spawn(
            self._probe_forever(node_id, interval_s), f"probe {node_id}"
        )

    async def _probe_forever(self, node_id: NodeId, interval_s: float) -> None:
        """Probe at once, so that a new node is known soon, then once an interval.

        The second probe comes after a random share of the interval, which spreads the probes of
        all nodes over it.
        """
        wait_s = interval_s * self._rng.random()
        while True:
            try:
                await self._probe(node_id)
            except FederationError:
                pass  # already noted
            await self._clock.sleep(wait_s)
            wait_s = interval_s * (1.0 + self._config.jitter * self._rng.random())

    def _probe_succeeded(self, record: NodeRecord, telemetry: NodeHealth) -> None:
        now_s = record.last_check_s = self._clock.now()
        if self._config.delay_s > 0.0:
            later = self._note_later(record, telemetry, now_s)
            self._tasks.spawn(later, f"telemetry {record.node_id}")
        else:
            self._note_telemetry(record, telemetry, now_s)
        record.probe_failures = 0
        record.probe_successes += 1
        if record.status is HealthState.UNHEALTHY:
            if record.probe_successes >= self._config.recovery_threshold:
                record.failures = 0
                reason = f"{record.probe_successes} successful probes in a row"
                self._move(record, HealthState.HEALTHY, reason)
        elif record.status is HealthState.UNKNOWN:
            self._move(record, HealthState.HEALTHY, "the first probe succeeded")
        elif (
            record.status is HealthState.DEGRADED
            and record.failures
            and record.probe_successes >= self._config.recovery_threshold
        ):
            record.failures = 0
            self._reconsider(record, f"{record.probe_successes} successful probes in a row")

    async def _note_later(self, record: NodeRecord, telemetry: NodeHealth, at_s: float) -> None:
        """Record what a probe brought once it has come through the pipeline."""
        await self._clock.sleep(self._config.delay_s)
        self._note_telemetry(record, telemetry, at_s)

    def _note_telemetry(self, record: NodeRecord, telemetry: NodeHealth, at_s: float) -> None:
        record.telemetry_s = at_s
        record.queue_depth = telemetry.queue_depth
        record.gpu_utilization = telemetry.gpu_utilization
        record.running = telemetry.running
        record.kv_usage = telemetry.kv_usage
        self._note_throughput(record, telemetry.throughput)

    def _note_throughput(self, record: NodeRecord, throughput: int) -> None:
        before, record.throughput = record.throughput, throughput
        self._note_best(record.pool, before, throughput)
        if any((before < least) != (throughput < least) for least in self._least_throughputs):
            self._changed(record.node_id)

    @staticmethod
    def _note_best(pool: Pool, before: int, after: int) -> None:
        """Keep a pool's best throughput when a node's has changed; 0 is that of one that left."""
        if after >= pool.best_throughput:
            pool.best_throughput = after
        elif before == pool.best_throughput:
            pool.best_throughput = max((each.throughput for each in pool.members), default=0)

    def _probe_failed(self, record: NodeRecord, reason: str) -> None:
        record.last_check_s = self._clock.now()
        record.probe_successes = 0
        record.probe_failures += 1
        if record.probe_failures >= self._config.failure_threshold:
            self._move(record, HealthState.UNHEALTHY, f"{record.probe_failures} in a row: {reason}")

    # Traffic

    def report_success(self, node_id: NodeId, latency_s: float) -> None:
        """Learn from a request that the node served in *latency_s* seconds, network included.

        It is kept to the nanosecond: of equal nodes, the rounding of the clock would make one the
        fastest for good.
        """
        record = self._records.get(node_id)
        if record is None:
            return
        now_s = self._clock.now()
        window = record.window
        before_s = window.median_s if now_s < window.expires_s else 0.0
        believed = window.count(now_s) >= ENOUGH_SAMPLES
        window.add(now_s, round(latency_s, 9))
        record.last_check_s = now_s
        record.failures = 0
        limits_s = self._thresholds_s
        if limits_s:
            exceeded = bisect_left(limits_s, window.median_s)  # so many of the limits
            believes = window.count(now_s) >= ENOUGH_SAMPLES
            if exceeded != bisect_left(limits_s, before_s) or (exceeded and believes != believed):
                self._changed(node_id)
        pool, status = record.pool, record.status
        pool.reports_left -= 1
        if pool.reports_left < 0 or now_s >= pool.refresh_at_s:
            self._refresh(pool, now_s)
        if self._is_slow(record, now_s):
            if status is not HealthState.UNHEALTHY:
                self._degrade(record, self._slowness())
        elif status is not HealthState.HEALTHY and status is not HealthState.UNHEALTHY:
            self._move(record, HealthState.HEALTHY, "a request succeeded in good time")

    def report_failure(self, node_id: NodeId) -> None:
        """Learn from a request that failed on the node for a reason that lies with the node."""
        record = self._records.get(node_id)
        if record is None:
            return
        record.last_check_s = record.failed_s = self._clock.now()
        record.failures += 1
        if record.status is HealthState.UNHEALTHY:
            return  # also a late failure leaves the decision to the probes
        record.probe_successes = 0
        if record.failures >= self._config.failure_threshold:
            self._degrade(record, f"{record.failures} failures in a row")

    def _degrade(self, record: NodeRecord, reason: str) -> None:
        self._move(record, HealthState.DEGRADED, reason)
        if record.node_id not in self._expiries:
            self._reconsider(record, reason)

    def _is_slow(self, record: NodeRecord, now_s: float) -> bool:
        window = record.window
        return window.median_s > record.pool.slow_above_s and window.count(now_s) >= ENOUGH_SAMPLES

    def _degraded_until_s(self, record: NodeRecord) -> float:
        """Return when a degraded node's traffic no longer counts against it, if none comes."""
        until_s = -math.inf
        if record.failures >= self._config.failure_threshold:
            until_s = record.failed_s + self._config.window_s
        if self._is_slow(record, self._clock.now()):
            until_s = max(until_s, record.window.expires_s)
        return until_s

    def _reconsider(self, record: NodeRecord, reason: str) -> None:
        """End ``degraded`` where its reasons are gone, else check again when they may be."""
        expiry = self._expiries.pop(record.node_id, None)
        if expiry is not None:
            expiry.cancel()
        left_s = self._degraded_until_s(record) - self._clock.now()
        if left_s <= TOLERANCE_S:
            record.failures = 0
            self._move(record, HealthState.HEALTHY, reason)
            return
        self._expiries[record.node_id] = self._tasks.spawn(
            self._expire(record, left_s), f"expiry {record.node_id}"
        )

    async def _expire(self, record: NodeRecord, wait_s: float) -> None:
        """Look at a degraded node again in *wait_s* seconds."""
        await self._clock.sleep(wait_s)
        del self._expiries[record.node_id]
        if record.status is HealthState.DEGRADED:
            window_s = self._config.window_s
            self._reconsider(record, f"nothing new against it for {window_s:g} s")

    def _slowness(self) -> str:
        """Say in words what makes a node degraded whose median is too high."""
        limit_s = self._config.degraded_latency_s
        if limit_s is not None:
            return f"its median exceeds {limit_s:g} s"
        return f"its median exceeds {self._config.degraded_factor:g} times its pool's"

    def _move(self, record: NodeRecord, after: HealthState, reason: str) -> None:
        before = record.status
        if before is after:
            return
        record.status = after
        if self._observer is not None:
            now_s = self._clock.now()
            self._observer.health_changed(now_s, record.node_id, before, after, reason)
        self._changed(record.node_id)

    def _changed(self, node_id: NodeId) -> None:
        for on_change in self._subscribers:
            on_change(node_id)
